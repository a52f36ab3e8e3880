"""People of the public plane: registered and logged in, each with what they send."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from werkzeug.test import TestResponse

from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.users import service
from maimconfig.users.models import User
from tests.api import Api

PASSWORD = "correct horse battery"
AUTH = "/api/v1/auth"

_numbers = itertools.count(1)


@dataclass
class Person:
    """Somebody who is logged in, and asks as such.

    Attributes:
        user: as the login showed it.
        tokens: what the login gave.
    """

    api: Api
    user: dict[str, Any]
    tokens: dict[str, Any]
    password: str = PASSWORD

    @property
    def id(self) -> str:
        """The user's id."""
        return self.user["id"]

    @property
    def headers(self) -> dict[str, str]:
        """What shows who asks."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    def call(self, method: str, path: str, json: Any = None, **options: Any) -> TestResponse:
        """A call with the access token."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.api.call(method, path, json=json, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET."""
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        """POST with a JSON body."""
        return self.call("POST", path, json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        """PUT with a JSON body."""
        return self.call("PUT", path, json, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        """DELETE."""
        return self.call("DELETE", path, **options)

    def found(self, path: str, **options: Any) -> Any:
        """What a GET shows."""
        return plain(self.get(path, **options))

    def made(self, path: str, json: Any = None, **options: Any) -> Any:
        """What a POST shows."""
        return plain(self.post(path, json, **options))

    def is_logged_in(self) -> bool:
        """Whether the access token is good still."""
        answer = self.get(f"{AUTH}/me")
        assert answer.status_code in (200, 401)
        return answer.status_code == 200

    def refreshed(self) -> TestResponse:
        """The answer to a refresh with the token that the login gave."""
        return self.api.post(f"{AUTH}/refresh", {"refresh_token": self.tokens["refresh_token"]})


def plain(answer: TestResponse) -> Any:
    """The resource that a success shows."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def new_name() -> str:
    """A username that nobody has."""
    return f"someone{next(_numbers)}"


def register(api: Api, **given: Any) -> dict[str, Any]:
    """A registered user, with a name of its own unless one is given."""
    body = {"username": new_name(), "password": PASSWORD, **given}
    return plain(api.post(f"{AUTH}/register", body))


def log_in(api: Api, username: str, password: str = PASSWORD) -> Person:
    """A login of a user."""
    answer = api.post(f"{AUTH}/login", {"username": username, "password": password})
    tokens = plain(answer)
    return Person(api, tokens["user"], tokens, password)


def person(api: Api, role: str = "user", **given: Any) -> Person:
    """Somebody who has registered and logged in; of another role when one is given."""
    registered = register(api, **given)
    if role != "user":
        give_role(api, registered["id"], role)
    return log_in(api, registered["username"], given.get("password", PASSWORD))


def give_role(api: Api, user_id: str, role: str) -> None:
    """A role that nobody can give oneself, straight into the database."""
    running: Runtime = api.app.extensions["tests.runtime"]
    chosen = update(User).where(User.id == user_id).values(role=role)
    running.write(lambda session: session.execute(chosen) and None)


def quick(runtime: Runtime, role: str = "user", **given: Any) -> str:
    """A user straight into the database, whose password nobody knows; its id."""
    values = {"username": new_name(), "password_hash": "unknown", "role": role, **given}
    return runtime.write(lambda session: service.create(session, **values).id)


def hashed(password: str = PASSWORD) -> str:
    """A password's hash as the database keeps it."""
    return passwords.hash_password(password)
