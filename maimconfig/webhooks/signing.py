"""Signatures and secrets as Standard Webhooks has them (standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

PREFIX = "whsec_"
# The specification's bounds of a secret, in bytes.
MIN_BYTES, MAX_BYTES = 24, 64
MAX_SECRET = len(PREFIX) + 88


def new_secret() -> str:
    """A fresh secret: `whsec_` and Base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(os.urandom(32)).decode()


def is_secret(text: str) -> bool:
    """Whether a text is `whsec_` and Base64 of 24 to 64 bytes."""
    try:
        return text.startswith(PREFIX) and MIN_BYTES <= len(_key(text)) <= MAX_BYTES
    except (ValueError, binascii.Error):
        return False


def headers(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """What a receiver needs to know that a delivery is genuine, and fresh.

    Args:
        secret: as `new_secret` makes it.
        timestamp: seconds since 1970, of this attempt.

    Returns:
        webhook-id, webhook-timestamp and webhook-signature.
    """
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    mac = hmac.digest(_key(secret), signed, hashlib.sha256)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
