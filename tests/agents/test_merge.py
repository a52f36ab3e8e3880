"""Merging, layering and comparing configurations."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maimconfig.agents.merge import SECTIONS, changes, effective, explain, merge_patch

KEYS = st.sampled_from(["a", "b", "c", "a.b", "a\\", "", "."])
SCALARS = st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, "", "x"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)
CONFIGS = st.dictionaries(st.sampled_from([*SECTIONS, "tags", "a.b"]), VALUES, max_size=4)
LAYERS = st.lists(st.tuples(st.sampled_from(["default", "template", "agent"]), CONFIGS), max_size=4)


def exact(value: Any) -> str:
    """A text that is equal for equal JSON values only: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def without_nulls(value: Any) -> Any:
    """What RFC 7396 can express: no member of an object is null."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def keys_of(path: str) -> list[str]:
    """The keys of an escaped dotted path."""
    parts = re.findall(r"(?:^|\.)((?:[^.\\]|\\.)*)", path)
    return [re.sub(r"\\(.)", r"\1", part) for part in parts]


def tree(leaves: dict[str, Any]) -> dict[str, Any]:
    """The object that has these leaves by dotted path."""
    root: dict[str, Any] = {}
    for path, value in leaves.items():
        *keys, last = keys_of(path)
        node = root
        for key in keys:
            node = node.setdefault(key, {})
        node[last] = value
    return root


def leaves_of(config: dict[str, Any]) -> dict[str, Any]:
    return {change["path"]: change["after"] for change in changes({}, config)}


class TestMergePatch:
    @pytest.mark.parametrize(
        ("target", "patch", "result"),
        [
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            (["a", "b"], ["c", "d"], ["c", "d"]),
            ({"a": "b"}, ["c"], ["c"]),
            ({"a": "foo"}, None, None),
            ({"a": "foo"}, "bar", "bar"),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ],
    )
    def test_rfc_7396(self, target: Any, patch: Any, result: Any) -> None:
        """The examples of RFC 7396, appendix A, come out as printed there."""
        assert exact(merge_patch(target, patch)) == exact(result)

    @given(VALUES, VALUES)
    def test_definition(self, target: Any, patch: Any) -> None:
        """It is the pseudo-code of RFC 7396, section 2."""

        def by_the_book(target: Any, patch: Any) -> Any:
            if not isinstance(patch, dict):
                return patch
            target = dict(target) if isinstance(target, dict) else {}
            for name, value in patch.items():
                if value is None:
                    target.pop(name, None)
                else:
                    target[name] = by_the_book(target.get(name), value)
            return target

        assert exact(merge_patch(target, patch)) == exact(by_the_book(target, patch))

    @given(VALUES, VALUES)
    def test_inputs_stay(self, target: Any, patch: Any) -> None:
        """Its inputs are the same after it, and after any change to its result."""
        before = copy.deepcopy((target, patch))
        spoil(merge_patch(target, patch))
        assert exact((target, patch)) == exact(before)

    @given(OBJECTS, OBJECTS)
    def test_twice_is_once(self, target: Any, patch: Any) -> None:
        """The same patch a second time changes nothing."""
        once = merge_patch(target, patch)
        assert exact(merge_patch(once, patch)) == exact(once)

    @given(OBJECTS)
    def test_empty(self, target: Any) -> None:
        """An empty patch changes nothing."""
        assert exact(merge_patch(target, {})) == exact(target)

    @given(OBJECTS)
    def test_onto_nothing(self, patch: Any) -> None:
        """Onto nothing, a patch is itself without its nulls."""
        assert exact(merge_patch({}, patch)) == exact(without_nulls(patch))


def spoil(value: Any) -> None:
    """Change every object and array in place."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value["spoiled"] = True
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoiled")


class TestEffective:
    @pytest.mark.parametrize(
        ("lower", "higher", "result"),
        [
            ({"x": 1, "y": 1}, {"y": 2}, {"x": 1, "y": 2}),
            ({"x": {"y": 1}}, {"x": {"z": 2}}, {"x": {"y": 1, "z": 2}}),
            ({"x": [1, 2]}, {"x": [3]}, {"x": [3]}),
            ({"x": [1]}, {"x": []}, {"x": []}),
            ({"x": {"y": 1}}, {"x": 5}, {"x": 5}),
            ({"x": 5}, {"x": {}}, {"x": {}}),
            ({"x": {"y": 1}}, {"x": {}}, {"x": {"y": 1}}),
            ({"x": 1}, {"x": None}, {"x": 1}),
            ({"x": {"y": 1}}, {"x": None}, {"x": {"y": 1}}),
            ({"x": None}, {"x": 1}, {"x": 1}),
            ({"x": None}, {}, {"x": None}),
            ({}, {"x": {"y": None}}, {"x": {"y": None}}),
            ({"x": [None]}, {"x": [None, 1]}, {"x": [None, 1]}),
        ],
    )
    def test_two_layers(self, lower: Any, higher: Any, result: Any) -> None:
        """Objects merge deep, the rest is replaced, a null hides nothing."""
        layers = [("low", {"config_overrides": lower}), ("high", {"config_overrides": higher})]
        assert exact(effective(layers)["config_overrides"]) == exact(result)

    def test_scalar_between(self) -> None:
        """What a middle layer replaced does not come back."""
        layers = [("a", {"t": {"x": 1}}), ("b", {"t": 5}), ("c", {"t": {"y": 2}})]
        assert effective(layers)["t"] == {"y": 2}

    def test_plain_persona(self) -> None:
        """A persona given as a text is its personality, in each layer."""
        layers: list[Any] = [
            ("low", {"persona": {"personality": "old", "interest": "tea"}}),
            ("high", {"persona": "new"}),
        ]
        assert effective(layers)["persona"] == {"personality": "new", "interest": "tea"}
        assert effective(layers[::-1])["persona"]["personality"] == "old"

    @given(LAYERS)
    def test_sections(self, layers: Any) -> None:
        """Persona, bot_overrides and config_overrides are always objects."""
        assert all(isinstance(effective(layers)[section], dict) for section in SECTIONS)

    @given(LAYERS)
    def test_inputs_stay(self, layers: Any) -> None:
        """Its inputs are the same after it, and after any change to its result."""
        before = copy.deepcopy(layers)
        spoil(effective(layers))
        assert exact(layers) == exact(before)

    @given(CONFIGS)
    def test_twice_the_same_layer(self, config: Any) -> None:
        """A layer over itself is the layer."""
        assert exact(effective([("a", config), ("b", config)])) == exact(effective([("a", config)]))

    @given(LAYERS)
    def test_in_two_steps(self, layers: Any) -> None:
        """Merging the merged lower layers with the rest is merging all."""
        for cut in range(len(layers) + 1):
            lower = ("lower", effective(layers[:cut]))
            assert exact(effective([lower, *layers[cut:]])) == exact(effective(layers))


