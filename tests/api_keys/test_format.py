"""What an API key looks like."""

from __future__ import annotations

import base64

import pytest

from maimconfig.api_keys import format as key_format
from maimconfig.api_keys.format import ParsedKey

SAMPLE = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="
PARTS = "tenant_xyz789_agent_pqr345_8f8a9b2c3d_v1"


def encoded(text: str) -> str:
    """The key of a text."""
    return "mmc_" + base64.b64encode(text.encode()).decode()


def test_sample() -> None:
    """The contract's sample key has the parts that the contract says."""
    assert key_format.parse(SAMPLE) == ParsedKey(
        "tenant_xyz789", "agent_pqr345", "8f8a9b2c3d", "v1"
    )


def test_unencoded() -> None:
    """The older form, which isn't encoded, has the same parts."""
    assert key_format.parse(f"mmc_{PARTS}") == key_format.parse(SAMPLE)


def test_made_keys_parse() -> None:
    """A key that is made has its tenant, its agent, 32 hexadecimal digits and the version."""
    parsed = key_format.parse(key_format.make("tenant_0a", "agent_1b"))
    assert parsed is not None
    assert parsed[:2] + parsed[3:] == ("tenant_0a", "agent_1b", "v1")
    assert len(parsed.random_hash) == 32
    assert set(parsed.random_hash) <= set("0123456789abcdef")


def test_made_keys_are_random() -> None:
    """No two keys are the same."""
    assert len({key_format.make("tenant_0", "agent_1") for _ in range(1000)}) == 1000


def test_longest() -> None:
    """A key of the longest ids parses."""
    longest = key_format.make(f"tenant_{'a' * 43}", f"agent_{'b' * 44}")
    assert key_format.parse(longest) is not None


@pytest.mark.parametrize("version", ["v1", "v2", "v10"])
def test_versions(version: str) -> None:
    """A version is told, whatever its number."""
    parsed = key_format.parse(encoded(PARTS.replace("_v1", f"_{version}")))
    assert parsed is not None
    assert parsed.version == version


@pytest.mark.parametrize(
    "key",
    [
        "",
        "mmc_",
        "mmc",
        PARTS,
        SAMPLE.removeprefix("mmc_"),
        SAMPLE.upper(),
        f" {SAMPLE}",
        f"{SAMPLE} ",
        f"{SAMPLE}\n",
        SAMPLE.rstrip("="),
        SAMPLE[:-1],
        f"{SAMPLE}=",
        f"{SAMPLE}==",
        SAMPLE + SAMPLE.removeprefix("mmc_"),
        SAMPLE.replace("mmc_", "mmc_="),
        f"{SAMPLE[:20]} {SAMPLE[20:]}",
        f"{SAMPLE[:20]}\n{SAMPLE[20:]}",
        f"{SAMPLE[:20]}-{SAMPLE[21:]}",
        f"{SAMPLE[:20]}密{SAMPLE[21:]}",
        "mmc_dGVuYW50",
        "mmc_////",
        "mmc_" + "A" * 600,
        "mmc_" + base64.b64encode(b"\xff\xfe" * 20).decode(),
        encoded(encoded(PARTS).removeprefix("mmc_")),
        encoded(f"{PARTS} "),
        encoded(f"{PARTS}\n"),
        encoded(PARTS.replace("tenant_", "user_")),
        encoded(PARTS.replace("agent_", "")),
        encoded(PARTS.replace("xyz789", "")),
        encoded(PARTS.replace("xyz789", "x.z")),
        encoded(PARTS.replace("xyz789", "租户")),
        encoded(PARTS.replace("_v1", "")),
        encoded(PARTS.replace("_v1", "_1")),
        encoded(PARTS.replace("_v1", "_v")),
        encoded(PARTS.replace("_8f8a9b2c3d", "")),
        f"mmc_{PARTS}=",
        f"mmc_{PARTS}_v1",
    ],
)
def test_malformed(key: str) -> None:
    """What isn't a key to the letter has no parts."""
    assert key_format.parse(key) is None


def test_masked() -> None:
    """A masked key shows its first and last few characters, and none of its secret."""
    assert key_format.masked(SAMPLE) == "mmc_dGVu…MQ=="
    key = key_format.make("tenant_xyz789", "agent_pqr345")
    assert len(key_format.masked(key)) == 13
