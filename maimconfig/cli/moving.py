"""`maimconfig export`, `import`, `apply` and `import-legacy`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from maimconfig.cli.opened import opened_runtime
from maimconfig.cli.progress import progress
from maimconfig.moving import document, exporting, legacy, legacy_source, service, shown
from maimconfig.moving.carrier import Mode
from maimconfig.moving.changes import Change
from maimconfig.moving.errors import MovingError
from maimconfig.runtime import Runtime
from maimconfig.setting_types import database_url

_file = click.Path(path_type=Path, dir_okay=False)
_dry_run = click.option("--dry-run", is_flag=True, help="Only show what would change.")


@click.command()
@click.argument("file", type=_file)
@click.option("--tenant", "tenants", multiple=True, help="Only this one, by name; repeatable.")
@click.option("--with-secrets", is_flag=True, help="API keys and secrets too, in the clear.")
def export(file: Path, tenants: tuple[str, ...], with_secrets: bool) -> None:
    """Write tenants with their agents, templates and plugin settings into FILE.

    It is YAML, or JSON where the name ends with .json, and its owner's only.
    """
    with opened_runtime() as runtime:
        found = runtime.read(
            lambda session: exporting.document_of(session, names=tenants, with_secrets=with_secrets)
        )
    document.write(file, found)
    click.echo(f"{file}: {len(found['tenants'])} tenants")


@click.command("import")
@click.argument("file", type=_file)
@click.option(
    "--on-conflict",
    "mode",
    type=click.Choice(["skip", "overwrite", "merge"]),
    default="skip",
    show_default=True,
    help="What becomes of objects that are there: left alone; their fields replaced; or merged.",
)
@_dry_run
def import_(file: Path, mode: Mode, dry_run: bool) -> None:
    """Bring in what `maimconfig export` wrote; ids are kept where they are free."""
    given = document.read(file)
    with opened_runtime() as runtime:
        if dry_run:
            _show(service.foresee(runtime, given, mode))
        else:
            _carry(runtime, given, mode, show=True)


@click.command()
@click.option("-f", "--file", "file", type=_file, required=True, help="YAML or JSON.")
@click.option("--yes", is_flag=True, help="Don't ask on a terminal.")
@_dry_run
def apply(file: Path, yes: bool, dry_run: bool) -> None:
    """Make tenants, agents, templates, keys and plugin settings as a file says.

    Objects are found by name, made or changed, and never deleted; what the file doesn't name
    stays as it is. What changes is shown first. A second time there is nothing to change.
    """
    given = document.read(file)
    with opened_runtime() as runtime:
        foreseen = service.foresee(runtime, given, "overwrite")
        _show(foreseen)
        if dry_run or all(change.action == "same" for change in foreseen):
            return
        if not yes and sys.stdin.isatty():
            click.confirm("Make these changes?", abort=True)
        _carry(runtime, given, "overwrite", show=False)


@click.command("import-legacy")
@click.argument("url")
@_dry_run
def import_legacy(url: str, dry_run: bool) -> None:
    """Move in from the database of the older services at URL, which is only read.

    Ids, API keys and passwords stay good. It may be run again: what is here already is left as it
    is. What can't be taken over is listed with the reason.
    """
    try:
        found = database_url(url)
    except ValueError as error:
        raise MovingError(f"The URL can't be used: {error}.") from error
    with opened_runtime() as runtime, legacy_source.opened(found) as source:
        if dry_run:
            outcomes = legacy.foresee(runtime, source)
        else:
            with progress("Moving in") as told:
                outcomes = legacy.bring(runtime, source, told)
    for line in legacy.lines(outcomes):
        click.echo(line)


def _carry(runtime: Runtime, given: dict[str, Any], mode: Mode, *, show: bool) -> None:
    with progress("Bringing in") as told:
        done = service.carry(runtime, given, mode, told)
    if show:
        _show(done)
    for change in done:
        if change.secret is not None:
            click.echo(f"api_key {change.name}, shown this once: {change.secret}")


def _show(changes: list[Change]) -> None:
    for line in shown.lines(changes):
        click.echo(line)
