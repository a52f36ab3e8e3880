"""The one query of a key check, compiled once and run past SQLAlchemy's execution layer.

SQLAlchemy's connection and execution cost more than the query itself (0.1 of 0.3 ms), so the
statement is compiled from the models once, with the types' own result processors, and run on a
connection of the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.exc import TimeoutError as PoolTimeout

from maimconfig.agents.models import Agent
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
from maimconfig.db.session import Database
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.key_checks.verdict import KeyRow
from maimconfig.tenants.models import Tenant

QUERY = (
    select(
        ApiKey.id,
        ApiKey.tenant_id,
        ApiKey.agent_id,
        ApiKey.permissions,
        ApiKey.status,
        ApiKey.expires_at,
        ApiKey.rate_limit,
        ApiKey.allowed_ips,
        ApiKeySecret.retires_at,
        Tenant.permission_groups,
        Tenant.status.label("tenant_status"),
        Agent.status.label("agent_status"),
    )
    .select_from(ApiKeySecret)
    .join(ApiKey, ApiKey.id == ApiKeySecret.api_key_id)
    .join(Agent, Agent.id == ApiKey.agent_id)
    .join(Tenant, Tenant.id == ApiKey.tenant_id)
    .where(ApiKeySecret.secret_hash == bindparam("secret_hash"))
)


class KeyLookUp:
    """Finds the key under a hash."""

    def __init__(self, database: Database) -> None:
        """Compile the query for a database."""
        self._engine = database.reader
        self._dialect = self._engine.dialect
        compiled = QUERY.compile(dialect=self._dialect)
        self._text = str(compiled)
        self._positional = compiled.positional  # sqlite3 is, PyMySQL isn't
        self._processors = _processors(QUERY, self._dialect)

    def find(self, secret_hash: str) -> KeyRow | None:
        """The key whose present or retiring secret has this hash.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        try:
            row = self._fetch(secret_hash)
        except _Disconnected:
            # The reader's connections aren't pinged: after a restart of the database the first
            # use finds the whole pool dead, and the second one a fresh pool.
            self._engine.dispose()
            row = self._again(secret_hash)
        return None if row is None else self._record(row)

    def _again(self, secret_hash: str) -> Sequence[Any] | None:
        try:
            return self._fetch(secret_hash)
        except _Disconnected as error:
            raise DatabaseUnavailable(internal=str(error)) from error

    def _fetch(self, secret_hash: str) -> Sequence[Any] | None:
        try:
            connection = self._engine.raw_connection()
        except (PoolTimeout, self._dialect.loaded_dbapi.Error) as error:
            raise DatabaseUnavailable(internal=f"no connection: {error}") from error
        try:
            cursor = connection.cursor()
            cursor.execute(
                self._text, (secret_hash,) if self._positional else {"secret_hash": secret_hash}
            )
            row: Sequence[Any] | None = cursor.fetchone()
            cursor.close()
            return row
        except self._dialect.loaded_dbapi.Error as error:
            if self._dialect.is_disconnect(error, connection, None):
                connection.invalidate(error)
                raise _Disconnected(str(error)) from error
            raise DatabaseUnavailable(internal=str(error)) from error
        finally:
            connection.close()

    def _record(self, row: Sequence[Any]) -> KeyRow:
        return KeyRow(
            *(
                value if process is None else process(value)
                for value, process in zip(row, self._processors, strict=True)
            )
        )


class _Disconnected(Exception):
    """The connection turned out to be gone."""


def _processors(query: Select[Any], dialect: Any) -> list[Callable[[Any], Any] | None]:
    return [
        column.type.dialect_impl(dialect).result_processor(dialect, None)
        for column in query.selected_columns
    ]
