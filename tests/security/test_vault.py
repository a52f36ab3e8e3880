"""Encryption and key hashes under the master secret."""

from __future__ import annotations

import base64

import pytest

from maimconfig.security.secret_file import SecretFile
from maimconfig.security.vault import SecretUnknown, Vault

ONE = "0123456789abcdefghijklmnopqrstuvwxyz"
OTHER = "zyxwvutsrqponmlkjihgfedcba9876543210"


@pytest.mark.parametrize("plain", ["", "sk-secret", "密钥 😀", "x" * 100_000])
def test_round_trip(plain: str) -> None:
    """What was sealed for a context opens for the same one."""
    vault = Vault([ONE])
    assert vault.decrypt(vault.encrypt(plain, "here"), "here") == plain


def test_same_text_twice() -> None:
    """The same text is never sealed the same way twice."""
    vault = Vault([ONE])
    assert vault.encrypt("a", "here") != vault.encrypt("a", "here")


def test_another_context() -> None:
    """A sealed text that was moved to another place does not open."""
    vault = Vault([ONE])
    with pytest.raises(SecretUnknown):
        vault.decrypt(vault.encrypt("a", "here"), "there")


def test_tampering() -> None:
    """A sealed text of which a bit was changed does not open."""
    vault = Vault([ONE])
    head, _, encoded = vault.encrypt("secret", "here").rpartition(":")
    raw = bytearray(base64.b64decode(encoded))
    raw[-1] ^= 1
    with pytest.raises(SecretUnknown):
        vault.decrypt(f"{head}:{base64.b64encode(raw).decode()}", "here")


def test_another_secret() -> None:
    """A text under a secret that isn't known does not open."""
    with pytest.raises(SecretUnknown):
        Vault([OTHER]).decrypt(Vault([ONE]).encrypt("a", "here"), "here")


def test_older_secret() -> None:
    """A text under an older secret opens, and is known not to be under the current one."""
    sealed = Vault([ONE]).encrypt("a", "here")
    both = Vault([OTHER, ONE])
    assert both.decrypt(sealed, "here") == "a"
    assert not both.is_current(sealed)
    assert both.is_current(both.encrypt("a", "here"))


def test_hashes() -> None:
    """The hash of a key depends on the secret, and each known secret has one."""
    assert Vault([ONE]).key_hash("mmc_x") != Vault([OTHER]).key_hash("mmc_x")
    both = Vault([OTHER, ONE])
    assert both.key_hashes("mmc_x") == [both.key_hash("mmc_x"), Vault([ONE]).key_hash("mmc_x")]


def test_repr() -> None:
    """Neither the vault nor its keys show anything of the secret."""
    vault = Vault([ONE])
    shown = repr(vault) + repr(vault.current)
    assert ONE not in shown
    assert vault.current.hashing.hex() not in shown


def test_no_secret() -> None:
    """There is no vault without a secret."""
    with pytest.raises(SecretUnknown):
        Vault()


def test_follows_the_file(instance_folder) -> None:
    """A vault reads its file again when it meets a text under a secret that it doesn't know."""
    early = Vault.open(instance_folder, None, ())
    SecretFile(instance_folder / "secret.key").rotate()
    late = Vault.open(instance_folder, None, ())
    assert early.decrypt(late.encrypt("a", "here"), "here") == "a"
    assert early.key_ids == late.key_ids
    assert not early.reload()
