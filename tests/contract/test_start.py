"""How the service starts: quickly, small, ready when it says so, or not at all with a reason."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import fails, succeeds
from tests.contract.harness import MASTER_SECRET, Crowd, Remote, workers_of
from tests.servers.mariadb import fresh_database
from tests.servers.service import LiveService
from tests.serving.harness import eventually

Start = Callable[..., LiveService]

ANY_PORTS = {
    "MAIMCONFIG_INTERNAL_BIND": "127.0.0.1:0",
    "MAIMCONFIG_PUBLIC_BIND": "127.0.0.1:0",
    "MAIMCONFIG_REALTIME_BIND": "127.0.0.1:0",
}
MOST_RSS_MB = 95


@pytest.fixture
def mysql_url(mysql_server_url: str) -> Any:
    """URL of a fresh MySQL database without tables."""
    with fresh_database(mysql_server_url) as url:
        yield url


def ready(service: LiveService) -> tuple[int, str | None]:
    """Status and reason of /health/ready."""
    answer = httpx.get(f"{service.internal}/health/ready", timeout=30)
    return answer.status_code, answer.json().get("reason")


def ended(service: LiveService, number: signal.Signals) -> tuple[int, str]:
    """The exit code after a signal, and what stdout had beyond the ready lines."""
    service.process.send_signal(number)
    rest, _ = service.process.communicate(timeout=60)
    return service.process.returncode, rest


def rss_mb(pid: int) -> float:
    """Resident memory of a process (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024


def test_first_start(live_service: Start, record_testsuite_property: Any) -> None:
    """Started on nothing, it says where it listens, answers at once, and is small."""
    begun = time.monotonic()
    service = live_service(fresh=True)
    for plane in ("internal", "public"):
        answer = httpx.get(f"{service.urls[plane]}/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
    seconds = time.monotonic() - begun
    megabytes = rss_mb(service.process.pid)
    record_testsuite_property("first healthy answer, seconds", f"{seconds:.2f}")
    record_testsuite_property("RSS idle, MB", f"{megabytes:.1f}")
    assert megabytes < MOST_RSS_MB
    kept = {path.name: oct(path.stat().st_mode & 0o777) for path in service.instance.iterdir()}
    assert kept["secret.key"] == kept["maimconfig.db"] == "0o600"


def test_ready_lines(live_service: Start) -> None:
    """Each plane has one line with its real address, and stdout has no other."""
    service = live_service()
    assert list(service.urls) == ["internal", "public"]
    for url in service.urls.values():
        assert httpx.get(f"{url}/health/live").status_code == 200
    assert ended(service, signal.SIGTERM) == (0, "")


def test_one_plane(live_service: Start) -> None:
    """`--plane internal` serves the internal plane and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"MAIMCONFIG_PUBLIC_BIND": f"127.0.0.1:{port}"}
        service = live_service(None, "--plane", "internal", planes=["internal"], env=env)
        assert httpx.get(f"{service.internal}/api/v2/tenants").status_code == 200
        assert ended(service, signal.SIGTERM) == (0, "")


def test_port_in_use(instance_folder: Path) -> None:
    """A port on which somebody listens ends the start with a sentence that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {**ANY_PORTS, "MAIMCONFIG_PUBLIC_BIND": address}
        sentence = fails("serve", instance=instance_folder, **settings)
    assert sentence == f"cannot listen on {address}: another process already listens there"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("MAIMCONFIG_WORKERS", "two"),
        ("MAIMCONFIG_INTERNAL_BIND", "0.0.0.0:0"),
        ("MAIMCONFIG_LOG_FILE", "/proc/no/such/folder"),
        ("MAIMCONFIG_INSTANCE", "/proc/no/such/folder"),
        ("DATABASE_URL", "postgresql://localhost/x"),
        ("DATABASE_PORT", "mysql"),
    ],
)
def test_wrong_setting(instance_folder: Path, variable: str, text: str) -> None:
    """A setting that can't be used ends the start with one sentence that names it."""
    settings = {**ANY_PORTS, "DATABASE_HOST": "127.0.0.1", variable: text}
    instance = Path(settings.pop("MAIMCONFIG_INSTANCE", str(instance_folder)))
    assert variable in fails("serve", instance=instance, **settings)


