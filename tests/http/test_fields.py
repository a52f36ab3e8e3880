"""Fields: what looks like a number, a flag or a time but isn't one is refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from maimconfig import clock
from maimconfig.http import fields
from tests import factories
from tests.api import Api

UTC = timezone.utc
NUMBERS_THAT_ARE_NONE = ["12", "", 1.9, 1.0, 1e3, True, False, [], [1], {}, {"a": 1}]
FLAGS_THAT_ARE_NONE = ["on", "true", "1", "yes", "", 1, 0, 1.0, [], {}]
TEXTS_THAT_ARE_NONE = [1, 1.5, True, False, [], ["a"], {}, {"a": "b"}]


def load(field: Any, value: Any) -> Any:
    """What a field makes of a value."""
    return Schema.from_dict({"f": field})().load({"f": value})["f"]


def refuse(field: Any, value: Any) -> Any:
    """The messages with which a field refuses a value."""
    with pytest.raises(ValidationError) as caught:
        load(field, value)
    return caught.value.messages["f"]


@pytest.mark.parametrize("value", NUMBERS_THAT_ARE_NONE)
def test_no_number(value: Any) -> None:
    """Only a JSON integer is an integer."""
    assert refuse(fields.Integer(), value) == [fields.NOT_INTEGER]


@pytest.mark.parametrize("value", ["1.5", "", True, [], {}, float("nan"), 10**400])
def test_no_real_number(value: Any) -> None:
    """Only a JSON number that is finite is a number, whole or not."""
    assert refuse(fields.Number(), value) == [fields.NOT_NUMBER]
    assert (load(fields.Number(), 1), load(fields.Number(), 1.5)) == (1.0, 1.5)


@pytest.mark.parametrize("value", FLAGS_THAT_ARE_NONE)
def test_no_flag(value: Any) -> None:
    """Only true and false are booleans."""
    assert refuse(fields.Boolean(), value) == [fields.NOT_BOOLEAN]


@pytest.mark.parametrize("value", TEXTS_THAT_ARE_NONE)
def test_no_text(value: Any) -> None:
    """Only a JSON string is a text, a name, an address or a time."""
    assert refuse(fields.String(), value) == [fields.NOT_TEXT]
    assert refuse(fields.Name(), value) == [fields.NOT_TEXT]
    assert refuse(fields.Email(), value) == [fields.NOT_TEXT]
    assert refuse(fields.Id(), value) == [fields.NOT_TEXT]
    assert refuse(fields.Moment(), value) == [fields.NOT_MOMENT]


@pytest.mark.parametrize("value", ["a", 1, True, [], [{}]])
def test_no_object(value: Any) -> None:
    """Only a JSON object is a free-form object."""
    assert refuse(fields.Object(), value) == [fields.NOT_OBJECT]


def test_null() -> None:
    """Null is refused where a value is due, with a text of its own."""
    for field in (fields.Integer(), fields.Boolean(), fields.String(), fields.Moment()):
        assert refuse(field, None) == [fields.NOT_NULL]


def test_wrong_types_on_the_wire(api: Api) -> None:
    """A wrong type is 422 and names the field, inside of objects and lists too."""
    owner = factories.agent(api)
    key = {"tenant_id": owner["tenant_id"], "agent_id": owner["id"], "name": "k"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": 1}, "name"),
        ({"description": ["a"]}, "description"),
        ({"permissions": "chat"}, "permissions"),
        ({"permissions": {"chat": True}}, "permissions"),
        ({"permissions": ["chat", 1]}, "permissions.1"),
        ({"permissions": [None]}, "permissions.0"),
        ({"rate_limit": 10}, "rate_limit"),
        ({"rate_limit": [10, 60]}, "rate_limit"),
        ({"rate_limit": {"limit": "12", "window_seconds": 1}}, "rate_limit.limit"),
        ({"rate_limit": {"limit": 1.9, "window_seconds": 1}}, "rate_limit.limit"),
        ({"rate_limit": {"limit": True, "window_seconds": 1}}, "rate_limit.limit"),
        ({"rate_limit": {"limit": 1}}, "rate_limit.window_seconds"),
        ({"rate_limit": {"limit": 1, "window_seconds": 1, "x": 1}}, "rate_limit.x"),
        ({"rate_limit": {"limit": 2**63, "window_seconds": 1}}, "rate_limit.limit"),
        ({"allowed_ips": ["1.2.3.4", "1.2.3.400"]}, "allowed_ips.1"),
        ({"allowed_ips": [2130706433]}, "allowed_ips.0"),
        ({"expires_at": 1_800_000_000}, "expires_at"),
        ({"expires_at": True}, "expires_at"),
    ]
    for wrong, path in cases:
        answer = api.post("/api/v2/api-keys", {**key, **wrong})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [path]


def test_flags_on_the_wire(api: Api) -> None:
    """ "on" and 1 are no booleans in a body; in a query 1, 0, true and false are."""
    owner = factories.agent(api)
    settings = f"/api/v1/plugins/settings?tenant_id={owner['tenant_id']}"
    for wrong in ("on", "true", 1, 0, None):
        refused = api.post(settings, {"plugin_name": "p", "enabled": wrong})
        assert list(api.error(refused, 422, "VALIDATION_ERROR")["details"]) == ["enabled"]
    effective = f"/api/v2/agents/{owner['id']}/config/effective"
    for word in ("1", "0", "true", "false"):
        api.data(api.get(effective, query_string={"explain": word}))
    for word in ("on", "yes", "2", "", "1 "):
        refused = api.get(effective, query_string={"explain": word})
        assert list(api.error(refused, 422, "VALIDATION_ERROR")["details"]) == ["explain"]


# --- numbers in queries ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "7", "007", "9" * 18])
def test_query_integer(text: str) -> None:
    """A number in a query is plain digits."""
    assert load(fields.QueryInteger(), text) == int(text)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "--1", "1.0", "1e3", "0x1", "1_000", "٣", "９", "1" * 19, "1\n"]
)
def test_no_query_integer(text: str) -> None:
    """Blanks, fractions, digits of other scripts and endless numbers are refused."""
    assert refuse(fields.QueryInteger(), text) == [fields.NOT_INTEGER]


def test_negative_query_integer() -> None:
    """A negative one is an integer: what is wrong with it is the range."""
    assert load(fields.QueryInteger(), "-1") == -1
    assert refuse(fields.QueryInteger(validate=fields.between(1, 9)), "-1") == [
        fields.RANGE.format(min=1, max=9)
    ]


# --- times -------------------------------------------------------------------------------------

MOMENTS = {
    "2030-01-02T03:04:05Z": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02T03:04:05z": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02T03:04:05+00:00": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02T03:04:05-00:00": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02 03:04:05Z": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02T11:04:05+08:00": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-01T15:04:05-12:00": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02T08:49:05+05:45": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    " 2030-01-02T03:04:05Z ": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    # In a query string a plus arrives as a blank.
    "2030-01-02T11:04:05 08:00": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2030-01-02T03:04Z": datetime(2030, 1, 2, 3, 4, tzinfo=UTC),
    "2024-02-29T00:00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
    "0001-01-01T00:00:00-14:00": datetime(1, 1, 1, 14, tzinfo=UTC),
    "9999-12-31T23:59:59.999999Z": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "9999-12-31T23:59:59+14:00": datetime(9999, 12, 31, 9, 59, 59, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "moment"), MOMENTS.items())
def test_moment(text: str, moment: datetime) -> None:
    """A time with an offset becomes the same moment in UTC."""
    loaded = load(fields.Moment(), text)
    assert loaded == moment
    assert loaded.utcoffset() == timedelta(0)


@pytest.mark.parametrize("digits", range(1, 10))
def test_fractions(digits: int) -> None:
    """A fraction of 1 to 9 digits is understood; what is below a microsecond is cut off."""
    fraction = "123456789"[:digits]
    loaded = load(fields.Moment(), f"2030-01-01T00:00:00.{fraction}Z")
    assert loaded.microsecond == int(fraction[:6].ljust(6, "0"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2030-01-02T03:04:05",
        "2030-01-02 03:04:05",
        "2030-01-02 03:04",
        "2030-01-02",
        "2030-13-01T00:00:00Z",
        "2030-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2030-01-02T25:00:00Z",
        "2030-01-02T03:04:60Z",
        "2030-01-02T03:04:05+25:00",
        "2030-01-02T03:04:05ZZ",
        "2030-01-02T03:04:05.Z",
        "2030-01-02T03:04:05 UTC",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1800000000",
        "2030-01-02T03:04:05" + "0" * 1000 + "Z",
        "2030-01-02T03:04:05Z\0",
        "２０３０-01-02T03:04:05Z",
    ],
)
def test_no_moment(text: str) -> None:
    """A time without an offset, or that the calendar doesn't have, is refused."""
    assert refuse(fields.Moment(), text) == [fields.NOT_MOMENT]


