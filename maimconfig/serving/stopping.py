"""SIGTERM and its like, before and after there is something to drain."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType


class StopRequest:
    """Listens for the signals that end a process, while it's entered.

    Nothing is served yet while the apps are made, so there a signal interrupts at once, as Ctrl-C
    does. From `tell` on it only wakes the loop, which drains.
    """

    def __init__(self, *signals: signal.Signals) -> None:
        """Listen for these signals; one that is ignored (nohup) stays so."""
        self._signals = signals
        self._wake: Callable[[signal.Signals], None] | None = None
        self._made: signal.Signals | None = None
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopRequest:
        for number in self._signals:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def tell(self, wake: Callable[[signal.Signals], None]) -> None:
        """Call this with each signal, and now if there was one already."""
        self._wake = wake
        if self._made is not None:
            wake(self._made)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._made = signal.Signals(number)
        if self._wake is None:
            raise KeyboardInterrupt
        self._wake(self._made)
