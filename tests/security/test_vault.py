"""Encryption and key hashes under the master secret."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

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


def test_follows_the_file(instance_folder: Path) -> None:
    """A vault reads its file again when it meets a text under a secret that it doesn't know."""
    early = Vault.open(instance_folder, None, ())
    SecretFile(instance_folder / "secret.key").rotate()
    late = Vault.open(instance_folder, None, ())
    assert early.decrypt(late.encrypt("a", "here"), "here") == "a"
    assert early.key_ids == late.key_ids
    assert not early.reload()


DAMAGED = [
    "",
    "plain text",
    "enc",
    "enc:",
    "enc::",
    "enc:{id}",
    "enc:{id}:",
    "enc:{id}:!!!!",
    "enc:{id}:AAAA",
    "enc:{id}:A",
    "enc:{id}:" + "A" * 37,
    "enc:{id}:" + "A" * 400,
    "enc:{id}:é",
    "enc:00000000:AAAA",
    "ENC:{id}:AAAA",
]


@pytest.mark.parametrize("sealed", DAMAGED)
def test_damaged(sealed: str) -> None:
    """What was never sealed, or was cut or scrambled, doesn't open, and says so in one way."""
    vault = Vault([ONE])
    with pytest.raises(SecretUnknown):
        vault.decrypt(sealed.format(id=vault.current.id), "here")


def test_every_cut() -> None:
    """A sealed text that was cut anywhere doesn't open."""
    vault = Vault([ONE])
    sealed = vault.encrypt("secret", "here")
    for length in range(len(sealed)):
        with pytest.raises(SecretUnknown):
            vault.decrypt(sealed[:length], "here")


def test_every_bit() -> None:
    """A sealed text of which any byte was changed doesn't open."""
    vault = Vault([ONE])
    head, _, encoded = vault.encrypt("secret", "here").rpartition(":")
    for place in range(len(base64.b64decode(encoded))):
        raw = bytearray(base64.b64decode(encoded))
        raw[place] ^= 0x80
        with pytest.raises(SecretUnknown):
            vault.decrypt(f"{head}:{base64.b64encode(raw).decode()}", "here")


def test_errors_tell_nothing() -> None:
    """What can't be opened isn't repeated by the error."""
    sealed = Vault([OTHER]).encrypt("secret", "here")
    with pytest.raises(SecretUnknown) as caught:
        Vault([ONE]).decrypt(sealed, "here")
    assert sealed.rpartition(":")[2] not in str(caught.value)
    assert OTHER not in str(caught.value)


def test_seals_under_the_newest(instance_folder: Path) -> None:
    """A vault notices a rotation before it seals or hashes anything new."""
    early = Vault.open(instance_folder, None, ())
    file = SecretFile(instance_folder / "secret.key")
    file.rotate()
    late = Vault.open(instance_folder, None, ())
    assert late.is_current(early.encrypt("a", "here"))
    file.rotate()
    newest = Vault.open(instance_folder, None, ())
    assert early.key_hash("mmc_x") == newest.key_hash("mmc_x")


def test_two_threads_notice_at_once(instance_folder: Path) -> None:
    """Whoever asks whether there are newer secrets has them afterwards, also while another
    thread is still reading them."""
    vault = Vault.open(instance_folder, None, ())
    file = SecretFile(instance_folder / "secret.key")
    for _ in range(50):
        file.rotate()
        newest = Vault.open(instance_folder, None, ()).current.id
        start = threading.Barrier(4)
        seen: list[str] = []

        def look(start: threading.Barrier = start, seen: list[str] = seen) -> None:
            start.wait()
            vault.reload()
            seen.append(vault.current.id)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [newest] * 4
        file.forget_previous()
