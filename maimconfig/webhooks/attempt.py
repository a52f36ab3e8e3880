"""One attempt to deliver; import it only when there is one to make, for httpx takes 10 MB."""

from __future__ import annotations

import time
from typing import Final

import anyio
import httpcore
import httpx

from maimconfig import __version__
from maimconfig.security.outbound_http import AddressRefused, checked_url
from maimconfig.webhooks import signing
from maimconfig.webhooks.types import Answer, Due

ATTEMPT_SECONDS: Final = 15
CONNECT_SECONDS: Final = 5
# An answer's body is nobody's business; what is short is read so that the connection can be kept.
READ_SECONDS: Final = 1
READ_BYTES: Final = 16 * 1024

_TIMEOUTS: Final = (httpcore.TimeoutException, TimeoutError)
_BREAKS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpx.StreamError)


async def attempt(client: httpx.AsyncClient, due: Due, secret: str) -> Answer:
    """Send a delivery once.

    Args:
        client: of `outbound_http.client`, under the outbound rules.
        secret: to sign it with.

    Returns:
        how it went; it never raises for what an endpoint may do.
    """
    began = time.monotonic()
    status: int | None = None
    error: str | None
    try:
        with anyio.fail_after(ATTEMPT_SECONDS):
            status = await _post(client, due, secret)
        error = _failure(status)
    except AddressRefused:
        error = "address_refused"
    except _TIMEOUTS:
        error = "timeout"
    except httpcore.ConnectError:
        error = "unreachable"
    except _BREAKS:
        error = "broken"
    return Answer(status, error, round((time.monotonic() - began) * 1000))


async def _post(client: httpx.AsyncClient, due: Due, secret: str) -> int:
    body = due.body.encode()
    headers = {
        "content-type": "application/json",
        "user-agent": f"MaimConfig/{__version__}",
        **signing.headers(secret, due.id, int(time.time()), body),
    }
    url = checked_url(due.url, trusted=False)
    limits = httpx.Timeout(ATTEMPT_SECONDS, connect=CONNECT_SECONDS)
    async with client.stream("POST", url, content=body, headers=headers, timeout=limits) as answer:
        with anyio.move_on_after(READ_SECONDS):
            await _read_some(answer)
        return answer.status_code


async def _read_some(answer: httpx.Response) -> None:
    # Leaving it unread closes the connection; what goes wrong after the status changes nothing.
    read = 0
    try:
        async for chunk in answer.aiter_raw():
            read += len(chunk)
            if read > READ_BYTES:
                return
    except (*_BREAKS, httpcore.TimeoutException):
        return


def _failure(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if status == 410:
        return "gone"
    # Redirects aren't followed: they'd lead past what the owner has named.
    return "redirect" if 300 <= status < 400 else "status"
