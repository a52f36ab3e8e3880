"""`maimconfig serve`"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import click
import structlog

from maimconfig import collector, logs
from maimconfig.app import create_app
from maimconfig.db.lifecycle import StartError
from maimconfig.planes import PLANES
from maimconfig.realtime.bus import MISSED
from maimconfig.runtime import Runtime
from maimconfig.serving import Bind, Load, Planes, SelfServing, ServeError, run
from maimconfig.setting_types import is_loopback
from maimconfig.settings import Settings, SettingsError, load_settings
from maimconfig.system.catalogue import CatalogueError
from maimconfig.users.bootstrap import make_first_admin

log = structlog.get_logger(__name__)


SERVED = (*PLANES, "realtime")


@click.command()
@click.option(
    "--plane",
    "planes",
    type=click.Choice(SERVED),
    multiple=True,
    help="Serve only this plane; may be given more than once.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes (MAIMCONFIG_WORKERS).")
@click.option(
    "--auto-migrate",
    is_flag=True,
    help="Upgrade a MySQL database at start; the embedded SQLite file always is.",
)
def serve(planes: tuple[str, ...], workers: int | None, auto_migrate: bool) -> None:
    """Serve all planes, or some, until SIGTERM."""
    settings = load_settings()
    if workers is not None:
        settings = replace(settings, workers=workers)
    logs.configure(settings)
    binds = binds_of(settings, planes or SERVED)
    _warn_of_exposure(settings)
    _warn_without_redis(settings, binds)
    _prepare_aside(settings, auto_migrate)
    with _exchanging(settings) as settings:
        sys.exit(_run(settings, binds, auto_migrate))


def _run(settings: Settings, binds: Mapping[str, Bind], auto_migrate: bool) -> int:
    return run(
        lambda: open_planes(settings, tuple(binds), auto_migrate),
        binds,
        workers=settings.workers,
        threads=settings.threads + settings.chat_replies,
        affinity=settings.cpu_affinity,
        announce=_announce,
        drain_seconds=settings.drain_seconds,
        warm=_import_gateway if "realtime" in binds else None,
    )


@contextlib.contextmanager
def _exchanging(settings: Settings) -> Iterator[Settings]:
    """Give several workers a folder for their numbers, which goes with them."""
    if settings.workers == 1 or settings.metrics_folder is not None:
        yield settings
        return
    # In memory where there is such a place: they are written twice a second.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="maimconfig-metrics-", dir=place) as folder:
        yield replace(settings, metrics_folder=Path(folder))


def binds_of(settings: Settings, planes: tuple[str, ...]) -> dict[str, Bind]:
    """Where the wanted planes listen; one that is switched off is left out.

    Raises:
        SettingsError: nothing is left to serve.
    """
    addresses = {
        "internal": settings.internal_bind,
        "public": settings.public_bind,
        "realtime": settings.realtime_bind,
    }
    binds = {plane: bind for plane in planes if (bind := addresses[plane]) is not None}
    if not binds:
        raise SettingsError("Every plane is switched off, so there is nothing to serve.")
    return binds


@collector.paused()
def open_planes(settings: Settings, planes: tuple[str, ...], auto_migrate: bool) -> Planes:
    """The planes of one process, over one runtime."""
    try:
        runtime = Runtime.open(settings, auto_migrate=auto_migrate)
        make_first_admin(runtime)
    except (StartError, CatalogueError) as error:
        raise ServeError(str(error)) from error

    if "public" in planes or "realtime" in planes:
        # What a process that died owed is made by this one, before anybody asks it anything.
        runtime.start()

    def watch(load: Callable[[], Mapping[str, Load]]) -> None:
        runtime.load = load
        runtime.background.publish()

    return Planes(
        apps={plane: create_app(plane, runtime).wsgi_app for plane in PLANES if plane in planes},
        self_serving=_gateway(runtime) if "realtime" in planes else {},
        on_drain=runtime.drain,
        close=runtime.close,
        watch=watch,
    )


def _gateway(runtime: Runtime) -> Mapping[str, SelfServing]:
    from maimconfig.realtime.gateway import Gateway

    return {"realtime": Gateway(runtime)}


def _prepare_aside(settings: Settings, auto_migrate: bool) -> None:
    """Upgrade the schema in a process that ends: what migrations load (10 MB) isn't kept.

    What goes wrong is told by the process that serves, which opens the database again.
    """
    aside = multiprocessing.get_context("fork").Process(
        target=_prepare, args=(settings, auto_migrate)
    )
    aside.start()
    aside.join()


def _prepare(settings: Settings, auto_migrate: bool) -> None:
    with contextlib.suppress(StartError, CatalogueError, OSError):
        Runtime.open(settings, auto_migrate=auto_migrate).close()


def _import_gateway() -> None:
    from maimconfig.realtime import gateway  # noqa: F401


def _announce(addresses: Mapping[str, str]) -> None:
    for plane, address in addresses.items():
        url = f"ws://{address}/ws" if plane == "realtime" else f"http://{address}"
        click.echo(f"{plane} {url}")
    sys.stdout.flush()


def _warn_of_exposure(settings: Settings) -> None:
    bind = settings.internal_bind
    if bind is not None and not is_loopback(bind.host):
        log.warning(
            "internal_plane.exposed",
            address=str(bind),
            meaning="whoever reaches this address may read and change everything"
            + (" with the internal token" if settings.internal_token else ", without a login"),
        )


def _warn_without_redis(settings: Settings, binds: Mapping[str, Bind]) -> None:
    alone = settings.workers == 1 and set(binds) == set(binds_of(settings, SERVED))
    if settings.realtime_bind is not None and settings.redis_url is None and not alone:
        log.warning("realtime.without_redis", meaning=MISSED, advice="set MAIMCONFIG_REDIS_URL")