@pytest.mark.parametrize(
    ("variable", "file"),
    [
        ("DATABASE_URL", "sqlite:////proc/no/such/file.db"),
        ("MAIMBOT_MODEL_CONFIG_PATH", "/no/such/models.toml"),
        ("MAIMBOT_BOT_CONFIG_TEMPLATE_PATH", "/no/such/bot.toml"),
    ],
)
def test_unusable_file(instance_folder: Path, variable: str, file: str) -> None:
    """A file that can't be used ends the start with one sentence that names it."""
    sentence = fails("serve", instance=instance_folder, **ANY_PORTS, **{variable: file})
    assert file.removeprefix("sqlite:///") in sentence


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n"])
def test_unusable_secret_file(instance_folder: Path, content: bytes) -> None:
    """A secret.key without a secret ends the start with one sentence."""
    (instance_folder / "secret.key").write_bytes(content)
    sentence = fails("serve", instance=instance_folder, **ANY_PORTS)
    assert sentence.startswith("MAIMCONFIG_INSTANCE can't be used: ")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_another_secret(live_service: Start, database_url: str, workers: str) -> None:
    """Another master secret than the database's ends the start with what to do about it."""
    service = live_service(database_url, "--auto-migrate")
    assert service.stop() == 0
    settings = {"DATABASE_URL": database_url, "MAIMCONFIG_SECRET_KEY": MASTER_SECRET, **ANY_PORTS}
    settings["MAIMCONFIG_REALTIME_BIND"] = ""  # two workers with a gateway are warned, too
    sentence = fails("serve", "--workers", workers, instance=service.instance, **settings)
    assert "MAIMCONFIG_SECRET_KEY" in sentence
    assert MASTER_SECRET not in sentence


def test_hang_up(live_service: Start, migrated_database_url: str) -> None:
    """SIGHUP renews two workers one after the other, and no request fails meanwhile."""
    service = live_service(migrated_database_url, "--workers", "2")
    eventually(lambda: len(workers_of(service)) == 2)
    old = workers_of(service)
    with Remote(service.internal) as caller:
        key = caller.key()
    with Crowd(service.internal, key["api_key"], 4) as crowd:
        eventually(lambda: crowd.answered > 50)
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(workers_of(service) - old) == 2 and not workers_of(service) & old)
        goal = crowd.answered + 50
        eventually(lambda: crowd.answered > goal)
    assert crowd.lost == []
    assert crowd.statuses == {200: crowd.answered}
    with Remote(service.internal) as caller:
        eventually(lambda: caller.usage_count(key) == crowd.answered)
    assert service.stop() == 0


def test_hang_up_alone(live_service: Start) -> None:
    """SIGHUP ends a single process in good order."""
    service = live_service()
    assert ended(service, signal.SIGHUP) == (0, "")


def test_migration_is_asked_for(live_service: Start, mysql_url: str) -> None:
    """On a MySQL database without its tables it isn't ready and says what to run, and once that
    was run it's ready without a restart.
    """
    service = live_service(mysql_url)
    status, reason = ready(service)
    assert status == 503
    assert "maimconfig db upgrade" in str(reason)
    assert httpx.get(f"{service.internal}/health/live").status_code == 200
    succeeds("db", "upgrade", instance=service.instance, DATABASE_URL=mysql_url)
    assert ready(service) == (200, None)
    with Remote(service.internal) as caller:
        key = caller.key()
        caller.data("POST", "/api/v2/auth/validate-api-key", {"api_key": key["api_key"]})
    service.restart()
    assert ready(service) == (200, None)


def test_first_admin_of_a_late_database(live_service: Start, mysql_url: str) -> None:
    """A service that shall make the first administrator starts on a MySQL database without its
    tables all the same, and makes it at the first start at which they are there.
    """
    env = {"MAIMCONFIG_ADMIN_EMAIL": "root@example.com", "MAIMCONFIG_ADMIN_PASSWORD": MASTER_SECRET}
    service = live_service(mysql_url, env=env)
    assert ready(service)[0] == 503
    succeeds("db", "upgrade", instance=service.instance, DATABASE_URL=mysql_url)
    service.restart()
    body = {"username": "root@example.com", "password": MASTER_SECRET}
    answer = httpx.post(f"{service.public}/api/v1/auth/login", json=body)
    assert answer.status_code == 200, answer.text