@pytest.mark.parametrize("moment", MOMENTS.values())
def test_moment_back(moment: datetime) -> None:
    """What is shown of a moment is read as the same moment again."""
    assert load(fields.Moment(), clock.wire(moment)) == moment


def test_expiry(api: Api) -> None:
    """An expires_at that is over or has no offset is 422, one to come is shown in UTC."""
    owner = factories.agent(api)
    key = {"tenant_id": owner["tenant_id"], "agent_id": owner["id"], "name": "k"}
    soon = clock.now() + timedelta(hours=1)
    for wrong in (
        clock.wire(clock.now() - timedelta(seconds=1)),
        "2001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        soon.replace(tzinfo=None).isoformat(),
        # A later wall clock, but an earlier moment.
        soon.replace(tzinfo=timezone(timedelta(hours=8))).isoformat(),
    ):
        refused = api.post("/api/v2/api-keys", {**key, "expires_at": wrong})
        assert list(api.error(refused, 422, "VALIDATION_ERROR")["details"]) == ["expires_at"]
    east = soon.astimezone(timezone(timedelta(hours=8))).isoformat()
    assert factories.api_key(api, owner, expires_at=east)["expires_at"] == clock.wire(soon)


def test_the_ends_of_the_calendar_are_stored(api: Api) -> None:
    """Moments at both ends of the calendar are stored and read back on both databases."""
    for text in ("0001-01-01T00:00:00Z", "1000-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.5Z"):
        body = {"action": "chat", "timestamp": text}
        kept = api.data(api.post("/api/v1/usage/log", body))["timestamp"]
        assert load(fields.Moment(), kept) == load(fields.Moment(), text)


