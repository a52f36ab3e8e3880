"""Access tokens (JWT), refresh tokens and chat sessions' tokens, all under the master secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import NamedTuple

import jwt

from maimconfig import clock
from maimconfig.http.errors import TokenInvalid
from maimconfig.security.vault import MasterKey, Vault

ALGORITHM = "HS256"
ISSUER = "maimconfig"
AUDIENCE = "maimconfig"
REQUIRED = ["sub", "sid", "iat", "exp", "jti", "iss", "aud"]  # contract, Users

_SESSION_ID = re.compile(r"login_[a-z0-9]{1,44}")
_REFRESH = re.compile(
    rf"mmr_(?P<session_id>{_SESSION_ID.pattern})"
    r"\.(?P<generation>[0-9]{1,9})\.(?P<key_id>[0-9a-f]{8})\.(?P<mac>[0-9a-f]{64})"
)
_CHAT = re.compile(
    r"mms_(?P<session_id>sess_[a-z0-9]{1,44})\.(?P<key_id>[0-9a-f]{8})\.(?P<mac>[0-9a-f]{64})"
)
CHAT_PREFIX = "mms_"


class Access(NamedTuple):
    """What an access token says.

    Attributes:
        user_id: whose it is (`sub`).
        session_id: the login that it came from (`sid`).
    """

    user_id: str
    session_id: str


class Refresh(NamedTuple):
    """The parts of a refresh token."""

    session_id: str
    generation: int
    key_id: str
    mac: str


def make_access(vault: Vault, user_id: str, session_id: str, lifetime: timedelta) -> str:
    """A signed access token, with the id of the key in its header."""
    vault.reload()
    now = clock.now()
    claims = {
        "sub": user_id,
        "sid": session_id,
        "iat": now,
        "exp": now + lifetime,
        "jti": secrets.token_hex(8),
        "iss": ISSUER,
        "aud": AUDIENCE,
    }
    key = vault.current
    return jwt.encode(claims, key.signing, ALGORITHM, headers={"kid": key.id})


def read_access(vault: Vault, token: str) -> Access:
    """What an access token says.

    Raises:
        TokenInvalid: it isn't one of ours, was changed, or its time is over.
    """
    try:
        key = vault.key(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise TokenInvalid(internal="unknown key id")
        claims = jwt.decode(
            token,
            key.signing,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": REQUIRED},
        )
    except jwt.InvalidTokenError as error:
        raise TokenInvalid(internal=type(error).__name__) from error
    session_id = claims["sid"]
    # It goes into a query, so no text that the database can't take may pass for an id.
    if not isinstance(session_id, str) or not _SESSION_ID.fullmatch(session_id):
        raise TokenInvalid(internal="sid is no session id")
    return Access(claims["sub"], session_id)


def make_refresh(vault: Vault, session_id: str, generation: int, nonce: str) -> str:
    """The refresh token of a session's generation; the same one every time, so that a caller
    that lost an answer can be given it again."""
    vault.reload()
    key = vault.current
    return f"mmr_{session_id}.{generation}.{key.id}.{_mac(key, session_id, generation, nonce)}"


def parse_refresh(token: str) -> Refresh:
    """The parts of a refresh token, not yet proven.

    Raises:
        TokenInvalid: it isn't one.
    """
    found = _REFRESH.fullmatch(token)
    if found is None:
        raise TokenInvalid
    return Refresh(found[1], int(found[2]), found[3], found[4])


def is_genuine(vault: Vault, refresh: Refresh, nonce: str) -> bool:
    """Whether a refresh token was made here, for the session with this nonce."""
    key = vault.key(refresh.key_id)
    if key is None:
        return False
    expected = _mac(key, refresh.session_id, refresh.generation, nonce)
    return hmac.compare_digest(expected, refresh.mac)


class ChatToken(NamedTuple):
    """The parts of a chat session's token."""

    session_id: str
    key_id: str
    mac: str


def make_chat_token(vault: Vault, session_id: str, nonce: str) -> str:
    """The token of a chat session, good for it alone and for as long as it is there."""
    vault.reload()
    key = vault.current
    return f"{CHAT_PREFIX}{session_id}.{key.id}.{_chat_mac(key, session_id, nonce)}"


def parse_chat_token(token: str) -> ChatToken:
    """The parts of a chat session's token, not yet proven.

    Raises:
        TokenInvalid: it isn't one.
    """
    found = _CHAT.fullmatch(token)
    if found is None:
        raise TokenInvalid
    return ChatToken(found[1], found[2], found[3])


def is_genuine_chat_token(vault: Vault, sent: ChatToken, nonce: str) -> bool:
    """Whether a chat session's token was made here, for the session with this nonce."""
    key = vault.key(sent.key_id)
    return key is not None and hmac.compare_digest(_chat_mac(key, sent.session_id, nonce), sent.mac)


def _chat_mac(key: MasterKey, session_id: str, nonce: str) -> str:
    text = f"{session_id}.{nonce}"
    return hmac.digest(key.chatting, text.encode(), hashlib.sha256).hex()


def _mac(key: MasterKey, session_id: str, generation: int, nonce: str) -> str:
    text = f"{session_id}.{generation}.{nonce}"
    return hmac.digest(key.refreshing, text.encode(), hashlib.sha256).hex()
