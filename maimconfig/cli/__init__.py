"""The `maimconfig` command."""

from __future__ import annotations

import sys

import click

from maimconfig import __version__
from maimconfig.backup.container import BackupError
from maimconfig.cli.backup import backup, restore
from maimconfig.cli.create_admin import create_admin
from maimconfig.cli.db import db
from maimconfig.cli.doctor import doctor
from maimconfig.cli.moving import apply, export, import_, import_legacy
from maimconfig.cli.secrets import rotate_secret
from maimconfig.cli.serve import serve
from maimconfig.cli.show_settings import show_settings
from maimconfig.db.lifecycle import StartError
from maimconfig.http.errors import AppError
from maimconfig.moving.errors import MovingError
from maimconfig.settings import SettingsError
from maimconfig.system.catalogue import CatalogueError


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """The control plane and chat backend of multi-tenant AI chatbots."""


_COMMANDS = (
    serve,
    db,
    create_admin,
    rotate_secret,
    show_settings,
    backup,
    restore,
    export,
    import_,
    apply,
    import_legacy,
    doctor,
)
# What an operator can mend; the text of each is a sentence.
_MENDABLE = (SettingsError, StartError, CatalogueError, AppError, BackupError, MovingError)

for command in _COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command; what an operator can mend ends with one sentence, not a traceback."""
    try:
        cli()
    except _MENDABLE as error:
        click.echo(f"maimconfig: {error}", err=True)
        sys.exit(1)
