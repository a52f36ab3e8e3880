"""Reactions: what an agent's rules say to a message with certain words or patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maimconfig.chat.patterns import search


def matching(rules: Mapping[str, Any], message: str) -> list[str]:
    """The reactions to a message, each once, keyword rules first.

    Args:
        rules: config_overrides.keyword_reaction of an effective configuration.
        message: as the user wrote it; keywords are looked for exactly.
    """
    found = [*_by_keyword(rules, message), *_by_pattern(rules, message)]
    return list(dict.fromkeys(filter(None, found)))


def _by_keyword(rules: Mapping[str, Any], message: str) -> Iterator[str]:
    for rule in _rules(rules, "keyword_rules"):
        if any(word and word in message for word in rule.get("keywords") or ()):
            yield rule.get("reaction") or ""


def _by_pattern(rules: Mapping[str, Any], message: str) -> Iterator[str]:
    for rule in _rules(rules, "regex_rules"):
        for pattern in rule.get("regex") or ():
            match = search(pattern, message)
            if match is not None:
                yield _filled(rule.get("reaction") or "", match.groupdict())
                break


def _rules(rules: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    return (rule for rule in rules.get(kind) or () if isinstance(rule, Mapping))


def _filled(reaction: str, groups: Mapping[str, str | None]) -> str:
    """The reaction with `[name]` replaced by what the group of that name caught."""
    for name, caught in groups.items():
        reaction = reaction.replace(f"[{name}]", caught or "")
    return reaction
