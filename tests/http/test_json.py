"""JSON as this API reads it: every rule of strictness, and what is kept to the letter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maimconfig.http import json as strict
from maimconfig.http.errors import BadRequest, Invalid
from tests import factories
from tests.api import Api

TENANTS = "/api/v2/tenants"
JSON = {"Content-Type": "application/json"}


def send(api: Api, body: bytes) -> Any:
    """POST raw bytes as JSON."""
    return api.post(TENANTS, data=body, content_type="application/json")


def with_config(config: str) -> bytes:
    """The body of a tenant whose free-form object is written as given."""
    return f'{{"tenant_name": "t", "tenant_type": "personal", "tenant_config": {config}}}'.encode()


def wrapped(value: str) -> str:
    """An object that holds a value."""
    return f'{{"a": {value}}}'


def exact(value: Any) -> str:
    """A text that is equal for equal JSON values only: 1, 1.0 and true differ."""
    return json.dumps(value)


# --- what is refused ---------------------------------------------------------------------------

BROKEN = {
    "broken UTF-8": b'{"tenant_name": "\xff"}',
    "an overlong UTF-8 slash": b'{"tenant_name": "\xc0\xaf"}',
    "a surrogate as UTF-8": b'{"tenant_name": "\xed\xa0\x80"}',
    "UTF-16": '{"tenant_name": "t"}'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf{}",
    "100 000 open brackets": b"[" * 100_000,
    "100 000 open braces": b'{"a":' * 100_000,
    "an unclosed object": b'{"tenant_name": "t"',
    "an unclosed string": b'{"tenant_name": "t',
    "a trailing comma": b'{"tenant_name": "t",}',
    "a comment": b'{"tenant_name": "t" /* why */}',
    "single quotes": b"{'tenant_name': 't'}",
    "two values": b"{} {}",
    "a raw line feed in a string": b'{"tenant_name": "a\nb"}',
    "a raw NUL in a string": b'{"tenant_name": "a\0b"}',
    "a number with a leading zero": b'{"tenant_config": {"a": 01}}',
    "a hexadecimal number": b'{"tenant_config": {"a": 0x10}}',
    "a number with a plus": b'{"tenant_config": {"a": +1}}',
    "NaN": b'{"tenant_config": {"a": NaN}}',
    "Infinity": b'{"tenant_config": {"a": Infinity}}',
    "-Infinity": b'{"tenant_config": {"a": -Infinity}}',
    "1e999": b'{"tenant_config": {"a": 1e999}}',
    "-1e999": b'{"tenant_config": {"a": -1e999}}',
    "2**64": b'{"tenant_config": {"a": 18446744073709551616}}',
    "-(2**63) - 1": b'{"tenant_config": {"a": -9223372036854775809}}',
    "an integer of 5000 digits": b'{"tenant_config": {"a": ' + b"9" * 5000 + b"}}",
    "a key twice": b'{"tenant_name": "a", "tenant_name": "b"}',
    "a key twice, far inside": b'{"tenant_config": {"a": [{"b": 1, "b": 1}]}}',
    "a key twice, once escaped": b'{"tenant_config": {"a": 1, "\\u0061": 2}}',
    "a lone high surrogate": b'{"tenant_name": "\\ud800"}',
    "a lone low surrogate": b'{"tenant_name": "\\udfff"}',
    "surrogates in the wrong order": b'{"tenant_name": "\\udc00\\ud800"}',
    "a lone surrogate in a key": b'{"tenant_config": {"\\ud800": 1}}',
    "a duplicate key with a surrogate": b'{"\\ud800": 1, "\\ud800": 2}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_json(body: bytes) -> None:
    """A body that isn't JSON, or only leniently so, is a BadRequest."""
    with pytest.raises(BadRequest):
        strict.loads(body)


def test_what_is_no_json_on_the_wire(api: Api) -> None:
    """A body that isn't JSON is 400 BAD_REQUEST, says what is wrong with it, and makes nothing."""
    for body in BROKEN.values():
        refused = api.error(send(api, body), 400, "BAD_REQUEST")
        assert refused["error"] != refused["message"]
    assert api.data(api.get(TENANTS))["pagination"]["total"] == 0


def test_the_place_is_named() -> None:
    """What is broken is named with its place, in both languages."""
    with pytest.raises(BadRequest) as caught:
        strict.loads(b'{"a": 1, }')
    assert "9" in str(caught.value.reason)
    assert "9" in caught.value.reason.en


