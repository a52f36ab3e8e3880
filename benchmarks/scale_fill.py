"""Fills a database by bulk inserts, unless that was done before, and brings it up to date."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import insert, make_url, text

from benchmarks.scale_data import Rows, store
from benchmarks.scale_ids import Sizes
from maimconfig.db import lifecycle, migrations
from maimconfig.db.ids import new_id
from maimconfig.db.session import Database
from maimconfig.runtime import open_vault
from maimconfig.security import passwords
from maimconfig.settings import load_settings
from maimconfig.users.models import User

# The tables are filled at this revision and upgraded from it, which is measured too.
FILLED_AT = "0006"
PASSWORD = "a password of the scale benchmark"
# The last moment of the year that is filled; a round one, so that the rows are the same each day.
NOW = datetime.now(timezone.utc).replace(hour=0, minute=30, second=0, microsecond=0)


def environment(place: Path, name: str, server: str | None) -> dict[str, str]:
    database = {} if server is None else {
        "DATABASE_URL": make_url(server).set(database=f"scale_{name}").render_as_string(False)
    }  # fmt: skip
    return {
        "MAIMCONFIG_INSTANCE": str(place / "instance"),
        "MAIMCONFIG_INTERNAL_BIND": "127.0.0.1:0",
        "MAIMCONFIG_PUBLIC_BIND": "127.0.0.1:0",
        "MAIMCONFIG_REALTIME_BIND": "",
        "MAIMCONFIG_LOG_FILE": str(place / "service.log"),
        **database,
    }


def filled_rows(place: Path, env: dict[str, str], sizes: Sizes, server: str | None) -> Rows:
    settings = load_settings(env)
    vault = open_vault(settings)
    rows = Rows(sizes, NOW, vault.encrypt, vault.key_hash)
    if (place / "filled").exists():
        rows.now = datetime.fromisoformat((place / "filled").read_text())
    elif server is not None:
        made = Database(make_url(server), pool_size=3, synchronous="NORMAL")
        with made.writer.begin() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS scale_{place.name}"))
            connection.execute(text(f"CREATE DATABASE scale_{place.name}"))
        made.dispose()
    database = Database(
        make_url(settings.database_url), pool_size=3, synchronous="NORMAL", patient=True
    )
    if not (place / "filled").exists():
        _fill(database, rows)
        (place / "filled").write_text(NOW.isoformat())
    began = time.perf_counter()
    migrations.upgrade(database)
    print(f"{place.name}: upgrade {time.perf_counter() - began:.1f} s", flush=True)
    lifecycle.verify_secret(database, vault)
    database.dispose()
    return rows


def _fill(database: Database, rows: Rows) -> None:
    if database.is_sqlite:
        lifecycle.prepare_file(database)
    migrations.upgrade(database, FILLED_AT)
    began = time.perf_counter()
    for model, made in rows.tables():
        with database.writer.begin() as connection:
            number = store(connection, model, made)
        print(f"{model.__tablename__}: {number} rows, {time.perf_counter() - began:.0f} s",
              flush=True)  # fmt: skip
    hashed = passwords.hash_password(PASSWORD)
    admin = {
        **rows.user_row(0), "id": new_id("user"), "username": "scale-admin", "email": None,
        "folded_username": "scale-admin", "folded_email": None, "role": "admin",
    }  # fmt: skip
    with database.writer.begin() as connection:
        connection.execute(insert(User.__table__), [admin])
        connection.execute(User.__table__.update()
                           .where(User.username.in_(("user0", "scale-admin")))
                           .values(password_hash=hashed, status="active"))  # fmt: skip
