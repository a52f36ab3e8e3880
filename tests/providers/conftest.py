"""Fixtures of the providers' tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from maimconfig.providers.service import Providers
from tests.servers.faulty_provider import FaultyProvider

# The server of the conformity tests can't be installed before; a skip would fail in CI.
collect_ignore = [] if sys.version_info >= (3, 11) else ["test_conformity.py"]


@pytest.fixture
def providers() -> Iterator[Providers]:
    """The providers of a process, without exceptions to the outbound rules."""
    found = Providers(())
    yield found
    found.close()


@pytest.fixture
def provider() -> Iterator[FaultyProvider]:
    """A provider on loopback."""
    with FaultyProvider() as server:
        yield server


@pytest.fixture
def other() -> Iterator[FaultyProvider]:
    """A second one."""
    with FaultyProvider() as server:
        yield server
