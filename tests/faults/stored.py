"""What the database has of what callers were told."""

from __future__ import annotations

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


def nothing_is_lost(load: Load, database_url: str) -> None:
    """Assert that all that was acknowledged is there, and that key checks are counted."""
    kept = load.kept
    tenants = {row[0] for row in rows(database_url, "SELECT id FROM tenants")}
    assert set(kept.tenants) <= tenants

    def replies() -> set[object]:
        return {row[0] for row in rows(database_url, "SELECT id FROM chat_messages")}

    # A reply that ended while the database was away waits in memory until it is back.
    eventually(lambda: set(kept.chats) <= replies())
    agents = dict(rows(database_url, "SELECT id, description FROM agents"))
    for agent_id, possible in kept.updates.items():
        assert not possible or agents[agent_id] in possible
    # More is possible: of a commit whose answer was cut off nobody knows whether it is there.
    eventually(lambda: stored_count(database_url, load.world.key) >= load.checked())


def billing_is_right(load: Load, database_url: str, replies: int = 0) -> None:
    """Assert that each reply has one usage row, and that nothing is pending for ever."""
    billed = [row[0] for row in rows(database_url, "SELECT id FROM usage_records")]
    assert len(billed) == len(set(billed))
    assert len(billed) >= len(load.kept.chats) + replies
    eventually(lambda: not rows(database_url, "SELECT id FROM chat_pending_replies"))
