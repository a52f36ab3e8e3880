"""Access and refresh tokens, and those that aren't any."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine

from maimconfig.http.errors import TokenInvalid
from maimconfig.runtime import Runtime
from maimconfig.security import tokens
from maimconfig.security.secret_file import SecretFile
from maimconfig.security.vault import Vault
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH, Person

CURRENT, OLDER = "current secret of 32 bytes and more", "an older secret of 32 bytes or more"
NOW = "2026-11-23T08:00:00Z"
SECONDS = 1795420800
CLAIMS = {
    "sub": "user_1",
    "sid": "login_1",
    "iat": SECONDS,
    "exp": SECONDS + 60,
    "jti": "0123456789abcdef",
    "iss": "maimconfig",
    "aud": "maimconfig",
}
VAULT = Vault([CURRENT, OLDER])

Header = dict[str, Any]


@pytest.fixture(autouse=True)
def _clock(request: pytest.FixtureRequest) -> Iterator[None]:
    if "runtime" in request.fixturenames:
        yield
        return
    with time_machine.travel(NOW, tick=False):
        yield


def signed(vault: Vault = VAULT, header: Header | None = None, **changed: Any) -> str:
    """A token under a vault's current key, with other claims; None leaves one out."""
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    headers = {"kid": vault.current.id, **(header or {})}
    return jwt.encode(claims, vault.current.signing, "HS256", headers=headers)


def forged(vault: Vault, claims: dict[str, Any]) -> str:
    """A truly signed token, even with claims that PyJWT would refuse to make."""
    key = vault.current
    return jwt.api_jws.encode(json.dumps(claims).encode(), key.signing, headers={"kid": key.id})


def coded(part: Any) -> str:
    """A part of a token."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(algorithm: str, digest: str) -> str:
    """A token under the true key, by another algorithm; PyJWT warns of its length."""
    text = f"{coded({'alg': algorithm, 'typ': 'JWT', 'kid': VAULT.current.id})}.{coded(CLAIMS)}"
    return f"{text}.{coded(hmac.digest(VAULT.current.signing, text.encode(), digest))}"


def test_by_hand() -> None:
    """What the tests sign by hand with the right algorithm is good."""
    assert tokens.read_access(VAULT, by_hand("HS256", "sha256")) == ("user_1", "login_1")


def test_round_trip() -> None:
    """What was made is read."""
    token = tokens.make_access(VAULT, "user_1", "login_1", timedelta(minutes=30))
    assert tokens.read_access(VAULT, token) == ("user_1", "login_1")


def test_a_sample_is_good() -> None:
    """The token that the following tests spoil is good as it is, to its last second."""
    with time_machine.travel("2026-11-23T08:00:59Z", tick=False):
        assert tokens.read_access(VAULT, signed()) == ("user_1", "login_1")


def test_under_an_older_key() -> None:
    """A token under an older secret is good while that one is known."""
    old = signed(Vault([OLDER]))
    assert tokens.read_access(VAULT, old) == ("user_1", "login_1")
    with pytest.raises(TokenInvalid):
        tokens.read_access(Vault([CURRENT]), old)


def test_after_a_rotation_elsewhere(tmp_path: Path) -> None:
    """Once another process has rotated the secret, tokens are made under the fresh one, and those
    under the older one are good until it is forgotten."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    vault = Vault(file=file)
    older = tokens.make_access(vault, "user_1", "login_1", timedelta(minutes=1))
    SecretFile(tmp_path / "secret.key").rotate()
    fresh = tokens.make_access(vault, "user_1", "login_1", timedelta(minutes=1))
    kids = [jwt.get_unverified_header(token)["kid"] for token in (older, fresh)]
    assert kids[0] != kids[1] == vault.current.id
    assert tokens.read_access(vault, older) == tokens.read_access(vault, fresh)
    SecretFile(tmp_path / "secret.key").forget_previous()
    refresh = tokens.make_refresh(vault, "login_1", 1, "nonce")
    assert tokens.is_genuine(vault, tokens.parse_refresh(refresh), "nonce")
    with pytest.raises(TokenInvalid):
        tokens.read_access(vault, older)


