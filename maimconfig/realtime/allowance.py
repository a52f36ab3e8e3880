"""How much may be sent: an allowance that fills up again with time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Allowance:
    """Some amount, which fills up within a minute.

    Attributes:
        most: that may be taken at once, and within a minute in the long run.
    """

    most: int
    _left: float = field(default=-1, init=False)
    _at: float = field(default=0.0, init=False)

    def take(self, now: float) -> float:
        """Take one.

        Args:
            now: seconds of a clock that never goes back.

        Returns:
            0 when there was one; else the seconds after which there will be.
        """
        left = self.most if self._left < 0 else self._left + (now - self._at) * self.most / 60
        self._at = now
        self._left = min(left, self.most)
        if self._left < 1:
            return (1 - self._left) * 60 / self.most
        self._left -= 1
        return 0.0

    def is_full(self, now: float) -> bool:
        """Whether nothing of it is missing any more."""
        return self._left < 0 or self._left + (now - self._at) * self.most / 60 >= self.most


class Allowances:
    """An allowance for each of many, which outlives the connections that take of it."""

    def __init__(self, most: int) -> None:
        """Give each this much a minute."""
        self._most = most
        self._of: dict[Hashable, Allowance] = {}

    def take(self, whose: Hashable, now: float) -> float:
        """Take one of somebody's; see `Allowance.take`."""
        found = self._of.get(whose)
        if found is None:
            found = self._of[whose] = Allowance(self._most)
        return found.take(now)

    def forget_full(self, now: float) -> None:
        """Forget those that are as good as new."""
        for whose in [who for who, found in self._of.items() if found.is_full(now)]:
            del self._of[whose]
