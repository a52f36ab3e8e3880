"""Two machines behind the nginx of deploy/, over one MariaDB and one Redis."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.cli.command import succeeds
from tests.cluster.load import CHAT, Load, Scene
from tests.cluster.machines import Machine, machines
from tests.cluster.rows import miscounted, missing
from tests.contract.harness import MASTER_SECRET, VALIDATE, Remote, in_threads
from tests.realtime.harness import Client
from tests.servers.mariadb import fresh_database
from tests.servers.nginx import PUBLIC, REALTIME, Nginx
from tests.servers.private import ServerUnavailable
from tests.serving.harness import PATIENCE, eventually

SECONDS = float(os.environ.get("MAIMCONFIG_TEST_CLUSTER_SECONDS", "3"))
CLIENTS = 6
AUTH = "/api/v1/auth"
PASSWORD = "correct horse battery"


@dataclass
class Site:
    """What stands between callers and the database.

    Attributes:
        machines: two, each with two HTTP workers and a gateway.
        database_url: that both use.
        folder: for what a test makes.
    """

    nginx: Nginx
    machines: list[Machine]
    database_url: str
    folder: Path

    def tls(self) -> ssl.SSLContext:
        """Trusts nginx's certificate alone."""
        return ssl.create_default_context(cafile=str(self.nginx.certificate))


