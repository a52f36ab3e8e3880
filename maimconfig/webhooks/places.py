"""How many attempts may be under way at once: nobody's endpoints use up the places of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from maimconfig.webhooks.types import Due

# Attempts at once to one endpoint, and to one that fails.
PER_ENDPOINT, PER_FAILING = 16, 1
# To all the endpoints of a tenant, and to those of them that fail.
PER_TENANT, FAILING_PER_TENANT = 32, 4


class Places:
    """The places of endpoints and of their tenants.

    Attributes:
        full: endpoints that are known to have none left.
    """

    def __init__(self, under_way: Collection[Due]) -> None:
        """Begin with what is being sent."""
        self._taken: Counter[str] = Counter()
        for due in under_way:
            self._taken.update(key for key, _ in _limits(*_of(due)))
        self.full = {due.webhook_id for due in under_way if not self._is_free(*_of(due))}

    def take(self, tenant_id: str, webhook_id: str, *, is_failing: bool) -> bool:
        """Whether there is a place for one attempt more, which is taken then."""
        if not self._is_free(tenant_id, webhook_id, is_failing):
            self.full.add(webhook_id)
            return False
        self._taken.update(key for key, _ in _limits(tenant_id, webhook_id, is_failing))
        return True

    def _is_free(self, tenant_id: str, webhook_id: str, is_failing: bool) -> bool:
        limits = _limits(tenant_id, webhook_id, is_failing)
        return all(self._taken[key] < most for key, most in limits)


def _of(due: Due) -> tuple[str, str, bool]:
    return due.tenant_id, due.webhook_id, due.is_failing


def _limits(tenant_id: str, webhook_id: str, is_failing: bool) -> Iterator[tuple[str, int]]:
    yield tenant_id, PER_TENANT
    yield webhook_id, PER_FAILING if is_failing else PER_ENDPOINT
    if is_failing:
        yield f"failing {tenant_id}", FAILING_PER_TENANT
