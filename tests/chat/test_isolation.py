"""Nothing crosses from one chat stream to another: over all pairs of streams that differ in one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.chat.models import ChatMessage, ChatStream
from tests import factories
from tests.api import Api
from tests.chat.script import Script

URL = "/api/v2/chat"
HISTORY = f"{URL}/history"


class Place:
    """Where the same user talks: an agent of a tenant, and a stream of it."""

    def __init__(self, label: str, agent: dict[str, Any], **where: str) -> None:
        self.label = label
        self.agent = agent
        self.ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
        self.where = {"user_id": "same", **where}

    def say(self, api: Api, message: str, **given: Any) -> Any:
        """A message here; the answer."""
        return api.post(URL, {**self.ids, **self.where, "message": message, **given})

    def history(self, api: Api) -> list[str]:
        """What was said here, newest first."""
        found = api.data(api.get(HISTORY, query_string={**self.ids, **self.where}))
        return [message["content"] for message in found["items"]]


@pytest.fixture
def places(api: Api) -> list[Place]:
    """Two tenants, two agents of one, two platforms, two groups, and names that look alike."""
    one = factories.agent(api)
    sibling = factories.agent(api, one["tenant_id"])
    foreign = factories.agent(api)
    made = [Place("private", one)]
    made += [Place(platform, one, platform=platform) for platform in ("qq", "QQ", "discord")]
    made += [Place(f"group {group}", one, group_id=group) for group in ("g1", "g2", "G1", "é", "e")]
    made += [Place("group elsewhere", one, platform="qq", group_id="g1")]
    made += [Place("conversation", one, conversation_id="c1")]
    made += [Place("identifier", one, chat_identifier="i1", conversation_id="c2")]
    made += [Place("sibling", sibling), Place("foreign", foreign)]
    made += [Place("foreign group", foreign, group_id="g1")]
    return made


def test_history(api: Api, places: list[Place], script: Script) -> None:
    """What is said in one stream is in no other's history and in no other's prompt."""
    for turn, place in itertools.product(range(2), places):
        script.steps = [f"reply to {place.label}"]
        assert place.say(api, f"{place.label} {turn}").status_code == 200
    for place in places:
        own = [f"reply to {place.label}", f"{place.label} 1"]
        own += [f"reply to {place.label}", f"{place.label} 0"]
        assert place.history(api) == own
    for place, ask in zip(places, script.asks[len(places) :], strict=True):
        prompt = [message["content"] for message in ask.messages]
        assert prompt == [f"{place.label} 0", f"reply to {place.label}", f"{place.label} 1"]


def test_message_ids(api: Api, places: list[Place], script: Script) -> None:
    """The same message_id means another message in each stream."""
    answers = [api.data(place.say(api, "x", message_id="1")) for place in places]
    assert len({answer["message_id"] for answer in answers}) == len(places)
    assert len(script.asks) == len(places)


def test_forgetting(api: Api, places: list[Place], rows: Callable[..., list[Any]]) -> None:
    """To delete one stream's history leaves every other's."""
    for one in places:
        for place in places:
            assert place.say(api, "x").status_code == 200
        answer = api.delete(HISTORY, query_string={**one.ids, **one.where})
        assert api.data(answer)["deleted"] > 0
        assert one.history(api) == []
        assert len(rows(ChatStream)) == len(places) - 1
        for other in places:
            assert bool(other.history(api)) is (other is not one)


def test_filters_and_reactions(api: Api) -> None:
    """An agent's filter, persona and reactions are its own."""
    rules = {
        "message_receive": {"ban_words": ["x"]},
        "keyword_reaction": {"keyword_rules": [{"keywords": ["y"], "reaction": "own"}]},
    }
    strict = factories.agent(api, config={"config_overrides": rules})
    sibling = factories.agent(api, strict["tenant_id"])
    foreign = factories.agent(api)
    api.error(Place("", strict).say(api, "x"), 422, "CHAT_002")
    assert api.data(Place("", strict).say(api, "y"))["response"] == "own"
    for agent in (sibling, foreign):
        assert Place("", agent).say(api, "x").status_code == 200
        assert api.data(Place("", agent).say(api, "y"))["response"] != "own"


def test_limits(api: Api) -> None:
    """What one tenant or one key has used up, no other misses."""
    quotas = {"requests_per_minute": 1, "tokens_per_month": 10_000}
    poor = factories.tenant(api, tenant_config={"quotas": quotas})
    rich = factories.tenant(api, tenant_config={"quotas": quotas})
    one, other = (factories.agent(api, tenant["id"]) for tenant in (poor, rich))
    assert Place("", one).say(api, "x").status_code == 200
    api.error(Place("", one).say(api, "x"), 429, "RATE_001")
    assert Place("", other).say(api, "x").status_code == 200
    limited = factories.api_key(api, rate_limit={"limit": 1, "window_seconds": 60})
    owner = {"tenant_id": limited["tenant_id"], "id": limited["agent_id"]}
    free = factories.api_key(api, owner)
    for key, statuses in ((limited, [200, 429]), (free, [200, 200])):
        bodies = [{"api_key": key["api_key"], "message": "x"}] * 2
        assert [api.post(URL, body).status_code for body in bodies] == statuses


def test_usage(api: Api, places: list[Place]) -> None:
    """A tenant's usage is its own, by agent too."""
    for place in places:
        place.say(api, "x")
    for tenant_id in {place.ids["tenant_id"] for place in places}:
        query = {"tenant_id": tenant_id, "group_by": "agent"}
        report = api.data(api.get("/api/v2/usage", query_string=query))
        mine = [place for place in places if place.ids["tenant_id"] == tenant_id]
        assert {item["group"]: item["requests"] for item in report["items"]} == {
            agent_id: sum(place.ids["agent_id"] == agent_id for place in mine)
            for agent_id in {place.ids["agent_id"] for place in mine}
        }


def test_foreign_history(api: Api, public: Api, rows: Callable[..., list[Any]]) -> None:
    """Whoever names another tenant's agent, or holds another's key, reads and deletes nothing."""
    mine, other = factories.agent(api), factories.agent(api)
    factories.chat(api, mine, user_id="u")
    key = factories.api_key(api, other)
    crossed = {"tenant_id": other["tenant_id"], "agent_id": mine["id"], "user_id": "u"}
    headers = {"X-API-Key": key["api_key"]}
    for method in ("GET", "DELETE"):
        refused = api.call(method, HISTORY, query_string=crossed)
        api.error(refused, 404, "AGENT_001")
        named = {"tenant_id": mine["tenant_id"], "agent_id": mine["id"], "user_id": "u"}
        answer = public.call(method, HISTORY, query_string=named, headers=headers)
        public.error(answer, 404, "AGENT_001")
        own = public.call(method, HISTORY, query_string={"user_id": "u"}, headers=headers)
        assert public.data(own).get("items", []) == []
    assert len(rows(ChatMessage, mine["tenant_id"])) == 2
