"""A caller of the service that holds every answer against the OpenAPI document of its plane."""

from __future__ import annotations

from typing import Any

from flask import Flask
from jsonschema_rs import Draft202012Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

# To make them takes longer than most calls. The documents of the planes, by title, and what their
# answers are held against, by title, method, path, status and type.
_specs: dict[str, dict[str, Any]] = {}
_validators: dict[tuple[str, ...], Draft202012Validator] = {}


class Api:
    """Calls one plane's app in this process.

    Each answer is validated: its status must be documented for its operation, and its body must
    fit the schema; so a test that only looks at one field still proves the whole shape.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client = app.test_client()

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET; `query_string`, `headers` and so on as werkzeug's client takes them."""
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        """POST with a JSON body."""
        return self.call("POST", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        """PUT with a JSON body."""
        return self.call("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        """DELETE."""
        return self.call("DELETE", path, **options)

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """Any call, with its answer validated."""
        response = self.client.open(path, method=method, **options)
        self.validate(response)
        return response

    def data(self, response: TestResponse, status: int = 200) -> Any:
        """What the envelope of a success holds."""
        assert response.status_code == status, response.get_data(as_text=True)
        body = response.get_json()
        assert body["success"] is True
        return body["data"]

    def error(self, response: TestResponse, status: int, code: str) -> dict[str, Any]:
        """The error envelope, when it is of this status and code."""
        body = response.get_json()
        assert (response.status_code, body["error_code"]) == (status, code), body
        assert body["success"] is False
        return body

    def validate(self, response: TestResponse) -> None:
        """Hold an answer against the document."""
        method, path = response.request.method.lower(), self._documented_path(response)
        operation = self.spec["paths"].get(path, {}).get(method)
        if operation is None:
            return
        status, kind = str(response.status_code), response.mimetype
        where, documented = f"{method} {path} -> {status}", operation["responses"]
        assert status in documented, f"{where} is not documented: {response.get_data(as_text=True)}"
        if kind == "application/json" and response.data:
            schema = documented[status].get("content", {}).get(kind, {}).get("schema")
            assert schema is not None, f"{where}: no schema is documented"
            validator = self.validator(schema, method, path, status)
            problems = [error.message for error in validator.iter_errors(response.get_json())]
            assert not problems, f"{where}: {problems}"

    @property
    def spec(self) -> dict[str, Any]:
        """The plane's OpenAPI document, which is the same whatever the settings."""
        title = self.app.config["API_TITLE"]
        if title not in _specs:
            answer = self.app.test_client().get("/openapi.json")
            assert answer.status_code == 200
            _specs[title] = answer.get_json()
        return _specs[title]

    def validator(self, schema: dict[str, Any], *place: str) -> Draft202012Validator:
        """Of a schema of the plane's document; made once for a place in it."""
        key = (self.app.config["API_TITLE"], *place)
        if key not in _validators:
            components = self.spec["components"]
            _validators[key] = Draft202012Validator({**schema, "components": components})
        return _validators[key]

    def _documented_path(self, response: TestResponse) -> str | None:
        adapter = self.app.url_map.bind_to_environ(response.request.environ)
        try:
            rule, _ = adapter.match(return_rule=True)
        except HTTPException:
            return None
        return _as_openapi(rule.rule)


def _as_openapi(rule: str) -> str:
    parts = []
    for part in rule.split("/"):
        name = part.strip("<>").rpartition(":")[2]
        parts.append(f"{{{name}}}" if part.startswith("<") else part)
    return "/".join(parts)
