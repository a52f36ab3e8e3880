"""Ids: a typed prefix and a time-ordered suffix of [a-z0-9], at most 50 characters.

The suffix is a UUIDv7 (RFC 9562, section 5.7) in hexadecimal: a clustered index appends, and no
database hands out numbers.
"""

from __future__ import annotations

from datetime import datetime

from uuid_utils import uuid7


def new_id(prefix: str) -> str:
    """A fresh id such as `tenant_0199…`."""
    return f"{prefix}_{uuid7().hex}"


def first_id_of(prefix: str, moment: datetime) -> str:
    """A text that comes after all ids that were made before a moment, and before all later ones.

    The first 48 bits of a UUIDv7 are the milliseconds since 1970 (RFC 9562, section 5.7).
    """
    return f"{prefix}_{int(moment.timestamp() * 1000):012x}"