class TestExplain:
    def test_layers(self) -> None:
        """Each leaf names the layer that it comes from."""
        layers: list[Any] = [
            ("default", {"persona": {"states": []}, "config_overrides": {"a": {"b": 1, "c": 1}}}),
            ("agent", {"persona": "hi", "config_overrides": {"a": {"b": 2, "c": None}, "x.y": {}}}),
        ]
        assert explain(layers) == {
            "persona.states": {"value": [], "layer": "default"},
            "persona.personality": {"value": "hi", "layer": "agent"},
            "bot_overrides": {"value": {}, "layer": None},
            "config_overrides.a.b": {"value": 2, "layer": "agent"},
            "config_overrides.a.c": {"value": 1, "layer": "default"},
            "config_overrides.x\\.y": {"value": {}, "layer": "agent"},
        }

    @given(LAYERS)
    def test_agrees_with_effective(self, layers: Any) -> None:
        """Put together again, its leaves are the effective configuration."""
        leaves = {path: leaf["value"] for path, leaf in explain(layers).items()}
        assert exact(tree(leaves)) == exact(effective(layers))

    @given(LAYERS)
    def test_layer_has_the_leaf(self, layers: Any) -> None:
        """The layer that a leaf names holds that very leaf."""
        for path, leaf in explain(layers).items():
            own = [effective([layer]) for layer in layers if layer[0] == leaf["layer"]]
            if leaf["layer"] is None:
                assert leaf["value"] == {}
            else:
                assert exact(leaf["value"]) in [exact(leaves_of(one).get(path)) for one in own]


class TestChanges:
    def test_ops(self) -> None:
        """An added, a removed and a replaced leaf, sorted by path."""
        before = {"c": {"x": 1}, "b": [1], "a.b": 1}
        after = {"c": {"y": 2}, "b": [1, 2], "a.b": 1}
        assert changes(before, after) == [
            {"path": "b", "op": "replace", "before": [1], "after": [1, 2]},
            {"path": "c.x", "op": "remove", "before": 1},
            {"path": "c.y", "op": "add", "after": 2},
        ]

    @pytest.mark.parametrize(
        ("one", "other"),
        [(1, 1.0), (1, True), (0, False), ([1], [True]), ([{"a": 1}], [{"a": 1.0}]), (None, False)],
    )
    def test_types_count(self, one: Any, other: Any) -> None:
        """1, 1.0 and true are three values, within arrays too."""
        assert [change["op"] for change in changes({"a": one}, {"a": other})] == ["replace"]

    def test_null_is_a_value(self) -> None:
        """A null that comes or goes is a change."""
        assert changes({}, {"a": None}) == [{"path": "a", "op": "add", "after": None}]

    def test_order_of_keys(self) -> None:
        """The order of an object's keys means nothing."""
        assert changes({"a": [{"x": 1, "y": 2}]}, {"a": [{"y": 2, "x": 1}]}) == []

    @given(OBJECTS, OBJECTS)
    def test_apply(self, before: Any, after: Any) -> None:
        """The leaves before, with the changes applied, are the configuration after."""
        leaves = leaves_of(before)
        found = changes(before, after)
        for change in found:
            path = change["path"]
            if change["op"] == "add":
                assert path not in leaves
            else:
                assert exact(leaves.pop(path)) == exact(change["before"])
            if change["op"] != "remove":
                leaves[path] = change["after"]
        assert exact(tree(leaves)) == exact(after)
        assert [change["path"] for change in found] == sorted(change["path"] for change in found)

    @given(OBJECTS, OBJECTS)
    def test_nothing_without_difference(self, one: Any, other: Any) -> None:
        """There is no change exactly when both are the same value."""
        assert (changes(one, other) == []) == (exact(one) == exact(other))
