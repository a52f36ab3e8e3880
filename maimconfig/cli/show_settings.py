"""`maimconfig settings`"""

from __future__ import annotations

import click

from maimconfig import setting_docs
from maimconfig.settings import load_settings


@click.command("settings")
@click.option("--markdown", is_flag=True, help="The reference page, docs/configuration.md.")
def show_settings(markdown: bool) -> None:
    """Show the settings in force; secrets are not shown."""
    click.echo(
        setting_docs.page() if markdown else setting_docs.in_force(load_settings()), nl=False
    )
