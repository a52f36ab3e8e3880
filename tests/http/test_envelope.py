"""The envelope of every answer: ids, times, languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from maimconfig import clock
from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH

TENANTS = "/api/v2/tenants"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
OUR_ID = re.compile(r"req_[a-z0-9]{12,}")


def test_success(api: Api) -> None:
    """A success has the seven fields, in the order of the contract, and nothing else."""
    body = api.get(TENANTS).get_json()
    assert list(body) == [
        "success", "message", "data", "timestamp", "request_id", "tenant_id", "execution_time",
    ]  # fmt: skip
    assert body["success"] is True


def test_error(api: Api) -> None:
    """An error has no data, and its details only where a field is wrong."""
    unknown = api.error(api.get(f"{TENANTS}/nope"), 404, "TENANT_001")
    assert set(unknown) == {
        "success", "message", "error", "error_code", "timestamp", "request_id",
    }  # fmt: skip
    assert unknown["success"] is False
    invalid = api.error(api.post(TENANTS, {}), 422, "VALIDATION_ERROR")
    assert set(invalid) - set(unknown) == {"details"}


@pytest.mark.parametrize("path", [TENANTS, f"{TENANTS}/nope"])
def test_timestamp(api: Api, path: str) -> None:
    """The timestamp is the present second in UTC."""
    text = api.get(path).get_json()["timestamp"]
    assert TIMESTAMP.fullmatch(text)
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert timedelta(seconds=-1) < clock.now() - moment < timedelta(seconds=30)


def test_execution_time(api: Api) -> None:
    """The execution time is a number of seconds, not an integer and not a text."""
    seconds = api.get(TENANTS).get_json()["execution_time"]
    assert isinstance(seconds, float)
    assert 0 < seconds < 30


# --- request ids -------------------------------------------------------------------------------

KEPT = ["12345678", "a" * 64, "ABC_def-0123", "req_0123456789abcdef"]
REPLACED = [
    "",
    "1234567",
    "a" * 65,
    "a b c d e f",
    "abc;def;gh",
    "abcdefgh\t",
    "é" * 8,
    "../../etc",
]


@pytest.mark.parametrize("inbound", KEPT)
def test_request_id_kept(api: Api, inbound: str) -> None:
    """An inbound X-Request-ID that is fit for it is kept, in successes and in errors."""
    for path in (TENANTS, f"{TENANTS}/nope", "/nowhere"):
        answer = api.get(path, headers={"X-Request-ID": inbound})
        assert answer.headers["X-Request-ID"] == answer.get_json()["request_id"] == inbound


@pytest.mark.parametrize("inbound", REPLACED)
def test_request_id_replaced(api: Api, inbound: str) -> None:
    """Any other is replaced by one of our own."""
    for path in (TENANTS, f"{TENANTS}/nope", "/nowhere"):
        sent = inbound.encode().decode("latin1")
        answer = api.get(path, headers={"X-Request-ID": sent})
        assert OUR_ID.fullmatch(answer.headers["X-Request-ID"])
        assert answer.headers["X-Request-ID"] == answer.get_json()["request_id"]


def test_request_ids_differ(api: Api) -> None:
    """No two requests get the same id."""
    found = {api.get("/health/live").headers["X-Request-ID"] for _ in range(200)}
    assert len(found) == 200


def test_every_answer_has_its_id(api: Api) -> None:
    """Answers without an envelope have the id in their header too."""
    owner = factories.tenant(api)["id"]
    setting = factories.plugin_setting(api, owner)
    path = "/api/v1/plugins/settings"
    query = {"tenant_id": owner, "plugin_name": setting["plugin_name"]}
    answers = [
        api.get(path, query_string={"tenant_id": owner}),
        api.delete(path, query_string=query),
        api.get("/docs"),
        api.get("/openapi.json"),
        api.get("/docs/static/start-redoc.js"),
        api.client.options(TENANTS),
        api.client.head(TENANTS),
    ]
    for answer in answers:
        assert OUR_ID.fullmatch(answer.headers["X-Request-ID"])
        answer.close()


# --- whose request it is -----------------------------------------------------------------------


def test_tenant_id(api: Api) -> None:
    """The envelope names the tenant whenever one is known, and else null."""
    agent = factories.agent(api)
    owner = agent["tenant_id"]
    key = factories.api_key(api, agent)
    for path in (
        f"{TENANTS}/{owner}",
        f"/api/v2/agents/{agent['id']}",
        f"/api/v2/agents/{agent['id']}/config",
        f"/api/v2/agents?tenant_id={owner}",
        f"/api/v2/api-keys/{key['id']}",
        f"/api/v2/agent-activity?tenant_id={owner}",
        f"/api/v2/usage?tenant_id={owner}",
        f"/api/v2/audit-logs?tenant_id={owner}",
    ):
        assert api.get(path).get_json()["tenant_id"] == owner, path
    for path in (TENANTS, "/api/v2/agent-templates", "/api/v2/audit-logs", "/api/v2/system/models"):
        assert api.get(path).get_json()["tenant_id"] is None, path
    checked = api.post("/api/v2/auth/validate-api-key", {"api_key": key["api_key"]})
    assert checked.get_json()["tenant_id"] == owner
    assert (
        api.post(TENANTS, {"tenant_name": "new", "tenant_type": "personal"})
        .get_json()["tenant_id"]
        .startswith("tenant_")
    )


# --- languages ---------------------------------------------------------------------------------

CHINESE = [
    None, "", "zh", "zh-CN", "zh-TW", "zh-CN,en;q=0.8", "fr", "fr,de;q=0.5", "*", "en;q=0",
    "garbage", ";;;", ",", "en;q=abc,,;;=;q=1,zh", "\xff\xfe", "x" * 5000, "en;q=0.5,zh;q=0.9",
]  # fmt: skip
ENGLISH = [
    "en", "EN", "en-GB", "en-US,en;q=0.9,zh;q=0.1", "fr,en;q=0.5", "zh;q=0.1,en", "en_US",
]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "success", "unknown"),
    [(header, "操作成功", "租户不存在") for header in CHINESE]
    + [(header, "Success", "Tenant unknown") for header in ENGLISH],
)
def test_language(api: Api, header: str | None, success: str, unknown: str) -> None:
    """Texts are Chinese, unless English is what Accept-Language prefers."""
    headers: dict[str, Any] = {} if header is None else {"Accept-Language": header}
    assert api.get(TENANTS, headers=headers).get_json()["message"] == success
    assert api.get(f"{TENANTS}/nope", headers=headers).get_json()["message"] == unknown


def test_details_in_english(api: Api) -> None:
    """With English wanted no text of an error has a Chinese character, however deep it stands."""
    owner = factories.agent(api)
    bodies: list[tuple[str, dict[str, Any]]] = [
        (TENANTS, {"tenant_name": "\n", "tenant_type": 1, "contact_email": "x", "zzz": 1}),
        (TENANTS, {"tenant_name": "a\tb", "tenant_type": "x"}),
        (TENANTS, {"tenant_name": "a", "tenant_type": "x"}),
        ("/api/v2/auth/parse-api-key", {"api_key": "x"}),
        (
            "/api/v2/api-keys",
            {
                "tenant_id": owner["tenant_id"],
                "agent_id": owner["id"],
                "name": "k",
                "permissions": [1],
                "rate_limit": {"limit": 0},
                "expires_at": "now",
                "allowed_ips": ["x"],
            },
        ),
        (
            "/api/v2/api-keys",
            {**{k: owner[k] for k in ("tenant_id", "agent_id")}, "name": "k", "permissions": ["A"]},
        ),
    ]
    for path, body in bodies:
        answer = api.post(path, body, headers={"Accept-Language": "en"})
        assert answer.status_code >= 400
        assert not re.search("[\u3000-\u9fff\uff00-\uffef]", answer.get_data(as_text=True))


# --- headers -------------------------------------------------------------------------------------


def test_no_body_no_type(public: Api, api: Api) -> None:
    """A 204 has no Content-Type, for it has no content."""
    agent = factories.agent(api)
    settings = f"/api/v1/plugins/settings?tenant_id={agent['tenant_id']}"
    api.post(settings, {"plugin_name": "p", "enabled": True})
    answers = [
        users.person(public).post(f"{AUTH}/logout"),
        api.delete(f"{settings}&plugin_name=p"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.data) == (204, b"")
        assert "Content-Type" not in answer.headers


def test_vary(public: Api, api: Api) -> None:
    """Whatever depends on the language says so, an error and a 304 too; what doesn't is silent."""
    path = f"{TENANTS}/{factories.tenant(api)['id']}"
    shown = api.get(path)
    answers = [
        shown,
        api.get(path, headers={"If-None-Match": shown.headers["ETag"]}),
        api.get(f"{TENANTS}/nope"),
        public.get("/nowhere"),
        public.get("/v1/models"),
    ]
    assert [answer.status_code for answer in answers] == [200, 304, 404, 404, 401]
    assert {answer.headers["Vary"] for answer in answers} == {"Accept-Language"}
    assert "Vary" not in users.person(public).get(f"{AUTH}/me").headers


def test_vary_beside_origin(public_with: Callable[..., Api]) -> None:
    """Where origins are listed an answer depends on both, and one header names them."""
    listed = public_with(cors_origins=("https://chat.example.com",))
    assert listed.get("/nowhere").headers.getlist("Vary") == ["Accept-Language, Origin"]
