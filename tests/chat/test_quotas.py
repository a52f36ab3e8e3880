"""Quotas of chats: requests a minute, tokens and cost a month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from maimconfig.chat.models import ChatMessage, MonthlyUse
from maimconfig.providers.types import Failure
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import TOKENS_IN, Script
from tests.parallel import at_once

URL = "/api/v2/chat"
Rows = Callable[..., list[Any]]
LITTLE = {"model": {"model_task_config": {"replyer": {"max_tokens": 10}}}}
RESERVED = TOKENS_IN + 10
USED = TOKENS_IN + len("好的")
COST = (Decimal(2) * TOKENS_IN + Decimal(6) * 2) / 1_000_000
RESERVED_COST = (Decimal(2) * TOKENS_IN + Decimal(6) * 10) / 1_000_000


def asker(api: Api, **quotas: Any) -> dict[str, Any]:
    """A body of a tenant with quotas, whose replies have at most 10 tokens."""
    tenant = factories.tenant(api, tenant_config={"quotas": quotas})
    agent = factories.agent(api, tenant["id"], config={"config_overrides": LITTLE})
    return {"tenant_id": tenant["id"], "agent_id": agent["id"], "message": "x"}


class TestMinute:
    """requests_per_minute"""

    def test_headers(self, api: Api, script: Script) -> None:
        """Each answer tells what is left; past it is 429 RATE_001 with Retry-After."""
        body = asker(api, requests_per_minute=2)
        for left in ("1", "0"):
            answer = api.post(URL, body)
            assert answer.status_code == 200
            assert answer.headers["RateLimit-Limit"] == "2"
            assert answer.headers["RateLimit-Remaining"] == left
            assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
        refused = api.post(URL, body)
        api.error(refused, 429, "RATE_001")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["RateLimit-Remaining"] == "0"

    @pytest.mark.parametrize(("own", "told"), [(5, ("2", "1")), (1, ("1", "0"))])
    def test_nearest_limit(self, own: int, told: tuple[str, str], api: Api, script: Script) -> None:
        """Where the key has a limit too, the answer tells of the one that is nearer."""
        body = asker(api, requests_per_minute=2)
        owner = {"tenant_id": body["tenant_id"], "id": body["agent_id"]}
        key = factories.api_key(api, owner, rate_limit={"limit": own, "window_seconds": 60})
        asked = {"api_key": key["api_key"], "message": "x"}
        answer = api.post(URL, asked)
        names = ("RateLimit-Limit", "RateLimit-Remaining")
        assert tuple(answer.headers[name] for name in names) == told
        for _ in range(2):
            answer = api.post(URL, asked)
        api.error(answer, 429, "RATE_001")
        assert tuple(answer.headers[name] for name in names) == (told[0], "0")

    def test_a_minute_later(self, api: Api, script: Script) -> None:
        """After a minute there are as many again."""
        body = asker(api, requests_per_minute=1)
        with time_machine.travel("2036-05-01T00:00:00Z", tick=False) as traveller:
            assert [api.post(URL, body).status_code for _ in range(2)] == [200, 429]
            traveller.shift(60)
            assert api.post(URL, body).status_code == 200

    def test_none_at_all(self, api: Api, script: Script, rows: Rows) -> None:
        """A quota of 0 refuses everything, and leaves nothing behind."""
        body = asker(api, requests_per_minute=0)
        api.error(api.post(URL, body), 429, "RATE_001")
        assert rows(ChatMessage, body["tenant_id"]) == []
        assert script.asks == []

    def test_at_once(
        self, api: Api, script: Script, rows: Rows, settled: Callable[[str], bool]
    ) -> None:
        """100 chats at once against 50: exactly 50 are answered, and 50 rows are there."""
        body = asker(api, requests_per_minute=50)
        answers = at_once(api, [lambda client: client.post(URL, json=body)] * 100, threads=20)
        assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 50}
        assert len(rows(UsageRecord, body["tenant_id"])) == len(script.asks) == 50
        assert settled(body["tenant_id"])

    def test_default(self, api_with: Callable[..., Api]) -> None:
        """The setting is the default, and a tenant's own quota wins."""
        made = api_with(requests_per_minute=1)
        body, own = asker(made), asker(made, requests_per_minute=3)
        assert [made.post(URL, body).status_code for _ in range(2)] == [200, 429]
        assert [made.post(URL, own).status_code for _ in range(4)] == [200, 200, 200, 429]


