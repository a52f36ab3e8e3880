"""The service as its users have it: a process of its own, asked over sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.forked import Forked

READY_SECONDS = 60
STOP_SECONDS = 40

# What the service reads its settings from: nothing of it may leak in from the developer's shell.
_SETTINGS = (
    "MAIMCONFIG_", "MAIMBOT_", "DATABASE_", "DASHSCOPE_", "OPENAI_", "LOG_LEVEL", "SECRET_KEY",
    "HOST", "PORT",
)  # fmt: skip


class LiveService:
    """`maimconfig serve` in a process of its own, on free loopback ports.

    Attributes:
        urls: base URL of each plane that is on, by its name.
        process: the running process; after `restart` another one.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str | None,
        *arguments: str,
        planes: Sequence[str] = ("internal", "public"),
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        """Start, and wait until it says that it's ready.

        Args:
            folder: for its instance folder and its log.
            database_url: None for the SQLite file of the instance folder.
            arguments: further ones of `maimconfig serve`.
            planes: which are switched on: internal, public, realtime.
            env: further variables.
            fresh: by a Python of its own, as users start it, rather than as a fork of one that
                has imported all, which saves 2 s; so it is too with variables that the loader or
                Python reads.

        Raises:
            AssertionError: it isn't ready in time, or ended; the text has its log.
        """
        self.instance = folder / "instance"
        self.instance.mkdir(parents=True, exist_ok=True)
        self._log = folder / "service.log"
        self._arguments = arguments
        self._planes = planes
        self._env = {
            **{name: text for name, text in os.environ.items() if not name.startswith(_SETTINGS)},
            "MAIMCONFIG_INSTANCE": str(self.instance),
            **{
                f"MAIMCONFIG_{plane.upper()}_BIND": "127.0.0.1:0" if plane in planes else ""
                for plane in ("internal", "public", "realtime")
            },
            **({"DATABASE_URL": database_url} if database_url else {}),
            # Measured, it would take twice as long to start.
            "COVERAGE_PROCESS_CONFIG": "",
            **(env or {}),
        }
        self._fresh = fresh or any(name.startswith(("LD_", "PYTHON")) for name in env or {})
        self.urls: dict[str, str] = {}
        self.process: subprocess.Popen[str] | Forked
        self.start()

    @property
    def internal(self) -> str:
        """Base URL of the internal plane, without a slash at its end."""
        return self.urls["internal"]

    @property
    def public(self) -> str:
        """Base URL of the public plane."""
        return self.urls["public"]

    @property
    def log(self) -> str:
        """All that it has written to stderr, over restarts too."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it again after `stop` or `kill`, with the same data; its ports are new."""
        arguments, folder = ["serve", *self._arguments], self.instance.parent
        if self._fresh:
            self.process = self._executed(arguments, folder)
        else:
            self.process = Forked(arguments, folder=folder, env=self._env, log=self._log)
        try:
            self.urls = self._ready_lines()
        except BaseException:
            self.kill()
            raise

    def change_env(self, env: Mapping[str, str]) -> None:
        """Set variables for the next start."""
        self._env.update(env)

    def stop(self) -> int:
        """Tell it to end (SIGTERM).

        Returns:
            Its exit code.

        Raises:
            subprocess.TimeoutExpired: it is still there after its drain; it's killed then.
        """
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), when it runs."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it in good order when it runs."""
        if self.process.poll() is None:
            self.stop()

    def _executed(self, arguments: Sequence[str], folder: Path) -> subprocess.Popen[str]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "maimconfig", *arguments],
                cwd=folder,
                env=self._env,
                preexec_fn=_heed_signals,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _ready_lines(self) -> dict[str, str]:
        """One line a plane: `internal http://127.0.0.1:49152`."""
        # Whatever keeps it from being ready ends the reading: it dies, or the timer kills it.
        timer = threading.Timer(READY_SECONDS, self.process.kill)
        timer.start()
        try:
            lines = [self.process.stdout.readline() for _ in self._planes]
        finally:
            timer.cancel()
        urls = dict(line.split() for line in lines if line)
        assert urls.keys() == set(self._planes), f"the service isn't ready: {lines}\n{self.log}"
        return urls


def _heed_signals() -> None:
    """Undo what a background job or nohup made the tests themselves ignore."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
