"""`maimconfig create-admin`"""

from __future__ import annotations

import secrets
import sys
from typing import Any

import click
from marshmallow import ValidationError

from maimconfig import logs
from maimconfig.cli.db import require_schema
from maimconfig.db.session import Actor
from maimconfig.http.errors import Invalid
from maimconfig.http.schema import flat
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.settings import load_settings
from maimconfig.users import service
from maimconfig.users.schemas import Register


@click.command("create-admin")
@click.argument("username")
@click.option("--email", help="E-mail address.")
def create_admin(username: str, email: str | None) -> None:
    """Create an administrator.

    On a terminal the password is asked for; else one is made and shown once.
    """
    named = _checked(username=username, email=email)
    settings = load_settings()
    logs.configure(settings)
    runtime = Runtime.open(settings)
    require_schema(runtime.database)
    asked = sys.stdin.isatty()
    password = _ask() if asked else secrets.token_urlsafe(15)
    password_hash = passwords.hash_password(password)
    user = runtime.write(
        lambda session: service.create(session, password_hash=password_hash, role="admin", **named),
        Actor("cli"),
    )
    runtime.close()
    click.echo(f"Administrator {user.username} ({user.id}) was created.")
    if not asked:
        click.echo(f"Password, shown this once: {password}")


def _checked(**named: str | None) -> dict[str, Any]:
    try:
        checked: dict[str, Any] = Register(only=("username", "email")).load(named)
    except ValidationError as error:
        raise Invalid(details=flat(error.messages)) from error
    return checked


def _ask() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not passwords.MIN_LENGTH <= len(password) <= passwords.MAX_LENGTH:
        raise click.UsageError(
            f"A password has {passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} characters."
        )
    return password
