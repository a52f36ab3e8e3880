"""Two machines, each on a Galera node of its own: one node killed, cut off, or behind."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from maimconfig.db import migrations
from tests.cluster.load import CHAT, Load, Scene
from tests.cluster.machines import Machine, machines
from tests.cluster.rows import asked, checksums, miscounted, missing, taken
from tests.contract.harness import VALIDATE, Remote
from tests.servers.galera import Galera
from tests.servers.mariadb import connect, fresh_database
from tests.serving.harness import PATIENCE, eventually

# Of load, in all: a third with all nodes, a third without one, a third with it again.
SECONDS = float(os.environ.get("MAIMCONFIG_TEST_GALERA_SECONDS", "4"))
CLIENTS = 3  # a machine
LAG_SECONDS = 0.7


@pytest.fixture(scope="module")
def pair(
    database_urls: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Machine]]:
    """A machine on the first node, and one on the second."""
    folder: Path = tmp_path_factory.mktemp("pair")
    first = partial(Machine, folder / "0", database_urls[0])
    second = partial(Machine, folder / "1", database_urls[1])
    with machines([first, second]) as both:
        yield both


@pytest.fixture
def scene(pair: list[Machine]) -> Scene:
    """What is written to."""
    return Scene(pair[0].web.internal, pair[0].web.public)


def test_started_at_once(galera: Galera, tmp_path: Path) -> None:
    """Of machines that start at once on all nodes of an empty database one makes the tables, and
    all are ready when they are there."""
    with fresh_database(galera.nodes[0].url) as url:
        name = url.rpartition("/")[2]
        makers = [
            partial(Machine, tmp_path / str(node.number), f"{node.url}{name}")
            for node in galera.nodes
        ]
        with machines(makers) as all_of_them:
            for machine in all_of_them:
                eventually(machine.is_ready)
        assert asked(url, "SELECT version_num FROM alembic_version") == ((migrations.head(),),)


def test_node_killed(
    pair: list[Machine],
    scene: Scene,
    galera: Galera,
    database_urls: list[str],
    record_testsuite_property: pytest.RecordProperty,
) -> None:
    """A node is killed under writes through both machines and joins again under them: callers of
    its machine get 503 meanwhile and nothing else, those of the other not even that, and all that
    was acknowledged is on all nodes.
    """
    before = galera.conflicts()
    with Load(scene, [(one.web.internal, one.web.public) for one in pair], CLIENTS) as load:
        spend(load, {0, 1})
        # Here, as a node that starts again counts from 0.
        conflicts = {name: now - before[name] for name, now in galera.conflicts().items()}
        galera.nodes[1].kill()
        eventually(lambda: not pair[1].is_ready())
        spend(load, {0})
        begun = time.monotonic()
        galera.nodes[1].rejoin()
        joined = time.monotonic() - begun
        eventually(pair[1].is_ready)
        spend(load, {0, 1})
    record_testsuite_property(
        "Galera node killed", f"{load.told()}; joined in {joined:.1f} s; {conflicts}"
    )
    assert load.faults == []
    assert not load.lost
    assert load.answers[1, 503, "SYS_002"] > 0
    # Nothing but a change of one row by both that lost again and again.
    assert load.answers[0, 503, "SYS_002"] <= load.successes(0) / 1000
    assert sum(conflicts.values()) > 0
    for url in database_urls:
        assert missing(url, load) == []
        assert miscounted(url, load) == []
        # Of a use whose commit was cut off nobody knows whether it was counted.
        assert 0 <= taken(url, load) - load.uses <= load.answers[1, 503, "SYS_002"]
    eventually(lambda: len({tuple(checksums(url).items()) for url in database_urls}) == 1)


def spend(load: Load, places: set[int]) -> None:
    """Let a third of the time pass, and in any case until these places have answered well."""
    goals = {place: load.successes(place) + 20 for place in places}
    time.sleep(SECONDS / 3)
    for place, goal in goals.items():
        eventually(lambda place=place, goal=goal: load.successes(place) >= goal)


def test_node_without_the_majority(
    pair: list[Machine], scene: Scene, galera: Galera, database_urls: list[str]
) -> None:
    """A node that is cut off from the others answers nothing that may be old: each request of its
    machine is 503, and the machine isn't ready until it has found the others again."""
    node, (here, there) = galera.nodes[1], pair
    asked = [
        ("GET", f"{there.web.internal}/api/v2/tenants/{scene.tenant_id}", None),
        ("PUT", f"{there.web.internal}/api/v2/tenants/{scene.tenant_id}", {"description": "x"}),
        ("POST", f"{there.web.internal}{VALIDATE}", {"api_key": scene.key["api_key"]}),
        ("GET", f"{there.web.public}{CHAT}/sessions/{scene.session_id}", None),
        ("POST", f"{there.web.public}{CHAT}/messages",
         {"session_id": scene.session_id, "content": "Hi"}),
    ]  # fmt: skip
    with httpx.Client(headers=scene.headers, timeout=PATIENCE) as client:
        for method, url, body in asked:
            assert client.request(method, url, json=body).status_code == 200
        node.isolate()
        try:
            # The others go on when they have left it out; from then on what it has is old.
            path = f"{here.web.internal}/api/v2/tenants/{scene.tenant_id}"
            assert client.put(path, json={"description": "newer"}).status_code == 200
            for method, url, body in asked:
                answer = client.request(method, url, json=body)
                assert (answer.status_code, answer.json().get("error_code")) == (503, "SYS_002")
                assert int(answer.headers["Retry-After"]) > 0
            assert not there.is_ready()
            assert here.is_ready()
        finally:
            node.isolate(cut=False)
        eventually(there.is_ready)
        for method, url, body in asked:
            assert client.request(method, url, json=body).status_code == 200
    eventually(lambda: len({tuple(checksums(url).items()) for url in database_urls}) == 1)


def test_node_behind(pair: list[Machine], scene: Scene, galera: Galera) -> None:
    """What was changed through one node is so for the machine of another at once, even if that
    node has yet to hear of it: its answers wait."""
    here, there = pair
    path = f"/api/v2/agents/{scene.key['agent_id']}"
    with Remote(here.web.internal) as caller, Remote(there.web.internal) as other:
        with behind(galera, 1):
            key = caller.key()
            checked = other.client.post(VALIDATE, json={"api_key": key["api_key"]})
        assert checked.status_code == 200
        with behind(galera, 1):
            caller.data("POST", f"/api/v2/api-keys/{key['id']}/disable")
            checked = other.client.post(VALIDATE, json={"api_key": key["api_key"]})
        assert checked.status_code == 401
        with behind(galera, 1):
            caller.data("PUT", path, {"description": "first"})
            changed = other.data("PUT", path, {"name": "second"})
        assert changed["description"] == "first"


@contextlib.contextmanager
def behind(galera: Galera, number: int) -> Iterator[None]:
    """Keep a node from applying what the others have committed, for a moment that begins now and
    ends by itself."""
    with (
        contextlib.closing(connect(galera.nodes[number].url)) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        cursor = connection.cursor()
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        released = pool.submit(lambda: (time.sleep(LAG_SECONDS), cursor.execute("UNLOCK TABLES")))
        yield
        released.result()
