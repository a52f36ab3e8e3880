"""/api/v2/api-keys"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from sqlalchemy import text

from maimconfig.api_keys import format as key_format
from maimconfig.runtime import Runtime
from tests import factories
from tests.api import Api

URL = "/api/v2/api-keys"
NOW = "2036-11-23T08:00:00Z"
FULL = {
    "name": "生产密钥",
    "description": "给前端",
    "permissions": ["chat", "config_read", "own.thing:1", "*"],
    "expires_at": "2036-12-24T18:30:00.5+02:00",
    "rate_limit": {"limit": 100, "window_seconds": 60},
    "allowed_ips": ["203.0.113.7", "10.0.0.0/8", "2001:db8::/32"],
}


def of(agent: dict[str, Any], **body: Any) -> dict[str, Any]:
    """The body of a key's creation."""
    return {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "name": "k", **body}


def names(api: Api, tenant_id: str, **query: Any) -> list[str]:
    """The names on the first page of a tenant's keys."""
    answer = api.get(URL, query_string={"tenant_id": tenant_id, **query})
    return [item["name"] for item in api.data(answer)["items"]]


def check(api: Api, api_key: str) -> tuple[int, str | None]:
    """Status and code of a key check."""
    answer = api.post("/api/v2/auth/validate-api-key", {"api_key": api_key})
    return answer.status_code, answer.get_json().get("error_code")


