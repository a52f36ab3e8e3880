"""Who asks: an API key on either plane, or tenant_id and agent_id on the trusted network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import request

from maimconfig.chat import service
from maimconfig.chat.running import RunningReply
from maimconfig.chat.wanted import Caller
from maimconfig.http.context import client_address, current, note_tenant, runtime
from maimconfig.http.errors import Invalid, RateLimited, TenantNotFound, TokenInvalid
from maimconfig.http.fields import REQUIRED

KEY_PREFIX = "mmc_"

Begun = TypeVar("Begun")


def sent_key(payload: Mapping[str, Any]) -> str | None:
    """The API key of a request: in its body, as `X-API-Key` or as `Authorization: Bearer`.

    A bearer token that isn't a key is the internal plane's.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    in_header = bearer if bearer.startswith(KEY_PREFIX) else None
    return payload.get("api_key") or request.headers.get("X-API-Key") or in_header


def caller_of(payload: Mapping[str, Any], *, by_key: bool = False) -> Caller:
    """Who asks, and for which agent; the request's log line and headers are told.

    Args:
        by_key: nothing but a key will do, on the trusted network too.

    Raises:
        AppError: see `service.identify`.
    """
    trusted = is_trusted() and not by_key
    caller = service.identify(
        runtime(), payload, sent_key(payload), address=client_address(), trusted=trusted
    )
    note_tenant(caller.tenant_id)
    current().headers.update(caller.headers)
    return caller


def tenant_of(query: Mapping[str, Any]) -> str:
    """Whose agents are asked for: the key's tenant's, or those of the one that is named.

    Raises:
        TokenInvalid: there is no key, and the plane takes nothing else.
        TenantNotFound: the key is of another tenant than is named.
        Invalid: neither a key nor a tenant is named.
        AppError: the key is refused.
    """
    if sent_key(query) is not None:
        tenant_id = caller_of({}).tenant_id
        if query.get("tenant_id") not in (None, tenant_id):
            raise TenantNotFound(internal="the key is of another tenant")
        return tenant_id
    if not is_trusted():
        raise TokenInvalid
    named: str | None = query.get("tenant_id")
    if named is None:
        raise Invalid(details={"tenant_id": [REQUIRED]})
    note_tenant(named)
    return named


def is_trusted() -> bool:
    """Whether the request came over the trusted network, where ids are enough."""
    return current().plane == "internal"


def noting_limit(begin: Callable[[], Begun]) -> Begun:
    """What `begin` gives, a reply or another answer; the request's answer tells of the limit that
    is nearest, the key's or the tenant's.

    Raises:
        AppError: what `begin` raises.
    """
    headers = current().headers
    try:
        begun = begin()
    except RateLimited as error:
        headers.update(error.headers)
        raise
    if isinstance(begun, RunningReply):
        left, other = begun.admitted.headers, headers.get("RateLimit-Remaining")
        if left and (other is None or int(left["RateLimit-Remaining"]) < int(other)):
            headers.update(left)
    return begun
