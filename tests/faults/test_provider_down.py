"""The AI provider refuses, hangs or breaks off; chats say so, and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.load import Load, World
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import Behaviour, FaultyProvider
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE

WAITS = {
    "refuses": faulty.status(500),
    "hangs up": faulty.hangs_up(),
    "hangs": faulty.silent(),
}
QUICK = 5.0  # s; the machine may be busy with other tests


@pytest.fixture
def provider() -> Iterator[FaultyProvider]:
    """The one provider there is."""
    with FaultyProvider() as running:
        yield running


@pytest.fixture
def service(
    live_service: Callable[..., LiveService], tmp_path: Path, provider: FaultyProvider
) -> LiveService:
    """A service whose agents ask the provider, and wait no longer than some seconds."""
    account = {
        "OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": provider.base_url, "OPENAI_MODEL": "m",
    }  # fmt: skip
    return live_service(url_of(tmp_path), env=account)


def url_of(folder: Path) -> str:
    """URL of a SQLite file: what is tested here isn't the database's doing."""
    return f"sqlite:///{folder / 'maimconfig.db'}"


@pytest.mark.parametrize("fault", WAITS.values(), ids=WAITS)
def test_down(
    service: LiveService,
    provider: FaultyProvider,
    tmp_path: Path,
    outage: float,
    fault: Behaviour,
    request: pytest.FixtureRequest,
) -> None:
    """While the only provider is down chats end with a code that says so, and all other calls are
    as quick as ever.
    """
    with Load(service, World.make(service), each=2) as load:
        load.settle()
        load.mark("broken")
        provider.default = fault
        if fault is WAITS["hangs"]:
            began = len(load.answers)
            load.waits(outage)
            assert {a.kind for a in load.answers[began:]} >= load.kinds - {"chat"}
        else:
            load.fails("chat")
            load.waits(outage)
        provider.default = faulty.answer()
        load.mark("mended")
        load.waits(1)
    load.report(f"the provider {request.node.callspec.id}")
    others = load.kinds - {"chat"}
    assert load.statuses(*others) == {200}
    assert load.longest(*others) < QUICK
    assert load.codes("chat") <= {"CHAT_003", "CHAT_004", "SYS_005"}
    assert load.statuses("chat") <= {200, 502, 503, 504}
    nothing_is_lost(load, url_of(tmp_path))
    billing_is_right(load, url_of(tmp_path))


def test_breaks_off(service: LiveService, provider: FaultyProvider, tmp_path: Path) -> None:
    """A stream that breaks off ends with an error event, and is billed once, as every other."""
    world = World.make(service)
    provider.default = faulty.cut(after=2)
    with Load(service, world, kinds=("check", "read", "update")) as load:
        body = {"api_key": world.chat_key["api_key"], "message": "你好", "stream": True}
        with httpx.Client(base_url=service.public, timeout=PATIENCE) as client:
            for _ in range(5):
                assert events(client.post("/api/v2/chat", json=body).text)[-1] == "error"
        load.settle()
    load.report("the provider breaks off in the middle of streams")
    assert load.statuses() == {200}
    billing_is_right(load, url_of(tmp_path))


def events(text: str) -> list[str]:
    """The names of a stream's events; each has data that can be read."""
    found = []
    for block in text.split("\n\n")[:-1]:
        if not block.startswith(":"):
            name, data = block.split("\n")
            json.loads(data.removeprefix("data: "))
            found.append(name.removeprefix("event: "))
    return found