@pytest.fixture(scope="module")
def site(
    mysql_server_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Both machines are started at once on a database without tables: one of them makes them."""
    folder: Path = tmp_path_factory.mktemp("site")
    env = {"MAIMCONFIG_REDIS_URL": redis_url, "MAIMCONFIG_TRUSTED_PROXIES": "127.0.0.1"}
    with fresh_database(mysql_server_url) as url, contextlib.ExitStack() as ends:
        make = partial(Machine, database_url=url, workers=2, gateway=True, **env)
        both = ends.enter_context(machines([partial(make, folder / str(n)) for n in range(2)]))
        upstreams = {
            PUBLIC: [one.public for one in both],
            REALTIME: [one.realtime for one in both],
        }
        try:
            nginx = Nginx(upstreams)
        except ServerUnavailable as reason:
            pytest.skip(str(reason))
        ends.callback(nginx.close)
        yield Site(nginx, both, url, folder)


def test_both_see_the_same(site: Site) -> None:
    """What one machine makes the other shows, and what one takes back the other refuses from the
    next request on."""
    internals = [one.web.internal for one in site.machines]
    with Remote(internals[0]) as first, Remote(internals[1]) as second:
        for here, there in [(first, second), (second, first)] * 10:
            key = here.key()
            assert there.data("GET", f"/api/v2/api-keys/{key['id']}")["name"] == "key"
            checked = {"api_key": key["api_key"]}
            assert there.client.post(VALIDATE, json=checked).status_code == 200
            here.data("POST", f"/api/v2/api-keys/{key['id']}/disable")
            assert there.client.post(VALIDATE, json=checked).status_code == 401


def test_counts_add_up(site: Site) -> None:
    """A key's rate limit is one over all workers of both machines, and so is its count of uses."""
    internals = [one.web.internal for one in site.machines]
    with Remote(internals[0]) as caller:
        key = caller.key(rate_limit={"limit": 50, "window_seconds": 3600})

        def check(internal: str) -> list[int]:
            with Remote(internal) as other:
                body = {"api_key": key["api_key"]}
                return [other.client.post(VALIDATE, json=body).status_code for _ in range(20)]

        found = in_threads([partial(check, internal) for internal in internals * 2])
        assert Counter(status for each in found for status in each) == {200: 50, 429: 30}
        eventually(lambda: caller.usage_count(key) == 50)


def test_one_login(site: Site) -> None:
    """A login at one machine is one at the other too, until either ends it."""
    user = {"username": "cluster", "password": PASSWORD, "email": "cluster@example.com"}
    with httpx.Client(base_url=site.nginx.url, verify=site.tls(), timeout=PATIENCE) as world:
        assert world.post(f"{AUTH}/register", json=user).status_code == 200
    here, there = (f"http://{one.public}{AUTH}" for one in site.machines)
    told = httpx.post(
        f"{here}/login", json={name: user[name] for name in ("username", "password")}
    ).json()
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    assert httpx.get(f"{there}/me", headers=headers).json()["username"] == "cluster"
    assert httpx.post(f"{there}/logout", headers=headers).status_code in (200, 204)
    assert httpx.get(f"{here}/me", headers=headers).status_code == 401


def test_one_conversation(site: Site) -> None:
    """A guest at one machine's gateway and a person at the other's hear each other, in one order,
    and so do people whom nginx has put somewhere."""
    session_id, token = guest_session(site)
    admin = administrator(site)
    world = f"{site.nginx.url.replace('https', 'wss')}/ws"
    tls = site.tls()
    # One in some hundred connections of this client, which reads and writes in two threads, hangs
    # while TLS 1.3 sends its tickets.
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.ExitStack() as ends:
        urls = [f"ws://{one.realtime}/ws" for one in site.machines]
        guest, person = (ends.enter_context(Client(url)) for url in urls)
        others = [ends.enter_context(Client(world, ssl=tls)) for _ in range(4)]
        for one in (guest, person, *others):
            one.log_in(token if one is guest else admin)
            one.send("join_session", session_id=session_id)
            one.receive("session_joined")
        for number in range(6):
            speaker, side = [(guest, "contact"), (person, "agent")][number % 2]
            speaker.send("message", session_id=session_id, content=f"word {number}")
            for one in (guest, person, *others):
                told = one.until("message")
                assert (told["content"], told["sender_type"]) == (f"word {number}", side)


def guest_session(site: Site) -> tuple[str, str]:
    """The id and the token of a session that somebody unknown has begun with a person."""
    with Remote(site.machines[0].web.internal) as caller:
        key = caller.key()
        open_to_all = {"tenant_config": {"guest_chat": True}}
        caller.data("PUT", f"/api/v2/tenants/{key['tenant_id']}", open_to_all)
    body = {"user_id": "guest", "agent_id": key["agent_id"], "agent_type": "human"}
    with httpx.Client(base_url=site.nginx.url, verify=site.tls(), timeout=PATIENCE) as world:
        answer = world.post(f"{CHAT}/sessions", json=body)
    assert answer.status_code == 200, answer.text
    begun = answer.json()
    assert begun["is_guest"] is True
    return begun["session_id"], begun["token"]


def administrator(site: Site) -> str:
    """An access token of somebody who may answer anybody, from the second machine."""
    said = succeeds(
        "create-admin", "root", instance=site.folder / "0" / "instance",
        DATABASE_URL=site.database_url, MAIMCONFIG_SECRET_KEY=MASTER_SECRET,
    )  # fmt: skip
    body = {"username": "root", "password": said.splitlines()[-1].rpartition(": ")[2]}
    answer = httpx.post(f"http://{site.machines[1].public}{AUTH}/login", json=body)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def test_machine_killed(
    site: Site, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """A machine is killed under load, started again, and then the other: callers of nginx get 503
    for what was under way at most, and all that was acknowledged is there."""
    scene = Scene(site.machines[0].web.internal, f"http://{site.machines[0].public}")
    with Load(scene, [(None, site.nginx.url)], CLIENTS, verify=site.tls()) as load:
        for machine in site.machines:
            spend(load)
            machine.kill()
            spend(load)
            machine.start()
            served = machine.web.log.count(CHAT)
            eventually(lambda machine=machine, served=served: machine.web.log.count(CHAT) > served)
    record_testsuite_property("machine killed", load.told())
    assert load.faults == []
    assert not load.lost
    assert load.answers[0, 503, "SYS_002"] <= len(site.machines) * 2 * CLIENTS
    assert missing(site.database_url, load) == []
    assert miscounted(site.database_url, load) == []


def spend(load: Load) -> None:
    """Let a quarter of the time pass, and in any case until some more was answered well."""
    goal = load.successes(0) + 50
    time.sleep(SECONDS / 4)
    eventually(lambda: load.successes(0) >= goal)
