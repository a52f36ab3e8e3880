"""Ids: a typed prefix and a time-ordered suffix of [a-z0-9], at most 50 characters.

The suffix is a UUIDv7 (RFC 9562, section 5.7) in hexadecimal: a clustered index appends, and no
database hands out numbers.
"""

from __future__ import annotations

from uuid_utils import uuid7


def new_id(prefix: str) -> str:
    """A fresh id such as `tenant_0199…`."""
    return f"{prefix}_{uuid7().hex}"
