"""The command itself: what it's called, what it can do, and how it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maimconfig import __version__
from tests.cli.command import invoke, succeeds

COMMANDS = ("serve", "db", "create-admin", "rotate-secret", "settings")


def test_version(tmp_path: Path) -> None:
    """`--version` tells the package's version, to users in a process that imports anew."""
    told = f"maimconfig, version {__version__}\n"
    script = Path(sys.executable).with_name("maimconfig")
    assert subprocess.check_output([script, "--version"], text=True) == told
    assert succeeds("--version", instance=tmp_path) == told


def test_only_what_is_asked_for() -> None:
    """What a command needs is imported when it is asked for."""
    code = "import sys, maimconfig.cli; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "click" in modules
    assert {"sqlalchemy", "flask", "marshmallow"}.isdisjoint(modules)


def test_help(tmp_path: Path) -> None:
    """`--help` lists the commands, each with what it does."""
    lines = succeeds("--help", instance=tmp_path).splitlines()
    for command in COMMANDS:
        (line,) = (line.split() for line in lines if line.split()[:1] == [command])
        assert len(line) > 2


@pytest.mark.parametrize("command", [*COMMANDS, "db upgrade", "db current", "db check"])
def test_help_of_a_command(tmp_path: Path, command: str) -> None:
    """Each command tells its own options, touching nothing."""
    found = invoke(*command.split(), "--help", instance=tmp_path / "instance")
    assert found.exit_code == 0
    assert found.stdout.startswith(f"Usage: maimconfig {command} ")
    assert not (tmp_path / "instance").exists()


@pytest.mark.parametrize(
    "arguments",
    [["serv"], ["serve", "--workers", "0"], ["serve", "--plane", "private"], ["db", "x"]],
)
def test_unknown(tmp_path: Path, arguments: list[str]) -> None:
    """What a command doesn't know is refused with a hint at its usage and exit code 2."""
    done = invoke(*arguments, instance=tmp_path)
    assert done.exit_code == 2
    assert done.stderr.startswith("Usage: maimconfig ")
    assert "Error: " in done.stderr
