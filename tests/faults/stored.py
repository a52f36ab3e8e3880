"""What the database has of what callers were told."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.contract.harness import stored_count
from tests.faults.load import Load
from tests.serving.harness import eventually


def rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    """What a query finds, past the service."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def nothing_is_lost(load: Load, database_url: str, uncounted: int = 0) -> None:
    """Assert that all that was acknowledged is there, and that key checks are counted.

    Args:
        uncounted: how many key checks may be missing.
    """
    kept = load.kept
    tenants = {row[0] for row in rows(database_url, "SELECT id FROM tenants")}
    assert set(kept.tenants) <= tenants

    def replies() -> set[object]:
        return {row[0] for row in rows(database_url, "SELECT id FROM chat_messages")}

    # A reply that ended while the database was away waits in memory until it is back.
    eventually(lambda: set(kept.chats.values()) <= replies())
    agents = dict(rows(database_url, "SELECT id, description FROM agents"))
    for agent_id, possible in kept.updates.items():
        assert not possible or agents[agent_id] in possible
    # More is possible: of a commit whose answer was cut off nobody knows whether it is there.
    goal = load.checked() - uncounted
    eventually(lambda: stored_count(database_url, load.world.key) >= goal)


def billing_is_right(load: Load, database_url: str) -> None:
    """Assert that each reply has one usage row, and that nothing is pending for ever."""
    assert billed_once(load, database_url)
    eventually(lambda: not pending(load, database_url))


def billed_once(load: Load, database_url: str) -> bool:
    """Whether each reply has one usage row, and no request has more."""
    found = rows(database_url, f"SELECT request_id FROM usage_records WHERE {_of(load)}")
    billed = Counter(row[0] for row in found)
    return billed.keys() >= load.kept.chats.keys() and set(billed.values()) <= {1}


def pending(load: Load, database_url: str) -> set[object]:
    """The requests whose reply nobody has settled."""
    query = f"SELECT request_id FROM chat_pending_replies WHERE {_of(load)}"
    return {row[0] for row in rows(database_url, query)}


def _of(load: Load) -> str:
    return f"tenant_id = '{load.world.chat_key['tenant_id']}'"
