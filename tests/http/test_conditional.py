"""ETag, If-None-Match and If-Match."""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api

TENANTS = "/api/v2/tenants"


@pytest.fixture
def path(api: Api) -> str:
    """The path of a tenant."""
    return f"{TENANTS}/{factories.tenant(api)['id']}"


def etag(api: Api, path: str) -> str:
    """The ETag of an object."""
    return api.get(path).headers["ETag"]


def put(api: Api, path: str, if_match: str, **change: Any) -> Any:
    """Change an object that is of a certain version."""
    return api.put(path, change or {"description": "x"}, headers={"If-Match": if_match})


# --- If-None-Match -----------------------------------------------------------------------------


def test_not_modified(api: Api, path: str) -> None:
    """Who has this very version gets 304, its ETag, and no body."""
    known = etag(api, path)
    for sent in (
        known,
        f"W/{known}",
        "*",
        f'"other", {known}',
        f'{known},"other"',
        f' "x" ,{known} ',
    ):
        answer = api.get(path, headers={"If-None-Match": sent})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == known
        assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "sent", ['"0"', '"999"', "", '""', "garbage", '"', ",", ",,,", "W/", "\xe9", "1" * 5000]
)
def test_modified(api: Api, path: str, sent: str) -> None:
    """Who has another version, or none, gets the object."""
    assert api.get(path, headers={"If-None-Match": sent}).status_code == 200


def test_a_change_makes_another_etag(api: Api, path: str) -> None:
    """A change gives the ETag that the next GET has; a PUT that changes nothing keeps it."""
    before = etag(api, path)
    changed = api.put(path, {"description": "new"})
    assert changed.headers["ETag"] == etag(api, path) != before
    assert api.put(path, {}).headers["ETag"] == changed.headers["ETag"]
    assert api.get(path, headers={"If-None-Match": before}).status_code == 200


def test_a_404_has_no_etag(api: Api) -> None:
    """What isn't there has no version, whatever the caller thinks it has."""
    answer = api.get(f"{TENANTS}/nope", headers={"If-None-Match": "*"})
    api.error(answer, 404, "TENANT_001")
    assert "ETag" not in answer.headers


def test_put_with_if_none_match(api: Api, path: str) -> None:
    """If-None-Match on a PUT or DELETE answers no 304."""
    known = etag(api, path)
    for sent in (known, "*"):
        changed = api.put(path, {"description": sent}, headers={"If-None-Match": sent})
        assert api.data(changed)["description"] == sent
    assert api.delete(path, headers={"If-None-Match": "*"}).status_code == 200


def test_head(api: Api, path: str) -> None:
    """HEAD answers as GET does, without a body."""
    known = etag(api, path)
    head = api.client.head(path)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", known)
    assert api.client.head(path, headers={"If-None-Match": known}).status_code == 304


# --- If-Match ----------------------------------------------------------------------------------


def test_stale(api: Api, path: str) -> None:
    """A change or deletion of a version that is no more is 412 and changes nothing."""
    stale = etag(api, path)
    api.data(put(api, path, stale, description="first"))
    api.error(put(api, path, stale, description="second"), 412, "PRECONDITION_001")
    api.error(api.delete(path, headers={"If-Match": stale}), 412, "PRECONDITION_001")
    assert api.data(api.get(path))["description"] == "first"


def test_fresh(api: Api, path: str) -> None:
    """The present version, any version and a list with the present one are allowed."""
    for number, form in enumerate(("{}", '"777", {}', '{},"777"', " {} ")):
        change = put(api, path, form.format(etag(api, path)), description=str(number))
        assert api.data(change)["description"] == str(number)
    assert api.data(put(api, path, "*", description="any"))["description"] == "any"
    assert api.delete(path, headers={"If-Match": etag(api, path)}).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        "",
        '""',
        '"',
        ",",
        "garbage",
        '"garbage"',
        '"*"',
        '"-1"',
        '"1e3"',
        '"٣"'.encode().decode("latin1"),
        '"' + "1" * 30 + '"',
        '"' + "1" * 5000 + '"',
        '"1"' + ',"1"' * 5000 + "x" * 100,
        "\xff",
    ],
)
def test_garbage(api: Api, path: str, sent: str) -> None:
    """An If-Match that this service never gave out is 412."""
    api.data(api.put(path, {"description": "so that the revision isn't 1"}))
    api.error(put(api, path, sent), 412, "PRECONDITION_001")


def test_weak(api: Api, path: str) -> None:
    """A weak tag never matches for a change (RFC 9110, section 13.1.1)."""
    api.error(put(api, path, f"W/{etag(api, path)}"), 412, "PRECONDITION_001")


def test_unknown_before_stale(api: Api) -> None:
    """What isn't there is 404, with any If-Match."""
    api.error(put(api, f"{TENANTS}/nope", '"1"'), 404, "TENANT_001")


@pytest.mark.parametrize("kind", ["agents", "agent-templates", "api-keys"])
def test_other_objects(api: Api, kind: str) -> None:
    """Agents, templates and keys are guarded in the same way."""
    make = {
        "agents": factories.agent,
        "agent-templates": factories.template,
        "api-keys": factories.api_key,
    }[kind]
    path = f"/api/v2/{kind}/{make(api)['id']}"
    stale = etag(api, path)
    api.data(put(api, path, stale, description="first"))
    api.error(put(api, path, stale, description="second"), 412, "PRECONDITION_001")
    api.error(api.delete(path, headers={"If-Match": stale}), 412, "PRECONDITION_001")
    assert api.get(path, headers={"If-None-Match": stale}).status_code == 200
    assert api.get(path, headers={"If-None-Match": etag(api, path)}).status_code == 304
    assert api.delete(path, headers={"If-Match": etag(api, path)}).status_code == 200


def test_configuration(api: Api) -> None:
    """An agent and its configuration share their version, and both refuse a lost update."""
    path = f"/api/v2/agents/{factories.agent(api)['id']}"
    stale = etag(api, f"{path}/config")
    assert stale == etag(api, path)
    api.data(put(api, f"{path}/config", stale, x=1))
    api.error(put(api, f"{path}/config", stale, x=2), 412, "PRECONDITION_001")
    api.error(put(api, path, stale, description="x"), 412, "PRECONDITION_001")


def test_effective_configuration(api: Api) -> None:
    """The effective configuration's ETag follows its content, through the template too."""
    template = factories.template(api, config={"x": 1})
    agent = factories.agent(api, template_id=template["id"])
    path = f"/api/v2/agents/{agent['id']}/config/effective"
    known = etag(api, path)
    assert api.get(path, headers={"If-None-Match": known}).status_code == 304
    api.data(api.put(f"/api/v2/agent-templates/{template['id']}", {"config": {"x": 2}}))
    assert api.get(path, headers={"If-None-Match": known}).status_code == 200
    assert etag(api, path) != etag(api, f"{path}?explain=1")


def test_a_used_key(api: Api, runtime: Any) -> None:
    """A key's ETag follows its use, and a change from before the use is still taken."""
    key = factories.api_key(api)
    path = f"/api/v2/api-keys/{key['id']}"
    before = etag(api, path)
    api.data(api.post("/api/v2/auth/validate-api-key", {"api_key": key["api_key"]}))
    runtime.background.flush()
    used = api.get(path, headers={"If-None-Match": before})
    assert used.headers["ETag"] != before
    assert api.data(used)["usage_count"] == 1
    changed = put(api, path, before, description="from before its use")
    assert api.data(changed)["description"] == "from before its use"
    api.error(put(api, path, before), 412, "PRECONDITION_001")
