"""Secrets within a configuration: masked for readers, sealed for the database.

A configuration is in one of three states: plain (what a caller may send), masked (what a caller
reads) and sealed (what is stored). The steps between them are these, and no other:

    plain or masked --prepare--> sealed --mask--> masked
                                 sealed --unseal--> plain

To change a stored configuration partly, merge the caller's patch into `mask(stored)` and hand the
result to `prepare`: what the patch leaves alone is then MASK and kept. Whatever else a caller
sends is taken for plain text, so text that looks sealed is sealed once more, and can be neither
stored as it is nor decrypted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from maimconfig.agents.config_fields import MASK, secret_kinds
from maimconfig.agents.merge import fresh

__all__ = [
    "MASK",
    "MaskedSecretUnknown",
    "Vault",
    "mask",
    "prepare",
    "recognised",
    "reseal",
    "unseal",
]

SEALED: Final = "enc:"
_ADDRESS: Final = "config_overrides.model.api_providers[].base_url"

_Owner: TypeAlias = "str | int | None"


class Vault(Protocol):
    """Encryption of one text; what was sealed for one context can't be opened for another."""

    def encrypt(self, plain: str, context: str) -> str:
        """The sealed text, which begins with "enc:"."""

    def decrypt(self, sealed: str, context: str) -> str:
        """The plain text of what `encrypt` returned for the same context."""

    def is_current(self, sealed: str) -> bool:
        """Whether a sealed text is under the master secret that new ones are put under."""


class MaskedSecretUnknown(ValueError):
    """A caller asked to keep a secret of which nothing is stored.

    Attributes:
        path: where the mask stands ("config_overrides.model.api_providers.0.api_key").
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing is stored to keep at {path}")
        self.path = path


def mask(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which every secret reads as MASK; null and empty ones stay as they are.

    A secret of the wrong type is masked too: a legacy configuration may hold one.
    """
    masked: dict[str, Any] = fresh(dict(config))
    for slot in _slots(masked):
        if not _is_empty(slot.value):
            slot.value = MASK
    return masked


def prepare(new: Mapping[str, Any], stored: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """What to store for a configuration that a caller sent.

    Args:
        new: the checked configuration, its secrets plain or MASK.
        stored: what is stored now; `{}` for a new agent. Its providers are matched by name, its
            tokens by index.
        vault: seals with the secret's path in the table as the context.

    Returns:
        a copy of `new` with every secret sealed; one that is kept is taken over as it is.

    Raises:
        MaskedSecretUnknown: nothing is stored where `new` has MASK.
    """
    sealed: dict[str, Any] = fresh(dict(new))
    kept = _by_owner(stored)
    for slot in _slots(sealed):
        if slot.value == MASK:
            slot.value = _kept(slot, kept, vault)
        elif isinstance(slot.value, str) and slot.value:
            slot.value = vault.encrypt(slot.value, slot.kind)
    return sealed


def recognised(
    new: Mapping[str, Any], stored: Mapping[str, Any], vault: Vault
) -> tuple[dict[str, Any], list[str]]:
    """A configuration from a file, as one that was made from what is stored.

    Args:
        new: its secrets plain or MASK; not yet checked.
        stored: what is stored now; `{}` for a new agent.

    Returns:
        a copy of `new` in which a secret that is stored already is MASK, so that nothing changes;
        and the paths of the masks for which nothing is stored, which are left out of it; of a
        provider without its address all is.
    """
    found: dict[str, Any] = fresh(dict(new))
    kept = _by_owner(stored)
    plain = _by_owner(unseal(stored, vault))
    unknown = []
    for slot in _slots(found):
        owner = (slot.kind, slot.owner)
        if slot.value == MASK and owner not in kept:
            unknown.append(slot)
        elif not _is_empty(slot.value) and slot.value == plain.get(owner):
            slot.value = MASK
    for slot in reversed(unknown):
        del slot.holder[slot.key]
    _forget_providers(found, [slot.holder for slot in unknown if slot.kind == _ADDRESS])
    return found, [slot.path for slot in unknown]


def _forget_providers(config: dict[str, Any], lost: list[Any]) -> None:
    if lost:
        model = config["config_overrides"]["model"]
        model["api_providers"] = [
            one for one in model["api_providers"] if not any(one is other for other in lost)
        ]


def unseal(stored: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """The plain configuration of what `prepare` returned; never call it with a caller's own.

    A secret that a legacy configuration holds in plain text stays as it is.
    """
    plain: dict[str, Any] = fresh(dict(stored))
    for slot in _slots(plain):
        if _is_sealed(slot.value):
            slot.value = vault.decrypt(slot.value, slot.kind)
    return plain


def reseal(stored: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """A stored configuration with every secret under the vault's current master secret.

    One that is under it already stays as it is, and one that is in plain text is sealed.
    """
    moved: dict[str, Any] = fresh(dict(stored))
    for slot in _slots(moved):
        if _is_sealed(slot.value):
            if not vault.is_current(slot.value):
                slot.value = vault.encrypt(vault.decrypt(slot.value, slot.kind), slot.kind)
        elif isinstance(slot.value, str) and slot.value:
            slot.value = vault.encrypt(slot.value, slot.kind)
    return moved


@dataclass(slots=True)
class _Slot:
    """The place of one secret.

    Attributes:
        holder, key: the object or array that holds it, and where.
        kind: its path in the table, the context of its encryption.
        path: its path in the configuration.
        owner: what tells it from others of its kind: its provider's name, or its index.
    """

    holder: Any
    key: str | int
    kind: str
    path: str
    owner: _Owner

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    @value.setter
    def value(self, value: Any) -> None:
        self.holder[self.key] = value


def _slots(config: Mapping[str, Any]) -> Iterator[_Slot]:
    """The places of all secrets, whatever their type; odd shapes on the way have none."""
    for kind in secret_kinds():
        yield from _within(config, kind.split("."), kind, "", None)


def _within(node: Any, steps: list[str], kind: str, path: str, owner: _Owner) -> Iterator[_Slot]:
    name, rest = steps[0].removesuffix("[]"), steps[1:]
    if not isinstance(node, Mapping) or name not in node:
        return
    inner, path = node[name], f"{path}.{name}" if path else name
    if steps[0] != name and isinstance(inner, list):
        yield from _among(inner, rest, kind, path)
    elif rest:
        yield from _within(inner, rest, kind, path, owner)
    else:
        yield _Slot(node, name, kind, path, owner)


def _among(items: list[Any], rest: list[str], kind: str, path: str) -> Iterator[_Slot]:
    for index, item in enumerate(items):
        if not rest:
            yield _Slot(items, index, kind, f"{path}.{index}", index)
        elif isinstance(item, dict):
            name = item.get("name")
            owner = name if isinstance(name, str) else index
            yield from _within(item, rest, kind, f"{path}.{index}", owner)


def _by_owner(stored: Mapping[str, Any]) -> dict[tuple[str, _Owner], Any]:
    kept: dict[tuple[str, _Owner], Any] = {}
    for slot in _slots(stored):
        if not _is_empty(slot.value):
            kept.setdefault((slot.kind, slot.owner), slot.value)
    return kept


def _kept(slot: _Slot, stored: dict[tuple[str, _Owner], Any], vault: Vault) -> Any:
    if (slot.kind, slot.owner) not in stored:
        raise MaskedSecretUnknown(slot.path)
    old = stored[slot.kind, slot.owner]
    if isinstance(old, str) and not _is_sealed(old):
        # A legacy configuration held it in plain text.
        return vault.encrypt(old, slot.kind)
    return fresh(old)


def _is_sealed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(SEALED)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})
