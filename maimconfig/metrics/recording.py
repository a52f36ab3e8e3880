"""What requests and replies leave in the metrics."""

from __future__ import annotations

from collections.abc import Collection

from maimconfig.metrics import definitions as metrics
from maimconfig.providers.types import OFFLINE_MODEL, Endpoint, Outcome

# A caller may send any word as its method; each would be a series.
METHODS: Collection[str] = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT")
)


def request(plane: str, route: str | None, method: str, status: int, seconds: float) -> None:
    """Take in a request that is being answered.

    Args:
        route: the template of its path; None when there was none.
    """
    metrics.HTTP_REQUESTS.observe(
        seconds,
        plane,
        route or metrics.UNMATCHED,
        method if method in METHODS else "other",
        status,
    )


def tenant(tenant_id: str, cap: int) -> None:
    """Count a tenant's request; beyond `cap` tenants as `other`."""
    metrics.TENANT_REQUESTS.add_capped(1, cap, tenant_id)


def reply(outcome: Outcome) -> None:
    """Take in how the providers did for one reply."""
    last = len(outcome.attempts) - 1
    for number, attempt in enumerate(outcome.attempts):
        result = attempt.failure.value if attempt.failure else "ok"
        if outcome.aborted and number == last and attempt.failure is None:
            result = "aborted"
        name = attempt.provider if attempt.trusted else metrics.CUSTOM
        metrics.PROVIDER_CALLS.observe(attempt.milliseconds / 1000, name, result)
    name = _name(outcome.target.endpoint) if outcome.target else OFFLINE_MODEL
    for kind, tokens in (("prompt", outcome.tokens_in), ("completion", outcome.tokens_out)):
        if tokens:
            metrics.PROVIDER_TOKENS.add(tokens, name, kind)


def _name(endpoint: Endpoint) -> str:
    return endpoint.name if endpoint.trusted else metrics.CUSTOM
