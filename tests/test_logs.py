"""Logs: one line an event, for machines or for people, and never a secret."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from maimconfig import logs
from tests.servers.service import LiveService

KEY = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="
OLDER_KEY = "mmc_tenant_xyz789_agent_pqr345_8f8a9b2c3d_v1"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.signature-x_y"
REFRESH = f"mmr_login_019ab2c4d5e6.7.0a1b2c3d.{'ef' * 32}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LOCAL = "only-in-a-local-variable"
FIELDS = {
    "event", "level", "timestamp", "request_id", "method", "route", "path", "status",
    "duration_ms", "plane", "tenant_id",
}  # fmt: skip

# What the service's modules and the libraries below it may log.
SCRIPT = f"""
import logging
import structlog
from maimconfig import logs
from maimconfig.settings import load_settings

logs.configure(load_settings())
log = structlog.get_logger("test")
KEY, OLDER_KEY, TOKEN, REFRESH = {KEY!r}, {OLDER_KEY!r}, {TOKEN!r}, {REFRESH!r}

def fail():
    hidden = {LOCAL!r}
    raise ValueError(f"{{KEY}} is not good")

log.debug("a detail")
log.info("texts", key=KEY, older=OLDER_KEY, header=f"Bearer {{TOKEN}}", small=f"bearer {{TOKEN}}")
log.info("deep", body={{"keys": [KEY, {{"older": OLDER_KEY}}]}}, error=ValueError(KEY), x=(KEY, 1))
log.info("tokens", alone=TOKEN, said=f"token={{TOKEN}}, and {{REFRESH}}.", path=f"/x/{{REFRESH}}")
log.info("escaped", query=f"a%3D{{TOKEN}}%26b%3D{{REFRESH}}", json={{"refresh_token": REFRESH}})
log.info("harmless", number=1.5, nothing=None, flag=True, chinese="麦麦", path="/a\\nb\\x1b[31m")
log.warning("with the key %s" % KEY)
logging.getLogger("lib").info("a library's detail")
logging.getLogger("lib").warning("a library's warning of %s", KEY)
logging.getLogger("lib").log(35, "a level of its own")
try:
    fail()
except ValueError:
    log.exception("failed")
    logging.getLogger("lib").exception("a library failed")