BODY = coded(CLAIMS)
KID = VAULT.current.id
WRONG = {
    "none": f"{coded({'alg': 'none', 'typ': 'JWT', 'kid': KID})}.{BODY}.",
    "None": f"{coded({'alg': 'None', 'typ': 'JWT', 'kid': KID})}.{BODY}.",
    "none, signed": f"{coded({'alg': 'none', 'kid': KID})}.{BODY}.{signed().split('.')[2]}",
    "other key": signed(Vault(["another secret of 32 bytes or more"]), {"kid": KID}),
    "key id of another key": signed(header={"kid": Vault([OLDER]).current.id}),
    "unknown key id": signed(header={"kid": "00000000"}),
    "no key id": jwt.encode(CLAIMS, VAULT.current.signing, "HS256"),
    "no text as key id": f"{coded({'alg': 'HS256', 'kid': [KID]})}.{BODY}.x",
    "path as key id": signed(header={"kid": "../../dev/null"}),
    "HS384": by_hand("HS384", "sha384"),
    "HS512": by_hand("HS512", "sha512"),
    "RS256": f"{coded({'alg': 'RS256', 'typ': 'JWT', 'kid': KID})}.{BODY}.{signed().split('.')[2]}",
    "future iat": signed(iat=SECONDS + 60, exp=SECONDS + 600),
    "expired": signed(iat=SECONDS - 60, exp=SECONDS),
    "not before": signed(nbf=SECONDS + 60),
    "iat is text": signed(iat="now"),
    "exp is text": signed(exp="never"),
    "exp is null": f"{coded({'alg': 'HS256', 'kid': KID})}.{coded({**CLAIMS, 'exp': None})}.x",
    "other issuer": signed(iss="somebody"),
    "other audience": signed(aud="somebody"),
    "sub is no text": signed(sub=1),
    "truncated": signed()[:-1],
    "truncated by a part": signed().rpartition(".")[0],
    "one more part": f"{signed()}.x",
    "claims changed": ".".join(
        [signed().split(".")[0], coded({**CLAIMS, "sub": "user_2"}), signed().split(".")[2]]
    ),
    "a refresh token": tokens.make_refresh(VAULT, "login_1", 1, "nonce"),
    "nothing": "",
    "dots": "..",
    "no base64": "!.!.!",
    "no JSON": f"{coded(b'x')}.{coded(b'x')}.x",
    "no object": f"{coded([])}.{coded([])}.x",
    "no UTF-8": f"{coded(bytes([255]))}.{BODY}.x",
    "deep": f"{coded(b'[' * 20_000)}.{BODY}.x",
    "deep object": f"{coded(b'{' + b'{}'.join([bytes([34, 97, 34, 58, 123])] * 9000))}.{BODY}.x",
    "long number": f"{coded(b'1' * 5000)}.{BODY}.x",
    "letters": "é.é.é",
    **{f"without {claim}": signed(**{claim: None}) for claim in tokens.REQUIRED},
}


HOSTILE: dict[str, Any] = {
    "a lone surrogate": "\ud800",
    "a surrogate in an id": "login_\udfff",
    "a NUL": "login_1\0",
    "a line's end": "login_1\n",
    "a long text": "x" * 10**6,
    "a long id": "login_" + "a" * 10**6,
    "full-width letters": "login_１",
    "nothing": "",
    "a number": 1,
    "a large number": 2**63,
    "a number of 4000 digits": 10**3999,
    "infinity": float("inf"),
    "no number": float("nan"),
    "a flag": True,
    "a list": ["login_1"],
    "an object": {"login_1": {"login_1": [{}]}},
    "a deep list": json.loads("[" * 500 + "]" * 500),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("claim", ["sid", "iss", "aud", "exp"])
def test_hostile_claims(claim: str, value: Any) -> None:
    """A truly signed token isn't read with a claim of whatever else in place of its own."""
    if claim == "exp" and value in (2**63, 10**3999):
        return  # late, but an end
    with pytest.raises(TokenInvalid):
        tokens.read_access(VAULT, forged(VAULT, {**CLAIMS, claim: value}))


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG)
def test_wrong(token: str) -> None:
    """What isn't a whole, true token of this service and this moment isn't read."""
    with pytest.raises(TokenInvalid):
        tokens.read_access(VAULT, token)


