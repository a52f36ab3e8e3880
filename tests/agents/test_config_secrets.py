"""Secrets within a configuration: masked for readers, sealed for the database."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maimconfig.agents.config_fields import check
from maimconfig.agents.config_secrets import (
    MASK,
    MaskedSecretUnknown,
    mask,
    prepare,
    reseal,
    unseal,
)
from maimconfig.agents.merge import merge_patch

SAMPLE = Path(__file__).parent.parent / "data" / "sample-agent.json"
TOKENS = "config_overrides.maim_message.auth_token[]"
KEY = "config_overrides.model.api_providers[].api_key"
URL = "config_overrides.model.api_providers[].base_url"

SECRETS = st.text(max_size=8).filter(lambda text: text != MASK) | st.sampled_from(["enc:", "enc:1"])
MAYBE = st.none() | SECRETS
PROVIDERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=3)},
        optional={"api_key": MAYBE, "base_url": MAYBE, "timeout": st.integers()},
    ),
    max_size=3,
    unique_by=lambda provider: provider["name"],
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | SECRETS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "api_key", "base_url"]), inner, max_size=3)
    ),
    max_leaves=6,
)


class ReversingVault:
    """A vault that can be read through: "enc:<context>#<number of the sealing>#<text reversed>"."""

    def __init__(self) -> None:
        self.sealings = 0
        self.newest_outdated = 0

    def encrypt(self, plain: str, context: str) -> str:
        self.sealings += 1
        return f"enc:{context}#{self.sealings}#{plain[::-1]}"

    def decrypt(self, sealed: str, context: str) -> str:
        found, _, text = sealed.removeprefix("enc:").split("#", 2)
        assert found == context
        return text[::-1]

    def is_current(self, sealed: str) -> bool:
        return int(sealed.split("#")[1]) > self.newest_outdated


def config(providers: Any = None, tokens: Any = None) -> dict[str, Any]:
    overrides: dict[str, Any] = {"chat": {"talk_value": 1}}
    if providers is not None:
        overrides["model"] = {"api_providers": providers}
    if tokens is not None:
        overrides["maim_message"] = {"auth_token": tokens}
    return {"persona": "hi", "config_overrides": overrides}


CONFIGS = st.builds(config, st.none() | PROVIDERS, st.none() | st.lists(MAYBE, max_size=3))
ODD_CONFIGS = st.builds(config, ODD, ODD) | st.fixed_dictionaries({"config_overrides": ODD})


def keys(found: dict[str, Any]) -> dict[str, Any]:
    providers = found["config_overrides"]["model"]["api_providers"]
    return {provider["name"]: provider["api_key"] for provider in providers}


def provider(name: str, api_key: Any) -> dict[str, Any]:
    return {"name": name, "api_key": api_key}


@pytest.fixture
def vault() -> ReversingVault:
    return ReversingVault()


class TestMask:
    def test_sample(self) -> None:
        """Tokens, keys and addresses read as the mask, all else as it is."""
        sample = json.loads(SAMPLE.read_text("utf-8"))["config"]
        masked = mask(sample)
        overrides = sample["config_overrides"]
        overrides["maim_message"]["auth_token"] = [MASK]
        overrides["model"]["api_providers"][0] |= {"api_key": MASK, "base_url": MASK}
        assert masked == sample

    def test_masked_sample_is_fine(self) -> None:
        """What a caller reads can be sent back: it passes the checks."""
        assert check(mask(json.loads(SAMPLE.read_text("utf-8"))["config"]), ()) == {}

    @pytest.mark.parametrize("empty", [None, ""])
    def test_empty(self, empty: Any) -> None:
        """No secret, no mask."""
        given = config([provider("a", empty)], [empty])
        assert mask(given) == given

    @pytest.mark.parametrize("odd", [5, True, ["s"], {"k": "s"}])
    def test_odd_secret(self, odd: Any) -> None:
        """A secret of the wrong type is masked too."""
        masked = mask(config([provider("a", odd)], odd))
        assert keys(masked) == {"a": MASK}
        assert masked["config_overrides"]["maim_message"]["auth_token"] in (MASK, [MASK])

    def test_odd_providers(self) -> None:
        """A key is masked in a single provider that is in no array."""
        masked = mask(config({"api_key": "s"}))
        assert masked["config_overrides"]["model"] == {"api_providers": {"api_key": MASK}}

    @given(CONFIGS | ODD_CONFIGS)
    def test_input_stays(self, given: Any) -> None:
        """It works on a copy."""
        before = copy.deepcopy(given)
        mask(given)
        assert given == before

    @given(CONFIGS | ODD_CONFIGS)
    def test_twice_is_once(self, given: Any) -> None:
        """What is masked stays masked."""
        assert mask(mask(given)) == mask(given)


class TestRoundTrips:
    @given(CONFIGS)
    def test_what_goes_in_comes_out(self, given: Any) -> None:
        """Whatever a caller sends is what a runtime gets, text that looks sealed too."""
        vault = ReversingVault()
        assert unseal(prepare(given, {}, vault), vault) == given

    @given(CONFIGS)
    def test_nothing_is_stored_plain(self, given: Any) -> None:
        """Every secret that is not empty is sealed by the vault, once."""
        vault = ReversingVault()
        sealed = prepare(given, {}, vault)
        assert json.dumps(mask(given)) == json.dumps(mask(sealed))
        assert vault.sealings == json.dumps(mask(sealed)).count(json.dumps(MASK))

    @given(CONFIGS)
    def test_reading_and_sending_back(self, given: Any) -> None:
        """Sending back what was read stores the same bytes again."""
        vault = ReversingVault()
        stored = prepare(given, {}, vault)
        assert prepare(mask(stored), stored, vault) == stored

    @given(CONFIGS, CONFIGS)
    def test_patch(self, given: Any, patch: Any) -> None:
        """A patch of the masked configuration is a patch of the plain one."""
        vault = ReversingVault()
        stored = prepare(given, {}, vault)
        new = prepare(merge_patch(mask(stored), patch), stored, vault)
        assert unseal(new, vault) == merge_patch(given, patch)

    @given(ODD_CONFIGS, ODD_CONFIGS)
    def test_odd_shapes(self, given: Any, stored: Any) -> None:
        """No shape makes it fail, of the new or of the stored configuration."""
        vault = ReversingVault()
        sealed = prepare(given, stored, vault)
        assert unseal(sealed, vault) == given
        assert mask(prepare(mask(sealed), sealed, vault)) == mask(sealed)


class TestPrepare:
    def test_context(self, vault: ReversingVault) -> None:
        """Each secret is sealed for its path in the table."""
        given = config([{"name": "a", "api_key": "k", "base_url": "u"}], ["t"])
        overrides = prepare(given, {}, vault)["config_overrides"]
        (sealed,) = overrides["model"]["api_providers"]
        assert sealed["api_key"].startswith(f"enc:{KEY}#")
        assert sealed["base_url"].startswith(f"enc:{URL}#")
        assert overrides["maim_message"]["auth_token"][0].startswith(f"enc:{TOKENS}#")

    def test_providers_by_name(self, vault: ReversingVault) -> None:
        """A kept key follows its provider's name, wherever in the array that is."""
        stored = prepare(config([provider("a", "1"), provider("b", "2")]), {}, vault)
        new = config([provider("c", "3"), provider("b", MASK), provider("a", MASK)])
        assert keys(unseal(prepare(new, stored, vault), vault)) == {"c": "3", "b": "2", "a": "1"}

    def test_tokens_by_index(self, vault: ReversingVault) -> None:
        """A kept token is the one at its index."""
        stored = prepare(config(tokens=["1", "2"]), {}, vault)
        found = unseal(prepare(config(tokens=["3", MASK]), stored, vault), vault)
        assert found["config_overrides"]["maim_message"]["auth_token"] == ["3", "2"]

    @pytest.mark.parametrize(
        ("new", "path"),
        [
            (config([provider("new", MASK)]), "config_overrides.model.api_providers.0.api_key"),
            (
                config([provider("old", "x"), {"name": "old2", "base_url": MASK}]),
                "config_overrides.model.api_providers.1.base_url",
            ),
            (config([provider("blank", MASK)]), "config_overrides.model.api_providers.0.api_key"),
            (config(tokens=[MASK, MASK]), "config_overrides.maim_message.auth_token.1"),
        ],
    )
    def test_nothing_to_keep(self, new: Any, path: str, vault: ReversingVault) -> None:
        """A mask where nothing is stored is refused with its path."""
        given = config([provider("old", "1"), provider("blank", "")], ["t"])
        stored = prepare(given, {}, vault)
        with pytest.raises(MaskedSecretUnknown) as caught:
            prepare(new, stored, vault)
        assert caught.value.path == path

    def test_stolen_seal(self, vault: ReversingVault) -> None:
        """A sealed text that a caller got hold of is plain text when sent: it opens nothing."""
        stored = prepare(config([provider("a", "secret")]), {}, vault)
        stolen = keys(stored)["a"]
        new = prepare(config([provider("mine", stolen)]), stored, vault)
        assert keys(unseal(new, vault)) == {"mine": stolen}

    def test_legacy_plain_text(self, vault: ReversingVault) -> None:
        """A secret that was stored in plain text is sealed when it is kept."""
        new = prepare(config([provider("a", MASK)]), config([provider("a", "plain")]), vault)
        assert keys(new)["a"].startswith("enc:")
        assert keys(unseal(new, vault)) == {"a": "plain"}

    def test_legacy_plain_text_is_read(self, vault: ReversingVault) -> None:
        """A secret that was stored in plain text is what a runtime gets."""
        stored = config([provider("a", "plain")])
        assert unseal(stored, vault) == stored

    def test_unnamed_providers(self, vault: ReversingVault) -> None:
        """Stored providers without a name are not mixed up with each other."""
        stored = config([{"api_key": "1"}, {"name": [], "api_key": "2"}])
        found = unseal(prepare(mask(stored), stored, vault), vault)
        assert found == stored

    @given(CONFIGS)
    def test_inputs_stay(self, given: Any) -> None:
        """It works on copies."""
        vault, before = ReversingVault(), copy.deepcopy(given)
        stored = prepare(given, {}, vault)
        copied = copy.deepcopy(stored)
        prepare(mask(stored), stored, vault)["config_overrides"].clear()
        assert (given, stored) == (before, copied)


class TestReseal:
    @given(CONFIGS)
    def test_old_secret(self, given: Any) -> None:
        """After a rotation every secret is under the new master secret, and reads the same."""
        vault = ReversingVault()
        stored = prepare(given, {}, vault)
        before = vault.newest_outdated = vault.sealings
        moved = reseal(stored, vault)
        assert unseal(moved, vault) == given
        assert vault.sealings == 2 * before
        assert reseal(moved, vault) == moved

    def test_plain_text(self, vault: ReversingVault) -> None:
        """A secret that was stored in plain text is sealed, one of a wrong type left."""
        moved = reseal(config([provider("a", "plain"), provider("b", 5)], [None, ""]), vault)
        assert keys(moved)["a"].startswith("enc:")
        assert keys(moved)["b"] == 5
        assert moved["config_overrides"]["maim_message"] == {"auth_token": [None, ""]}
