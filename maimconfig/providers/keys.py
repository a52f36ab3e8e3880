"""Which of an endpoint's keys to try: the last that worked first, the refused ones last."""

from __future__ import annotations

from collections.abc import Sequence

REFUSED_SECONDS = 60.0
LIMITED_SECONDS = 5.0
LONGEST_SECONDS = 600.0


class KeyRing:
    """What was learnt of an endpoint's keys; a key is remembered by its hash, never itself."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._bad_until: dict[int, float] = {}

    def order(self, keys: Sequence[str], now: float) -> list[str]:
        """All keys in the order to try them; one empty text where there is none.

        Args:
            now: seconds of a clock that only goes forward.
        """
        self._forget({hash(key) for key in keys})
        first = next((i for i, key in enumerate(keys) if hash(key) == self._last), 0)
        turned = [*keys[first:], *keys[:first]] or [""]
        return sorted(turned, key=lambda key: max(now, self._bad_until.get(hash(key), now)))

    def works(self, key: str) -> None:
        """Take in that a key was accepted."""
        self._last = hash(key)
        self._bad_until.pop(hash(key), None)

    def refused(self, key: str, now: float) -> None:
        """Take in 401 or 403 for a key."""
        self._bad_until[hash(key)] = now + REFUSED_SECONDS

    def limited(self, key: str, now: float, retry_after: float | None) -> None:
        """Take in 429 for a key, and how long it asks to wait."""
        self._bad_until[hash(key)] = now + min(retry_after or LIMITED_SECONDS, LONGEST_SECONDS)

    def _forget(self, known: set[int]) -> None:
        self._bad_until = {key: at for key, at in self._bad_until.items() if key in known}
