"""/api/v2/chat/history and /api/v2/chat-agents"""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api

HISTORY = "/api/v2/chat/history"
AGENTS = "/api/v2/chat-agents"


@pytest.fixture
def agent(api: Api) -> dict[str, Any]:
    """An agent that has talked in one stream."""
    made = factories.agent(api)
    for number in range(3):
        factories.chat(api, made, f"m{number}", user_id="u", message_id=f"id{number}")
    return made


def ids(agent: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The identity of an agent, and the stream of its user."""
    return {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "user_id": "u", **more}


def test_pages(api: Api, agent: dict[str, Any]) -> None:
    """The messages are listed newest first, page by page, with their numbers."""
    page = api.data(api.get(HISTORY, query_string=ids(agent, page_size=4)))
    assert page["pagination"]["total"] == 6
    assert [message["seq"] for message in page["items"]] == [6, 5, 4, 3]
    rest = api.data(api.get(HISTORY, query_string=ids(agent, page_size=4, page=2)))
    assert [message["seq"] for message in rest["items"]] == [2, 1]


def test_message(api: Api, agent: dict[str, Any]) -> None:
    """A message shows who said it, in what state it is, and what it answers."""
    reply, said = api.data(api.get(HISTORY, query_string=ids(agent)))["items"][:2]
    assert (said["role"], said["user_id"], said["client_message_id"]) == ("user", "u", "id2")
    assert (reply["role"], reply["user_id"], reply["model"]) == (
        "assistant", None, "builtin/offline",
    )  # fmt: skip
    assert reply["reply_to"] == said["message_id"] == said["id"]
    assert reply["state"] == said["state"] == "complete"


def test_by_key(public: Api, api: Api, agent: dict[str, Any]) -> None:
    """A key reads and deletes the history of its own agent."""
    headers = {"Authorization": f"Bearer {factories.api_key(api, agent)['api_key']}"}
    query = {"conversation_id": "u"}
    found = public.data(public.get(HISTORY, query_string=query, headers=headers))
    assert found["pagination"]["total"] == 6
    gone = public.data(public.delete(HISTORY, query_string=query, headers=headers))
    assert gone == {"platform": "default", "chat_identifier": "u", "deleted": 6}
    again = public.data(public.delete(HISTORY, query_string=query, headers=headers))
    assert again["deleted"] == 0


def test_audited(api: Api, agent: dict[str, Any]) -> None:
    """Who deleted a history is kept, without what was said."""
    api.data(api.delete(HISTORY, query_string=ids(agent)))
    entry = factories.audit_entries(api, tenant_id=agent["tenant_id"])[0]
    assert entry["action"] == "chat_stream.delete"
    assert entry["before"] == {
        "agent_id": agent["id"], "platform": "default", "chat_identifier": "u", "messages": 6,
    }  # fmt: skip


def test_forgotten(api: Api, agent: dict[str, Any]) -> None:
    """What was deleted is in no prompt any more, and the stream begins anew."""
    api.data(api.delete(HISTORY, query_string=ids(agent)))
    factories.chat(api, agent, "x", user_id="u")
    items = api.data(api.get(HISTORY, query_string=ids(agent)))["items"]
    assert [message["seq"] for message in items] == [2, 1]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_which(method: str, api: Api, public: Api, agent: dict[str, Any]) -> None:
    """Without a stream it is 422, with an unknown agent 404, without a key 401 outside."""
    nameless = {name: value for name, value in ids(agent).items() if name != "user_id"}
    api.error(api.call(method, HISTORY, query_string=nameless), 422, "VALIDATION_ERROR")
    unknown = ids(agent, agent_id="agent_nope")
    api.error(api.call(method, HISTORY, query_string=unknown), 404, "AGENT_001")
    public.error(public.call(method, HISTORY, query_string=ids(agent)), 401, "AUTH_006")


def test_nothing_said(api: Api, agent: dict[str, Any]) -> None:
    """A stream in which nothing was said is empty."""
    page = api.data(api.get(HISTORY, query_string=ids(agent, user_id="other")))
    assert (page["items"], page["pagination"]["total"]) == ([], 0)


class TestAgents:
    """Who can be chatted with."""

    def test_active(self, api: Api) -> None:
        """The active agents of the tenant, newest first, without what is nobody's business."""
        one = factories.agent(api, description="x", tags=["a"], config={"persona": "secret"})
        two = factories.agent(api, one["tenant_id"])
        idle = factories.agent(api, one["tenant_id"])
        api.data(api.put(f"/api/v2/agents/{idle['id']}", {"status": "inactive"}))
        found = api.data(api.get(AGENTS, query_string={"tenant_id": one["tenant_id"]}))
        assert found["tenant_id"] == one["tenant_id"]
        assert found["count"] == 2
        assert [agent["id"] for agent in found["agents"]] == [two["id"], one["id"]]
        assert found["agents"][1] == {
            "id": one["id"], "agent_id": one["id"], "name": one["name"], "description": "x",
            "tags": ["a"],
        }  # fmt: skip

    def test_by_key(self, api: Api, public: Api) -> None:
        """A key shows the agents of its tenant, and of no other."""
        key = factories.api_key(api)
        headers = {"X-API-Key": key["api_key"]}
        found = public.data(public.get(AGENTS, headers=headers))
        assert [agent["id"] for agent in found["agents"]] == [key["agent_id"]]
        other = {"tenant_id": factories.tenant(api)["id"]}
        refused = public.get(AGENTS, query_string=other, headers=headers)
        public.error(refused, 404, "TENANT_001")

    def test_nobody(self, api: Api, public: Api) -> None:
        """Without a key a tenant must be named, and outside that isn't enough."""
        api.error(api.get(AGENTS), 422, "VALIDATION_ERROR")
        api.error(api.get(AGENTS, query_string={"tenant_id": "t"}), 404, "TENANT_001")
        public.error(public.get(AGENTS, query_string={"tenant_id": "t"}), 401, "AUTH_006")
