"""Ids."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from maimconfig.db.ids import new_id


def test_form() -> None:
    """An id is its prefix and a suffix of [a-z0-9] without underscore, at most 50 characters."""
    made = new_id("contact")
    assert re.fullmatch(r"contact_[a-z0-9]+", made)
    assert len(made) <= 50


def test_order() -> None:
    """Ids made one after the other sort in that order, so that an index appends."""
    made = [new_id("tenant") for _ in range(5000)]
    assert made == sorted(made)


def test_unique_over_threads() -> None:
    """No two threads get the same id."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("key"), range(20_000)))
    assert len(set(made)) == len(made)
