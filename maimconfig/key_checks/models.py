"""What is kept of the writing of counts."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db.base import MYSQL_TABLE, Base, Id


class KeyUsageFlush(Base):
    """A flush of counts that is committed; of each process the last.

    Where the connection is lost before a commit is answered, this tells whether it landed.

    Attributes:
        id: time-ordered, as all ids.
    """

    __tablename__ = "key_usage_flushes"
    __table_args__ = MYSQL_TABLE

    id: Mapped[str] = mapped_column(Id, primary_key=True)
