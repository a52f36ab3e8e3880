"""Fixtures of the serving tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.harness import Toy


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Toy]]:
    """Start toy services; they end with the test."""
    toys: list[Toy] = []

    def launch(**options: Any) -> Toy:
        toys.append(Toy(tmp_path / f"notes-{len(toys)}", **options))
        return toys[-1]

    yield launch
    for toy in toys:
        toy.kill()


@pytest.fixture
def start(launch: Callable[..., Toy]) -> Callable[..., Toy]:
    """Start a toy service and wait until it answers."""
    return lambda **options: launch(**options).announced()