class TestCreate:
    @time_machine.travel(NOW, tick=False)
    def test_all_fields(self, api: Api) -> None:
        """A key is answered with everything that was sent, and the full key."""
        agent = factories.agent(api)
        made = api.data(api.post(URL, of(agent, **FULL)))
        assert made == {
            **FULL,
            "id": made["id"],
            "api_key_id": made["id"],
            "tenant_id": agent["tenant_id"],
            "agent_id": agent["id"],
            "api_key": made["api_key"],
            "status": "active",
            "expires_at": "2036-12-24T16:30:00.500000Z",
            "last_used_at": None,
            "usage_count": 0,
            "created_at": NOW,
            "updated_at": NOW,
        }
        assert made["id"].startswith("key_")
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    def test_key_parses(self, api: Api) -> None:
        """The key tells its tenant and its agent."""
        made = factories.api_key(api)
        parsed = key_format.parse(made["api_key"])
        assert parsed is not None
        assert parsed[:2] == (made["tenant_id"], made["agent_id"])

    @pytest.mark.parametrize("null", [{}, dict.fromkeys(FULL.keys() - {"name"})])
    def test_optional_fields(self, null: dict[str, None], api: Api) -> None:
        """Optional fields may be omitted or null: no permission, no expiry, no limit, any
        address."""
        made = api.data(api.post(URL, of(factories.agent(api), **null)))
        assert (made["permissions"], made["allowed_ips"]) == ([], [])
        nothing = [made[name] for name in ("description", "expires_at", "rate_limit")]
        assert nothing == [None] * 3

    @pytest.mark.parametrize("field", ["tenant_id", "agent_id", "name"])
    @pytest.mark.parametrize("missing", [True, False])
    def test_required_fields(self, field: str, missing: bool, api: Api) -> None:
        """Tenant, agent and name can be neither omitted nor null."""
        body = of(factories.agent(api)) | {field: None}
        if missing:
            del body[field]
        error = api.error(api.post(URL, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value", "path"),
        [
            ("name", " ", "name"),
            ("description", {}, "description"),
            ("permissions", "chat", "permissions"),
            ("permissions", [None], "permissions.0"),
            ("rate_limit", {"limit": 0, "window_seconds": 1}, "rate_limit.limit"),
            ("rate_limit", {"limit": 1, "window_seconds": 0}, "rate_limit.window_seconds"),
            ("rate_limit", {"limit": 1.0, "window_seconds": 1}, "rate_limit.limit"),
            ("rate_limit", {"limit": 1}, "rate_limit.window_seconds"),
            ("rate_limit", {"limit": 1, "window_seconds": 1, "x": 1}, "rate_limit.x"),
            ("rate_limit", {"limit": 10**9 + 1, "window_seconds": 1}, "rate_limit.limit"),
            (
                "rate_limit",
                {"limit": 1, "window_seconds": 366 * 86400 + 1},
                "rate_limit.window_seconds",
            ),
            ("rate_limit", 5, "rate_limit"),
            ("allowed_ips", "10.0.0.1", "allowed_ips"),
            ("allowed_ips", ["10.0.0.1", "10.0.0"], "allowed_ips.1"),
            ("allowed_ips", ["10.0.0.0/33"], "allowed_ips.0"),
            ("allowed_ips", ["example.com"], "allowed_ips.0"),
            ("allowed_ips", [None], "allowed_ips.0"),
            ("allowed_ips", ["10.0.0.1"] * 101, "allowed_ips"),
            ("status", "active", "status"),
            ("api_key", "mmc_x", "api_key"),
        ],
    )
    def test_wrong_fields(self, field: str, value: Any, path: str, api: Api) -> None:
        """A field of the wrong type, size or form is 422 with its path."""
        agent = factories.agent(api)
        error = api.error(api.post(URL, of(agent, **{field: value})), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [path]
        assert names(api, agent["tenant_id"]) == []

    @pytest.mark.parametrize(
        ("permissions", "paths"),
        [
            (["Chat"], ["permissions.0"]),
            (["chat", "", "1a", "a b", "**", "chat\n"], [f"permissions.{i}" for i in range(1, 6)]),
            (["a" * 65], ["permissions.0"]),
            ([f"p{i}" for i in range(101)], ["permissions"]),
        ],
    )
    def test_malformed_permissions(
        self, permissions: list[str], paths: list[str], api: Api
    ) -> None:
        """A permission that can't be is 422 KEY_005 with its path."""
        agent = factories.agent(api)
        error = api.error(api.post(URL, of(agent, permissions=permissions)), 422, "KEY_005")
        assert sorted(error["details"]) == paths

    def test_permissions_once(self, api: Api) -> None:
        """A permission that is sent twice is there once, in the order of the first."""
        made = factories.api_key(api, permissions=["b", "a", "b"])
        assert made["permissions"] == ["b", "a"]

    @pytest.mark.parametrize(
        "expires_at",
        [
            NOW,
            "2036-11-23T07:59:59.999999Z",
            "2036-11-23T09:59:00+02:00",
            "2037-01-01T00:00:00",
            "2037-01-01",
            "2037-13-01T00:00:00Z",
            "tomorrow",
            "",
            2114380800,
            True,
            "9999-12-31T23:59:59-01:00",
        ],
    )
    @time_machine.travel(NOW, tick=False)
    def test_wrong_expiry(self, expires_at: Any, api: Api) -> None:
        """An expiry is a future time with an offset."""
        answer = api.post(URL, of(factories.agent(api), expires_at=expires_at))
        error = api.error(answer, 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["expires_at"]

    @pytest.mark.parametrize(
        ("expires_at", "shown"),
        [
            ("2036-11-23T08:00:00.000001Z", "2036-11-23T08:00:00.000001Z"),
            ("2036-11-23T09:00:00+00:30", "2036-11-23T08:30:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ],
    )
    @time_machine.travel(NOW, tick=False)
    def test_expiry(self, expires_at: str, shown: str, api: Api) -> None:
        """An expiry is shown in UTC, to the microsecond."""
        made = factories.api_key(api, expires_at=expires_at)
        assert made["expires_at"] == shown
        assert api.data(api.get(f"{URL}/{made['id']}"))["expires_at"] == shown

    def test_unknown_tenant(self, api: Api) -> None:
        """An unknown tenant is 404 TENANT_001."""
        body = of(factories.agent(api)) | {"tenant_id": "tenant_nope"}
        api.error(api.post(URL, body), 404, "TENANT_001")

    @pytest.mark.parametrize("foreign", [True, False])
    def test_unknown_agent(self, foreign: bool, api: Api) -> None:
        """An unknown agent, and one of another tenant, is 404 AGENT_001."""
        agent = factories.agent(api)
        other = factories.agent(api)["id"] if foreign else "agent_nope"
        api.error(api.post(URL, of(agent) | {"agent_id": other}), 404, "AGENT_001")

    def test_name_taken(self, api: Api) -> None:
        """A second key of the name in the tenant is 409 KEY_002, also of another agent."""
        agent = factories.agent(api)
        factories.api_key(api, agent, name="k")
        sibling = factories.agent(api, agent["tenant_id"])
        api.error(api.post(URL, of(sibling, name="k ")), 409, "KEY_002")
        assert factories.api_key(api, name="k")["name"] == "k"


class TestReveal:
    @pytest.fixture
    def hidden(self, api_with: Callable[..., Api]) -> Api:
        """A service that shows the full key only in the answer that makes it."""
        return api_with(reveal_api_keys=False)

    def test_shown(self, api: Api) -> None:
        """By default the full key is shown wherever the key is."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}"
        listed = api.data(api.get(URL, query_string={"tenant_id": made["tenant_id"]}))["items"]
        changed = api.data(api.put(path, {}))
        shown = {listed[0]["api_key"], changed["api_key"], api.data(api.get(path))["api_key"]}
        assert shown == {made["api_key"]}

    def test_masked(self, hidden: Api) -> None:
        """Read, listed and changed a key is masked: mmc_dGVu…v1MQ."""
        made = factories.api_key(hidden)
        assert check(hidden, made["api_key"]) == (200, None)
        path = f"{URL}/{made['id']}"
        query = {"tenant_id": made["tenant_id"]}
        listed = hidden.data(hidden.get(URL, query_string=query))["items"]
        changed = hidden.data(hidden.put(path, {"description": "x"}))
        read = hidden.data(hidden.get(path))
        shown = {listed[0]["api_key"], changed["api_key"], read["api_key"]}
        assert shown == {f"{made['api_key'][:8]}…{made['api_key'][-4:]}"}

    def test_nobody_stores(self, api: Api) -> None:
        """An answer that shows a key is stored by no cache on its way, a repeated one neither."""
        agent = factories.agent(api)
        body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "name": "k"}
        once = {"Idempotency-Key": "make-k"}
        made = api.post(URL, body, headers=once)
        path = f"{URL}/{api.data(made)['id']}"
        answers = [
            made,
            api.post(URL, body, headers=once),
            api.get(path),
            api.get(URL, query_string={"tenant_id": agent["tenant_id"]}),
            api.put(path, {"description": "x"}),
            api.post(f"{path}/rotate", {}),
        ]
        assert [answer.headers.get("Cache-Control") for answer in answers] == ["no-store"] * 6

    def test_rotated(self, hidden: Api) -> None:
        """A rotation shows the new key in full, once."""
        made = factories.api_key(hidden)
        rotated = hidden.data(hidden.post(f"{URL}/{made['id']}/rotate", {}))
        assert check(hidden, rotated["api_key"]) == (200, None)
        assert "…" in hidden.data(hidden.get(f"{URL}/{made['id']}"))["api_key"]


class TestChange:
    @time_machine.travel(NOW, tick=False)
    def test_all_fields(self, api: Api) -> None:
        """A change of every field is answered, and read back."""
        made = factories.api_key(api)
        with time_machine.travel("2036-11-24T00:00:00Z", tick=False):
            changed = api.data(api.put(f"{URL}/{made['id']}", {**FULL, "status": "disabled"}))
            assert changed == {
                **made,
                **FULL,
                "status": "disabled",
                "expires_at": "2036-12-24T16:30:00.500000Z",
                "updated_at": "2036-11-24T00:00:00Z",
            }
            assert api.data(api.get(f"{URL}/{made['id']}")) == changed

    @pytest.mark.parametrize("body", [{}, None])
    def test_empty(self, body: Any, api: Api) -> None:
        """An empty body changes nothing and succeeds."""
        made = factories.api_key(api, **FULL)
        assert api.data(api.put(f"{URL}/{made['id']}", body)) == made
        actions = [entry["action"] for entry in factories.audit_entries(api, resource="api_key")]
        assert actions == ["api_key.create"]

    def test_null(self, api: Api) -> None:
        """Null empties what may be empty and leaves the rest as it is."""
        made = factories.api_key(api, **FULL)
        changed = api.data(api.put(f"{URL}/{made['id']}", dict.fromkeys([*FULL, "status"])))
        emptied = dict.fromkeys(("description", "expires_at", "rate_limit"))
        assert changed == {**made, **emptied, "updated_at": changed["updated_at"]}

    def test_lists_can_be_emptied(self, api: Api) -> None:
        """Permissions and addresses are replaced, also by none."""
        made = factories.api_key(api, **FULL)
        body = {"permissions": [], "allowed_ips": []}
        changed = api.data(api.put(f"{URL}/{made['id']}", body))
        assert (changed["permissions"], changed["allowed_ips"]) == ([], [])

    @pytest.mark.parametrize("field", ["tenant_id", "agent_id", "api_key", "usage_count"])
    def test_fixed_fields(self, field: str, api: Api) -> None:
        """What the contract doesn't list can't be changed."""
        made = factories.api_key(api)
        answer = api.put(f"{URL}/{made['id']}", {field: made[field]})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value", "code", "path"),
        [
            ("status", "deleted", "VALIDATION_ERROR", "status"),
            ("expires_at", "2020-01-01T00:00:00Z", "VALIDATION_ERROR", "expires_at"),
            ("permissions", ["chat", "A"], "KEY_005", "permissions.1"),
            ("rate_limit", {}, "VALIDATION_ERROR", "rate_limit.limit"),
            ("allowed_ips", ["x"], "VALIDATION_ERROR", "allowed_ips.0"),
        ],
    )
    def test_wrong_fields(self, field: str, value: Any, code: str, path: str, api: Api) -> None:
        """A wrong field is 422 with its path, and nothing is changed."""
        made = factories.api_key(api)
        answer = api.put(f"{URL}/{made['id']}", {"description": "x", field: value})
        assert path in api.error(answer, 422, code)["details"]
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    def test_name_taken(self, api: Api) -> None:
        """The name of another key of the tenant is 409 KEY_002; its own name is fine."""
        agent = factories.agent(api)
        factories.api_key(api, agent, name="one")
        two = factories.api_key(api, agent, name="two")
        api.error(api.put(f"{URL}/{two['id']}", {"name": "one"}), 409, "KEY_002")
        assert api.data(api.put(f"{URL}/{two['id']}", {"name": "two"})) == two

    def test_if_match(self, api: Api, runtime: Runtime) -> None:
        """A change from an old ETag is refused with 412; a use is no change, though it makes
        another ETag."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}"
        old = {"If-Match": api.get(path).headers["ETag"]}
        assert check(api, made["api_key"]) == (200, None)
        runtime.background.flush()
        used = api.get(path, headers={"If-None-Match": old["If-Match"]})
        assert used.status_code == 200
        api.data(api.put(path, {"description": "1"}, headers=old))
        api.error(api.put(path, {"description": "2"}, headers=old), 412, "PRECONDITION_001")

    def test_permissions_take_effect_at_once(self, api: Api) -> None:
        """The next check sees the permissions of now."""
        made = factories.api_key(api, permissions=[])
        body = {"api_key": made["api_key"], "permission": "chat"}
        found = []
        for permissions in (["chat"], ["analytics"], ["*"]):
            api.data(api.put(f"{URL}/{made['id']}", {"permissions": permissions}))
            found.append(api.data(api.post("/api/v2/auth/check-permission", body)))
        assert [one["has_permission"] for one in found] == [True, False, True]


class TestExpiry:
    """Expired is a fact of the clock: everywhere at once."""

    @time_machine.travel(NOW, tick=False)
    def test_everywhere(self, api: Api) -> None:
        """A key past its time reads as expired in a read, in lists and filters, and is refused."""
        made = factories.api_key(api, name="k", expires_at="2036-11-23T08:01:00Z")
        owner = made["tenant_id"]

        def seen() -> tuple[Any, ...]:
            return (
                api.data(api.get(f"{URL}/{made['id']}"))["status"],
                [names(api, owner, status=one) for one in ("active", "expired", "disabled")],
                check(api, made["api_key"]),
            )

        with time_machine.travel("2036-11-23T08:00:59.999999Z", tick=False):
            assert seen() == ("active", [["k"], [], []], (200, None))
        with time_machine.travel("2036-11-23T08:01:00Z", tick=False):
            assert seen() == ("expired", [[], ["k"], []], (401, "AUTH_002"))

    @time_machine.travel(NOW, tick=False)
    def test_disabled_and_expired(self, api: Api) -> None:
        """A disabled key past its time reads as expired; a check refuses it as disabled."""
        made = factories.api_key(api, name="k", expires_at="2036-11-23T08:01:00Z")
        api.data(api.post(f"{URL}/{made['id']}/disable"))
        with time_machine.travel("2036-11-23T09:00:00Z", tick=False):
            assert api.data(api.get(f"{URL}/{made['id']}"))["status"] == "expired"
            assert names(api, made["tenant_id"], status="disabled") == []
            assert names(api, made["tenant_id"], status="expired") == ["k"]
            assert check(api, made["api_key"]) == (401, "AUTH_004")

    @time_machine.travel(NOW, tick=False)
    def test_prolonged(self, api: Api) -> None:
        """A key that expired is good again with another expiry, or none."""
        made = factories.api_key(api, expires_at="2036-11-23T08:01:00Z")
        with time_machine.travel("2036-11-23T09:00:00Z", tick=False):
            for expires_at in ("2036-11-23T09:01:00Z", None):
                body = {"expires_at": expires_at}
                changed = api.data(api.put(f"{URL}/{made['id']}", body))
                assert changed["status"] == "active"
                assert check(api, made["api_key"]) == (200, None)

    @time_machine.travel(NOW, tick=False)
    def test_not_by_its_status(self, api: Api) -> None:
        """A key past its time stays expired, whatever status is asked for."""
        made = factories.api_key(api, expires_at="2036-11-23T08:01:00Z")
        with time_machine.travel("2036-11-23T09:00:00Z", tick=False):
            body = {"status": "active"}
            assert api.data(api.put(f"{URL}/{made['id']}", body))["status"] == "expired"
            assert api.data(api.post(f"{URL}/{made['id']}/enable"))["status"] == "expired"

    @time_machine.travel(NOW, tick=False)
    def test_expired_at_will(self, api: Api) -> None:
        """Setting the status to expired lets a key expire now."""
        made = factories.api_key(api)
        changed = api.data(api.put(f"{URL}/{made['id']}", {"status": "expired"}))
        assert (changed["status"], changed["expires_at"]) == ("expired", NOW)
        assert check(api, made["api_key"]) == (401, "AUTH_002")

    @time_machine.travel(NOW, tick=False)
    def test_etag(self, api: Api) -> None:
        """A reader that polls sees that a key expired."""
        made = factories.api_key(api, expires_at="2036-11-23T08:01:00Z")
        etag = api.get(f"{URL}/{made['id']}").headers["ETag"]
        with time_machine.travel("2036-11-23T09:00:00Z", tick=False):
            again = api.get(f"{URL}/{made['id']}", headers={"If-None-Match": etag})
            assert again.status_code == 200


class TestDisable:
    @time_machine.travel(NOW, tick=False)
    def test_disable_and_enable(self, api: Api) -> None:
        """A disabled key is refused until it is enabled again."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}"
        ids = {"id": made["id"], "api_key_id": made["id"]}
        disabled = api.data(api.post(f"{path}/disable"))
        assert disabled == {**ids, "status": "disabled", "disabled_at": NOW}
        assert check(api, made["api_key"]) == (401, "AUTH_004")
        assert api.data(api.get(path))["status"] == "disabled"
        enabled = api.data(api.post(f"{path}/enable"))
        assert enabled == {**ids, "status": "active", "disabled_at": None}
        assert check(api, made["api_key"]) == (200, None)

    @time_machine.travel(NOW, tick=False)
    def test_twice(self, api: Api) -> None:
        """A second time changes nothing: the time of the first stays."""
        path = f"{URL}/{factories.api_key(api)['id']}"
        api.data(api.post(f"{path}/disable"))
        with time_machine.travel("2036-11-24T00:00:00Z", tick=False):
            assert api.data(api.post(f"{path}/disable"))["disabled_at"] == NOW
        api.data(api.post(f"{path}/enable"))
        api.data(api.post(f"{path}/enable"))
        actions = [entry["action"] for entry in factories.audit_entries(api, resource="api_key")]
        assert actions == ["api_key.enable", "api_key.disable", "api_key.create"]

    def test_by_a_change(self, api: Api) -> None:
        """A change of the status does the same."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}"
        assert api.data(api.put(path, {"status": "disabled"}))["status"] == "disabled"
        assert check(api, made["api_key"]) == (401, "AUTH_004")
        assert api.data(api.put(path, {"status": "active"}))["status"] == "active"
        assert check(api, made["api_key"]) == (200, None)


class TestRotate:
    @time_machine.travel(NOW, tick=False)
    def test_same_id(self, api: Api) -> None:
        """A rotation gives a new secret under the same id, and leaves all else."""
        made = factories.api_key(api, **FULL)
        with time_machine.travel("2036-11-24T00:00:00Z", tick=False):
            rotated = api.data(api.post(f"{URL}/{made['id']}/rotate", {}))
            assert rotated["api_key"] != made["api_key"]
            fresh = {"api_key": rotated["api_key"], "updated_at": "2036-11-24T00:00:00Z"}
            assert rotated == {**made, **fresh}
            assert api.data(api.get(f"{URL}/{made['id']}")) == rotated

    @pytest.mark.parametrize("body", [None, {}, {"grace_seconds": 0}, {"grace_seconds": None}])
    def test_without_grace(self, body: Any, api: Api) -> None:
        """Without a grace time the old secret is out at once."""
        made = factories.api_key(api)
        rotated = api.data(api.post(f"{URL}/{made['id']}/rotate", body))
        assert check(api, made["api_key"]) == (401, "AUTH_005")
        assert check(api, rotated["api_key"]) == (200, None)

    @time_machine.travel(NOW, tick=False)
    def test_with_grace(self, api: Api) -> None:
        """The old secret stays good for the grace time, and not a moment longer."""
        made = factories.api_key(api)
        body = {"grace_seconds": 60}
        rotated = api.data(api.post(f"{URL}/{made['id']}/rotate", body))
        with time_machine.travel("2036-11-23T08:00:59.999999Z", tick=False):
            assert check(api, made["api_key"]) == (200, None)
            assert check(api, rotated["api_key"]) == (200, None)
        with time_machine.travel("2036-11-23T08:01:00Z", tick=False):
            assert check(api, made["api_key"]) == (401, "AUTH_005")
            assert check(api, rotated["api_key"]) == (200, None)

    @time_machine.travel(NOW, tick=False)
    def test_twice_within_a_grace(self, api: Api) -> None:
        """After two rotations each old secret is good until its own grace is over."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}/rotate"
        first = made["api_key"]
        second = api.data(api.post(path, {"grace_seconds": 60}))["api_key"]
        with time_machine.travel("2036-11-23T08:00:30Z", tick=False):
            third = api.data(api.post(path, {"grace_seconds": 60}))["api_key"]
            assert {check(api, key) for key in (first, second, third)} == {(200, None)}
        with time_machine.travel("2036-11-23T08:01:00Z", tick=False):
            assert check(api, first) == (401, "AUTH_005")
            assert {check(api, key) for key in (second, third)} == {(200, None)}
        with time_machine.travel("2036-11-23T08:01:30Z", tick=False):
            assert check(api, second) == (401, "AUTH_005")
            assert check(api, third) == (200, None)

    @time_machine.travel(NOW, tick=False)
    def test_a_later_rotation_cuts_short(self, api: Api) -> None:
        """A rotation without grace puts all older secrets out, also one whose grace still runs."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}/rotate"
        second = api.data(api.post(path, {"grace_seconds": 3600}))["api_key"]
        third = api.data(api.post(path, {}))["api_key"]
        assert {check(api, key) for key in (made["api_key"], second)} == {(401, "AUTH_005")}
        assert check(api, third) == (200, None)

    def test_one_key(self, api: Api, runtime: Runtime) -> None:
        """Old and new secret are one key: status, limits and count are shared."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}"
        rotated = api.data(api.post(f"{path}/rotate", {"grace_seconds": 60}))
        for key in (made["api_key"], rotated["api_key"]):
            assert check(api, key) == (200, None)
        runtime.background.flush()
        assert api.data(api.get(path))["usage_count"] == 2
        api.data(api.post(f"{path}/disable"))
        for key in (made["api_key"], rotated["api_key"]):
            assert check(api, key) == (401, "AUTH_004")

    def test_disabled(self, api: Api) -> None:
        """A disabled key isn't rotated: 403 KEY_003, and its secret stays."""
        made = factories.api_key(api)
        path = f"{URL}/{made['id']}"
        api.data(api.post(f"{path}/disable"))
        api.error(api.post(f"{path}/rotate", {}), 403, "KEY_003")
        api.data(api.post(f"{path}/enable"))
        assert check(api, made["api_key"]) == (200, None)

    @pytest.mark.parametrize("grace", [-1, 366 * 86400 + 1, 1.5, "60", True])
    def test_wrong_grace(self, grace: Any, api: Api) -> None:
        """A grace time is a whole number of seconds, up to a year."""
        made = factories.api_key(api)
        answer = api.post(f"{URL}/{made['id']}/rotate", {"grace_seconds": grace})
        error = api.error(answer, 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["grace_seconds"]
        assert check(api, made["api_key"]) == (200, None)

    def test_etag(self, api: Api) -> None:
        """A rotation is a change: an old ETag doesn't match any more."""
        path = f"{URL}/{factories.api_key(api)['id']}"
        old = {"If-Match": api.get(path).headers["ETag"]}
        api.data(api.post(f"{path}/rotate", {}))
        api.error(api.put(path, {}, headers=old), 412, "PRECONDITION_001")


class TestList:
    def test_newest_first(self, api: Api) -> None:
        """The keys of a tenant, and only they, are listed newest first, each whole."""
        agent = factories.agent(api)
        factories.api_key(api)
        made = [factories.api_key(api, agent) for _ in range(3)]
        query = {"tenant_id": agent["tenant_id"]}
        found = api.data(api.get(URL, query_string=query))
        assert found["items"] == made[::-1]
        assert found["pagination"]["total"] == 3

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": "active"}, ["c", "a"]),
            ({"status": "disabled"}, ["b"]),
            ({"status": "expired"}, []),
            ({"agent": 0}, ["b", "a"]),
            ({"agent": 1}, ["c"]),
            ({"agent": 0, "status": "active"}, ["a"]),
            ({"agent": 1, "status": "disabled"}, []),
            ({"page_size": 2, "page": 2}, ["a"]),
        ],
    )
    def test_filters(self, query: dict[str, Any], found: list[str], api: Api) -> None:
        """Filters work alone and together; the total counts what they let through."""
        owner = factories.tenant(api)["id"]
        agents = [factories.agent(api, owner) for _ in range(2)]
        for name, agent in (("a", agents[0]), ("b", agents[0]), ("c", agents[1])):
            made = factories.api_key(api, agent, name=name)
            if name == "b":
                api.data(api.post(f"{URL}/{made['id']}/disable"))
        query = dict(query)
        if "agent" in query:
            query["agent_id"] = agents[query.pop("agent")]["id"]
        answer = api.data(api.get(URL, query_string={"tenant_id": owner, **query}))
        assert [item["name"] for item in answer["items"]] == found
        assert answer["pagination"]["total"] == (3 if "page" in query else len(found))

    def test_foreign_agent(self, api: Api) -> None:
        """Another tenant's agent has no keys here."""
        mine, other = factories.api_key(api), factories.api_key(api)
        assert names(api, mine["tenant_id"], agent_id=other["agent_id"]) == []

    def test_tenant_is_required(self, api: Api) -> None:
        """Keys are listed by tenant: none named is 422, an unknown one 404 TENANT_001."""
        assert list(api.error(api.get(URL), 422, "VALIDATION_ERROR")["details"]) == ["tenant_id"]
        answer = api.get(URL, query_string={"tenant_id": "tenant_nope"})
        api.error(answer, 404, "TENANT_001")

    def test_wrong_status(self, api: Api) -> None:
        """A status that isn't one is 422."""
        query = {"tenant_id": factories.tenant(api)["id"], "status": "deleted"}
        error = api.error(api.get(URL, query_string=query), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["status"]


class TestDelete:
    @time_machine.travel(NOW, tick=False)
    def test_delete(self, api: Api) -> None:
        """A deleted key is unknown, and its name free."""
        made = factories.api_key(api, name="k")
        path = f"{URL}/{made['id']}"
        ids = {"id": made["id"], "api_key_id": made["id"]}
        assert api.data(api.delete(path)) == {**ids, "deleted_at": NOW}
        assert check(api, made["api_key"]) == (401, "AUTH_005")
        api.error(api.get(path), 404, "KEY_001")
        api.error(api.delete(path), 404, "KEY_001")
        agent = {"tenant_id": made["tenant_id"], "id": made["agent_id"]}
        assert factories.api_key(api, agent, name="k")["id"] != made["id"]

    def test_secrets_go(self, api: Api, runtime: Runtime) -> None:
        """No secret of a deleted key stays, also none whose grace still runs."""
        made = factories.api_key(api)
        api.data(api.post(f"{URL}/{made['id']}/rotate", {"grace_seconds": 60}))
        api.data(api.delete(f"{URL}/{made['id']}"))
        with runtime.database.reader.connect() as connection:
            left = connection.scalar(text("SELECT count(*) FROM api_key_secrets"))
        assert left == 0

    def test_if_match(self, api: Api) -> None:
        """A key that somebody else changed is not deleted."""
        path = f"{URL}/{factories.api_key(api)['id']}"
        old = {"If-Match": api.get(path).headers["ETag"]}
        api.data(api.put(path, {"description": "new"}))
        api.error(api.delete(path, headers=old), 412, "PRECONDITION_001")
        assert api.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/disable"),
        ("POST", "/enable"),
        ("POST", "/rotate"),
    ],
)
def test_unknown(method: str, path: str, api: Api) -> None:
    """An unknown key is 404 KEY_001."""
    api.error(api.call(method, f"{URL}/key_nope{path}", json={}), 404, "KEY_001")


def test_at_rest(api: Api, runtime: Runtime) -> None:
    """A key is stored as a hash and sealed, never as it is; its hash is no plain one."""
    made = factories.api_key(api)
    with runtime.database.reader.connect() as connection:
        rows = [
            tuple(row)
            for table in ("api_keys", "api_key_secrets")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    parsed = key_format.parse(made["api_key"])
    assert parsed is not None
    assert made["api_key"] not in str(rows)
    assert parsed.random_hash not in str(rows)
    assert "enc:" in str(rows)


class TestAudit:
    def test_all_changes(self, api: Api) -> None:
        """Each change is kept, and no entry holds a key."""
        made = factories.api_key(api, name="a")
        path = f"{URL}/{made['id']}"
        api.data(api.put(path, {"name": "b"}))
        rotated = api.data(api.post(f"{path}/rotate", {"grace_seconds": 5}))
        api.data(api.post(f"{path}/disable"))
        api.data(api.post(f"{path}/enable"))
        api.data(api.delete(path))
        entries = factories.audit_entries(api, resource=made["id"])
        assert [entry["action"] for entry in entries] == [
            "api_key.delete",
            "api_key.enable",
            "api_key.disable",
            "api_key.rotate",
            "api_key.update",
            "api_key.create",
        ]
        assert {entry["tenant_id"] for entry in entries} == {made["tenant_id"]}
        assert entries[3]["after"] == {"grace_seconds": 5}
        assert (entries[4]["before"], entries[4]["after"]) == ({"name": "a"}, {"name": "b"})
        assert entries[5]["after"]["permissions"] == ["chat"]
        for key in (made["api_key"], rotated["api_key"]):
            assert key not in str(entries)
