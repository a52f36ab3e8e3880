"""Idempotency-Key: a creation that is sent again answers what it answered first, once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from maimconfig import clock
from maimconfig.http import idempotency
from maimconfig.http.idempotency import IdempotentAnswer
from maimconfig.runtime import Runtime
from tests import factories, parallel
from tests.api import Api

TENANTS = "/api/v2/tenants"
BODY = {"tenant_name": "once", "tenant_type": "personal"}


def create(api: Api, key: str, body: Any = BODY, path: str = TENANTS, **headers: str) -> Any:
    """Create something under an Idempotency-Key."""
    return api.post(path, body, headers={"Idempotency-Key": key, **headers})


def total(api: Api) -> int:
    """How many tenants there are."""
    return api.data(api.get(TENANTS))["pagination"]["total"]


def stored(runtime: Runtime) -> list[IdempotentAnswer]:
    """The answers that are kept."""
    return list(runtime.read(lambda session: session.scalars(select(IdempotentAnswer)).all()))


def test_the_same_answer_once(api: Api) -> None:
    """The same key and body give the first answer to the letter, and make one object."""
    first, again = create(api, "k"), create(api, "k")
    assert again.data == first.data
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert total(api) == 1


def test_the_same_body_written_differently(api: Api) -> None:
    """Blanks and the order of keys don't make another body."""
    first = create(api, "k")
    reordered = b'{ "tenant_type" : "personal",\n"tenant_name":"\\u006fnce" }'
    again = api.post(
        TENANTS,
        data=reordered,
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    assert again.data == first.data


@pytest.mark.parametrize(
    "change", [{"description": None}, {"description": "x"}, {"tenant_name": "b"}]
)
def test_another_body(api: Api, change: dict[str, Any]) -> None:
    """The same key with another body is 422 and makes nothing."""
    create(api, "k")
    api.error(create(api, "k", {**BODY, **change}), 422, "IDEMPOTENCY_001")
    assert total(api) == 1


def test_1_and_1_0_are_two_bodies(api: Api) -> None:
    """Bodies are compared with their types."""
    create(api, "k", {**BODY, "tenant_config": {"n": 1}})
    for other in (1.0, True, "1"):
        again = create(api, "k", {**BODY, "tenant_config": {"n": other}})
        api.error(again, 422, "IDEMPOTENCY_001")


def test_another_path(api: Api) -> None:
    """The same key on another path, or with another query, is 422."""
    agent = factories.agent(api)
    clone = f"/api/v2/agents/{agent['id']}/clone"
    api.data(create(api, "k", {"name": "a clone"}, clone))
    other = factories.agent(api)
    for path in (f"/api/v2/agents/{other['id']}/clone", f"{clone}?x=1"):
        api.error(create(api, "k", {"name": "a clone"}, path), 422, "IDEMPOTENCY_001")


def test_another_key(api: Api) -> None:
    """Another key is another creation: the name is taken."""
    create(api, "k")
    for other in ("K", "k2", "ｋ".encode().decode("latin1")):
        api.error(create(api, other), 409, "TENANT_002")


def test_after_a_day(api: Api) -> None:
    """After 24 hours the key may be used again, for anything."""
    with time_machine.travel(clock.now(), tick=False) as now:
        create(api, "k")
        now.shift(timedelta(hours=24))
        assert create(api, "k").headers["Idempotency-Replayed"] == "true"
        now.shift(timedelta(seconds=1))
        api.data(create(api, "k", {**BODY, "tenant_name": "other"}))
    assert total(api) == 2


def test_forgotten(api: Api, runtime: Runtime) -> None:
    """Tidying up deletes what is older than a day, and nothing else."""
    with time_machine.travel(clock.now() - timedelta(hours=25), tick=False):
        create(api, "old")
    create(api, "new", {**BODY, "tenant_name": "new"})
    assert runtime.write(idempotency.forget_expired) == 1
    assert len(stored(runtime)) == 1
    assert create(api, "new", {**BODY, "tenant_name": "new"}).headers["Idempotency-Replayed"]


def test_an_error_is_not_stored(api: Api, runtime: Runtime) -> None:
    """After an error the key is free: the creation may be mended and sent again."""
    api.error(create(api, "k", {"tenant_name": "once"}), 422, "VALIDATION_ERROR")
    api.error(create(api, "k", {**BODY, "tenant_type": "x"}), 422, "TENANT_004")
    factories.tenant(api, tenant_name="taken")
    api.error(create(api, "k", {**BODY, "tenant_name": "taken"}), 409, "TENANT_002")
    assert stored(runtime) == []
    assert api.data(create(api, "k"))["tenant_name"] == "once"


def test_broken_bodies(api: Api, runtime: Runtime) -> None:
    """A body that can't be read is refused as it is without a key."""
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    for body, status in ((b"{", 400), (b"[" * 1000, 400), (b'{"a": "\\u0000"}', 422), (b"", 422)):
        assert api.post(TENANTS, data=body, headers=headers).status_code == status
    assert stored(runtime) == []


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 10_000])
def test_length(api: Api, key: str) -> None:
    """A key of no or of more than 255 characters is 422."""
    refused = api.error(create(api, key), 422, "VALIDATION_ERROR")
    assert refused["details"] == {"Idempotency-Key": ["长度必须在1到255之间"]}
    assert total(api) == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b/c'\"%_", "\xe9\xff"])
