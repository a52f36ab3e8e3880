"""Which things there are in a filled database, when they were made, and whose they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

YEAR = timedelta(days=365)

Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How many rows of each kind there are."""

    tenants: int
    agents: int
    api_keys: int
    users: int
    usage: int
    messages: int
    audit: int
    conversations: int
    deliveries: int

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in vars(self).items())


BIG = Sizes(1000, 10_000, 20_000, 10_000, 1_000_000, 100_000, 100_000, 10_000, 100_000)
SMALL = Sizes(10, 50, 50, 50, 50, 50, 50, 50, 50)


@dataclass
class Ids:
    """The ids of all things, by their numbers.

    Attributes:
        now: the end of the year.
        encrypt: seals a secret for a context.
        key_hash: by which a key is found.
    """

    sizes: Sizes
    now: datetime
    encrypt: Callable[[str, str], str]
    key_hash: Callable[[str], str]

    def owner(self, number: int, of: int) -> int:
        """Which of the first `of` things number belongs to: each second one to the first."""
        return 0 if number % 2 == 0 else mixed(number) % of

    def tenant_of(self, number: int) -> int:
        return self.owner(number, self.sizes.tenants)

    def moment(self, number: int, of: int) -> datetime:
        """When the thing of a number was made; they are spread over the year, the last one now."""
        return self.now - YEAR * ((of - 1 - number) / of)

    def id(self, kind: str, number: int, of: int) -> str:
        """An id that is ordered by time, as those of the service are."""
        milliseconds = int(self.moment(number, of).timestamp() * 1000)
        return f"{kind}_{milliseconds:012x}7{number:019x}"

    def user_id(self, number: int) -> str:
        return self.id("user", number, self.sizes.users)

    def tenant_id(self, number: int) -> str:
        return self.id("tenant", number, self.sizes.tenants)

    def agent_id(self, number: int) -> str:
        return self.id("agent", number, self.sizes.agents)

    def key_id(self, number: int) -> str:
        return self.id("key", number, self.sizes.api_keys)

    def contact_id(self, number: int) -> str:
        return self.id("contact", number, self.sizes.conversations)

    def conversation_id(self, number: int) -> str:
        return self.id("conv", number, self.sizes.conversations)

    def session_id(self, number: int) -> str:
        return self.id("sess", number, self.sizes.conversations)

    def stream_id(self, number: int) -> str:
        return self.id("stream", number, self.sizes.conversations)

    def webhook_id(self, number: int) -> str:
        return self.id("wh", number, self.sizes.tenants)

    def secret(self, number: int) -> str:
        return f"mmc_scale_{hashlib.sha256(str(number).encode()).hexdigest()}"

    def agent_of(self, number: int) -> int:
        """An agent of the tenant that a thing of this number belongs to."""
        if self.tenant_of(number) == 0:
            return mixed(number) % (self.sizes.agents // 2) * 2
        # Any agent of an odd number that belongs to it; else the tenant's things have the first's.
        return self._first_agents()[self.tenant_of(number)]

    def _first_agents(self) -> dict[int, int]:
        if not hasattr(self, "_firsts"):
            firsts: dict[int, int] = {}
            for number in range(self.sizes.agents):
                firsts.setdefault(self.tenant_of(number), number)
            for tenant in range(self.sizes.tenants):
                firsts.setdefault(tenant, 0)
            self._firsts = firsts
        return self._firsts

    def dated(self, number: int, of: int) -> Row:
        made = self.moment(number, of)
        return {"created_at": made, "updated_at": made}


def mixed(number: int) -> int:
    """A number that looks like chance and is the same each time (Knuth, 6.4: multiplicative)."""
    return number * 2_654_435_761 % 2**32 >> 8


def one_of(number: int, usual: str, rare: str) -> str:
    """The rare one of two for one in eight, half of them of the first tenant."""
    return rare if number // 2 % 8 == 3 else usual
