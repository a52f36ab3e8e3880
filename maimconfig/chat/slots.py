"""How many replies are made at once: past it a chat is refused, and never waits for a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from maimconfig.http.errors import Busy


class Slots:
    """Places for replies, of one plane of a process.

    Attributes:
        limit: how many there are.
        taken: how many are in use.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
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
