"""How many replies are made at once: past it a chat is refused, and never waits for a thread."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from maimconfig.http.errors import Busy, RateLimited


class Slots:
    """Places for replies, of one plane of a process.

    Attributes:
        limit: how many there are.
        taken: how many are in use.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._had: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, at_most: int = 1) -> int:
        """Take as many places as there are, up to a number.

        Returns:
            how many were taken, at least one; give them back with `release`.

        Raises:
            Busy: there is none.
        """
        with self._lock:
            got = min(at_most, self.limit - self.taken)
            if got < 1:
                raise Busy(internal=f"{self.taken} replies are under way")
            self.taken += got
            return got

    def release(self, number: int = 1) -> None:
        """Give places back."""
        with self._lock:
            self.taken -= number

    @contextmanager
    def held(self, at_most: int = 1) -> Iterator[int]:
        """Places for as long as a block runs; how many they are.

        Raises:
            Busy: there is none.
        """
        got = self.take(at_most)
        try:
            yield got
        finally:
            self.release(got)

    @contextmanager
    def had_by(self, whose: str, most: int) -> Iterator[None]:
        """One of the few places that somebody may have at once, for as long as a block runs.

        Raises:
            RateLimited: all of them are in use.
        """
        with self._lock:
            if self._had[whose] >= most:
                raise RateLimited(retry_after=1, internal=f"{most} replies are waited for")
            self._had[whose] += 1
        try:
            yield
        finally:
            with self._lock:
                self._had[whose] -= 1
                if not self._had[whose]:
                    del self._had[whose]
