"""Encryption and key hashes under the master secret, which can be rotated while in use."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from maimconfig.security.secret_file import SecretFile

PREFIX = "enc"
_NONCE_BYTES = 12  # the size for which AES-GCM is specified (NIST SP 800-38D, section 5.2.1.1)


class SecretUnknown(Exception):
    """A stored value is under a master secret that this process does not have."""


@dataclass(frozen=True)
class MasterKey:
    """What is derived from one master secret, each purpose its own key (HKDF, RFC 5869).

    Attributes:
        id: 8 hexadecimal digits that name the secret without telling it.
    """

    id: str
    hashing: bytes = field(repr=False)
    signing: bytes = field(repr=False)
    refreshing: bytes = field(repr=False)
    chatting: bytes = field(repr=False)
    cipher: AESGCM = field(repr=False)

    @classmethod
    def derive(cls, secret: str) -> MasterKey:
        """The keys of a master secret."""
        return cls(
            id=_derive(secret, b"maimconfig key id", 4).hex(),
            hashing=_derive(secret, b"maimconfig api key hash", 32),
            signing=_derive(secret, b"maimconfig access token", 32),
            refreshing=_derive(secret, b"maimconfig refresh token", 32),
            chatting=_derive(secret, b"maimconfig chat session token", 32),
            cipher=AESGCM(_derive(secret, b"maimconfig encryption", 32)),
        )


def _derive(secret: str, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=purpose).derive(secret.encode())


class Vault:
    """Seals texts and hashes API keys; knows the current master secret and older ones.

    With a secret file the vault follows it: before a value is sealed, and when one is met that
    is under an unknown secret, the file is read again if another process has rotated it, so a
    rotation needs no restart.
    """

    def __init__(self, secrets: Sequence[str] = (), *, file: SecretFile | None = None) -> None:
        """Hold the secrets.

        Args:
            secrets: master secrets, the current one first; empty when they are in `file`.
            file: where they are kept otherwise.
        """
        self._file = file
        self._lock = threading.Lock()
        self._use(secrets or (file.read() if file else ()))

    @classmethod
    def open(cls, instance: Path, given: str | None, previous: Sequence[str]) -> Vault:
        """The vault of a service: from settings, else from the instance folder's secret.key.

        Args:
            instance: the instance folder; the file is made there when no secret is given.
            given: the secret from the settings.
            previous: older secrets from the settings.
        """
        if given:
            return cls((given, *previous))
        file = SecretFile(instance / "secret.key")
        file.ensure()
        return cls(file=file)

    @property
    def current(self) -> MasterKey:
        """The key that new values are put under."""
        return self._keys[0]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all known secrets, the current one first."""
        return tuple(key.id for key in self._keys)

    def encrypt(self, plain: str, context: str) -> str:
        """Seal a text.

        Args:
            plain: what to keep secret.
            context: what it is for; the same text must be given to `decrypt`, so that a sealed
                value can't be moved to another place.

        Returns:
            `enc:<key id>:<Base64 of nonce and ciphertext>`.
        """
        self.reload()
        key = self.current
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + key.cipher.encrypt(nonce, plain.encode(), context.encode())
        return f"{PREFIX}:{key.id}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, sealed: str, context: str) -> str:
        """Open what `encrypt` sealed.

        Raises:
            SecretUnknown: it is under another master secret, for another context, or damaged.
        """
        try:
            _, key_id, encoded = sealed.split(":", 2)
            raw = base64.b64decode(encoded, validate=True)
            plain = self._key(key_id).cipher.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()
            )
        except (InvalidTag, ValueError) as error:
            raise SecretUnknown(f"a value for {context} can't be opened") from error
        return plain.decode()

    def is_current(self, sealed: str) -> bool:
        """Whether a sealed value is under the current master secret."""
        return sealed.split(":", 2)[1] == self.current.id

    def key_hash(self, api_key: str) -> str:
        """The keyed hash under which an API key is stored (HMAC-SHA256, 64 hex digits)."""
        self.reload()
        return _hash(self.current, api_key)

    def key_hashes(self, api_key: str) -> list[str]:
        """The hashes under which an API key may be stored, one for each known secret."""
        return [_hash(key, api_key) for key in self._keys]

    def key(self, key_id: str) -> MasterKey | None:
        """The keys of a known master secret by its id; None when there is no such one."""
        try:
            return self._key(key_id)
        except SecretUnknown:
            return None

    def reload(self) -> bool:
        """Read the secret file again if it changed; whether it did.

        Called before anything is put under the current secret: an operator may drop the older
        ones as soon as what is stored has been moved. Another thread that is reading the file is
        waited for, so afterwards the newer secrets are here in any case.
        """
        if self._file is None:
            return False
        with self._lock:
            if not self._file.changed():
                return False
            self._use(self._file.read())
        return True

    def _use(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise SecretUnknown("there is no master secret")
        self._keys = tuple(MasterKey.derive(secret) for secret in secrets)

    def _key(self, key_id: str) -> MasterKey:
        for key in self._keys:
            if key.id == key_id:
                return key
        if self.reload():
            return self._key(key_id)
        raise SecretUnknown(f"a value is under the unknown master secret {key_id}")


def _hash(key: MasterKey, text: str) -> str:
    return hmac.digest(key.hashing, text.encode(), hashlib.sha256).hex()
