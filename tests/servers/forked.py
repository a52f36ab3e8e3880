"""The command in processes that start quickly: forks of one that has imported it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from maimconfig import app, cli  # noqa: F401
from maimconfig.cli import serve  # noqa: F401
from maimconfig.realtime import gateway  # noqa: F401

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


class Forked:
    """A running `maimconfig`, with what the tests use of `subprocess.Popen`.

    Attributes:
        stdout: what it writes there.
    """

    def __init__(
        self, arguments: Sequence[str], *, folder: Path, env: Mapping[str, str], log: Path
    ) -> None:
        """Start.

        Args:
            arguments: of the command.
            folder: where it runs.
            env: all its variables; those that Python reads at its own start have no effect.
            log: what it writes to stderr is added to this file.
        """
        output, end = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_run, args=(list(arguments), folder, dict(env), end, log)
        )
        self._process.start()
        end.close()
        self.stdout: IO[str] = os.fdopen(os.dup(output.fileno()), encoding="utf-8")
        output.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        pid = self._process.pid
        assert pid is not None
        return pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; of one that a signal ended, the negative number of that."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """When it runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after so many seconds.
        """
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired("maimconfig", timeout or 0)
        return code

    def communicate(self, timeout: float) -> tuple[str, None]:
        """What is left on its stdout, when it has ended; it's killed after so many seconds."""
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        try:
            with self.stdout:
                left = self.stdout.read()
        finally:
            timer.cancel()
        self.wait()
        return left, None


def _run(
    arguments: list[str], folder: Path, env: dict[str, str], stdout: Connection, log: Path
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    with log.open("ab") as stderr:
        os.dup2(stderr.fileno(), 2)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = ["maimconfig", *arguments]
    cli.main()
