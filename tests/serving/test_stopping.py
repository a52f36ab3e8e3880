"""Signals before and after there is something to drain."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from maimconfig.serving.stopping import StopRequest

USR1 = signal.SIGUSR1


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    before = signal.getsignal(USR1)
    yield
    signal.signal(USR1, before)


def test_before_serving() -> None:
    """While nothing is served yet a signal interrupts."""
    with pytest.raises(KeyboardInterrupt), StopRequest(USR1):
        signal.raise_signal(USR1)


def test_while_serving() -> None:
    """While something is served a signal only wakes the loop, and says which it was."""
    woken: list[signal.Signals] = []
    with StopRequest(USR1) as stop:
        stop.tell(woken.append)
        signal.raise_signal(USR1)
    assert woken == [USR1]


def test_swallowed_interrupt() -> None:
    """An interrupt that somebody caught isn't forgotten: the loop is woken when it begins."""
    woken: list[signal.Signals] = []
    with StopRequest(USR1) as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(USR1)
        stop.tell(woken.append)
    assert woken == [USR1]


def test_ignored_signal() -> None:
    """A signal that is ignored, as under nohup, stays ignored."""
    signal.signal(USR1, signal.SIG_IGN)
    with StopRequest(USR1):
        assert signal.getsignal(USR1) is signal.SIG_IGN


def test_restores() -> None:
    """Afterwards the signal means what it meant before."""
    before = signal.getsignal(USR1)
    with StopRequest(USR1):
        assert signal.getsignal(USR1) is not before
    assert signal.getsignal(USR1) is before
