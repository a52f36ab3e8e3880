"""Real requests and calls at the same time, from threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from werkzeug.test import Client, TestResponse

from tests.api import Api

WAIT_SECONDS = 30

T = TypeVar("T")
S = TypeVar("S", bound="UntilLeft")
Call = Callable[[Client], TestResponse]


class UntilLeft:
    """Threads that work while a `with` lasts; a subclass makes them.

    Attributes:
        _threads: not started yet.
        _over: set at the end, which is waited for.
    """

    _threads: list[threading.Thread]
    _over: threading.Event

    def __enter__(self: S) -> S:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def at_once(api: Api, calls: Iterable[Call], threads: int | None = None) -> list[TestResponse]:
    """Make calls at the same time, each thread with a client of its own.

    Args:
        api: of the app that is called; holds every answer against its document.
        calls: each gets a client and gives its answer.
        threads: how many at once; all of them when None.

    Returns:
        the answers, in the order of the calls.
    """
    work = list(calls)
    number = threads or len(work)
    start = threading.Barrier(number)
    mine = threading.local()

    def prepare() -> None:
        mine.client = api.app.test_client()
        start.wait(WAIT_SECONDS)

    with ThreadPoolExecutor(number, initializer=prepare) as pool:
        answers = list(pool.map(lambda call: call(mine.client), work))
    for answer in answers:
        api.validate(answer)
    return answers


def together(calls: Iterable[Callable[[], T]]) -> list[T]:
    """What calls give that are made at the same time, each in a thread of its own."""
    work = list(calls)
    start = threading.Barrier(len(work))

    def run(call: Callable[[], T]) -> T:
        start.wait(WAIT_SECONDS)
        return call()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


def post(path: str, body: Any, **options: Any) -> Call:
    """A POST with a JSON body."""
    return lambda client: client.post(path, json=body, **options)


def put(path: str, body: Any, **options: Any) -> Call:
    """A PUT with a JSON body."""
    return lambda client: client.put(path, json=body, **options)


def delete(path: str, **options: Any) -> Call:
    """A DELETE."""
    return lambda client: client.delete(path, **options)


def statuses(answers: Iterable[TestResponse]) -> dict[int, int]:
    """How often each status was answered."""
    return dict(Counter(answer.status_code for answer in answers))


def codes(answers: Iterable[TestResponse]) -> set[str]:
    """The error codes that were answered."""
    bodies = (answer.get_json(silent=True) or {} for answer in answers)
    return {
        body["error_code"] for body in bodies if isinstance(body, dict) and "error_code" in body
    }
