"""The service in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.servers.service import LiveService

Start = Callable[..., LiveService]


@pytest.mark.parametrize("fresh", [True, False])
def test_it_answers_on_both_planes_until_it_is_told_to_stop(
    live_service: Start, migrated_database_url: str, fresh: bool
) -> None:
    """It's ready once it's there; SIGTERM ends it with exit code 0."""
    service = live_service(migrated_database_url, fresh=fresh)
    for plane in (service.internal, service.public):
        assert httpx.get(f"{plane}/health/live").status_code == 200
    assert service.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.internal}/health/live")


@pytest.mark.parametrize("fresh", [True, False])
def test_it_starts_again(live_service: Start, fresh: bool) -> None:
    """After a stop, a kill or in one go, with the same instance folder."""
    service = live_service(fresh=fresh)
    first = service.process.pid
    service.restart()
    assert service.process.pid != first
    service.kill()
    service.start()
    ready = httpx.get(f"{service.internal}/health/ready")
    assert ready.status_code == 200, ready.text
    assert list(service.instance.iterdir())


def test_one_plane_is_enough(live_service: Start) -> None:
    """A plane that isn't asked for isn't served."""
    service = live_service(planes=["public"])
    assert service.urls.keys() == {"public"}


def test_a_failed_start_quotes_the_log(live_service: Start) -> None:
    """A test whose service doesn't start says why."""
    with pytest.raises(AssertionError, match="MAIMCONFIG_LOG_LEVEL"):
        live_service(env={"MAIMCONFIG_LOG_LEVEL": "loud"})