def test_secret_of_a_late_database(
    live_service: Start, mysql_url: str, instance_folder: Path
) -> None:
    """A service whose database was set up meanwhile under another secret isn't ready."""
    service = live_service(mysql_url)
    succeeds("db", "upgrade", instance=instance_folder, DATABASE_URL=mysql_url)
    status, reason = ready(service)
    assert status == 503
    assert "master secret" in str(reason)


def test_exposed_internal_plane(live_service: Start) -> None:
    """The internal plane on all addresses is served when that is allowed, with a warning."""
    env = {"MAIMCONFIG_INTERNAL_BIND": "0.0.0.0:0", "MAIMCONFIG_EXPOSE_INTERNAL": "true"}
    service = live_service(env=env)
    (warning,) = (json.loads(line) for line in service.log.splitlines() if '"warning"' in line)
    assert warning["event"] == "internal_plane.exposed"
    assert "without a login" in warning["meaning"]
    port = service.internal.rpartition(":")[2]
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "planes"),
    [(("--workers", "2"), ("public", "realtime")), (("--plane", "public"), ("public",))],
)
def test_processes_without_redis(
    live_service: Start, arguments: tuple[str, ...], planes: tuple[str, ...]
) -> None:
    """Several processes without a Redis are told what doesn't pass between them, and what to do;
    without a gateway there is nothing to pass."""
    env = {"MAIMCONFIG_REALTIME_BIND": "127.0.0.1:0"}
    service = live_service(None, *arguments, planes=planes, env=env)
    (warning,) = (json.loads(line) for line in service.log.splitlines() if '"warning"' in line)
    assert warning["event"] == "realtime.without_redis"
    assert "typing" in warning["meaning"]
    assert "MAIMCONFIG_REDIS_URL" in warning["advice"]
    assert live_service(None, *arguments, planes=("public",)).log == ""


def test_no_warning(live_service: Start) -> None:
    """A start on loopback has nothing to warn of."""
    service = live_service()
    assert service.stop() == 0
    assert service.log == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_at_once(database_url: str, tmp_path: Path, workers: str) -> None:
    """Two services that start at once on one empty database both come up, with one secret."""
    env = {"MAIMCONFIG_INSTANCE": str(tmp_path / "instance")}

    def start(name: str) -> LiveService:
        arguments = ("--auto-migrate", "--workers", workers)
        return LiveService(tmp_path / name, database_url, *arguments, env=env)

    with contextlib.ExitStack() as ends, ThreadPoolExecutor(2) as pool:
        services = [pool.submit(start, name) for name in ("first", "second")]
        first, second = (service.result() for service in services)
        for service in (first, second):
            ends.callback(service.close)
        assert [ready(service) for service in (first, second)] == [(200, None)] * 2
        with Remote(first.internal) as here, Remote(second.internal) as there:
            key = here.key()
            there.data("POST", "/api/v2/auth/validate-api-key", {"api_key": key["api_key"]})
            templates = there.data("GET", "/api/v2/agent-templates")
            assert templates["pagination"]["total"] == 5


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU")
@pytest.mark.parametrize(("setting", "bound"), [("auto", True), ("off", False)])
def test_cpu_affinity(live_service: Start, setting: str, bound: bool) -> None:
    """Each worker is bound to a CPU of its own, unless that is switched off."""
    env = {"MAIMCONFIG_CPU_AFFINITY": setting}
    service = live_service(None, "--workers", "2", env=env)
    eventually(lambda: len(workers_of(service)) == 2)

    def masks() -> list[set[int]]:
        return [os.sched_getaffinity(pid) for pid in workers_of(service)]

    if bound:
        eventually(lambda: sorted(map(len, masks())) == [1, 1])
        assert len(set.union(*masks())) == 2
    else:
        assert masks() == [os.sched_getaffinity(0)] * 2
