"""The `maimconfig` command, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result

from maimconfig.cli import cli
from tests.servers.forked import Forked

LIMIT_SECONDS = 120
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "COV", "PYTHON")


def environment(instance: Path, **settings: str) -> dict[str, str]:
    """Variables with these settings and no other."""
    kept = {name: text for name, text in os.environ.items() if name.startswith(_KEPT)}
    return {**kept, "MAIMCONFIG_INSTANCE": str(instance), **settings}


def maimconfig(
    *arguments: str, instance: Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "stderr")
        env = environment(instance, **settings)
        process = Forked(arguments, folder=Path.cwd(), env=env, log=log)
        said, _ = process.communicate(LIMIT_SECONDS)
        return subprocess.CompletedProcess(
            arguments, process.wait(), said, log.read_text(errors="replace")
        )


def invoke(*arguments: str, instance: Path, **settings: str) -> Result:
    """Run a command in this process, which is quicker; for one that neither logs nor fails."""
    wanted = environment(instance, **settings)
    env = {**dict.fromkeys(os.environ), **wanted}
    return CliRunner(env=env).invoke(cli, arguments, prog_name="maimconfig")


def succeeds(*arguments: str, instance: Path, **settings: str) -> str:
    """What a command that succeeds writes to stdout."""
    done = maimconfig(*arguments, instance=instance, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(*arguments: str, instance: Path, **settings: str) -> str:
    """The one sentence with which a command ends that can't do its work."""
    done = maimconfig(*arguments, instance=instance, **settings)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("maimconfig: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("maimconfig: ").rstrip("\n")
