"""ETag, If-None-Match and If-Match (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson
from flask import request

from maimconfig.http.context import current
from maimconfig.http.errors import NotModified, PreconditionFailed

# No more digits than a revision has: int() refuses to read thousands.
_REVISION = re.compile(r"[0-9]{1,18}\Z")


def revision_etag(revision: int, *volatile: object) -> None:
    """Give the answer an ETag of the object's revision.

    Args:
        revision: what If-Match is compared with.
        volatile: what is shown besides and changes without a revision, such as a count.

    Raises:
        NotModified: If-None-Match names this very ETag.
    """
    _answer_with("-".join(map(str, (revision, *volatile))))


def content_etag(content: Any) -> None:
    """Give the answer an ETag of its content, for what has no revision."""
    _answer_with(hashlib.sha256(orjson.dumps(content)).hexdigest()[:32])


def expected_revisions() -> frozenset[int] | None:
    """The revisions that If-Match allows; None when any will do.

    Raises:
        PreconditionFailed: If-Match holds nothing that this service gave out.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    tags = (tag.strip().strip('"').partition("-")[0] for tag in header.split(","))
    revisions = frozenset(int(tag) for tag in tags if _REVISION.match(tag))
    if not revisions:
        raise PreconditionFailed
    return revisions


def _answer_with(tag: str) -> None:
    etag = f'"{tag}"'
    current().headers["ETag"] = etag
    header = request.headers.get("If-None-Match")
    if header is None or request.method not in ("GET", "HEAD"):
        return
    offered = {part.strip().removeprefix("W/") for part in header.split(",")}
    if etag in offered or "*" in offered:
        raise NotModified
