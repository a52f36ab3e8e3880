"""Deletes what belongs to a thing, table by table.

ON DELETE CASCADE of the schema sees to it that nothing is left behind, but isn't relied on where
two cascades lead to a row: MySQL 9.7 deletes a tenant and leaves some of its keys, which are
their agents' too.
"""

from __future__ import annotations

from sqlalchemy import CursorResult, delete

from maimconfig.db.base import Base
from maimconfig.db.session import Session


def delete_owned(session: Session, owner: type[Base], owner_id: str) -> dict[str, int]:
    """Delete all rows that go with a thing, those first that no others refer to.

    Args:
        owner: the thing's model.

    Returns:
        how many rows of each table refer to the thing itself; what belongs to them goes with them.
    """
    deleted: dict[str, int] = {}
    for table in reversed(Base.metadata.sorted_tables):
        for key in table.foreign_keys:
            if key.column.table is owner.__table__ and key.ondelete == "CASCADE":
                gone = session.execute(delete(table).where(key.parent == owner_id))
                assert isinstance(gone, CursorResult)
                deleted[table.name] = gone.rowcount
    return deleted
