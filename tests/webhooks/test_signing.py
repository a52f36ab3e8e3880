"""Signatures and secrets, against the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from maimconfig.webhooks import signing

BODY = '{"text":"你好 😀"}'.encode()


@pytest.mark.parametrize("size", [24, 32, 64])
def test_genuine(size: int) -> None:
    """The reference library takes what is signed here for genuine, whatever the secret's size."""
    secret = signing.PREFIX + base64.b64encode(bytes(range(size))).decode()
    headers = signing.headers(secret, "delivery_1", int(time.time()), BODY)
    assert Webhook(secret).verify(BODY, headers) == {"text": "你好 😀"}


@pytest.mark.parametrize("forged", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_forged(forged: str) -> None:
    """Nothing that is signed can be changed."""
    secret, now = signing.new_secret(), int(time.time())
    headers = signing.headers(secret, "delivery_1", now, BODY)
    if forged in headers:
        headers[forged] = str(now + 1) if forged == "webhook-timestamp" else "delivery_2"
    body = b"{}" if forged == "body" else BODY
    receiver = Webhook(signing.new_secret() if forged == "secret" else secret)
    with pytest.raises(WebhookVerificationError):
        receiver.verify(body, headers)


def test_new_secrets() -> None:
    """A secret that is made is one, and no other's."""
    made = {signing.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(map(signing.is_secret, made))


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "x" * 40, "whsec_" + "!" * 32, "whsec_" + base64.b64encode(b"x" * 23).decode(),
     "whsec_" + base64.b64encode(b"x" * 65).decode(), "whsec_" + "你" * 32, "whsec_AAA"],
)  # fmt: skip
def test_no_secret(text: str) -> None:
    """What has too few or too many bytes, or isn't Base64, is no secret."""
    assert not signing.is_secret(text)
