"""When a failed delivery is tried again: for about a day, ever more rarely."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

MINUTE, HOUR = 60, 3600
# Seconds between an attempt and the next one; after the ninth attempt a delivery is given up.
BACK_OFF = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR)
# So much is added at most, so that what failed together isn't tried again together.
JITTER = 0.2
# After so long a failing endpoint is given up.
WHOLE_TIME = timedelta(seconds=sum(BACK_OFF))


def delay(attempts: int, chance: Callable[[], float] = random.random) -> timedelta | None:
    """How long to wait after an attempt that failed.

    Args:
        attempts: how many there were, from 1.
        chance: gives a number from 0 (included) to 1 (excluded).

    Returns:
        None when the delivery is to be given up.
    """
    if attempts > len(BACK_OFF):
        return None
    return timedelta(seconds=BACK_OFF[attempts - 1] * (1 + JITTER * chance()))
