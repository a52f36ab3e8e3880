"""Where far pages of a list begin, so that the way there isn't walked each time.

A database finds the 20 000th row of a list by reading the 19 999 before it. Who has been there
leaves a mark, from which the next one goes on. A mark is good for the very list it was made in:
each that is created or deleted makes another list.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from typing import Any, NamedTuple

MOST_LISTS = 64
MOST_MARKS = 256


class ListState(NamedTuple):
    """What tells a tenant's list of agents from the one it was before.

    The newest is another after each creation, and the total after each deletion. Only a clock that
    was set back could make the same state of two lists.
    """

    total: int
    newest: str


class Mark(NamedTuple):
    """A row of a list.

    Attributes:
        place: how many rows stand before it.
        moment: its created_at, as the driver gave it.
        id: its id.
    """

    place: int
    moment: Any
    id: str


class Marks:
    """The marks of a process, those of the lists that were read last; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: OrderedDict[str, tuple[ListState, list[Mark]]] = OrderedDict()

    def nearest(self, name: str, state: ListState, place: int) -> Mark | None:
        """The last mark at or before a place of a list; None when there is none."""
        with self._lock:
            known, marks = self._lists.get(name, (None, []))
            if known != state:
                return None
            self._lists.move_to_end(name)
            found = bisect_right(marks, place, key=lambda mark: mark.place)
            return marks[found - 1] if found else None

    def leave(self, name: str, state: ListState, mark: Mark) -> None:
        """Leave a mark in a list; marks of the list that it was before are dropped."""
        with self._lock:
            known, marks = self._lists.get(name, (None, []))
            if known != state:
                marks = []
            self._lists[name] = (state, marks)
            self._lists.move_to_end(name)
            found = bisect_right(marks, mark.place, key=lambda mark: mark.place)
            if not found or marks[found - 1].place != mark.place:
                marks.insert(found, mark)
            if len(marks) > MOST_MARKS:
                del marks[1::2]
            if len(self._lists) > MOST_LISTS:
                self._lists.popitem(last=False)