def test_the_key_is_named() -> None:
    """The key that stands twice is named."""
    with pytest.raises(BadRequest) as caught:
        strict.loads(b'{"a": {"colour": 1, "colour": 2}}')
    assert "colour" in caught.value.reason


def test_a_long_key_is_cut() -> None:
    """A key of a million characters that stands twice isn't answered whole."""
    key = b"k" * 100_000
    with pytest.raises(BadRequest) as caught:
        strict.loads(b'{"%s": 1, "%s": 2}' % (key, key))
    assert len(caught.value.reason) < 200


# --- depth -------------------------------------------------------------------------------------


def nested(levels: int) -> str:
    """Arrays and objects in turn, so many levels deep."""
    opening = "".join('{"a":' if level % 2 else "[" for level in range(levels))
    closing = "".join("}" if level % 2 else "]" for level in reversed(range(levels)))
    return f"{opening}1{closing}"


@pytest.mark.parametrize("levels", [1, 2, 63, 64])
def test_deep_enough(levels: int) -> None:
    """64 levels are allowed."""
    assert strict.loads(nested(levels).encode()) == json.loads(nested(levels))


@pytest.mark.parametrize("levels", [65, 66, 1000])
def test_too_deep(levels: int) -> None:
    """65 levels are not."""
    with pytest.raises(BadRequest) as caught:
        strict.loads(nested(levels).encode())
    assert "64" in caught.value.reason.en


def test_depth_on_the_wire(api: Api) -> None:
    """64 levels come back as they were sent, 65 are 400, and the body's own braces count."""
    # The answer is deeper by its envelope, so it is read as callers read it, not strictly.
    kept = api.client.post(TENANTS, data=with_config(wrapped(nested(62))), headers=JSON)
    assert json.loads(kept.data)["data"]["tenant_config"] == {"a": json.loads(nested(62))}
    api.error(send(api, with_config(wrapped(nested(63)))), 400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1000,
        "{" * 1000,
        '\\"[' * 500,
        "\\\\",
        "]" * 100,
        '\\\\\\"' + "[" * 200,
        "\\u005b" * 99,
    ],
)
def test_brackets_in_strings(text: str) -> None:
    """Brackets inside of strings are no levels."""
    body = f'{{"a": "{text}", "{text}": [[1]]}}'
    assert strict.loads(body.encode()) == json.loads(body)


def test_many_shallow_objects() -> None:
    """Levels are counted, not brackets: a thousand objects side by side are two levels."""
    assert strict.loads(b"[" + b"{}," * 1000 + b"{}]") == [{}] * 1001


def test_brackets_after_a_string_that_looks_unclosed() -> None:
    """A backslash before the quote that closes a string hides no levels behind it."""
    body = f'["\\\\", {nested(64)}]'
    with pytest.raises(BadRequest):
        strict.loads(body.encode())


# --- numbers -----------------------------------------------------------------------------------


NUMBERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
           0.1, 1e308, 5e-324, 1.0, 0.1 + 0.2]  # fmt: skip


def test_numbers_kept_to_the_letter(api: Api) -> None:
    """A number of a free-form object comes back as it was sent, from the database too."""
    config = {"list": NUMBERS, "each": [{"n": number} for number in NUMBERS]}
    made = factories.tenant(api, tenant_config=config)
    read = api.get(f"{TENANTS}/{made['id']}")
    assert exact(json.loads(read.data)["data"]["tenant_config"]) == exact(config)


def test_negative_zero(api: Api) -> None:
    """-0.0 keeps its sign."""
    made = factories.tenant(api, tenant_config={"n": -0.0})
    assert str(made["tenant_config"]["n"]) == "-0.0"


# --- characters --------------------------------------------------------------------------------

NUL_FIELDS = {
    "tenant_name": b'{"tenant_name": "a\\u0000b"}',
    "tenant_config.a.1.b": b'{"tenant_config": {"a": [1, {"b": "\\u0000"}]}}',
    "tenant_config.key": b'{"tenant_config": {"key\\u0000": 1}}',
    "nowhere": b'{"nowhere": "\\u0000"}',
    "json": b'"\\u0000"',
}


@pytest.mark.parametrize(("field", "body"), NUL_FIELDS.items(), ids=NUL_FIELDS.keys())
def test_nul(api: Api, field: str, body: bytes) -> None:
    """A NUL is 422 with the path of its field."""
    refused = api.error(send(api, body), 422, "VALIDATION_ERROR")
    assert list(refused["details"]) == [field]


