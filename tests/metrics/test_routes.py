"""/metrics"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maimconfig.metrics import definitions as metrics
from maimconfig.metrics import recording
from maimconfig.metrics.instruments import INSTRUMENTS
from maimconfig.providers.types import Attempt, Failure, Outcome
from tests import factories
from tests.api import Api
from tests.metrics.scraped import Samples, samples_of, total, values

CALLS, COUNT = "maimconfig_key_checks_total", "maimconfig_http_request_duration_seconds_count"
VALIDATE = "/api/v2/auth/validate-api-key"


def scrape(api: Api, **headers: str) -> Samples:
    """What the page says now."""
    answer = api.client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return samples_of(answer.get_data(as_text=True))


def test_requests_and_checks(api: Api) -> None:
    """Requests count by template, method and status, key checks by what they found."""
    before = scrape(api)
    key = factories.api_key(api)["api_key"]
    for sent in (key, key, "mmc_" + "A" * 60, "nothing"):
        api.post(VALIDATE, {"api_key": sent})
    api.get(f"/api/v2/tenants/{factories.tenant(api)['id']}")
    for path in ("/nowhere", "/nowhere/else"):
        api.client.open(path, method="BREW")
    after = scrape(api)

    def more(name: str, **labels: object) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert more(CALLS, result="valid") == 2
    assert more(CALLS, result="malformed") + more(CALLS, result="unknown") == 2
    assert more(COUNT, route=VALIDATE, method="POST", status=200, plane="internal") == 2
    assert more(COUNT, route="/api/v2/tenants/<id:tenant_id>", status=200) == 1
    assert more(COUNT, route=metrics.UNMATCHED, method="other", status=404) == 2
    assert total(after, "maimconfig_http_request_duration_seconds_sum", route=VALIDATE) > 0


def test_nobody_is_named(api_with: Callable[..., Api]) -> None:
    """No label holds an id, unless the operator asked for tenants; and then up to a number."""
    for cap in (0, 2):
        api = api_with(metrics_tenants=cap)
        made = [factories.tenant(api)["id"] for _ in range(3)]
        for tenant_id in made:
            api.get(f"/api/v2/agents?tenant_id={tenant_id}")
        page = api.client.get("/metrics").get_data(as_text=True)
        for word in ("agent_0", "key_0", "user_0", *(() if cap else ("tenant_0",))):
            assert word not in page, word
        assert len(values(samples_of(page), "tenant") - {"other"}) <= cap


def test_gauges(api: Api) -> None:
    """The page tells of the process, its pools and how old its unwritten counts are."""
    found = scrape(api)
    assert total(found, "maimconfig_processes") == 1
    assert total(found, "maimconfig_resident_memory_bytes") > 2**20
    assert total(found, "maimconfig_database_connections_limit", pool="writer") >= 1
    assert 0 <= total(found, "maimconfig_flush_age_seconds") < 3600
    assert total(found, "maimconfig_build_info") >= 1


def outcome(*attempts: Attempt, aborted: bool = False) -> Outcome:
    """How a reply ended after these attempts."""
    return Outcome(
        text="",
        target=None,
        finish_reason=None,
        tokens_in=3,
        tokens_out=4,
        estimated=False,
        failure=None,
        retry_after=None,
        aborted=aborted,
        attempts=attempts,
        first_delta_ms=None,
        milliseconds=1,
    )


def test_providers(api: Api) -> None:
    """Providers of the operator count by their names, those of tenants as one."""
    before = scrape(api)
    for number in range(5):
        recording.reply(outcome(
            Attempt("m", f"tenants own {number}", Failure.TIMEOUT, None, 2000),
            Attempt("m", "openai", None, 200, 300, trusted=True),
        ))  # fmt: skip
    recording.reply(outcome(Attempt("m", "openai", None, 200, 1, trusted=True), aborted=True))
    after = scrape(api)

    def more(result: str, provider: str) -> float:
        name = "maimconfig_provider_call_duration_seconds_count"
        return total(after, name, result=result, provider=provider) - total(
            before, name, result=result, provider=provider
        )

    assert more("timeout", metrics.CUSTOM) == 5
    assert more("ok", "openai") == 5
    assert more("aborted", "openai") == 1
    assert not any(value.startswith("tenants own") for value in values(after, "provider"))
    tokens = "maimconfig_provider_tokens_total"
    assert total(after, tokens, kind="prompt") - total(before, tokens, kind="prompt") == 18


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("text/plain", "text/plain"), ("application/openmetrics-text; version=1.0.0",
                                    "application/openmetrics-text")],
)  # fmt: skip
def test_formats(api: Api, accept: str, content_type: str) -> None:
    """Prometheus gets text or OpenMetrics, whichever it asks for, and caches are told so."""
    answer = api.client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Content-Type"].startswith(content_type)
    assert ("# EOF" in answer.get_data(as_text=True)) is ("openmetrics" in content_type)


def test_token(api_with: Callable[..., Api]) -> None:
    """The internal token locks the page too."""
    client = api_with(internal_token="t" * 32).client
    assert client.get("/metrics").status_code == 401
    headers = {"Authorization": f"Bearer {'t' * 32}"}
    assert client.get("/metrics", headers=headers).status_code == 200


def test_folder_is_gone(api_with: Callable[..., Api], tmp_path: Path) -> None:
    """Where the numbers of others can't be had, the page says so instead of telling a part."""
    (tmp_path / "file").touch()
    api = api_with(metrics_folder=tmp_path / "file" / "numbers")
    answer = api.client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (503, "text/plain")
    assert int(answer.headers["Retry-After"]) > 0


def test_names() -> None:
    """Names have the service's prefix and, where they measure something, its unit."""
    assert len({instrument.name for instrument in INSTRUMENTS}) == len(INSTRUMENTS)
    for instrument in INSTRUMENTS:
        assert instrument.name.startswith("maimconfig_")
        assert instrument.help.endswith(".")
        assert not {"user", "key", "agent", "id", "path"} & set(instrument.labels)
        assert instrument.kind != "histogram" or instrument.name.endswith("_seconds")
