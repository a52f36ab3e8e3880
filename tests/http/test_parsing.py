"""Bodies that aren't declared as JSON, and bodies that are too large."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import factories
from tests.api import Api
from tests.factories.users import AUTH
from tests.servers.service import LiveService

TENANTS = "/api/v2/tenants"
FORM = "application/x-www-form-urlencoded"
MIB = 1024 * 1024
BODY = json.dumps({"tenant_name": "麦麦", "tenant_type": "personal"}).encode()

OTHER_TYPES = [
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/octet-stream",
    "garbage",
    "application/json-seq",
    "",
]


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_not_declared_as_json(api: Api, content_type: str) -> None:
    """A body that isn't declared as JSON is 415, whatever it holds."""
    for body in (BODY, b"tenant_name=t", b"\xff"):
        answer = api.post(TENANTS, data=body, content_type=content_type)
        api.error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_not_declared_as_json_with_an_idempotency_key(api: Api) -> None:
    """An Idempotency-Key doesn't change what is wrong with the body's type."""
    headers = {"Idempotency-Key": "a key", "Content-Type": "text/plain"}
    for body in (BODY, b"tenant_name=t"):
        answer = api.post(TENANTS, data=body, headers=headers)
        api.error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "br"])
def test_compressed(api: Api, public: Api, coding: str) -> None:
    """A compressed body is 415, of JSON and of a form, and the answer says what is taken."""
    headers = {"Content-Encoding": coding, "Accept-Language": "en"}
    packed = gzip.compress(BODY)
    answers = [
        api.post(TENANTS, data=packed, content_type="application/json", headers=headers),
        public.post(f"{AUTH}/login", data=packed, content_type=FORM, headers=headers),
    ]
    for answer in answers:
        found = public.error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
        assert "Content-Encoding" in found["error"]
        assert answer.headers["Accept-Encoding"] == "identity"


def test_not_compressed(api: Api) -> None:
    """`identity` says that a body isn't compressed."""
    headers = {"Content-Encoding": "identity"}
    api.data(api.post(TENANTS, data=BODY, content_type="application/json", headers=headers))


def test_not_declared_at_all(api: Api) -> None:
    """A body without a Content-Type is 415."""
    api.error(api.post(TENANTS, data=BODY), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "application/merge-patch+json",
        # RFC 8259 defines no charset for JSON: it is UTF-8 whatever is claimed.
        "application/json; charset=gbk",
    ],
)
def test_declared_as_json(api: Api, content_type: str) -> None:
    """JSON is taken in its spellings, and is UTF-8 whatever charset is claimed."""
    made = api.data(api.post(TENANTS, data=BODY, content_type=content_type))
    assert made["tenant_name"] == "麦麦"


def test_claimed_charset_changes_nothing(api: Api) -> None:
    """A body in the charset that it claims is still no UTF-8."""
    body = '{"tenant_name": "麦麦"}'.encode("gbk")
    answer = api.post(TENANTS, data=body, content_type="application/json; charset=gbk")
    api.error(answer, 400, "BAD_REQUEST")


def test_no_body_needs_no_type(api: Api) -> None:
    """Where there is no body its type doesn't matter."""
    made = factories.tenant(api)
    path = f"{TENANTS}/{made['id']}"
    assert api.data(api.put(path, content_type="text/plain")) == made


def test_two_mebibytes(api: Api) -> None:
    """A body of 2 MiB is 413, also with an Idempotency-Key, and makes nothing."""
    body = b'{"tenant_name": "' + b"a" * 2 * MIB + b'"}'
    for headers in ({}, {"Idempotency-Key": "large"}):
        answer = api.post(TENANTS, data=body, content_type="application/json", headers=headers)
        api.error(answer, 413, "PAYLOAD_TOO_LARGE")
    assert api.data(api.get(TENANTS))["pagination"]["total"] == 0


def test_one_mebibyte_is_the_limit(api: Api) -> None:
    """A body of exactly 1 MiB is read, one byte more is not."""
    body = BODY + b" " * (MIB - len(BODY))
    api.data(api.post(TENANTS, data=body, content_type="application/json"))
    answer = api.post(TENANTS, data=body + b" ", content_type="application/json")
    api.error(answer, 413, "PAYLOAD_TOO_LARGE")


def test_a_length_that_lies(api: Api) -> None:
    """A Content-Length that isn't a number, or that promises too much, is no 500."""
    for length in ("-1", "abc", "9" * 30, "1e3", ""):
        answer = api.client.post(
            TENANTS, data=b"{}", content_type="application/json", headers={"Content-Length": length}
        )
        assert answer.status_code in (400, 413, 422)


# --- over a real socket ------------------------------------------------------------------------


def post_raw(url: str, body: Any) -> tuple[int, dict[str, Any]]:
    """POST over a socket; a body that is an iterator goes out in chunks, without a length."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", TENANTS, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def chunks(size: int) -> Iterator[bytes]:
    """A body of that size, in pieces."""
    yield BODY
    for _ in range((size - len(BODY)) // 1024):
        yield b" " * 1024


def test_over_the_socket(live_service: Callable[..., LiveService]) -> None:
    """2 MiB are refused as JSON with and without a Content-Length, and less is taken both ways."""
    url = live_service().internal
    whole = BODY + b" " * 2 * MIB
    for body in (whole, chunks(2 * MIB)):
        status, answer = post_raw(url, body)
        assert (status, answer["error_code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert post_raw(url, BODY)[0] == 200
    status, answer = post_raw(url, chunks(8192))
    assert (status, answer["error_code"]) == (409, "TENANT_002")
