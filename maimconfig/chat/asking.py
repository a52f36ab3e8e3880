"""Whom chats ask: the one place where they meet the providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maimconfig.providers import estimate as tokens
from maimconfig.providers.registry import targets_of
from maimconfig.providers.service import Reply
from maimconfig.providers.types import Target

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

__all__ = ["TASK", "Reply", "estimate", "targets"]

TASK = "replyer"


def targets(runtime: Runtime, tenant_id: str, config: Mapping[str, Any]) -> Sequence[Target]:
    """The models that answer an agent's chats, in order; none means the offline provider.

    Args:
        config: the agent's effective configuration, secrets in the clear.
    """
    return targets_of(runtime.catalogue, config, tenant_id, TASK)


def estimate(messages: Iterable[Mapping[str, Any]]) -> int:
    """How many tokens a prompt is thought to have."""
    return tokens.prompt_tokens(messages)
