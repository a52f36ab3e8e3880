"""/api/v2/agents/{id}/config/versions: history, diff, rollback"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api

MASK = "********"
EMPTY = {"persona": {}, "bot_overrides": {}, "config_overrides": {}}


def url(agent: dict[str, Any], rest: str = "/versions") -> str:
    """Where an agent's versions are."""
    return f"/api/v2/agents/{agent['id']}/config{rest}"


@pytest.fixture
def agent(api: Api) -> dict[str, Any]:
    """An agent with three versions."""
    made = factories.agent(api, config={"a": 1, "b": {"c": [1]}})
    api.data(api.put(url(made, ""), {"a": 2, "b": {"d": None, "e": True}}))
    api.data(api.put(url(made, "?mode=replace"), {"b": {"c": [2]}}))
    return made


class TestList:
    def test_newest_first(self, api: Api, agent: dict[str, Any]) -> None:
        """Every saved revision is listed with its number, when, by whom and what changed."""
        found = api.data(api.get(url(agent)))["items"]
        whole = [(row["version"], row["action"], row["actor"]) for row in found]
        assert whole == [
            (3, "replace", "internal"),
            (2, "update", "internal"),
            (1, "create", "internal"),
        ]
        assert found[1]["changes"] == [
            {"path": "a", "op": "replace", "before": 1, "after": 2},
            {"path": "b.e", "op": "add", "after": True},
        ]
        assert found[0]["changes"] == [
            {"path": "a", "op": "remove", "before": 2},
            {"path": "b.c", "op": "replace", "before": [1], "after": [2]},
            {"path": "b.e", "op": "remove", "before": True},
        ]
        assert {row["agent_id"] for row in found} == {agent["id"]}

    def test_time(self, api: Api) -> None:
        """A revision has the time of its change."""
        agent = factories.agent(api)
        with time_machine.travel("2036-01-01T00:00:00Z", tick=False):
            api.data(api.put(url(agent, ""), {"a": 1}))
        assert api.data(api.get(url(agent)))["items"][0]["created_at"] == "2036-01-01T00:00:00Z"

    def test_pages(self, api: Api, agent: dict[str, Any]) -> None:
        """Versions come in pages."""
        found = api.data(api.get(url(agent, "/versions?page=2&page_size=2")))
        assert [row["version"] for row in found["items"]] == [1]
        assert found["pagination"]["total"] == 3

    def test_of_this_agent(self, api: Api, agent: dict[str, Any]) -> None:
        """Another agent's versions aren't listed."""
        other = factories.agent(api, agent["tenant_id"])
        assert api.data(api.get(url(other)))["pagination"]["total"] == 1


class TestGet:
    def test_configuration(self, api: Api, agent: dict[str, Any]) -> None:
        """A revision has the configuration as it was then."""
        configs = [
            api.data(api.get(url(agent, f"/versions/{number}")))["config"] for number in (1, 2, 3)
        ]
        assert configs == [
            {"a": 1, "b": {"c": [1]}},
            {"a": 2, "b": {"c": [1], "e": True}},
            {"b": {"c": [2]}},
        ]

    @pytest.mark.parametrize("number", ["0", "4", str(2**31), str(2**64), "9" * 30, "9" * 5000])
    def test_unknown(self, number: str, api: Api, agent: dict[str, Any]) -> None:
        """A version that isn't there, however large its number, is 404."""
        answer = api.get(url(agent, f"/versions/{number}"))
        assert answer.status_code == 404

    @pytest.mark.parametrize("number", ["-1", "1.0", "x"])
    def test_no_number(self, number: str, api: Api, agent: dict[str, Any]) -> None:
        """What is no number is an unknown path."""
        assert api.get(url(agent, f"/versions/{number}")).status_code == 404

    def test_etag(self, api: Api, agent: dict[str, Any]) -> None:
        """A revision never changes: its ETag answers 304."""
        path = url(agent, "/versions/2")
        etag = api.get(path).headers["ETag"]
        assert api.get(path, headers={"If-None-Match": etag}).status_code == 304


