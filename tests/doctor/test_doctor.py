"""`maimconfig doctor`"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, text

from tests.cli.command import maimconfig, succeeds
from tests.servers.service import LiveService
from tests.serving.harness import eventually

BINDS = {f"MAIMCONFIG_{plane}_BIND": "" for plane in ("INTERNAL", "PUBLIC", "REALTIME")}


def test_all_is_well(database_url: str, instance_folder: Path) -> None:
    """Of an installation that lacks nothing every line is ok; only the free disk is the
    machine's own affair."""
    instance_folder.chmod(0o700)
    of = {"instance": instance_folder, "DATABASE_URL": database_url}
    succeeds("db", "upgrade", **of)
    done = maimconfig("doctor", **of, **BINDS)
    lines = [line for line in done.stdout.splitlines() if " disk " not in line]
    assert done.returncode == 0, done.stdout
    assert all(line.startswith("ok ") for line in lines), done.stdout
    looked_at = {line.split()[1] for line in lines}
    mysql = set() if database_url.startswith("sqlite") else {"sql_mode", "collation", "clock"}
    assert looked_at == {"settings", "files", "database", "schema", "secret"} | mysql


def test_what_is_wrong(database_url: str, instance_folder: Path) -> None:
    """What is wrong is told with what to do, each in a line, and the command fails."""
    of = {"instance": instance_folder, "DATABASE_URL": database_url}
    succeeds("db", "upgrade", **of)
    (instance_folder / "secret.key").chmod(0o644)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        connection.execute(text("UPDATE system_state SET value = 'ffffffff'"))
        if engine.dialect.name == "mysql":
            connection.execute(
                text("ALTER TABLE rate_windows CONVERT TO CHARACTER SET utf8mb4 "
                     "COLLATE utf8mb4_general_ci")
            )  # fmt: skip
    engine.dispose()
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        done = maimconfig("doctor", **of, **{**BINDS, "MAIMCONFIG_PUBLIC_BIND": bind})
    assert done.returncode == 1
    found = dict.fromkeys(line.split()[1] for line in errors(done.stdout))
    mysql = [] if database_url.startswith("sqlite") else ["collation"]
    assert list(found) == ["files", "ports", *mysql, "schema", "secret"]
    assert "`chmod 600 " in done.stdout
    assert "`maimconfig db upgrade`" in done.stdout


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"MAIMCONFIG_WORKERS": "many"}, "MAIMCONFIG_WORKERS"),
        ({"DATABASE_URL": "mysql://u:a-password@127.0.0.1:1/x"}, "DATABASE_URL"),
    ],
)
def test_unreachable(settings: dict[str, str], sentence: str, instance_folder: Path) -> None:
    """A setting that can't be used and a database that isn't there are lines like others, and
    nothing is made."""
    done = maimconfig("doctor", instance=instance_folder, **{**BINDS, **settings})
    assert (done.returncode, done.stderr) == (1, "")
    assert any(sentence in line for line in errors(done.stdout)), done.stdout
    assert "a-password" not in done.stdout
    assert list(instance_folder.iterdir()) == []


def test_providers(instance_folder: Path) -> None:
    """A provider that isn't there is an error, after a moment and without its key."""
    settings = {"OPENAI_API_KEY": "sk-a-secret", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    done = maimconfig("doctor", "--providers", instance=instance_folder, **BINDS, **settings)
    assert any("openai can't be reached" in line for line in errors(done.stdout)), done.stdout
    assert "sk-a-secret" not in done.stdout


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
@pytest.mark.parametrize(
    ("header", "trusted", "line"),
    [
        ("$remote_addr", "127.0.0.1", "ok       proxy       this caller arrives as 127.0.0.1"),
        ("$http_x_forwarded_for", "127.0.0.1", "that a caller made up is believed"),
        ("$remote_addr", "", "MAIMCONFIG_TRUSTED_PROXIES"),
    ],
)
def test_behind_nginx(
    live_service: Callable[..., LiveService],
    tmp_path: Path,
    header: str,
    trusted: str,
    line: str,
) -> None:
    """Through nginx it is told which address of a caller arrives: the right one, one that the
    caller made up, or the proxy's; and a service that runs has its ports."""
    service = live_service(env={"MAIMCONFIG_TRUSTED_PROXIES": trusted})
    with Nginx(tmp_path / "nginx", service.public, header) as url:
        done = maimconfig(
            "doctor",
            "--url",
            url,
            instance=service.instance,
            **{
                **BINDS,
                "MAIMCONFIG_TRUSTED_PROXIES": trusted,
                "MAIMCONFIG_PUBLIC_BIND": service.public.removeprefix("http://"),
            },
        )
    assert line in done.stdout, done.stdout
    assert "(public): MaimConfig is running" in done.stdout
    assert "the internal plane isn't reached" in done.stdout


def test_beside_the_service(live_service: Callable[..., LiveService]) -> None:
    """A service that runs has its ports: the gateway's, and an internal plane's with a token."""
    token = {"MAIMCONFIG_INTERNAL_TOKEN": "5b1f0c8a9d3e47628f70a1b2c3d4e5f6"}
    service = live_service(planes=("internal", "public", "realtime"), env=token)
    binds = {
        f"MAIMCONFIG_{plane.upper()}_BIND": urlsplit(url).netloc
        for plane, url in service.urls.items()
    }
    done = maimconfig("doctor", instance=service.instance, **token, **binds)
    for plane in ("internal", "public", "realtime"):
        assert f"({plane}): MaimConfig is running" in done.stdout, done.stdout


class Nginx:
    """nginx before one upstream."""

    def __init__(self, folder: Path, upstream: str, forwarded_for: str) -> None:
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._folder = folder
        (folder / "nginx.conf").write_text(
            f"""daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{self._port};
    location / {{
      proxy_pass {upstream};
      proxy_set_header X-Forwarded-For {forwarded_for};
    }}
  }}
}}
"""
        )

    def __enter__(self) -> str:
        self._process = subprocess.Popen(
            ["nginx", "-p", self._folder, "-c", self._folder / "nginx.conf"],
            stderr=subprocess.DEVNULL,
        )
        eventually(self._listens)
        return f"http://127.0.0.1:{self._port}"

    def _listens(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self._port)) == 0

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def errors(said: str) -> list[str]:
    """The lines of errors."""
    return [line for line in said.splitlines() if line.startswith("error ")]