def test_any_characters(api: Api, key: str) -> None:
    """Any characters that a header may hold are fine."""
    assert create(api, key).data == create(api, key).data


def test_encrypted_at_rest(api: Api, runtime: Runtime) -> None:
    """The stored answer tells nothing: neither its object nor the key under which it is stored."""
    owner = factories.agent(api)
    body = {"tenant_id": owner["tenant_id"], "agent_id": owner["id"], "name": "a name of its own"}
    made = api.data(create(api, "a key of its own", body, "/api/v2/api-keys"))
    (kept,) = stored(runtime)
    row = json.dumps([kept.key_hash, kept.fingerprint, kept.body])
    for plain in (made["api_key"], made["id"], "a name of its own", "a key of its own"):
        assert plain not in row
    again = api.data(create(api, "a key of its own", body, "/api/v2/api-keys"))
    assert again["api_key"] == made["api_key"]


def test_two_at_once(api: Api) -> None:
    """Of creations at once under one key one runs, and all get its answer."""
    call = parallel.post(TENANTS, BODY, headers={"Idempotency-Key": "k"})
    answers = parallel.at_once(api, [call] * 8)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert [("Idempotency-Replayed" in answer.headers) for answer in answers].count(False) == 1
    assert total(api) == 1


def test_two_at_once_with_other_bodies(api: Api) -> None:
    """Of different creations at once under one key one runs, and the others are refused."""
    calls = [
        parallel.post(
            TENANTS, {**BODY, "tenant_name": f"t{number}"}, headers={"Idempotency-Key": "k"}
        )
        for number in range(6)
    ]
    answers = parallel.at_once(api, calls)
    assert parallel.statuses(answers) == {200: 1, 422: 5}
    assert parallel.codes(answers) == {"IDEMPOTENCY_001"}
    assert total(api) == 1


def test_the_first_fails(api: Api, runtime: Runtime) -> None:
    """Whoever waits for a creation that fails takes its place, and none is told of the locks."""
    factories.tenant(api, tenant_name="taken")
    for round_ in range(10):
        headers = {"Idempotency-Key": f"k{round_}"}
        failing = parallel.post(TENANTS, {**BODY, "tenant_name": "taken"}, headers=headers)
        good = parallel.post(TENANTS, {**BODY, "tenant_name": f"t{round_}"}, headers=headers)
        found = parallel.statuses(parallel.at_once(api, [failing, good, failing, good]))
        # A failing one before a good one meets the name, and after it another body.
        assert found.pop(200) == 2
        assert set(found) <= {409, 422}
    assert total(api) == 11
    assert len(stored(runtime)) == 10


def test_what_creates_nothing_takes_no_key(api: Api, runtime: Runtime) -> None:
    """A key on what isn't a creation is not stored."""
    made = factories.tenant(api)
    api.put(f"{TENANTS}/{made['id']}", {}, headers={"Idempotency-Key": "k"})
    api.get(TENANTS, headers={"Idempotency-Key": "k"})
    assert stored(runtime) == []
