"""What databases hold, asked past the service."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from tests.cluster.load import HOT_LIMIT, Load
from tests.servers.mariadb import connect


def asked(url: str, query: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    """The rows of a query."""
    with contextlib.closing(connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute(query, values)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return rows


def checksums(url: str) -> dict[str, int]:
    """A checksum of all rows of each table."""
    tables = [row[0] for row in asked(url, "SHOW TABLES")]
    found = asked(url, f"CHECKSUM TABLE {', '.join(tables)}")
    return {name.rpartition(".")[2]: total for name, total in found}


def missing(url: str, load: Load) -> list[str]:
    """What was acknowledged and isn't there as it was told; empty when all is well."""
    agents = {row[0] for row in asked(url, "SELECT id FROM agents")}
    query = "SELECT content, seq FROM conversation_messages WHERE conversation_id = %s"
    said = dict(asked(url, query, load.scene.conversation_id))
    lost = [one for one in load.agents if one not in agents]
    return lost + [content for content, seq in load.said.items() if said.get(content) != seq]


def miscounted(url: str, load: Load) -> list[str]:
    """Which numbers don't fit the rows that they tell of; empty when all do."""
    (row,) = asked(
        url,
        "SELECT agent_count, (SELECT COUNT(*) FROM agents a WHERE a.tenant_id = t.id)"
        " FROM tenants t WHERE id = %s",
        load.scene.tenant_id,
    )
    query = "SELECT seq FROM conversation_messages WHERE conversation_id = %s AND seq > 0"
    seqs = sorted(seq for (seq,) in asked(url, query, load.scene.conversation_id))
    wrong = [] if row[0] == row[1] else [f"agent_count {row}"]
    wrong += [] if seqs == list(range(1, len(seqs) + 1)) else [f"seqs {seqs}"]
    return wrong


def taken(url: str, load: Load) -> int:
    """How often the key's rate limit was used."""
    query = "SELECT used FROM rate_windows WHERE subject = %s"
    ((used,),) = asked(url, query, f"key:{load.scene.key['id']}")
    assert used < HOT_LIMIT
    return int(used)
