"""The systemd units: valid, hardened, and in line with the service."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from maimconfig.settings import Settings, load_settings, variable_names
from tests.servers.service import LiveService
from tests.serving.harness import ROOT

FOLDER = ROOT / "deploy" / "systemd"
UNITS = ("maimconfig.service", "maimconfig@.service")
EXPOSED = 20  # tenths; systemd calls 2.0 and less "OK"

each_unit = pytest.mark.parametrize("name", UNITS)


def unit(name: str) -> str:
    """The text of a unit."""
    return (FOLDER / name).read_text("utf-8")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which needs no running systemd for this."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@each_unit
def test_valid(name: str, tmp_path: Path) -> None:
    """systemd understands every line."""
    here = unit(name).replace("/opt/maimconfig/bin/maimconfig", "/bin/true")
    file = tmp_path / name.replace("@.", "@public.")
    file.write_text(here, "utf-8")
    (tmp_path / name).write_text(here, "utf-8")
    done = analyze("verify", str(file))
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line or name in line]
    assert (told, done.returncode) == ([], 0)


@each_unit
def test_hardened(name: str) -> None:
    """What the service could do besides its work is taken from it."""
    done = analyze(
        "security", "--offline=true", f"--threshold={EXPOSED}", "--no-pager", str(FOLDER / name)
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze knows no --offline")
    assert done.returncode == 0, done.stdout[-300:]


def test_one_text() -> None:
    """The template differs from the unit of all planes in nothing but the plane."""
    whole, template = (
        [line for line in unit(name).splitlines() if line and not line.startswith("#")]
        for name in UNITS
    )
    alike = [line.replace(" --plane %i", "").replace(", %i plane", "") for line in template]
    assert [line for line in alike if line != "EnvironmentFile=-/etc/maimconfig/%i.env"] == whole


def test_settings(tmp_path: Path) -> None:
    """Units and environment file name settings that exist, with values that can be used."""
    rows = Settings.__dataclass_fields__.values()
    known = {variable for row in rows for variable in variable_names(row)}
    given = dict(re.findall(r"^Environment=(\w+)=(.*)$", unit(UNITS[0]), re.MULTILINE))
    file = (FOLDER / "maimconfig.env").read_text("utf-8")
    given |= dict(re.findall(r"^(\w+)=(.*)$", file, re.MULTILINE))
    assert given.keys() | set(re.findall(r"^#(\w+)=", file, re.MULTILINE)) <= known
    load_settings({**given, "MAIMCONFIG_INSTANCE": str(tmp_path)})


def test_patience() -> None:
    """systemd waits for the drain before it kills."""
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit(UNITS[0]), re.MULTILINE)
    assert int(stop) > load_settings({}).drain_seconds + 5


def test_notifies(live_service: Callable[..., LiveService], tmp_path: Path) -> None:
    """With several workers the main process says when they answer, and when they are to end, as
    Type=notify and NotifyAccess=main demand."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.bind(str(path))
        manager.settimeout(60)
        service = live_service(None, "--workers", "2", env={"NOTIFY_SOCKET": str(path)})
        main = service.process.pid
        assert told(manager) == (b"READY=1", main)
        service.stop()
        assert told(manager) == (b"STOPPING=1", main)


def told(manager: socket.socket) -> tuple[bytes, int]:
    """What was said, and by which process."""
    text, attached, _, _ = manager.recvmsg(1000, socket.CMSG_SPACE(12))
    ((_, _, sender),) = attached
    return text, int.from_bytes(sender[:4], "little")
