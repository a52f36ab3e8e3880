"""`maimconfig rotate-secret`"""

from __future__ import annotations

import click

from maimconfig import logs
from maimconfig.cli.db import require_schema
from maimconfig.runtime import Runtime
from maimconfig.security import rotation
from maimconfig.security.secret_file import SecretFile
from maimconfig.settings import load_settings


@click.command("rotate-secret")
@click.option(
    "--resume",
    is_flag=True,
    help="Make no new secret, only bring what is stored under the current one.",
)
@click.option(
    "--forget-previous",
    is_flag=True,
    help="Afterwards drop the older secrets; backups made before can't be read then.",
)
def rotate_secret(resume: bool, forget_previous: bool) -> None:
    """Put everything that is encrypted under a fresh master secret.

    The service may run meanwhile; logins under an older secret go on while that one is kept. With
    the secret in MAIMCONFIG_SECRET_KEY, set the new one there and the old one in
    MAIMCONFIG_PREVIOUS_SECRET_KEYS first, restart, and run this.
    """
    settings = load_settings()
    logs.configure(settings)
    file = SecretFile(settings.instance / "secret.key")
    from_file = settings.secret_key is None
    runtime = Runtime.open(settings)
    require_schema(runtime.database)
    if from_file and not resume:
        file.rotate()
        runtime.vault.reload()
    moved = rotation.move_all(runtime)
    if from_file and forget_previous:
        # What a running service had under way as the secret changed has been stored by now.
        moved += rotation.move_all(runtime)
        file.forget_previous()
    runtime.close()
    click.echo(f"{moved} values are now under the master secret {runtime.vault.current.id}.")
