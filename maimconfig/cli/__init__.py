"""The `maimconfig` command."""

from __future__ import annotations

import pkgutil
import sys

import click

from maimconfig import __version__, collector

_COMMANDS = {
    "serve": "serve:serve",
    "db": "db:db",
    "create-admin": "create_admin:create_admin",
    "rotate-secret": "secrets:rotate_secret",
    "settings": "show_settings:show_settings",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "export": "moving:export",
    "import": "moving:import_",
    "apply": "moving:apply",
    "import-legacy": "moving:import_legacy",
    "doctor": "doctor:doctor",
}


class _Commands(click.Group):
    """Commands whose modules are imported when they are asked for, so that each starts quickly."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names."""
        return sorted(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if name not in _COMMANDS:
            return None
        with collector.paused():
            command: click.Command = pkgutil.resolve_name(f"{__name__}.{_COMMANDS[name]}")
        return command


@click.group(cls=_Commands)
@click.version_option(__version__)
def cli() -> None:
    """The control plane and chat backend of multi-tenant AI chatbots."""


def main() -> None:
    """Run the command; what an operator can mend ends with one sentence, not a traceback."""
    try:
        cli()
    except Exception as error:
        from maimconfig.cli.mendable import MENDABLE

        if not isinstance(error, MENDABLE):
            raise
        click.echo(f"maimconfig: {error}", err=True)
        sys.exit(1)