class TestDiff:
    def test_both_ways(self, api: Api, agent: dict[str, Any]) -> None:
        """A diff tells what changed from one revision to another, in either direction."""
        found = api.data(api.get(url(agent, "/versions/1/diff?to=3")))
        assert found == {
            "agent_id": agent["id"],
            "version": 1,
            "to": 3,
            "changes": [
                {"path": "a", "op": "remove", "before": 1},
                {"path": "b.c", "op": "replace", "before": [1], "after": [2]},
            ],
        }
        back = api.data(api.get(url(agent, "/versions/3/diff?to=1")))["changes"]
        assert back == [
            {"path": "a", "op": "add", "after": 1},
            {"path": "b.c", "op": "replace", "before": [2], "after": [1]},
        ]

    def test_same(self, api: Api, agent: dict[str, Any]) -> None:
        """A revision doesn't differ from itself."""
        assert api.data(api.get(url(agent, "/versions/2/diff?to=2")))["changes"] == []

    def test_secret(self, api: Api) -> None:
        """A secret that changed shows as ********, before and after."""
        agent = factories.agent(api, config=factories.providers(factories.provider()))
        fresh = factories.providers(factories.provider(api_key="sk-new"))
        api.data(api.put(url(agent, ""), fresh))
        answer = api.get(url(agent, "/versions/1/diff?to=2"))
        (change,) = api.data(answer)["changes"]
        assert change["op"] == "replace"
        assert "sk-" not in answer.get_data(as_text=True)

    @pytest.mark.parametrize("to", ["4", "2147483647"])
    def test_unknown(self, to: str, api: Api, agent: dict[str, Any]) -> None:
        """A version that isn't there is 404 AGENT_001."""
        api.error(api.get(url(agent, f"/versions/1/diff?to={to}")), 404, "AGENT_001")
        api.error(api.get(url(agent, f"/versions/{to}/diff?to=1")), 404, "AGENT_001")

    @pytest.mark.parametrize("query", ["", "?to=", "?to=0", "?to=x", f"?to={2**31}"])
    def test_wrong_query(self, query: str, api: Api, agent: dict[str, Any]) -> None:
        """Without a number to compare with it is 422."""
        error = api.error(api.get(url(agent, f"/versions/1/diff{query}")), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["to"]


class TestRollback:
    def test_new_revision(self, api: Api, agent: dict[str, Any]) -> None:
        """A rollback saves the earlier configuration as a new revision."""
        rolled = api.data(api.post(url(agent, "/rollback"), {"version": 1}))
        assert rolled == {**EMPTY, "a": 1, "b": {"c": [1]}}
        assert api.data(api.get(url(agent, ""))) == rolled
        newest = api.data(api.get(url(agent)))["items"][0]
        assert (newest["version"], newest["action"]) == (4, "rollback")
        assert {change["path"] for change in newest["changes"]} == {"a", "b.c"}

    def test_to_the_present(self, api: Api, agent: dict[str, Any]) -> None:
        """A rollback to what is there already makes no revision."""
        api.data(api.post(url(agent, "/rollback"), {"version": 3}))
        assert api.data(api.get(url(agent)))["pagination"]["total"] == 3

    def test_secrets_work(self, api: Api, secrets_of: Callable[..., Any]) -> None:
        """The secrets of the earlier configuration are there again."""
        sample = factories.sample_agent()
        agent = factories.agent(api, **sample)
        api.data(api.put(url(agent, "?mode=replace"), {"persona": "猫"}))
        rolled = api.data(api.post(url(agent, "/rollback"), {"version": 1}))
        (provider,) = rolled["config_overrides"]["model"]["api_providers"]
        assert provider["api_key"] == MASK
        assert secrets_of(agent) == sample["config"]

    @pytest.mark.parametrize("version", [4, 2**31 - 1])
    def test_unknown(self, version: int, api: Api, agent: dict[str, Any]) -> None:
        """A version that isn't there is 404 AGENT_001."""
        answer = api.post(url(agent, "/rollback"), {"version": version})
        api.error(answer, 404, "AGENT_001")

    @pytest.mark.parametrize("body", [{}, {"version": None}, {"version": "1"}, {"version": 0}])
    def test_wrong_body(self, body: dict[str, Any], api: Api, agent: dict[str, Any]) -> None:
        """A version is a whole number from 1 up."""
        error = api.error(api.post(url(agent, "/rollback"), body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["version"]

    def test_audit(self, api: Api, agent: dict[str, Any]) -> None:
        """A rollback is kept as a change of the configuration."""
        api.data(api.post(url(agent, "/rollback"), {"version": 1}))
        entry = factories.audit_entries(api, resource=agent["id"])[0]
        assert entry["action"] == "agent.config"
        assert entry["after"] == {"config_version": 4, "action": "rollback"}
