"""POST /api/v1/auth/register"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import PASSWORD
from tests.parallel import at_once, codes, post, statuses

URL = "/api/v1/auth/register"
FULL = {
    "username": "xiaoming",
    "password": PASSWORD,
    "email": "Xiao.Ming@example.com",
    "full_name": "小明",
}


def test_what_is_answered(public: Api) -> None:
    """The answer is the user: what was sent, the role `user`, and no word of the password."""
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False):
        made = users.plain(public.post(URL, FULL))
    assert made.pop("id").startswith("user_")
    assert made == {
        "username": "xiaoming",
        "email": "Xiao.Ming@example.com",
        "full_name": "小明",
        "role": "user",
        "is_active": True,
        "created_at": "2026-11-23T08:00:00Z",
    }


@pytest.mark.parametrize("given", [{}, {"email": None, "full_name": None}])
def test_the_least(given: dict[str, Any], public: Api) -> None:
    """A username and a password are enough."""
    made = users.register(public, **given)
    assert (made["email"], made["full_name"]) == (None, None)
    assert users.log_in(public, made["username"]).id == made["id"]


def test_personal_tenant(public: Api, api: Api) -> None:
    """A newcomer owns a personal tenant with the name that old front ends show."""
    made = users.register(public, username="xiaoming")
    (tenant,) = users.log_in(public, "xiaoming").found("/api/v1/tenants/")
    assert tenant["tenant_name"] == "xiaoming's Personal Tenant"
    assert (tenant["tenant_type"], tenant["owner_id"]) == ("personal", made["id"])
    assert api.data(api.get(f"/api/v2/tenants/{tenant['id']}")) == tenant


def test_the_tenants_name_is_taken(public: Api, api: Api) -> None:
    """Somebody else's tenant of that very name keeps nobody from registering."""
    factories.tenant(api, tenant_name="xiaoming's Personal Tenant")
    made = users.register(public, username="xiaoming")
    (tenant,) = users.log_in(public, "xiaoming").found("/api/v1/tenants/")
    assert tenant["tenant_name"] == f"xiaoming's Personal Tenant {made['id'][-8:]}"


@pytest.mark.parametrize(
    "same",
    ["Alice", "alice", "ALICE", "Ａｌｉｃｅ", "ａＬＩＣＥ", " Alice ", "Al\u2170ce"],
)
def test_username_taken(same: str, public: Api) -> None:
    """A username that differs only in case, width or blanks is 409 USER_002."""
    users.register(public, username="Alice")
    public.error(public.post(URL, {**FULL, "username": same}), 409, "USER_002")


@pytest.mark.parametrize("same", ["a.lice@example.com", "A.LICE@Example.COM"])
def test_email_taken(same: str, public: Api) -> None:
    """An e-mail address that differs only in case is 409 USER_002."""
    users.register(public, email="A.Lice@example.com")
    public.error(public.post(URL, {**FULL, "email": same}), 409, "USER_002")


def test_an_address_as_anothers_name(public: Api) -> None:
    """Nobody takes another's e-mail address as a username, and so stands before its login."""
    users.register(public, username="alice", email="alice@example.com")
    public.error(public.post(URL, {**FULL, "username": "Alice@example.com"}), 409, "USER_002")
    users.register(public, username="bob@example.com")
    public.error(public.post(URL, {**FULL, "email": "bob@Example.com"}), 409, "USER_002")


def test_ones_own_address_as_name(public: Api) -> None:
    """Whoever wants may use the own e-mail address as username."""
    made = users.register(public, username="eve@example.com", email="eve@example.com")
    assert users.log_in(public, "EVE@example.com").id == made["id"]


def test_different_names(public: Api) -> None:
    """Names that differ in more than case and width are different people."""
    made = {users.register(public, username=name)["id"] for name in ("eve", "éve", "eve1", "小明")}
    assert len(made) == 4


def test_nothing_of_a_refused_one_stays(public: Api, api: Api) -> None:
    """A registration that is refused leaves neither a tenant nor an entry in the audit log."""
    users.register(public, username="alice")
    public.error(public.post(URL, {**FULL, "username": "ALICE"}), 409, "USER_002")
    tenants = api.data(api.get("/api/v2/tenants"))["items"]
    assert [tenant["tenant_name"] for tenant in tenants] == ["alice's Personal Tenant"]
    actions = [entry["action"] for entry in factories.audit_entries(api)]
    assert sorted(actions) == ["tenant.create", "user.create"]


