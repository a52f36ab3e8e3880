"""/api/v2/auth"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import time_machine

from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.setting_types import database_url
from maimconfig.settings import Settings
from tests import factories
from tests.api import Api

PARSE = "/api/v2/auth/parse-api-key"
VALIDATE = "/api/v2/auth/validate-api-key"
PERMISSION = "/api/v2/auth/check-permission"
SAMPLE = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="
NOW = "2036-11-23T08:00:00Z"


def validate(api: Api, key: dict[str, Any], **body: Any) -> Any:
    """The answer to a check of a key."""
    return api.post(VALIDATE, {"api_key": key["api_key"], **body})


def check(api: Api, key: dict[str, Any], permission: str = "chat") -> Any:
    """The answer to a check of a permission."""
    return api.post(PERMISSION, {"api_key": key["api_key"], "permission": permission})


class TestParse:
    @pytest.mark.parametrize(
        "key", [SAMPLE, "mmc_tenant_xyz789_agent_pqr345_8f8a9b2c3d_v1"], ids=["coded", "plain"]
    )
    def test_sample(self, key: str, api: Api) -> None:
        """The contract's sample key, and its older unencoded form, are taken apart."""
        assert api.data(api.post(PARSE, {"api_key": key})) == {
            "tenant_id": "tenant_xyz789",
            "agent_id": "agent_pqr345",
            "random_hash": "8f8a9b2c3d",
            "version": "v1",
            "format_valid": True,
        }

    @pytest.mark.parametrize(
        "key", ["", "x", SAMPLE[:-1], f"{SAMPLE} ", "密钥", "mmc_" + "A" * 10**5]
    )
    def test_malformed(self, key: str, api: Api) -> None:
        """What isn't a key is 400 AUTH_001, and is not repeated."""
        answer = api.post(PARSE, {"api_key": key})
        api.error(answer, 400, "AUTH_001")
        assert len(answer.data) < 500


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PARSE, {}, "api_key"),
        (PARSE, {"api_key": None}, "api_key"),
        (PARSE, {"api_key": 5}, "api_key"),
        (VALIDATE, {"required_permission": "chat"}, "api_key"),
        (VALIDATE, {"api_key": SAMPLE, "required_permission": ""}, "required_permission"),
        (VALIDATE, {"api_key": SAMPLE, "required_permission": ["chat"]}, "required_permission"),
        (VALIDATE, {"api_key": SAMPLE, "check_rate_limit": "true"}, "check_rate_limit"),
        (VALIDATE, {"api_key": SAMPLE, "check_rate_limit": 1}, "check_rate_limit"),
        (VALIDATE, {"api_key": SAMPLE, "permission": "chat"}, "permission"),
        (PERMISSION, {"api_key": SAMPLE}, "permission"),
        (PERMISSION, {"api_key": SAMPLE, "permission": None}, "permission"),
        (PERMISSION, {"api_key": SAMPLE, "permission": "x" * 65}, "permission"),
    ],
)
def test_wrong_body(path: str, body: dict[str, Any], field: str, api: Api) -> None:
    """A body that fails validation is 422 with the field."""
    error = api.error(api.post(path, body), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [field]


class TestValidate:
    def test_all_fields(self, api: Api) -> None:
        """A good key is answered with its tenant, agent and permissions."""
        key = factories.api_key(api, permissions=["chat", "config_read"])
        answer = validate(api, key, required_permission="chat", check_rate_limit=True)
        assert api.data(answer) == {
            "valid": True,
            "tenant_id": key["tenant_id"],
            "agent_id": key["agent_id"],
            "api_key_id": key["id"],
            "permissions": ["chat", "config_read"],
            "has_permission": True,
            "status": "active",
        }
        assert answer.get_json()["tenant_id"] == key["tenant_id"]

    @pytest.mark.parametrize(
        ("wanted", "has"),
        [("chat", True), ("analytics", False), ("*", False), ("Chat", False), (None, True)],
    )
    def test_permission(self, wanted: str | None, has: bool, api: Api) -> None:
        """A missing permission is no refusal: 200 with has_permission false."""
        key = factories.api_key(api, permissions=["chat"])
        found = api.data(validate(api, key, required_permission=wanted))
        assert (found["valid"], found["has_permission"]) == (True, has)

    def test_null_is_the_default(self, api: Api, runtime: Runtime) -> None:
        """Optional fields may be null: the call counts then."""
        key = factories.api_key(api)
        api.data(validate(api, key, required_permission=None, check_rate_limit=None))
        runtime.background.flush()
        assert api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"] == 1


class TestPermission:
    def test_all_fields(self, api: Api) -> None:
        """Whether a key has a permission is told with all that it has."""
        key = factories.api_key(api, permissions=["chat", "own"])
        assert api.data(check(api, key, "own")) == {
            "has_permission": True,
            "permission": "own",
            "all_permissions": ["chat", "own"],
            "tenant_id": key["tenant_id"],
            "agent_id": key["agent_id"],
            "api_key_status": "active",
        }

    @pytest.mark.parametrize(
        ("held", "wanted", "has"),
        [
            ([], "chat", False),
            (["chat"], "chat", True),
            (["chat"], "chat2", False),
            (["chat"], "cha", False),
            (["*"], "chat", True),
            (["*"], "anything:at.all-9", True),
            (["support"], "config_read", True),
            (["support"], "support", True),
            (["support"], "config_write", False),
            (["everything"], "config_write", True),
            (["nested"], "config_read", False),
            (["none"], "chat", False),
        ],
    )
    def test_groups(self, held: list[str], wanted: str, has: bool, api: Api) -> None:
        """* is all; a group stands for its members, one level deep."""
        key = factories.api_key(api, permissions=held)
        groups = {
            "support": ["chat", "config_read"],
            "everything": ["*"],
            "nested": ["support"],
            "none": [],
        }
        path = f"/api/v2/tenants/{key['tenant_id']}/permission-groups"
        api.data(api.put(path, {"groups": groups}))
        assert api.data(check(api, key, wanted))["has_permission"] is has
        answer = validate(api, key, required_permission=wanted)
        assert api.data(answer)["has_permission"] is has

    def test_members_are_listed(self, api: Api) -> None:
        """all_permissions has a group's name and its members, each once."""
        key = factories.api_key(api, permissions=["chat", "support", "own"])
        path = f"/api/v2/tenants/{key['tenant_id']}/permission-groups"
        api.data(api.put(path, {"groups": {"support": ["chat", "config_read"]}}))
        found = api.data(check(api, key))["all_permissions"]
        assert found == ["chat", "support", "config_read", "own"]


# Each fault with what refuses it, in the contract's order; a key with several gives the first.
FAULTS = {
    "disabled": (401, "AUTH_004"),
    "expired": (401, "AUTH_002"),
    "tenant": (403, "TENANT_003"),
    "agent": (403, "AGENT_005"),
    "address": (403, "AUTH_009"),
    "rate": (429, "RATE_001"),
}


class TestOrder:
    @pytest.fixture
    def broken(self, api: Api) -> Callable[[list[str]], dict[str, Any]]:
        """Makes a key with faults."""

        def make(faults: list[str]) -> dict[str, Any]:
            key = factories.api_key(api)
            path = f"/api/v2/api-keys/{key['id']}"
            if "rate" in faults:
                api.data(api.put(path, {"rate_limit": {"limit": 1, "window_seconds": 60}}))
                api.data(validate(api, key))
            changes = {
                "disabled": (path, {"status": "disabled"}),
                "expired": (path, {"status": "expired"}),
                "address": (path, {"allowed_ips": ["203.0.113.7"]}),
                "agent": (f"/api/v2/agents/{key['agent_id']}", {"status": "archived"}),
                "tenant": (f"/api/v2/tenants/{key['tenant_id']}", {"status": "suspended"}),
            }
            for fault, (where, change) in changes.items():
                if fault in faults:
                    api.data(api.put(where, change))
            return key

        return make

    @pytest.mark.parametrize("fault", FAULTS)
    def test_alone(self, fault: str, broken: Callable[..., Any], api: Api) -> None:
        """Each fault alone has its own refusal."""
        api.error(validate(api, broken([fault])), *FAULTS[fault])

    @pytest.mark.parametrize("first", FAULTS)
    def test_first_wins(self, first: str, broken: Callable[..., Any], api: Api) -> None:
        """A key with this fault and all later ones is refused for this one."""
        order = list(FAULTS)
        key = broken(order[order.index(first) :])
        api.error(validate(api, key), *FAULTS[first])
        if first != "rate":
            api.error(check(api, key), *FAULTS[first])

    def test_format_before_all(self, broken: Callable[..., Any], api: Api) -> None:
        """A malformed key is 400 AUTH_001, an unknown one 401 AUTH_005."""
        key = broken(["disabled"])
        for call in (validate, check):
            api.error(call(api, {"api_key": key["api_key"][:-1]}), 400, "AUTH_001")
            api.error(call(api, {"api_key": SAMPLE}), 401, "AUTH_005")

    def test_known_parts_are_not_enough(self, api: Api) -> None:
        """A key with the ids of a real one and another secret is unknown."""
        key = factories.api_key(api)
        forged = f"mmc_{key['tenant_id']}_{key['agent_id']}_{'0' * 32}_v1"
        api.error(validate(api, {"api_key": forged}), 401, "AUTH_005")

    def test_challenge(self, api: Api) -> None:
        """A 401 says how to authenticate."""
        answer = validate(api, {"api_key": SAMPLE})
        assert answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize("status", ["inactive", "suspended"])
    def test_tenant(self, status: str, api: Api) -> None:
        """The keys of a tenant that isn't active don't validate, until it is."""
        key = factories.api_key(api)
        path = f"/api/v2/tenants/{key['tenant_id']}"
        api.data(api.put(path, {"status": status}))
        api.error(validate(api, key), 403, "TENANT_003")
        api.error(check(api, key), 403, "TENANT_003")
        api.data(api.put(path, {"status": "active"}))
        api.data(validate(api, key))


class TestCounting:
    def count(self, api: Api, runtime: Runtime, key: dict[str, Any]) -> int:
        """usage_count, once all that is counted is written."""
        runtime.background.flush()
        return api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"]

    def test_each_call(self, api: Api, runtime: Runtime) -> None:
        """Each successful validation counts one, whether the permission is there or not."""
        key = factories.api_key(api)
        for wanted in ("chat", "analytics", None):
            api.data(validate(api, key, required_permission=wanted))
        assert self.count(api, runtime, key) == 3

    def test_not_counted(self, api: Api, runtime: Runtime) -> None:
        """check_rate_limit false, check-permission and parse count nothing."""
        key = factories.api_key(api)
        api.data(validate(api, key, check_rate_limit=False))
        api.data(check(api, key))
        api.data(api.post(PARSE, {"api_key": key["api_key"]}))
        assert self.count(api, runtime, key) == 0

    def test_refusals_are_not_counted(self, api: Api, runtime: Runtime) -> None:
        """A call that is refused counts nothing."""
        key = factories.api_key(api, rate_limit={"limit": 1, "window_seconds": 60})
        api.data(validate(api, key))
        api.error(validate(api, key), 429, "RATE_001")
        api.data(api.post(f"/api/v2/api-keys/{key['id']}/disable"))
        api.error(validate(api, key), 401, "AUTH_004")
        assert self.count(api, runtime, key) == 1

    @time_machine.travel(NOW, tick=False)
    def test_last_used(self, api: Api, runtime: Runtime) -> None:
        """last_used_at follows, and a use doesn't change updated_at."""
        key = factories.api_key(api)
        with time_machine.travel("2036-11-23T09:00:00.5Z", tick=False):
            api.data(validate(api, key))
        assert self.count(api, runtime, key) == 1
        found = api.data(api.get(f"/api/v2/api-keys/{key['id']}"))
        assert found["last_used_at"] == "2036-11-23T09:00:00.500000Z"
        assert found["updated_at"] == NOW

    def test_written_by_itself(self, api: Api) -> None:
        """A count is written soon, without anybody asking for it."""
        key = factories.api_key(api)
        api.data(validate(api, key))
        deadline = time.monotonic() + 10
        while not api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"]:
            assert time.monotonic() < deadline, "the count was not written"
            time.sleep(0.05)

    def test_written_at_the_end(self, api: Api, settings: Settings) -> None:
        """What a process counted is written when it ends in good order."""
        key = factories.api_key(api)
        with another(settings) as (other, _):
            for _ in range(3):
                other.data(validate(other, key))
        assert api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"] == 3

    def test_deleted_key(self, api: Api, runtime: Runtime) -> None:
        """A count of a key that is gone is dropped, and others are written all the same."""
        gone, kept = factories.api_key(api), factories.api_key(api)
        api.data(validate(api, gone))
        api.data(validate(api, kept))
        api.data(api.delete(f"/api/v2/api-keys/{gone['id']}"))
        assert self.count(api, runtime, kept) == 1


@contextmanager
def another(settings: Settings) -> Iterator[tuple[Api, Runtime]]:
    """Another process of the same service, as far as state goes."""
    with closing(Runtime.open(settings)) as runtime:
        yield Api(create_app("internal", runtime)), runtime


class TestAddresses:
    def test_caller(self, api: Api) -> None:
        """Without a client_ip the caller itself must be allowed."""
        inside = factories.api_key(api, allowed_ips=["127.0.0.0/8"])
        outside = factories.api_key(api, allowed_ips=["10.0.0.0/8"])
        api.data(validate(api, inside))
        api.error(validate(api, outside), 403, "AUTH_009")

    @pytest.mark.parametrize(
        ("client_ip", "status"),
        [("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("127.0.0.1", 403), ("unknown", 403)],
    )
    def test_client_ip(self, client_ip: str, status: int, api: Api) -> None:
        """client_ip tells who uses the key."""
        key = factories.api_key(api, allowed_ips=["10.0.0.0/8"])
        assert validate(api, key, client_ip=client_ip).status_code == status

    def test_any(self, api: Api) -> None:
        """A key without a list may be used from anywhere."""
        api.data(validate(api, factories.api_key(api), client_ip="8.8.8.8"))

    @pytest.mark.parametrize("trusted", [True, False])
    def test_forwarded(self, trusted: bool, api_with: Callable[..., Api]) -> None:
        """X-Forwarded-For counts behind a trusted proxy, and nowhere else."""
        proxies = (ipaddress.ip_network("127.0.0.1"),) if trusted else ()
        api = api_with(trusted_proxies=proxies)
        key = factories.api_key(api, allowed_ips=["10.0.0.0/8"])
        body = {"api_key": key["api_key"]}
        forwarded = {"X-Forwarded-For": "203.0.113.1, 10.1.2.3", "X-Real-IP": "10.1.2.3"}
        answer = api.post(VALIDATE, body, headers=forwarded)
        assert answer.status_code == (200 if trusted else 403)

    def test_takes_effect_at_once(self, api: Api) -> None:
        """The next check sees a changed list."""
        key = factories.api_key(api)
        api.data(validate(api, key))
        api.data(api.put(f"/api/v2/api-keys/{key['id']}", {"allowed_ips": ["10.0.0.1"]}))
        api.error(validate(api, key), 403, "AUTH_009")


class TestRateLimit:
    def limited(self, api: Api, limit: int = 2, window_seconds: int = 60) -> dict[str, Any]:
        """A key with a rate limit."""
        rate_limit = {"limit": limit, "window_seconds": window_seconds}
        return factories.api_key(api, rate_limit=rate_limit)

    @staticmethod
    def headers(answer: Any) -> tuple[str | None, ...]:
        """Limit, Remaining, Reset and Retry-After of an answer."""
        names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After")
        return tuple(answer.headers.get(name) for name in names)

    def test_headers(self, api: Api) -> None:
        """Each answer tells limit, remaining and reset, the refusal also when to come again."""
        with time_machine.travel(NOW, tick=False) as clock:
            key = self.limited(api)
            first = validate(api, key)
            assert api.data(first)["rate_limit"] == {"limit": 2, "remaining": 1, "reset": 60}
            assert self.headers(first) == ("2", "1", "60", None)
            clock.shift(20.5)
            second = validate(api, key)
            assert api.data(second)["rate_limit"] == {"limit": 2, "remaining": 0, "reset": 40}
            assert self.headers(second) == ("2", "0", "40", None)
            clock.shift(20)
            refused = validate(api, key)
            api.error(refused, 429, "RATE_001")
            assert self.headers(refused) == ("2", "0", "20", "20")

    def test_window_restarts(self, api: Api) -> None:
        """A window begins with its first call and ends after its seconds, then another begins."""
        with time_machine.travel(NOW, tick=False) as clock:
            key = self.limited(api, limit=1)
            api.data(validate(api, key))
            clock.shift(59.999999)
            api.error(validate(api, key), 429, "RATE_001")
            clock.shift(0.000001)
            fresh = api.data(validate(api, key))["rate_limit"]
            assert fresh == {"limit": 1, "remaining": 0, "reset": 60}
            clock.shift(30)
            api.error(validate(api, key), 429, "RATE_001")

    @time_machine.travel(NOW, tick=False)
    def test_refusals_use_nothing_up(self, api: Api) -> None:
        """Calls over the limit don't prolong it."""
        key = self.limited(api, limit=1)
        api.data(validate(api, key))
        for _ in range(3):
            api.error(validate(api, key), 429, "RATE_001")
        with time_machine.travel("2036-11-23T08:01:00Z", tick=False):
            api.data(validate(api, key))

    @time_machine.travel(NOW, tick=False)
    def test_looking_uses_nothing_up(self, api: Api) -> None:
        """check_rate_limit false tells what is left and takes nothing, over the limit too."""
        key = self.limited(api, limit=1)
        looked = validate(api, key, check_rate_limit=False)
        assert api.data(looked)["rate_limit"] == {"limit": 1, "remaining": 1, "reset": 60}
        api.data(validate(api, key))
        looked = validate(api, key, check_rate_limit=False)
        assert api.data(looked)["rate_limit"] == {"limit": 1, "remaining": 0, "reset": 60}
        api.data(check(api, key))

    @time_machine.travel(NOW, tick=False)
    def test_changed_limit(self, api: Api) -> None:
        """A changed limit holds from the next call on, a limit taken away no more."""
        key = self.limited(api, limit=1)
        path = f"/api/v2/api-keys/{key['id']}"
        api.data(validate(api, key))
        api.error(validate(api, key), 429, "RATE_001")
        api.data(api.put(path, {"rate_limit": {"limit": 3, "window_seconds": 60}}))
        assert api.data(validate(api, key))["rate_limit"]["remaining"] == 1
        api.data(api.put(path, {"rate_limit": None}))
        answer = validate(api, key)
        assert "rate_limit" not in api.data(answer)
        assert self.headers(answer) == (None,) * 4

    @time_machine.travel(NOW, tick=False)
    def test_of_each_key(self, api: Api) -> None:
        """Each key has its own limit; a rotated one keeps what it used up."""
        one, two = self.limited(api, limit=1), self.limited(api, limit=1)
        api.data(validate(api, one))
        api.data(validate(api, two))
        rotated = api.data(api.post(f"/api/v2/api-keys/{one['id']}/rotate", {}))
        api.error(validate(api, rotated), 429, "RATE_001")


class TestNothingIsCached:
    """What changed through one process is seen by the very next call of another."""

    @pytest.mark.parametrize(
        ("method", "path", "body", "refusal"),
        [
            ("POST", "/api/v2/api-keys/{id}/disable", None, (401, "AUTH_004")),
            ("PUT", "/api/v2/api-keys/{id}", {"status": "expired"}, (401, "AUTH_002")),
            ("POST", "/api/v2/api-keys/{id}/rotate", {}, (401, "AUTH_005")),
            ("DELETE", "/api/v2/api-keys/{id}", None, (401, "AUTH_005")),
            ("PUT", "/api/v2/agents/{agent_id}", {"status": "inactive"}, (403, "AGENT_005")),
            ("DELETE", "/api/v2/agents/{agent_id}", None, (401, "AUTH_005")),
            ("PUT", "/api/v2/tenants/{tenant_id}", {"status": "suspended"}, (403, "TENANT_003")),
            ("DELETE", "/api/v2/tenants/{tenant_id}", None, (401, "AUTH_005")),
        ],
    )
    def test_refused(
        self,
        method: str,
        path: str,
        body: Any,
        refusal: tuple[int, str],
        api: Api,
        api_with: Callable[..., Api],
    ) -> None:
        """A key that another process has used a moment ago is refused."""
        other = api_with()
        key = factories.api_key(api)
        other.data(validate(other, key))
        answer = api.call(method, path.format(**key), json=body)
        assert answer.status_code == 200
        other.error(validate(other, key), *refusal)
        other.error(check(other, key), *refusal)

    def test_rotation_with_grace(self, api: Api, api_with: Callable[..., Api]) -> None:
        """Another process takes the new secret at once, and the old one for its grace."""
        other = api_with()
        key = factories.api_key(api)
        other.data(validate(other, key))
        path = f"/api/v2/api-keys/{key['id']}/rotate"
        rotated = api.data(api.post(path, {"grace_seconds": 60}))
        for one in (key, rotated):
            other.data(validate(other, one))

    def test_counts_of_several(self, api: Api, runtime: Runtime, settings: Settings) -> None:
        """The counts of several processes add up, and the limit is shared."""
        key = factories.api_key(api, rate_limit={"limit": 3, "window_seconds": 3600})
        with another(settings) as (other, its_runtime):
            for one in (api, other, api):
                one.data(validate(one, key))
            other.error(validate(other, key), 429, "RATE_001")
            for process in (runtime, its_runtime):
                process.background.flush()
        assert api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"] == 3


def test_no_key_in_errors(api: Api) -> None:
    """No refusal repeats the key that was sent."""
    key = factories.api_key(api)
    api.data(api.post(f"/api/v2/api-keys/{key['id']}/disable"))
    for call in (validate, check):
        assert key["api_key"] not in call(api, key).get_data(as_text=True)


@pytest.mark.parametrize("path", [VALIDATE, PERMISSION])
def test_database_away(path: str, api_with: Callable[..., Api]) -> None:
    """Without its database a check is 503 SYS_002, and says when to come again."""
    api = api_with(database_url=database_url("mysql://nobody@127.0.0.1:1/none"))
    body = {"api_key": SAMPLE, **({"permission": "chat"} if path == PERMISSION else {})}
    answer = api.post(path, body)
    api.error(answer, 503, "SYS_002")
    assert int(answer.headers["Retry-After"]) > 0