"""


def run(tmp_path: Path, **env: str) -> str:
    """What the script writes to stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", SCRIPT],
        env={"MAIMCONFIG_INSTANCE": str(tmp_path), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def events(text: str) -> dict[str, dict[str, Any]]:
    """The lines of a JSON log by what they tell of."""
    return {event["event"]: event for event in map(json.loads, text.splitlines())}


def assert_no_secret(text: str) -> None:
    """Of a key nothing but its first letters is there, of a token and a local variable nothing."""
    for secret in (KEY, KEY[9:], OLDER_KEY, OLDER_KEY[9:], TOKEN, TOKEN[:20], "signature", LOCAL,
                   REFRESH, "0a1b2c3d", "efef"):  # fmt: skip
        assert secret not in text


def test_json(tmp_path: Path) -> None:
    """As JSON each event is one line with its level, its UTC time and its fields."""
    found = events(run(tmp_path))
    harmless = found["harmless"]
    assert harmless.pop("timestamp").endswith("Z")
    assert harmless == {
        "event": "harmless",
        "level": "info",
        "number": 1.5,
        "nothing": None,
        "flag": True,
        "chinese": "麦麦",
        "path": "/a\nb\x1b[31m",
    }
    assert "ValueError" in found["failed"]["exception"]
    assert found["failed"]["level"] == "error"


def test_libraries(tmp_path: Path) -> None:
    """Libraries' warnings are lines of the same shape, whatever their level; details are not."""
    text = run(tmp_path)
    found = events(text)
    (warning,) = (event for name, event in found.items() if name.startswith("a library's warning"))
    assert (warning["level"], warning["logger"]) == ("warning", "lib")
    assert found["a level of its own"]["level"] == "warning"
    assert "ValueError" in found["a library failed"]["exception"]
    assert "a library's detail" not in text


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret(tmp_path: Path, form: str) -> None:
    """Keys and tokens are cut wherever they stand, and tracebacks show no local variable."""
    text = run(tmp_path, MAIMCONFIG_LOG_FORMAT=form)
    assert text.count("mmc_dGVu********") >= 7
    assert text.count("mmc_tena********") == 2
    assert text.count("mmr_login_019ab2c4d5e6.********") == 4
    assert_no_secret(text)


@pytest.mark.parametrize(
    "hostile",
    ["eyJ" * 100_000, "mmr_" * 100_000, "mmr_login_" * 30_000, "mmc_" * 100_000, "eyJ." * 100_000,
     "bearer " * 50_000, "mmr_login_" + "a" * 300_000, "-" * 300_000 + "eyJ"],
)  # fmt: skip
def test_long_texts(hostile: str) -> None:
    """To look for secrets takes linear time, whatever a caller sends."""
    began = time.process_time()
    logs.redact({"event": hostile})
    assert time.process_time() - began < 1


def test_console(tmp_path: Path) -> None:
    """For people a line begins with time and level; control characters are shown, not obeyed."""
    lines = run(tmp_path, MAIMCONFIG_LOG_FORMAT="console").splitlines()
    (harmless,) = (line for line in lines if "harmless" in line)
    assert "[info" in harmless
    assert "麦麦" in harmless
    assert r"/a\nb\x1b[31m" in harmless


@pytest.mark.parametrize(
    ("level", "first"),
    [("debug", "a detail"), ("info", "texts"), ("warning", "with the"), ("error", "failed")],
)
def test_level(tmp_path: Path, level: str, first: str) -> None:
    """What is below the level isn't logged."""
    lines = run(tmp_path, MAIMCONFIG_LOG_LEVEL=level).splitlines()
    assert json.loads(lines[0])["event"].startswith(first)


def test_file(tmp_path: Path) -> None:
    """A log file is made with its folder, appended to at each start, and nothing is on stderr."""
    file = tmp_path / "logs" / "maimconfig.log"
    for _ in range(2):
        assert run(tmp_path, MAIMCONFIG_LOG_FILE=str(file)) == ""
    lines = [json.loads(line)["event"] for line in file.read_text("utf-8").splitlines()]
    assert lines.count("texts") == 2
    assert_no_secret(file.read_text("utf-8"))


def test_a_line_a_request(
    live_service: Callable[..., LiveService], migrated_database_url: str
) -> None:
    """Each request is one line with the documented fields, and none holds a secret."""
    service = live_service(migrated_database_url)
    with httpx.Client(base_url=service.internal) as client:
        tenant = client.post(
            "/api/v2/tenants", json={"tenant_name": "a", "tenant_type": "personal"}
        ).json()["data"]
        provider = {
            "name": "own",
            "base_url": "https://own.example.com",
            "api_key": "sk-own-secret",
        }
        config = {"config_overrides": {"model": {"api_providers": [provider]}}}
        owner = {"tenant_id": tenant["id"], "name": "a"}
        agent = client.post("/api/v2/agents", json={**owner, "config": config}).json()["data"]
        body = {**owner, "agent_id": agent["id"]}
        key = client.post("/api/v2/api-keys", json=body).json()["data"]["api_key"]
        named = {
            "X-Request-ID": "req_of-the-caller",
            "Authorization": f"Bearer {TOKEN}",
            "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        }
        check = "/api/v2/auth/validate-api-key"
        assert client.post(check, json={"api_key": key}, headers=named).status_code == 200
        assert client.post(check, json={"api_key": KEY}).status_code == 401
        for path in (f"/api/v2/api-keys/{key}", "/nowhere/%0Afake"):
            assert client.get(path).status_code == 404
    assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 7
    fields = {
        "request_id",
        "method",
        "route",
        "path",
        "status",
        "duration_ms",
        "plane",
        "tenant_id",
    }
    good, unknown, in_path, nowhere = requests[3:]
    # A trace is told where the caller has one, and there alone.
    assert (good.pop("trace_id"), len(good.pop("span_id"))) == (TRACE, 16)
    assert all(line.keys() == {"event", "level", "timestamp", *fields} for line in requests)
    assert (good["request_id"], good["plane"]) == ("req_of-the-caller", "internal")
    assert (good["route"], good["status"], good["tenant_id"]) == (check, 200, tenant["id"])
    assert 0 < good["duration_ms"] < 60_000
    assert (unknown["status"], unknown["tenant_id"]) == (401, None)
    assert in_path["path"] == f"/api/v2/api-keys/{key[:8]}********"
    assert (nowhere["route"], nowhere["path"]) == (None, "/nowhere/\nfake")
    for secret in (key, key[9:], KEY, TOKEN, "sk-own-secret"):
        assert secret not in service.log
