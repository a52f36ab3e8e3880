"""What an API key looks like: made and parsed without a database.

`mmc_` + standard Base64 of `{tenant_id}_{agent_id}_{random}_{version}`; the older form, with the
same parts not encoded, parses too (contract, API keys).
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import NamedTuple

PREFIX = "mmc_"
VERSION = "v1"
RANDOM_BYTES = 16
MAX_LENGTH = 512

_PARTS = re.compile(
    r"(?P<tenant_id>tenant_[A-Za-z0-9]{1,43})_(?P<agent_id>agent_[A-Za-z0-9]{1,44})"
    r"_(?P<random_hash>[A-Za-z0-9]{1,128})_(?P<version>v[0-9]{1,4})"
)


class ParsedKey(NamedTuple):
    """The parts of a key."""

    tenant_id: str
    agent_id: str
    random_hash: str
    version: str


def make(tenant_id: str, agent_id: str) -> str:
    """A fresh key of an agent, with 128 random bits."""
    parts = (tenant_id, agent_id, secrets.token_hex(RANDOM_BYTES), VERSION)
    return PREFIX + base64.b64encode("_".join(parts).encode()).decode()


def may_be_one(api_key: str) -> bool:
    """Whether it is worth while to look a key up."""
    return api_key.startswith(PREFIX) and len(api_key) <= MAX_LENGTH and api_key.isascii()


def parse(api_key: str) -> ParsedKey | None:
    """The parts of a key; None when it isn't one."""
    if not may_be_one(api_key):
        return None
    body = api_key[len(PREFIX) :]
    found = _PARTS.fullmatch(body) or _PARTS.fullmatch(_decoded(body))
    return ParsedKey(*found.groups()) if found else None


def masked(api_key: str) -> str:
    """A key as lists show it: `mmc_dGVu…v1MQ`."""
    return f"{api_key[:8]}…{api_key[-4:]}"


def _decoded(body: str) -> str:
    try:
        return base64.b64decode(body, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
