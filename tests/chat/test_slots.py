"""Places for replies."""

from __future__ import annotations

import pytest

from maimconfig.chat.slots import Slots
from maimconfig.http.errors import Busy


def test_end() -> None:
    """Past the limit nobody waits: it is refused at once, and free again after a release."""
    slots = Slots(2)
    slots.take()
    slots.take()
    with pytest.raises(Busy) as refused:
        slots.take()
    assert refused.value.headers["Retry-After"]
    slots.release()
    assert slots.take() == 1


def test_several() -> None:
    """Who can use several gets as many as there are."""
    slots = Slots(3)
    slots.take()
    with slots.held(8) as got:
        assert got == 2
        assert slots.taken == 3
    assert slots.taken == 1


def test_given_back_on_failure() -> None:
    """A block that fails gives its places back."""
    slots = Slots(1)
    with pytest.raises(ZeroDivisionError), slots.held():
        raise ZeroDivisionError
    assert slots.taken == 0