def test_every_character_counts() -> None:
    """A token with any one of its characters changed isn't read."""
    token = signed()
    last = len(token) - 1  # of its 6 bits the lowest 2 are padding
    for place in range(last):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(TokenInvalid):
            tokens.read_access(VAULT, token[:place] + other + token[place + 1 :])


REFRESH = tokens.make_refresh(VAULT, "login_1", 3, "nonce")


def test_refresh_round_trip() -> None:
    """A refresh token tells session and generation, and is genuine with its session's nonce."""
    sent = tokens.parse_refresh(REFRESH)
    assert (sent.session_id, sent.generation) == ("login_1", 3)
    assert tokens.is_genuine(VAULT, sent, "nonce")
    assert tokens.make_refresh(VAULT, "login_1", 3, "nonce") == REFRESH


@pytest.mark.parametrize(
    "changed",
    [{"generation": 4}, {"session_id": "login_2"}, {"mac": "0" * 64}, {"key_id": "00000000"}],
)
def test_refresh_forged(changed: dict[str, Any]) -> None:
    """No part of a refresh token can be another one."""
    assert not tokens.is_genuine(VAULT, tokens.parse_refresh(REFRESH)._replace(**changed), "nonce")


def test_refresh_of_another_nonce() -> None:
    """The secret alone makes no refresh token, nor does the database alone."""
    sent = tokens.parse_refresh(REFRESH)
    assert not tokens.is_genuine(VAULT, sent, "another nonce")
    assert not tokens.is_genuine(Vault([OLDER]), sent, "nonce")


@pytest.mark.parametrize(
    "token",
    [
        "", "mmr_", REFRESH[:-1], f"{REFRESH}0", f" {REFRESH}", f"{REFRESH}\n", REFRESH.upper(),
        REFRESH.replace(".3.", ".-3."), REFRESH.replace(".3.", ".٣."), REFRESH[4:],
        REFRESH.replace(".3.", f".{'9' * 10}."), signed(),
    ],
)  # fmt: skip
def test_no_refresh_token(token: str) -> None:
    """What hasn't its form isn't a refresh token."""
    with pytest.raises(TokenInvalid):
        tokens.parse_refresh(token)


