"""All checks, in the order in which they build on one another."""

from __future__ import annotations

from collections.abc import Iterator

from maimconfig.doctor import database, machine, network
from maimconfig.doctor.finding import Finding, error, ok
from maimconfig.settings import SettingsError, load_settings


def examine(*, with_providers: bool, url: str | None) -> Iterator[Finding]:
    """Look at an installation; a check that fails keeps no other from being made.

    Args:
        with_providers: ask the AI providers too, over the network.
        url: of the public plane through its proxy; not looked at when None.
    """
    try:
        settings = load_settings()
    except SettingsError as reason:
        yield error("settings", str(reason).rstrip("."), "Correct it; docs/configuration.md helps.")
        return
    yield ok("settings", f"instance folder {settings.instance}")
    yield from machine.files(settings)
    yield from machine.disk(settings)
    yield from machine.ports(settings)
    yield from database.look(settings)
    yield from network.redis(settings)
    if with_providers:
        yield from network.providers(settings)
    if url is not None:
        yield from network.proxy(settings, url)
