"""Passwords: argon2id, few at a time, and as slow for nobody's as for somebody's.

Hashes of the older services are bcrypt's; they are verified until the next login makes one of ours.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from maimconfig.http.errors import Busy

MIN_LENGTH, MAX_LENGTH = 8, 128  # contract, Users

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane; about 66 ms.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# The hash of nobody's password: of today's cost, so a verification does the same work, and made of
# random bytes, so that it costs nothing at start and nothing fits it.
_NOBODYS = "$argon2id$v=19$m={},t={},p={}${}${}".format(
    _HASHER.memory_cost,
    _HASHER.time_cost,
    _HASHER.parallelism,
    *(
        base64.b64encode(os.urandom(size)).decode().rstrip("=")
        for size in (_HASHER.salt_len, _HASHER.hash_len)
    ),
)

# What bcrypt writes; each step of its cost doubles the time, and 14 takes a second.
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}\Z")
_BCRYPT_BYTES = 72

# Eight at once take the CPU from every other request for a second.
_AT_ONCE = 2
_MAY_WAIT = 32
_WAIT_SECONDS = 5

_running = threading.BoundedSemaphore(_AT_ONCE)
_queue = threading.BoundedSemaphore(_AT_ONCE + _MAY_WAIT)


def hash_password(password: str) -> str:
    """The argon2id hash of a password, with its salt and cost.

    Raises:
        Busy: too many are waiting already.
    """
    with _turn():
        return _HASHER.hash(password)


def verify_password(password: str, stored: str | None) -> bool:
    """Whether a password is the one of a stored hash.

    Args:
        stored: None for a user that doesn't exist, which takes as long as for one that does, the
            first time too.

    Raises:
        Busy: too many are waiting already.
    """
    with _turn():
        if stored is not None and is_bcrypt(stored):
            return _verify_bcrypt(password, stored)
        try:
            _HASHER.verify(stored or _NOBODYS, password)
        except VerificationError:
            return False
        return stored is not None


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with another cost than today's, or by bcrypt."""
    return is_bcrypt(stored) or _HASHER.check_needs_rehash(stored)


def is_bcrypt(stored: str) -> bool:
    """Whether a hash is bcrypt's, of a cost that a login can wait for."""
    return _BCRYPT.match(stored) is not None


def _verify_bcrypt(password: str, stored: str) -> bool:
    if "\0" in password:  # to many a bcrypt the password ends there
        return False
    import bcrypt

    # The older services hashed no more than bcrypt sees; today's package refuses the rest.
    return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], stored.encode())


@contextmanager
def _turn() -> Iterator[None]:
    if not _queue.acquire(blocking=False):
        raise Busy
    try:
        if not _running.acquire(timeout=_WAIT_SECONDS):
            raise Busy
        try:
            yield
        finally:
            _running.release()
    finally:
        _queue.release()