class TestMonth:
    """tokens_per_month and cost_per_month"""

    def test_tokens(self, api: Api, script: Script, rows: Rows) -> None:
        """As many chats as fit with their reservation are answered; then 429 QUOTA_001."""
        body = asker(api, tokens_per_month=RESERVED + USED)
        assert [api.post(URL, body).status_code for _ in range(3)] == [200, 200, 429]
        (month,) = rows(MonthlyUse, body["tenant_id"])
        assert (month.tokens, month.cost) == (2 * USED, 2 * COST)

    def test_retry_after(self, api: Api, script: Script) -> None:
        """Whoever has used up a month is told when the next begins, and may then."""
        body = asker(api, tokens_per_month=RESERVED)
        with time_machine.travel("2036-12-31T23:59:00Z", tick=False) as traveller:
            assert api.post(URL, body).status_code == 200
            refused = api.post(URL, body)
            told = api.error(refused, 429, "QUOTA_001")
            assert told["error"] == f"tokens_per_month: {RESERVED}"
            assert refused.headers["Retry-After"] == "60"
            traveller.shift(60)
            assert api.post(URL, body).status_code == 200

    def test_cost(self, api: Api, script: Script) -> None:
        """Cost is judged to the last digit: what fits exactly is answered."""
        exact = float(RESERVED_COST + COST)
        body = asker(api, cost_per_month=exact)
        assert [api.post(URL, body).status_code for _ in range(2)] == [200, 200]
        refused = api.error(api.post(URL, body), 429, "QUOTA_001")
        assert refused["error"].startswith("cost_per_month: ")

    def test_nothing_is_counted_of_a_refusal(self, api: Api, script: Script) -> None:
        """What the month refuses, the minute doesn't count."""
        body = asker(api, requests_per_minute=5, tokens_per_month=1)
        for _ in range(7):
            api.error(api.post(URL, body), 429, "QUOTA_001")

    def test_at_once(
        self, api: Api, script: Script, rows: Rows, settled: Callable[[str], bool]
    ) -> None:
        """Many at once never use more than there is, and what they use is what is counted."""
        limit = 10 * RESERVED
        body = asker(api, tokens_per_month=limit)
        answers = at_once(api, [lambda client: client.post(URL, json=body)] * 60, threads=20)
        good = sum(answer.status_code == 200 for answer in answers)
        used = rows(UsageRecord, body["tenant_id"])
        assert 10 <= good == len(used)
        assert sum(row.tokens_in + row.tokens_out for row in used) <= limit
        assert settled(body["tenant_id"])

    def test_failures_give_back(self, api: Api, script: Script) -> None:
        """A reply that failed gives back what was reserved for it."""
        script.steps = [Failure.CONNECT]
        body = asker(api, tokens_per_month=RESERVED)
        for _ in range(3):
            api.error(api.post(URL, body), 502, "CHAT_003")

    def test_default(self, api_with: Callable[..., Api]) -> None:
        """The setting is the default."""
        made = api_with(tokens_per_month=1)
        made.error(made.post(URL, asker(made)), 429, "QUOTA_001")


@pytest.mark.parametrize("cost", ["1", True, -1, 10**9 + 1, [], 1e300])
def test_bad_cost(cost: Any, api: Api) -> None:
    """A cost quota that is no number from 0 up is 422 with its path."""
    config = {"quotas": {"cost_per_month": cost}}
    body = {"tenant_name": "x", "tenant_type": "personal", "tenant_config": config}
    error = api.error(api.post("/api/v2/tenants", body), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == ["tenant_config.quotas.cost_per_month"]
