"""Generated requests, valid and invalid by the document, against every operation of it."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api import Api
from tests.http.operations import OPERATIONS, World

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("MAIMCONFIG_TEST_FUZZ_EXAMPLES") or 8)


@pytest.fixture
def schema(api: Api) -> Any:
    """The document as its fuzzer reads it, once an app."""
    known = api.app.extensions
    if "tests.schemathesis" not in known:
        known["tests.schemathesis"] = schemathesis.openapi.from_wsgi("/openapi.json", api.app)
    return known["tests.schemathesis"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_generated(api: Api, schema: Any, method: str, path: str) -> None:
    """Whatever is generated, no answer is a 5xx or differs from what the document says."""
    operation = schema[path][method.upper()]
    world = OPERATIONS[method, path].caller(api)

    @given(
        case=st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        ),
        known=st.booleans(),
    )
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attack(case: Any, known: bool) -> None:
        if known:
            _aim(case, world)
            case.headers.update(world.headers)
        case.validate_response(case.call(), checks=CHECKS)

    attack()


def _aim(case: Any, world: World) -> None:
    """Put ids of objects that exist where the request has ids."""
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            place.update({name: world.ids[name] for name in place if name in world.ids})
