"""What a key is worth, judged from one row."""

from __future__ import annotations

import pytest

from maimconfig.key_checks.verdict import is_within


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("203.0.113.7", ["203.0.113.7"]),
        ("10.1.2.3", ["192.168.0.0/16", "10.0.0.0/8"]),
        ("10.1.2.3", ["10.9.9.9/8"]),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"]),
        ("2001:db8::1", ["2001:db8::/32"]),
        ("2001:0DB8:0::1", ["2001:db8::1"]),
        ("1.2.3.4", ["0.0.0.0/0"]),
    ],
)
def test_within(address: str, networks: list[str]) -> None:
    """An address is within a network that has it, however either is written."""
    assert is_within(address, networks)


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("203.0.113.8", ["203.0.113.7"]),
        ("11.0.0.1", ["10.0.0.0/8", "2001:db8::/32"]),
        ("::1", ["127.0.0.0/8"]),
        ("2001:db9::1", ["2001:db8::/32"]),
        ("1.2.3.4", ["::/0"]),
        ("1.2.3.4", []),
        ("", ["0.0.0.0/0"]),
        ("localhost", ["0.0.0.0/0"]),
        ("10.0.0.1, 10.0.0.2", ["10.0.0.0/8"]),
        ("010.0.0.1", ["10.0.0.0/8"]),
    ],
)
def test_not_within(address: str, networks: list[str]) -> None:
    """Any other address, and what is none, is not within."""
    assert not is_within(address, networks)
