"""A service of a test's own: on a database that nobody else uses, so that it may be broken."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from maimconfig.runtime import Runtime
from maimconfig.settings import Settings, load_settings


def settings_for(url: str, instance: Path, **changed: Any) -> Settings:
    """Settings of a service on a database, with everything else as it is by default."""
    given = {"MAIMCONFIG_INSTANCE": str(instance), "DATABASE_URL": url}
    return replace(load_settings(given), **changed)


@contextlib.contextmanager
def opened(
    url: str, instance: Path, *, auto_migrate: bool = True, **changed: Any
) -> Iterator[Runtime]:
    """A running service on a database, closed at the end.

    Args:
        auto_migrate: make the tables on MySQL; on SQLite they always are.
        changed: settings by field.
    """
    runtime = Runtime.open(settings_for(url, instance, **changed), auto_migrate=auto_migrate)
    with contextlib.closing(runtime):
        yield runtime