def test_one_name_at_once(public: Api, api: Api) -> None:
    """Eight people want one name at the same time: one gets it, with one tenant."""
    answers = at_once(public, [post(URL, FULL)] * 8)
    assert statuses(answers) == {200: 1, 409: 7}
    assert codes(answers) == {"USER_002"}
    assert api.data(api.get("/api/v2/tenants"))["pagination"]["total"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", None), ("username", ""), ("username", "   "), ("username", "x" * 65),
        ("username", "a\0b"), ("username", 1), ("username", "\ufdfa" * 4),
        ("password", None), ("password", "x" * 7), ("password", "x" * 129),
        ("password", "secret\0secret"), ("password", 12345678), ("password", ["x" * 8]),
        ("email", "nobody"), ("email", "@example.com"), ("email", "a@"), ("email", "a b@c.de"),
        ("email", "a@b@c.de"), ("email", ""), ("email", f"{'x' * 250}@c.de"), ("email", "a\0@c.de"),
        ("full_name", "x" * 101), ("full_name", "a\0b"), ("role", "admin"),
        ("is_active", True), ("id", "user_1"), ("status", "active"), ("permissions", []),
    ],
)  # fmt: skip
def test_wrong_fields(field: str, value: Any, public: Api) -> None:
    """What can't be used is 422 with the field's name; nobody gives oneself a role."""
    error = public.error(public.post(URL, {**FULL, field: value}), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [field]


@pytest.mark.parametrize(
    "password",
    ["x" * 8, "x" * 128, "密码密码密码密码", "😀" * 128, " leading and trailing ", "\u1e9e" * 8],
)
def test_passwords(password: str, public: Api) -> None:
    """Any text of 8 to 128 characters is a password, kept to the letter."""
    made = users.register(public, password=password)
    assert users.log_in(public, made["username"], password).id == made["id"]
    other = password.strip() if password.strip() != password else password + " "
    wrong = {"username": made["username"], "password": other}
    public.error(public.post("/api/v1/auth/login", wrong), 401, "AUTH_007")


def test_longest_names(public: Api) -> None:
    """A username of 64 characters and an address of 254 fit, also where folding makes them
    longer."""
    name = "\u0390" * 64
    email = f"{'x' * 64}@{'.'.join(['y' * 62] * 3)}"
    made = users.register(public, username=name, email=email)
    assert (len(made["username"]), made["email"]) == (64, email)


def test_normal_form(public: Api) -> None:
    """A username is kept in its normal form, so that what is shown is what was compared."""
    assert users.register(public, username="  Ｂｏｂ ")["username"] == "Bob"


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff", b'{"username": 1}'])
def test_no_object(body: bytes, public: Api) -> None:
    """What is no JSON object with the fields is 400 or 422."""
    answer = public.client.post(URL, data=body, content_type="application/json")
    assert answer.status_code in (400, 422)


def test_a_form_is_refused(public: Api) -> None:
    """Only the login takes a form."""
    public.error(public.call("POST", URL, data=FULL), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_idempotent(public: Api, api: Api) -> None:
    """A registration that is sent again under its key answers the same, once."""
    key = {"Idempotency-Key": "my-registration"}
    first, again = (public.post(URL, FULL, headers=key) for _ in range(2))
    assert users.plain(again) == users.plain(first)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert api.data(api.get("/api/v2/tenants"))["pagination"]["total"] == 1
    other = public.post(URL, {**FULL, "username": "other"}, headers=key)
    public.error(other, 422, "IDEMPOTENCY_001")


def test_throttled(public_with: Callable[..., Api]) -> None:
    """Five registrations a minute from an address; then 429 with Retry-After."""
    public = public_with(login_attempts_per_minute=5)
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as clock:
        for _ in range(5):
            users.register(public)
        clock.shift(20)
        refused = public.post(URL, FULL)
        public.error(refused, 429, "RATE_001")
        assert refused.headers["Retry-After"] == "40"
        elsewhere = public.post(URL, FULL, environ_base={"REMOTE_ADDR": "192.0.2.1"})
        assert elsewhere.status_code == 200
        clock.shift(40)
        users.register(public)


def test_audit(public: Api, api: Api) -> None:
    """The audit log keeps a registration with the newcomer, and without a hash."""
    made = users.register(public, email="new@example.com")
    (entry,) = factories.audit_entries(api, resource=made["id"])
    assert (entry["action"], entry["actor"]) == ("user.create", "anonymous")
    assert entry["after"] == {
        "username": made["username"],
        "email": "new@example.com",
        "full_name": None,
        "role": "user",
        "status": "active",
        "tenant_ids": None,
    }