def test_nul_in_a_free_form_body(api: Api) -> None:
    """A NUL in a body that is free-form as a whole is refused as well."""
    agent = factories.agent(api)
    answer = api.put(
        f"/api/v2/agents/{agent['id']}/config",
        data=b'{"persona": {"personality": "a\\u0000"}}',
        content_type="application/json",
    )
    assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["persona.personality"]


def test_an_escaped_backslash_is_no_nul(api: Api) -> None:
    """The six characters of an escape that is itself escaped are text like any other."""
    made = factories.tenant(api, tenant_config={"a": "\\u0000", "b": "\\ud800"})
    assert made["tenant_config"] == {"a": "\\u0000", "b": "\\ud800"}


def test_a_surrogate_pair_is_one_character() -> None:
    """A pair of escaped surrogates is the character that it stands for."""
    assert strict.loads(b'["\\ud83d\\ude00"]') == ["😀"]


def test_nul_details_hold_no_surrogate() -> None:
    """The path of a NUL below a key that can't be shown can be."""
    with pytest.raises((Invalid, BadRequest)) as caught:
        strict.loads(b'{"\\ud800": {"a": "\\u0000"}}')
    assert json.dumps(dict(caught.value.details or {}), ensure_ascii=False).encode()


# --- bodies ------------------------------------------------------------------------------------

NOT_OBJECTS = ["[]", '[{"tenant_name": "t"}]', '"text"', "1", "1.5", "true", "null"]


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_not_an_object(api: Api, body: str) -> None:
    """JSON that isn't an object is 422, and says that it must be one."""
    refused = api.error(send(api, body.encode()), 422, "VALIDATION_ERROR")
    assert refused["details"] == {"json": ["必须是JSON对象"]}


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t "])
def test_an_empty_body(api: Api, body: bytes) -> None:
    """An empty body counts as an empty object: it lacks what is required, and changes nothing."""
    refused = api.error(send(api, body), 422, "VALIDATION_ERROR")
    assert set(refused["details"]) == {"tenant_name", "tenant_type"}
    made = factories.tenant(api)
    path = f"{TENANTS}/{made['id']}"
    assert api.data(api.put(path, data=body, content_type="application/json")) == made


# --- to the letter -----------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
# `quotas` is the one name in a tenant_config that means something.
CONFIGS = st.dictionaries(TEXTS.filter(lambda key: key != "quotas"), VALUES, max_size=5)


@given(config=CONFIGS)
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_any_value_comes_back(api: Api, config: dict[str, Any]) -> None:
    """Whatever JSON is sent as tenant_config comes back equal, of equal types, in its order."""
    body = {"tenant_name": "t", "tenant_type": "personal", "tenant_config": config}
    answer = send(api, json.dumps(body).encode())
    made = json.loads(answer.data)["data"]
    read = json.loads(api.get(f"{TENANTS}/{made['id']}").data)["data"]
    api.delete(f"{TENANTS}/{made['id']}")
    assert exact(made["tenant_config"]) == exact(config)
    assert exact(read["tenant_config"]) == exact(config)


@given(config=CONFIGS)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_any_configuration_comes_back(api: Api, config: dict[str, Any]) -> None:
    """Unknown fields of a configuration come back equal, of equal types, in their order."""
    own = {f"x-{key}": value for key, value in config.items()}
    agent = factories.agent(api)
    path = f"/api/v2/agents/{agent['id']}/config"
    body = json.dumps(own).encode()
    api.data(api.put(f"{path}?mode=replace", data=body, content_type="application/json"))
    read = json.loads(api.get(f"/api/v2/agents/{agent['id']}").data)["data"]
    api.delete(f"{TENANTS}/{agent['tenant_id']}")
    assert exact(read["config"]) == exact(own)


@given(body=st.binary(max_size=60) | st.text('[]{}",:\\0123456789.eE-+ntfalsru \n', max_size=60))
@settings(max_examples=500, deadline=None)
def test_never_anything_else(body: bytes | str) -> None:
    """Any bytes are either what the standard library reads, or one of the two refusals."""
    raw = body if isinstance(body, bytes) else body.encode()
    try:
        value = strict.loads(raw)
    except (BadRequest, Invalid):
        return
    assert exact(value) == exact(json.loads(raw))
