"""`maimconfig backup` and `maimconfig restore`"""

from __future__ import annotations

from pathlib import Path

import click

from maimconfig.backup import restoring, service
from maimconfig.cli.db import open_database, open_existing, reached
from maimconfig.cli.progress import progress
from maimconfig.db.lifecycle import StartError
from maimconfig.runtime import open_vault
from maimconfig.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write the whole database into FILE, while the service runs.

    What is encrypted stays so: keep secret.key of the instance folder too, at another place. The
    file restores into SQLite and MySQL alike.
    """
    _, database = open_existing()
    with progress("Backing up") as told:
        header = reached(lambda: service.create(database, file, told))
    database.dispose()
    click.echo(
        f"{file}: {sum(header.rows.values())} rows of schema {header.schema}, under the master "
        f"secret {header.secret_id}; it is of use only with that secret (secret.key)."
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace what the database holds.")
def restore(file: Path, force: bool) -> None:
    """Put a backup into the database, and upgrade it to this version's schema.

    The secret.key of the instance that was backed up must be in the instance folder, or its
    secret in MAIMCONFIG_SECRET_KEY. Stop the service first.
    """
    settings, database = open_database()
    _require_secret(settings)
    vault = open_vault(settings)
    found = reached(lambda: restoring.prepare(file, database, vault, force=force))
    with progress("Restoring") as told:
        reached(lambda: found.run(told))
    database.dispose()
    click.echo(
        f"{sum(found.header.rows.values())} rows of {found.header.made_at} are in the database."
    )


def _require_secret(settings: Settings) -> None:
    """Say what is missing before a secret is made that can't fit."""
    file = settings.instance / "secret.key"
    if settings.secret_key is None and not file.exists():
        raise StartError(
            f"There is no {file}: put the secret.key of the instance that was backed up there, "
            "or give its secret in MAIMCONFIG_SECRET_KEY."
        )