class TestRequests:
    """The same over HTTP, at one operation of each plane."""

    @pytest.fixture
    def alice(self, public: Api) -> Person:
        """Somebody who is logged in."""
        return users.person(public)

    @pytest.mark.parametrize("kind", WRONG)
    def test_wrong(self, kind: str, public: Api) -> None:
        """Whatever is wrong with a token, it's the one 401 AUTH_006 with WWW-Authenticate."""
        plain = public.get(f"{AUTH}/me")
        headers = {"Authorization": f"Bearer {WRONG[kind]}"}
        assert_same(public.get(f"{AUTH}/me", headers=headers), plain)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda claims: claims | {"sub": "user_other"},
            lambda claims: claims | {"sid": "login_other"},
            lambda claims: claims | {"sid": "x' OR 1=1 --"},
            lambda claims: claims | {"exp": claims["iat"] - 1},
            lambda claims: claims | {"exp": 1e400},
            lambda claims: claims | {"iat": claims["iat"] + 60},
            lambda claims: claims | {"iss": "x"},
            lambda claims: claims | {"aud": ["x"]},
        ],
    )
    def test_other_claims(
        self,
        spoil: Callable[[dict[str, Any]], dict[str, Any]],
        public: Api,
        alice: Person,
        runtime: Runtime,
    ) -> None:
        """True signatures under claims that aren't good let nobody in."""
        key = runtime.vault.current
        claims = jwt.decode(alice.tokens["access_token"], options={"verify_signature": False})
        forged = jwt.encode(spoil(claims), key.signing, "HS256", headers={"kid": key.id})
        headers = {"Authorization": f"Bearer {forged}"}
        assert_same(public.get(f"{AUTH}/me", headers=headers), public.get(f"{AUTH}/me"))

    @pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
    def test_hostile_claims(self, value: Any, public: Api, alice: Person, runtime: Runtime) -> None:
        """Whatever stands in a claim under a true signature is 200 or the one 401."""
        plain = public.get(f"{AUTH}/me")
        true = jwt.decode(alice.tokens["access_token"], options={"verify_signature": False})
        for claim in tokens.REQUIRED:
            token = forged(runtime.vault, {**true, claim: value})
            answer = public.get(f"{AUTH}/me", headers={"Authorization": f"Bearer {token}"})
            if answer.status_code != 200:
                assert_same(answer, plain)
            else:
                assert claim in ("iat", "exp", "jti")

    @pytest.mark.parametrize(
        "form", ["{}", "Basic {}", "Token {}", "Bearer", "Bearer ", "Bearer {} x", "Bearer,{}"]
    )
    def test_other_headers(self, form: str, public: Api, alice: Person) -> None:
        """A good token counts as a bearer token alone, and not in a query or a cookie."""
        token = alice.tokens["access_token"]
        plain = public.get(f"{AUTH}/me")
        headers = {"Authorization": form.format(token)}
        assert_same(public.get(f"{AUTH}/me", headers=headers), plain)
        assert_same(public.get(f"{AUTH}/me", query_string={"access_token": token}), plain)
        assert_same(public.get(f"{AUTH}/me", headers={"Cookie": f"access_token={token}"}), plain)

    def test_scheme_in_any_case(self, public: Api, alice: Person) -> None:
        """The scheme's name has no case (RFC 9110, section 11.1)."""
        headers = {"Authorization": f"bEARER {alice.tokens['access_token']}"}
        assert public.get(f"{AUTH}/me", headers=headers).status_code == 200

    def test_one_used_as_the_other(self, public: Api, alice: Person) -> None:
        """A refresh token opens nothing, and an access token refreshes nothing."""
        plain = public.get(f"{AUTH}/me")
        refresh, access = alice.tokens["refresh_token"], alice.tokens["access_token"]
        headers = {"Authorization": f"Bearer {refresh}"}
        assert_same(public.get(f"{AUTH}/me", headers=headers), plain)
        assert_same(public.post(f"{AUTH}/refresh", {"refresh_token": access}), plain)
        assert alice.is_logged_in()

    def test_of_the_suspended(self, public: Api, alice: Person) -> None:
        """The token of a suspended user is of no use at the next request, nor later on."""
        boss = users.person(public, "admin")
        status = f"/api/v1/admin/users/{alice.id}/status"
        boss.made(status, {"status": "suspended"})
        assert_same(alice.get(f"{AUTH}/me"), public.get(f"{AUTH}/me"))
        boss.made(status, {"status": "active"})
        assert not alice.is_logged_in()

    def test_of_the_deleted(self, public: Api, alice: Person) -> None:
        """Nor is that of a deleted user."""
        boss = users.person(public, "admin")
        assert boss.delete(f"/api/v1/admin/users/{alice.id}").status_code == 204
        assert_same(alice.get(f"{AUTH}/me"), public.get(f"{AUTH}/me"))
        assert_same(alice.refreshed(), public.get(f"{AUTH}/me"))

    def test_on_both_planes(self, api: Api, alice: Person) -> None:
        """What acts for a user needs the user's token on the internal plane too."""
        assert api.get(f"{AUTH}/me", headers=alice.headers).status_code == 200
        api.error(api.get(f"{AUTH}/me"), 401, "AUTH_006")
        api.error(api.get("/api/v1/agents/"), 401, "AUTH_006")


def assert_same(answer: Any, plain: Any) -> None:
    """An answer tells no more than the one to a call without any token."""
    told, expected = answer.get_json(), plain.get_json()
    assert (answer.status_code, told["error_code"]) == (401, "AUTH_006"), told
    for moment in ("timestamp", "request_id"):
        told.pop(moment), expected.pop(moment)
    assert told == expected
    assert answer.headers["WWW-Authenticate"] == plain.headers["WWW-Authenticate"] == "Bearer"
