"""`maimconfig doctor`"""

from __future__ import annotations

import sys

import click

from maimconfig.doctor import service


@click.command()
@click.option("--providers", is_flag=True, help="Ask the AI providers too, over the network.")
@click.option("--url", help="The public plane's address through the proxy, to look at that too.")
def doctor(providers: bool, url: str | None) -> None:
    """Check settings, files, ports, database and what they need; exits 1 on an error.

    Each line is ok, warning or error, and says what to do. With --url one login is tried as
    nobody, to see which address of a caller arrives behind the proxy.
    """
    wrong = False
    for finding in service.examine(with_providers=providers, url=url):
        click.echo(str(finding))
        wrong = wrong or finding.level == "error"
    sys.exit(1 if wrong else 0)
