"""Key checks at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.runtime import Runtime
from tests import factories
from tests.api import Api
from tests.parallel import at_once, codes, delete, post, statuses

VALIDATE = "/api/v2/auth/validate-api-key"


def used(api: Api, runtime: Runtime, key: dict[str, Any]) -> int:
    """usage_count, once all that is counted is written."""
    runtime.background.flush()
    return api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"]


def test_rate_limit(api: Api, runtime: Runtime) -> None:
    """Of 200 validations at the same time of a key limited to 50 exactly 50 succeed."""
    key = factories.api_key(api, rate_limit={"limit": 50, "window_seconds": 3600})
    calls = [post(VALIDATE, {"api_key": key["api_key"]})] * 200
    answers = at_once(api, calls, threads=20)
    assert statuses(answers) == {200: 50, 429: 150}
    assert codes(answers) == {"RATE_001"}
    assert used(api, runtime, key) == 50


def test_counting(api: Api, runtime: Runtime) -> None:
    """8 threads that use two keys while counts are written: each count is exact."""
    keys = [factories.api_key(api) for _ in range(2)]
    calls = [post(VALIDATE, {"api_key": key["api_key"]}) for key in keys] * 200
    assert statuses(at_once(api, calls, threads=8)) == {200: 400}
    assert [used(api, runtime, key) for key in keys] == [200, 200]


def test_deleted_meanwhile(api: Api) -> None:
    """While a key is deleted its checks succeed or find it unknown."""
    key = factories.api_key(api, rate_limit={"limit": 1000, "window_seconds": 3600})
    calls = [post(VALIDATE, {"api_key": key["api_key"]})] * 40
    calls.insert(10, delete(f"/api/v2/api-keys/{key['id']}"))
    answers = at_once(api, calls, threads=8)
    assert set(statuses(answers)) == {200, 401}
    assert codes(answers) == {"AUTH_005"}


@pytest.mark.parametrize("number", [1, 1200])
def test_many_keys(number: int, api: Api, runtime: Runtime) -> None:
    """Counts of any number of keys are written, also of ones that are gone."""
    key = factories.api_key(api)
    for other in range(number):
        runtime.key_usage.add(f"key_gone{other}")
    runtime.key_usage.add(key["id"], times=5)
    assert used(api, runtime, key) == 5
