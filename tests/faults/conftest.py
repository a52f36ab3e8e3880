"""How long faults last."""

from __future__ import annotations

import os

import pytest

FULL = os.environ.get("MAIMCONFIG_TEST_OUTAGE_SECONDS")


@pytest.fixture
def outage() -> float:
    """Seconds that something is away."""
    return float(FULL or 2)
