"""The tables of the older services as they are found: whatever their names, as plain values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from maimconfig.db.engine import is_sqlite
from maimconfig.moving.errors import MovingError

# The names that a table has had; the services shared them, but not over all their versions.
TABLES: dict[str, tuple[str, ...]] = {
    "users": ("users", "tenant_users", "user"),
    "tenants": ("tenants", "tenant"),
    "agents": ("agents", "agent"),
    "agent_configs": ("agent_configs", "agent_config"),
    "api_keys": ("api_keys", "agent_api_keys", "api_key"),
    "agent_active_states": ("agent_active_states", "agent_active_state"),
    "plugin_settings": ("plugin_settings", "plugin_setting"),
}


class Row:
    """A row of an older table; a column is asked for by all names that it has had."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, *names: str) -> Any:
        """The first of these columns that has a value; None when none has."""
        for name in names:
            if self._values.get(name) is not None:
                return self._values[name]
        return None

    def text(self, *names: str) -> str | None:
        """A column as text without outer blanks; None when there is none."""
        value = self.get(*names)
        return str(value).strip() or None if value is not None else None

    def flag(self, *names: str, default: bool) -> bool:
        """A column as a flag: a number, or a word."""
        value = self.get(*names)
        return default if value is None else str(value).casefold() in ("1", "true", "yes", "on")

    def moment(self, *names: str) -> datetime | None:
        """A time; the older services kept UTC without saying so. None when it isn't one."""
        value = self.get(*names)
        try:
            if isinstance(value, (int, float)):
                return datetime.fromtimestamp(value, timezone.utc)
            found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except (ValueError, OverflowError, OSError):
            return None
        return found.replace(tzinfo=found.tzinfo or timezone.utc).astimezone(timezone.utc)

    def value(self, *names: str) -> Any:
        """A JSON value, which may be kept as text.

        Raises:
            ValueError: it's a text that isn't JSON.
        """
        value = self.get(*names)
        return json.loads(value) if isinstance(value, (str, bytes)) and value else value


class Source:
    """An older database, which is only read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        there = set(inspect(connection).get_table_names())
        if "system_state" in there:
            raise MovingError(
                "This is a database of MaimConfig itself: use `maimconfig backup` or `export`."
            )
        self._names = {
            kind: next(name for name in names if name in there)
            for kind, names in TABLES.items()
            if there.intersection(names)
        }
        if "tenants" not in self._names:
            raise MovingError("There is no table `tenants`: this is none of the older services'.")

    def rows(self, kind: str) -> list[Row]:
        """The rows of a table, the first made first; none where there is no such table."""
        if kind not in self._names:
            return []
        quoted = self._connection.dialect.identifier_preparer.quote(self._names[kind])
        # As the driver gives them: what a column was declared as says little of what is in it.
        found = self._connection.exec_driver_sql(f"SELECT * FROM {quoted}")
        rows = [Row({**row}) for row in found.mappings()]
        return sorted(rows, key=lambda row: (str(row.get("created_at")), str(row.get("id"))))


@contextlib.contextmanager
def opened(url: URL) -> Iterator[Source]:
    """An older database.

    Args:
        url: of SQLite or MySQL.

    Raises:
        MovingError: it can't be read, or is something else.
    """
    if is_sqlite(url):
        if not Path(str(url.database)).exists():
            raise MovingError(f"There is no file {url.database}.")
        path = Path(str(url.database)).resolve().as_uri()
        url = url.set(database=path, query={"mode": "ro", "uri": "true"})
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield Source(connection)
    except DBAPIError as error:
        raise MovingError(f"The older database can't be read: {error.orig}.") from error
    finally:
        engine.dispose()
