"""Fixtures of webhooks: a receiver, and a service whose deliveries may go to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.security.outbound import Allowed
from maimconfig.settings import Settings
from maimconfig.webhooks import service
from tests.api import Api
from tests.webhooks.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with Receiver() as started:
        yield started


@pytest.fixture
def sending(settings: Settings) -> Iterator[Runtime]:
    """A service that may deliver to loopback."""
    opened = Runtime.open(replace(settings, provider_allow=(Allowed.parse("127.0.0.1"),)))
    yield opened
    opened.close()


@pytest.fixture
def hooks(sending: Runtime) -> Api:
    """A caller of its internal plane."""
    app = create_app("internal", sending)
    app.extensions["tests.runtime"] = sending
    return Api(app)


@pytest.fixture
def emit(sending: Runtime) -> Callable[..., None]:
    """Tells the webhooks of a tenant of something: `emit(tenant_id, "message.created", n=1)`."""

    def tell(tenant_id: str, event: str = "message.created", **data: Any) -> None:
        sending.write(lambda session: service.emit(session, tenant_id, event, data))

    return tell
