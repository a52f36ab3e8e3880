"""Key checks: one indexed look-up, a verdict, a count."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from maimconfig import clock
from maimconfig.api_keys import format as key_format
from maimconfig.key_checks.look_up import KEY_BY_HASH
from maimconfig.key_checks.verdict import KeyRow, Reason, Verdict, judge
from maimconfig.metrics.definitions import KEY_CHECKS
from maimconfig.rate_limits import service as rate_limits
from maimconfig.rate_limits.service import RateVerdict

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime


class Check(NamedTuple):
    """A verdict, and what the key's rate limit says where it has one."""

    verdict: Verdict
    rate: RateVerdict | None


def check(
    runtime: Runtime,
    api_key: str,
    *,
    address: str | None,
    count: bool,
    required: str | None = None,
) -> Check:
    """Tell whether a key is good now.

    Nothing is cached, so whatever changed before this call began is seen.

    Args:
        runtime: the running service; a check is no unit of work, it needs no transaction.
        api_key: as the caller sent it.
        address: of whoever uses the key; None when that doesn't matter.
        count: whether a good check counts, against the rate limit too.
        required: a permission without which the key isn't good, and nothing is counted.

    Raises:
        DatabaseUnavailable: the database can't be reached.
    """
    found = _checked(runtime, api_key, address, count, required)
    reason = found.verdict.reason
    KEY_CHECKS.add(1, "valid" if reason is None else reason.value)
    return found


def _checked(
    runtime: Runtime,
    api_key: str,
    address: str | None,
    count: bool,
    required: str | None,
) -> Check:
    verdict = _judged(runtime, api_key, address)
    row = verdict.row
    if row is None or verdict.reason is not None:
        return Check(verdict, None)
    if required is not None and not verdict.has(required):
        return Check(Verdict(row, Reason.PERMISSION_MISSING), None)
    rate = _rate(runtime, row, count) if row.rate_limit else None
    if rate is not None and not rate.allowed:
        return Check(Verdict(row, Reason.OVER_RATE_LIMIT), rate)
    if count:
        runtime.key_usage.add(row.id)
    return Check(verdict, rate)


def _judged(runtime: Runtime, api_key: str, address: str | None) -> Verdict:
    if not key_format.may_be_one(api_key):
        return Verdict(None, Reason.MALFORMED)
    known = runtime.vault.key_ids
    row = _look_up(runtime, api_key)
    if row is None:
        # Whatever is stored was well-formed when it was made.
        if key_format.parse(api_key) is None:
            return Verdict(None, Reason.MALFORMED)
        # Another process may have rotated the master secret since this one read it, or be just
        # moving this key, which then was under neither secret when each was asked for.
        runtime.vault.reload()
        if len(known) > 1 or runtime.vault.key_ids != known:
            row = _look_up(runtime, api_key)
    return judge(row, clock.now(), address)


def _look_up(runtime: Runtime, api_key: str) -> KeyRow | None:
    for secret_hash in runtime.vault.key_hashes(api_key):
        row = runtime.database.find(KEY_BY_HASH, secret_hash=secret_hash)
        if row is not None:
            return row
    return None


def _rate(runtime: Runtime, row: KeyRow, count: bool) -> RateVerdict:
    limit = row.rate_limit or {}
    subject = f"key:{row.id}"
    window = timedelta(seconds=limit["window_seconds"])
    if not count:
        return runtime.read(
            lambda session: rate_limits.look(session, subject, limit=limit["limit"], window=window)
        )
    return runtime.write(
        lambda session: rate_limits.take(session, subject, limit=limit["limit"], window=window)
    )
