"""Every operation, attacked in every place of its request: never a 5xx, always the one shape."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api import Api
from tests.http import attacks
from tests.http.operations import ON_PUBLIC, OPERATIONS, Operation

ERROR_FIELDS = {"success", "message", "error", "error_code", "timestamp", "request_id"}
OPENAI_FIELDS = {"message", "type", "param", "code"}
INTERNALS = ("Traceback", "sqlalchemy", "SELECT ", "INSERT ", "pymysql", "sqlite3", 'File "')


def documented(plane: Api) -> set[tuple[str, str]]:
    """Every operation of a plane's document."""
    return {
        (method, path)
        for path, item in plane.spec["paths"].items()
        for method in ("get", "post", "put", "delete", "patch")
        if method in item
    }


def test_every_operation_is_here(api: Api, public: Api) -> None:
    """The tables of this module have every operation of each plane."""
    assert documented(api) == set(OPERATIONS)
    assert documented(public) <= set(OPERATIONS) | set(ON_PUBLIC)
    assert set(ON_PUBLIC) <= documented(public)


class Attacker:
    """Sends requests to one operation, and looks at each answer.

    Attributes:
        on_sqlite: what is refused before a database is asked, is tried on SQLite alone.
    """

    def __init__(self, api: Api, method: str, path: str, right: Operation) -> None:
        self.api = api
        self.method = method
        self.path = path
        self.right = right
        self.world = right.caller(api)
        self.operation = api.spec["paths"][path][method]
        self.sent = 0
        self.on_sqlite = api.app.extensions["tests.runtime"].database.is_sqlite

    def send(self, path: str | None = None, **request: Any) -> TestResponse:
        """One request; whatever it was, the answer is no 5xx and of the documented shape."""
        where = path or self.path.format(**self.world.ids)
        self.sent += 1
        # Each from another address, so that no throttle shuts the door before the attack.
        peer = f"198.18.{self.sent // 256 % 256}.{self.sent % 256}"
        request["headers"] = {**self.world.headers, **request.get("headers", {})}
        # Buffered, for a stream is read to its end and closed: only then is its reply over.
        answer = self.api.call(
            self.method.upper(), where, environ_base={"REMOTE_ADDR": peer}, buffered=True, **request
        )
        told = f"{self.method} {where[:200]} {str(request)[:300]} -> {answer.status_code}"
        assert answer.status_code < 500, told
        if answer.status_code >= 400 and "/health" not in where:
            body = answer.get_json()
            if self.path.startswith("/v1/"):
                assert set(body) == {"error"}, told
                assert set(body["error"]) == OPENAI_FIELDS, told
            else:
                assert set(body) - ERROR_FIELDS <= {"detail", "details"}, told
                assert set(body) >= ERROR_FIELDS, told
            text = answer.get_data(as_text=True)
            assert not any(word in text for word in INTERNALS), told
        if self.right.spends and answer.status_code < 300:
            self.world = self.right.caller(self.api)
        return answer

    def valid(self) -> dict[str, Any]:
        """The options of a valid request."""
        options: dict[str, Any] = {"query_string": self.right.query(self.world)}
        if self.right.body is not None:
            options |= json_body(self.right.body(self.world))
        return options

    def body_schema(self) -> dict[str, Any]:
        """The schema of the body, its references resolved as deep as they are attacked."""
        content = self.operation["requestBody"]["content"]["application/json"]
        schema = self._resolved(content["schema"])
        inner = {name: self._resolved(of) for name, of in schema.get("properties", {}).items()}
        return {**schema, "properties": inner}

    def fits(self, body: dict[str, Any]) -> bool:
        """Whether a body is as documented, so that it may come to a database."""
        schema = self.operation["requestBody"]["content"]["application/json"]["schema"]
        try:
            return self.api.validator(schema, self.method, self.path, "body").is_valid(body)
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can say and UTF-8 can't
            return True

    def parameters(self, place: str) -> list[str]:
        """The names of the parameters in the query or in the path."""
        item = self.api.spec["paths"][self.path]
        given = [*item.get("parameters", ()), *self.operation.get("parameters", ())]
        return [parameter["name"] for parameter in given if parameter["in"] == place]

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for part in (schema, *schema.get("anyOf", ()), *schema.get("allOf", ())):
            if "$ref" in part:
                return self.api.spec["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        return schema


def json_body(body: Any) -> dict[str, Any]:
    """The options of a request with a JSON body, well-formed or not."""
    return {"data": attacks.as_json(body), "content_type": "application/json"}


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_attacked(api: Api, method: str, path: str) -> None:
    """No value in any place of a request makes a 5xx, or an answer that isn't documented."""
    attack(Attacker(api, method, path, OPERATIONS[method, path]))


@pytest.mark.parametrize(("method", "path"), ON_PUBLIC, ids=lambda part: part)
def test_attacked_on_the_public_plane(public: Api, method: str, path: str) -> None:
    """The same holds for what the public plane has of its own."""
    attack(Attacker(public, method, path, ON_PUBLIC[method, path]))


def attack(attacker: Attacker) -> None:
    """Attack in every place of a request."""
    accepted = attacker.send(**attacker.valid())
    assert accepted.status_code in (200, 204), "the attacks start from a request that is right"
    attack_fields(attacker)
    attack_queries(attacker)
    attack_paths(attacker)
    if attacker.on_sqlite:
        attack_bodies(attacker)
        attack_query_strings(attacker)
        attack_headers(attacker)


def attack_fields(attacker: Attacker) -> None:
    """Every field of the body with every value: all fields at once, and alone where the value is
    as documented, so that it is on its merits alone what comes of it."""
    if attacker.right.body is None:
        return
    valid, schema = attacker.right.body(attacker.world), attacker.body_schema()
    assert attacker.fits(valid), "a body that is right is as documented"
    if attacker.on_sqlite:
        for body in attacks.wrong_everywhere(valid, schema):
            attacker.send(**{**attacker.valid(), **json_body(body)})
    for body in attacks.wrong_in_one_place(valid, schema, deep=attacker.on_sqlite):
        if attacker.fits(body):
            attacker.send(**{**attacker.valid(), **json_body(body)})


def attack_bodies(attacker: Attacker) -> None:
    """Bodies of any form and type."""
    valid = attacker.right.body
    for raw in attacks.BODIES if valid else attacks.BODIES[:3]:
        attacker.send(**{**attacker.valid(), "data": raw, "content_type": "application/json"})
    for content_type in attacks.TYPES if valid else ():
        attacker.send(**{**attacker.valid(), "data": b"a=b", "content_type": content_type})


def attack_queries(attacker: Attacker) -> None:
    """Every query parameter with every value."""
    for name in attacker.parameters("query"):
        for value in attacks.QUERY:
            options = attacker.valid()
            options["query_string"] = {**options["query_string"], name: value}
            attacker.send(**options)


def attack_query_strings(attacker: Attacker) -> None:
    """Parameters nobody knows, and what is no parameter."""
    for raw in attacks.RAW_QUERIES:
        attacker.send(**{**attacker.valid(), "query_string": raw})


def attack_headers(attacker: Attacker) -> None:
    """Every header that is read with every value; one request has one value of each."""
    for turn in range(max(map(len, attacks.HEADERS.values()))):
        headers = {name: values[turn % len(values)] for name, values in attacks.HEADERS.items()}
        attacker.send(**attacker.valid(), headers=headers)


def attack_paths(attacker: Attacker) -> None:
    """Every id in the path with one that can't be, or that is nearly one that is."""
    for name in attacker.parameters("path"):
        known = attacker.world.ids[name]
        for value in attacks.path_values(known):
            ids = {**attacker.world.ids, name: attacks.as_path(value)}
            answer = attacker.send(attacker.path.format(**ids), **attacker.valid())
            assert answer.status_code in (404, 405) or value == known, value
