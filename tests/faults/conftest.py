"""How long faults last."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def outage() -> float:
    """Seconds that something is away."""
    return float(os.environ.get("MAIMCONFIG_TEST_OUTAGE_SECONDS") or 3)
