"""The running service, for a command that works on what it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from maimconfig import logs
from maimconfig.cli.db import require_schema
from maimconfig.runtime import Runtime
from maimconfig.settings import load_settings


@contextlib.contextmanager
def opened_runtime() -> Iterator[Runtime]:
    """A runtime on the settings' database, closed at the end.

    Raises:
        SettingsError, StartError, CatalogueError: as at the service's start, or the schema isn't
            this version's.
    """
    settings = load_settings()
    logs.configure(settings)
    runtime = Runtime.open(settings)
    try:
        require_schema(runtime.database)
        yield runtime
    finally:
        runtime.close()