def test_offsets_in_a_query(api: Api) -> None:
    """A time in a query may have its plus escaped, or not and so arrive as a blank."""
    tenant_id = factories.tenant(api)["id"]
    factories.usage(api, tenant_id, timestamp="2026-01-01T12:00:00Z")
    for since, seen in (
        ("2026-01-01T20:00:00%2B08:00", 1),
        ("2026-01-01T20:00:00+08:00", 1),
        ("2026-01-01T20:00:01+08:00", 0),
        ("2026-01-01T12:00:00Z", 1),
    ):
        report = api.data(api.get(f"/api/v2/usage?tenant_id={tenant_id}&from={since}"))
        assert report["totals"]["requests"] == seen
    refused = api.get(f"/api/v2/usage?tenant_id={tenant_id}&from=2026-01-01T12:00:00")
    assert list(api.error(refused, 422, "VALIDATION_ERROR")["details"]) == ["from"]


# --- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["tenant_0199", "a", "A.b:c-d_e", "x" * 50, " tenant_1 "])
def test_id(text: str) -> None:
    """What can be an id is kept, without outer blanks."""
    assert load(fields.Id(), text) == text.strip()


@pytest.mark.parametrize("text", ["", " ", "x" * 51, "a b", "a'b", "a%b", "é", "😀", "a\nb", "a/b"])
def test_no_id(text: str) -> None:
    """What can't be an id becomes the empty text, which no object has."""
    assert load(fields.Id(), text) == ""


@pytest.mark.parametrize("text", ["a\0", "\0"])
def test_nul_in_an_id(text: str) -> None:
    """A NUL is refused, in an id as in every text."""
    assert refuse(fields.Id(), text) == [fields.NUL_REFUSED]
