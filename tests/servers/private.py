"""A server of the tests' own: a folder, a free loopback port, a process, and its end."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar

START_SECONDS = 60
STOP_SECONDS = 30
LOG_TAIL_CHARACTERS = 2000


class ServerUnavailable(Exception):
    """The server can't be had here; the text says what is missing or what it died of."""


class PrivateServer:
    """A server process that tests may stop, kill, pause and start again with its data kept.

    Subclasses name the program and say how it is started and when it answers. Use it with
    `contextlib.closing`, and from a thread that lives as long: its death ends the server.
    """

    program: ClassVar[str]
    package: ClassVar[str]
    # Some servers refuse to run as root; root runs them as this user then.
    unprivileged_user: ClassVar[str | None] = None

    def __init__(self) -> None:
        """Make the folder and start.

        Raises:
            ServerUnavailable: the program isn't installed, or doesn't start.
        """
        self.binary = find_program(self.program, package=self.package)
        self.user = self._other_user()
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"maimconfig-{self.program}-"))
        self.log_path = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._own(self.folder)
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        """What is done once, before the first start."""

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server answers a client now."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, at first or again, and wait until it answers."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*_dies_with_us(), *self.command()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then ends the server itself
                **self._as_user(),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ServerUnavailable(f"{self.program} did not start: {self._log_tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in good order (SIGTERM); the data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once (SIGKILL), as a crash would; the data stays."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        process = self._signal(signal.SIGSTOP)
        # Its threads stop one by one; until the last has, an answer may still come.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run_once(self, command: list[str]) -> None:
        """Run a command to its end as the server's user.

        Raises:
            ServerUnavailable: it failed.
        """
        with self.log_path.open("ab") as log:
            done = subprocess.run(
                command, cwd=self.folder, stdout=log, stderr=log, check=False, **self._as_user()
            )
        if done.returncode:
            raise ServerUnavailable(f"{command[0]} failed: {self._log_tail()}")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a paused process takes no SIGTERM
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerUnavailable(f"{self.program} is not running")
        self._process.send_signal(number)
        return self._process

    def _other_user(self) -> pwd.struct_passwd | None:
        if os.getuid() != 0 or self.unprivileged_user is None:
            return None
        return pwd.getpwnam(self.unprivileged_user)

    def _as_user(self) -> dict[str, object]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _log_tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]


def find_program(name: str, *, package: str) -> str:
    """The program's path; servers are often in sbin, which a user's PATH may lack.

    Raises:
        ServerUnavailable: it isn't installed.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = shutil.which(name, path=os.pathsep.join([*folders, "/usr/local/sbin", "/usr/sbin"]))
    if path is None:
        raise ServerUnavailable(f"{name} is not installed (Debian: apt-get install {package})")
    return path


def free_port() -> int:
    """A loopback port below the range that outgoing connections take theirs from (32768 on
    Linux), so that it is still free when a stopped server starts again.
    """
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _dies_with_us() -> list[str]:
    # When pytest is killed, nobody is left to end the server: on Linux the kernel does it, when
    # the thread ends that started the process.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
