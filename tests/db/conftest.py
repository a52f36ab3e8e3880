"""A table of each column type, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from maimconfig.db.session import Database
from maimconfig.setting_types import database_url as as_url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database without tables, as the service opens it."""
    opened = Database(as_url(database_url), pool_size=8, synchronous="NORMAL")
    yield opened
    opened.dispose()
