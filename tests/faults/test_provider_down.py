"""AI providers refuse, hang or break off under load; chats say so or are answered by the next, and
nobody else notices.

One provider plays all of them: which it is, a model's name says. Each has a circuit breaker of its
own, so that all faults are there at once, under one load.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.faults.conftest import FULL, Start
from tests.faults.load import CHATS, KINDS, Load, World
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import Behaviour, FaultyProvider
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

# Of a provider, and of a reply: with the full dose as by default, else a tenth.
TIMEOUT, DEADLINE = (10, 30) if FULL else (1, 3)
REST = 30.0  # s that one which keeps failing is left out
PLACES = 16  # for replies, on each plane
QUICK = 5.0  # s; the machine may be busy with other tests
SECOND = "well"

REFUSING: Mapping[str, Behaviour] = {
    "answers 500": faulty.status(500),
    "answers 429": faulty.status(429),
    "hangs up": faulty.hangs_up(),
    "breaks off before the first delta": faulty.cut(after=0),
}
HANGING: Mapping[str, Behaviour] = {"hangs": faulty.silent()}
BREAKING: Mapping[str, Behaviour] = {"breaks off after the first delta": faulty.cut(after=1)}
ALL = {**REFUSING, **HANGING, **BREAKING}


@pytest.fixture(scope="module")
def provider() -> Iterator[FaultyProvider]:
    """All providers."""
    with FaultyProvider() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    start: Start, tmp_path_factory: pytest.TempPathFactory, provider: FaultyProvider
) -> LiveService:
    """A service with a provider for each fault, alone and before another; on SQLite: what is
    tested here isn't the database's doing.
    """
    names = [SECOND, "is slow", *ALL, *(f"first {name}" for name in ALL)]
    catalogue = tmp_path_factory.mktemp("catalogue") / "models.toml"
    catalogue.write_text("\n".join(entry_of(name, provider) for name in names))
    env = {"MAIMBOT_MODEL_CONFIG_PATH": str(catalogue), "MAIMCONFIG_CHAT_REPLIES": str(PLACES)}
    return start(env=env)


def entry_of(name: str, provider: FaultyProvider) -> str:
    """A provider and its model, as the operator's file has them."""
    return f"""
[[api_providers]]
name = "{name}"
base_url = "{provider.base_url}"
timeout = {TIMEOUT}

[[models]]
name = "{name}"
model_identifier = "{name}"
api_provider = "{name}"
"""


def database_of(service: LiveService) -> str:
    """URL of its database."""
    return f"sqlite:///{service.instance / 'maimconfig.db'}"


@contextlib.contextmanager
def chats(service: LiveService, loads: Iterable[Load]) -> Iterator[None]:
    """Enter loads that chat, beside one of all that needs no provider, which may notice nothing;
    whatever became of a reply, it is billed.
    """
    others = Load(service, World.make(service), kinds=set(KINDS) - set(CHATS))
    with contextlib.ExitStack() as ends:
        for load in (others, *loads):
            ends.enter_context(load)
        for load in (others, *loads):
            load.settle(1)
        yield
    others.report("what callers saw who need no provider")
    assert others.statuses() == {200}
    assert others.longest() < QUICK
    for load in (others, *loads):
        nothing_is_lost(load, database_of(service))
        billing_is_right(load, database_of(service))


def test_the_only_one(service: LiveService, provider: FaultyProvider, outage: float) -> None:
    """While the only provider refuses, chats are 502; while it hangs, 504 at their deadline; one
    that keeps failing is left out for half a minute, and chats are 502 at once.
    """
    provider.by_model = {}
    loads = {name: talking(service, name) for name in ALL}
    loads["is slow"] = talking(service, "is slow", each=PLACES // 2 + 1, on_public=False)
    with chats(service, loads.values()):
        provider.by_model = {**ALL, "is slow": faulty.slow(TIMEOUT / 2)}
        for load in loads.values():
            load.mark("broken")
        for name in ALL:
            eventually(lambda name=name: left_out(service, name))
            loads[name].fails(*CHATS)
        time.sleep(outage)
        for load in loads.values():
            load.mark("mended")
        provider.by_model = {}
        if FULL:
            for load in loads.values():
                load.all_answer(REST + QUICK)
    for name, load in loads.items():
        load.report(f"the only provider {name}")
    for name in REFUSING:
        assert seen(loads[name]) == {(200, ""), (200, "CHAT_003"), (502, "CHAT_003")}, name
        assert loads[name].longest() < QUICK
    assert seen(loads["hangs"]) >= {(504, "CHAT_004"), (502, "CHAT_003")}
    assert DEADLINE <= loads["hangs"].longest() < DEADLINE + QUICK
    assert seen(loads["is slow"]) == {(200, ""), (503, "SYS_005")}


def test_before_another(service: LiveService, provider: FaultyProvider, outage: float) -> None:
    """While the first of two providers is down the second answers: at once, or when the first has
    hung for its time-out, until that is left out; but of a reply that has begun none makes the
    rest.
    """
    provider.by_model = {f"first {name}": fault for name, fault in ALL.items()}
    loads = {name: talking(service, f"first {name}", SECOND) for name in ALL}
    with chats(service, loads.values()):
        for name in ALL:
            eventually(lambda name=name: left_out(service, f"first {name}"))
        time.sleep(outage)
        for load in loads.values():
            load.all_answer(QUICK)
    for name, load in loads.items():
        load.report(f"the first of two providers {name}")
    for name in (*REFUSING, *HANGING):
        assert seen(loads[name]) == {(200, "")}, name
    assert TIMEOUT <= loads["hangs"].longest() < DEADLINE
    (breaking,) = (loads[name] for name in BREAKING)
    assert seen(breaking) == {(200, ""), (200, "CHAT_003")}
    assert breaking.codes("chat") == set()


def talking(service: LiveService, *models: str, **how: Any) -> Load:
    """A load of chats with an agent that asks these models, in this order."""
    tasks = {"replyer": {"model_list": list(models)}}
    world = World.make(
        service, model={"model_task_config": tasks}, chat={"response_timeout": DEADLINE}
    )
    return Load(service, world, kinds=CHATS, watching=(), **how)


def seen(load: Load) -> set[tuple[int, str]]:
    """The statuses and codes of answers; a stream that fails is 200, as it has begun."""
    return {(answer.status, answer.code) for answer in load.answers}


def left_out(service: LiveService, name: str) -> bool:
    """Whether a provider isn't asked for now, and for how long."""
    found = httpx.get(f"{service.internal}/api/v2/system/providers", timeout=PATIENCE).json()
    (one,) = (one for one in found["data"]["providers"] if one["name"] == name)
    return one["state"] == "open"
