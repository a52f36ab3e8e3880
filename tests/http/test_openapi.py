"""The OpenAPI document of each plane: valid, complete, and as its readers expect it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from maimconfig.app import create_app
from maimconfig.planes import PLANES
from tests.db.opening import opened

METHODS = ("get", "post", "put", "delete", "patch")

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The document of each plane, which knows nothing of the database."""
    folder = tmp_path_factory.mktemp("documents")
    with opened(f"sqlite:///{folder / 'maimconfig.db'}", folder) as runtime:
        return {
            plane: create_app(plane, runtime).test_client().get("/openapi.json").get_json()
            for plane in PLANES
        }


@pytest.fixture(params=PLANES)
def spec(request: pytest.FixtureRequest, specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document of one plane."""
    return specs[request.param]


def operations(spec: dict[str, Any]) -> Iterator[Operation]:
    """Each operation with its method and path."""
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def parameters(operation: dict[str, Any]) -> set[str]:
    """The names of an operation's own parameters."""
    return {parameter["name"] for parameter in operation.get("parameters", ())}


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each documented answer that has a body: status, media type, and what is said of it."""
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            yield status, media_type, content


def test_valid(spec: dict[str, Any]) -> None:
    """The document is valid OpenAPI 3.1."""
    assert spec["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(spec).iter_errors()) == []


def test_names(spec: dict[str, Any]) -> None:
    """No component is named twice over with a number, and none hides behind 'Schema'."""
    for kind, named in spec["components"].items():
        for name in named:
            assert not re.search(r"\d$", name), (kind, name)
            assert not name.endswith("Schema"), (kind, name)
            assert name.isascii()


def test_every_component_is_used(spec: dict[str, Any]) -> None:
    """No component stands there for nothing, and none is missing."""
    referred = set(re.findall(r"#/components/(\w+/\w+)", str(spec)))
    there = {f"{kind}/{name}" for kind, named in spec["components"].items() for name in named}
    assert referred == there


def test_told(spec: dict[str, Any]) -> None:
    """Every operation has a summary that isn't a sentence, and the tag of its resource."""
    tags = {tag["name"] for tag in spec["tags"]}
    assert all(tag.get("description") for tag in spec["tags"])
    used = set()
    for method, path, operation in operations(spec):
        where = f"{method} {path}"
        assert operation.get("summary"), where
        assert not operation["summary"].endswith("."), where
        assert operation["tags"], where
        used.update(operation["tags"])
    assert used == tags


def test_successes(spec: dict[str, Any]) -> None:
    """Every operation says what its success looks like; on /api/v2 that is 200."""
    for method, path, operation in operations(spec):
        where = f"{method} {path}"
        good = {status for status in operation["responses"] if status.startswith("2")}
        assert good == ({"200"} if path.startswith("/api/v2") else good & {"200", "204"}), where
        assert good, where
        for status, _, content in contents(operation):
            assert content.get("schema") or content.get("example"), (where, status)


def test_errors(spec: dict[str, Any]) -> None:
    """Every documented error has an example for each of its codes, and the one shape."""
    for method, path, operation in operations(spec):
        where = f"{method} {path}"
        errors = [answer for answer in contents(operation) if answer[0] >= "400"]
        statuses = {status for status, *_ in errors}
        assert statuses >= {"401", "500"}, where
        for status, media_type, content in errors:
            shape = content["schema"]["$ref"].rpartition("/")[2]
            assert (shape == "OpenAIError") == path.startswith("/v1/"), where
            if shape in ("ErrorEnvelope", "OpenAIError"):
                assert media_type == "application/json", where
                assert content["examples"], (where, status)
                for code, example in content["examples"].items():
                    body = example["value"]
                    said = body["error"]["code"] if path.startswith("/v1/") else body["error_code"]
                    assert said == code
                    assert code in operation["responses"][status]["description"]


ASK_NO_DATABASE = ("/parse-api-key", "/models", "/bot-defaults", "/providers", "/admin/permissions")


def test_usual_errors(spec: dict[str, Any]) -> None:
    """What a body, an id in the path or a database brings along is documented."""
    for method, path, operation in operations(spec):
        where, documented = f"{method} {path}", set(operation["responses"])
        if "requestBody" in operation:
            assert documented >= {"400", "413", "415"}, where
            # On /v1 what is wrong with a field is 400, as OpenAI has it.
            assert ("422" in documented) != path.startswith("/v1/"), where
        if "{" in path:
            assert "404" in documented, where
        if path.startswith(("/api/", "/v1/")) and not path.endswith(ASK_NO_DATABASE):
            assert "503" in documented, where
        if "If-Match" in parameters(operation):
            assert "412" in documented, where


def test_examples_fit(spec: dict[str, Any]) -> None:
    """Every example fits the schema that it stands beside."""
    for method, path, operation in operations(spec):
        bodies = [*contents(operation)]
        body = operation.get("requestBody", {}).get("content", {})
        bodies += [("body", media_type, content) for media_type, content in body.items()]
        for status, _, content in bodies:
            schema = {**content.get("schema", {}), "components": spec["components"]}
            given = [example["value"] for example in content.get("examples", {}).values()]
            given += [content["example"]] if "example" in content else []
            for example in given:
                problems = [
                    error.message for error in Draft202012Validator(schema).iter_errors(example)
                ]
                assert not problems, (method, path, status, problems)


def test_parameters(spec: dict[str, Any]) -> None:
    """Every parameter of a path is documented as required, and no query parameter twice."""
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            given = [*item.get("parameters", ()), *item[method].get("parameters", ())]
            named = [(parameter["in"], parameter["name"]) for parameter in given]
            assert len(set(named)) == len(named), (method, path)
            in_path = {name for place, name in named if place == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path)), (method, path)


def test_moments(specs: dict[str, dict[str, Any]]) -> None:
    """Times are documented as such, ids and counts as what they are."""
    tenant = specs["internal"]["components"]["schemas"]["TenantOut"]["properties"]
    assert (tenant["created_at"]["type"], tenant["created_at"]["format"]) == ("string", "date-time")
    key = specs["internal"]["components"]["schemas"]["KeyOut"]["properties"]
    assert set(key["expires_at"]["type"]) == {"string", "null"}
    assert key["usage_count"]["type"] == "integer"


def test_idempotency_keys(specs: dict[str, dict[str, Any]]) -> None:
    """Every POST that creates takes an Idempotency-Key, and says so."""
    taking = {
        path
        for method, path, operation in operations(specs["internal"])
        if "Idempotency-Key" in parameters(operation) and method == "post"
    }
    assert taking == {
        "/api/v2/tenants",
        "/api/v2/agents",
        "/api/v2/agents/{agent_id}/clone",
        "/api/v2/agent-templates",
        "/api/v2/api-keys",
        "/api/v2/api-keys/{api_key_id}/rotate",
        "/api/v1/plugins/settings",
        "/api/v1/usage/log",
        "/api/v1/auth/register",
        "/api/v1/agents/",
        "/api/v1/agents/{agent_id}/api_keys",
        "/api/v1/tenants/",
        "/api/v1/admin/users",
    }


def test_no_internals(specs: dict[str, dict[str, Any]]) -> None:
    """The public document doesn't tell of what only the internal plane has."""
    public = set(specs["public"]["paths"])
    chat = "/api/v2/chat"
    assert not {path for path in public if path.startswith("/api/v2") and chat not in path}
    assert not {path for path in public if path.startswith("/api/v1/usage")}
    assert "AuditOut" not in str(specs["public"]["components"])
