"""Who called: the peer, or what trusted proxies say."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.http.context import rightmost_untrusted
from tests import factories
from tests.api import Api

PROXIES = tuple(ipaddress.ip_network(net) for net in ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8"))


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7", "10.0.0.1"], "203.0.113.7"),
        (["203.0.113.7", "10.0.0.2", "10.0.0.1"], "203.0.113.7"),
        # What stands left of the first stranger is that stranger's own word.
        (["1.1.1.1", "203.0.113.7", "10.0.0.1"], "203.0.113.7"),
        (["10.0.0.9", "203.0.113.7", "10.0.0.1"], "203.0.113.7"),
        # A peer that is no proxy has no say.
        (["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
        # All the way proxies: the first of them.
        (["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
        # Garbage ends the chain at the last address that a proxy vouched for.
        (["garbage", "10.0.0.1"], "10.0.0.1"),
        (["203.0.113.7", "", "10.0.0.1"], "10.0.0.1"),
        (["203.0.113.7", "unknown", "10.0.0.2", "10.0.0.1"], "10.0.0.2"),
        ([" 203.0.113.7 ", " 10.0.0.1 "], "203.0.113.7"),
        (["2001:db8::1", "fd00::1"], "2001:db8::1"),
        (["2001:DB8:0::0001", "fd00::1"], "2001:db8::1"),
        (["127.1", "10.0.0.1"], "10.0.0.1"),
        (["203.0.113.07", "10.0.0.1"], "10.0.0.1"),
        # A proxy that listens on IPv6 for both sees IPv4 peers as mapped addresses.
        (["203.0.113.7", "::ffff:10.0.0.1"], "203.0.113.7"),
        (["::ffff:203.0.113.7", "10.0.0.1"], "203.0.113.7"),
        # The zone of a link-local address means nothing here, and may be any text.
        (["fe80::1%eth0", "10.0.0.1"], "fe80::1"),
        (["fe80::1%" + "x" * 5000, "10.0.0.1"], "fe80::1"),
    ],
)
def test_rightmost_untrusted(chain: list[str], address: str) -> None:
    """The caller is the last address that no trusted proxy vouches beyond."""
    assert rightmost_untrusted(chain, PROXIES) == address


def test_no_proxies() -> None:
    """Without trusted proxies it is the peer, whatever it says."""
    assert rightmost_untrusted(["1.1.1.1", "10.0.0.1"], ()) == "10.0.0.1"


def check(api: Api, key: dict[str, Any], peer: str, forwarded: str | None = None) -> Any:
    """Validate a key as a certain peer."""
    return api.post(
        "/api/v2/auth/validate-api-key",
        {"api_key": key["api_key"]},
        headers={} if forwarded is None else {"X-Forwarded-For": forwarded},
        environ_base={"REMOTE_ADDR": peer},
    )


def test_allowed_ips(api: Api) -> None:
    """A key with allowed_ips is good for peers among them, and 403 AUTH_009 for others."""
    key = factories.api_key(api, allowed_ips=["203.0.113.7", "192.0.2.0/24", "2001:db8::/32"])
    for peer in ("203.0.113.7", "192.0.2.200", "2001:db8::5", "::ffff:192.0.2.1"):
        api.data(check(api, key, peer))
    for peer in ("203.0.113.8", "192.0.3.1", "2001:db9::5", "127.0.0.1", ""):
        api.error(check(api, key, peer), 403, "AUTH_009")


def test_forwarded_by_nobody(api: Api) -> None:
    """Without trusted proxies X-Forwarded-For opens nothing, and X-Real-IP neither."""
    key = factories.api_key(api, allowed_ips=["203.0.113.7"])
    api.error(check(api, key, "127.0.0.1", "203.0.113.7"), 403, "AUTH_009")
    sly = api.post(
        "/api/v2/auth/validate-api-key",
        {"api_key": key["api_key"]},
        headers={"X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"},
    )
    api.error(sly, 403, "AUTH_009")


def test_forwarded_by_a_proxy(api_with: Callable[..., Api]) -> None:
    """A trusted proxy's word counts, a caller's own in front of it doesn't."""
    api = api_with(trusted_proxies=PROXIES)
    key = factories.api_key(api, allowed_ips=["203.0.113.7"])
    api.data(check(api, key, "10.0.0.1", "203.0.113.7"))
    api.data(check(api, key, "127.0.0.1", "1.1.1.1, 203.0.113.7,10.0.0.2"))
    for peer, forwarded in (
        ("10.0.0.1", "203.0.113.7, 1.1.1.1"),
        ("10.0.0.1", "203.0.113.7, garbage"),
        ("10.0.0.1", None),
        ("10.0.0.1", ""),
        ("11.0.0.1", "203.0.113.7"),
    ):
        api.error(check(api, key, peer, forwarded), 403, "AUTH_009")


def test_audited(api_with: Callable[..., Api]) -> None:
    """The audit log has the caller's address, whatever a proxy passes on."""
    api = api_with(trusted_proxies=PROXIES)
    for forwarded, address in (
        ("203.0.113.7", "203.0.113.7"),
        ("fe80::1%" + "x" * 200, "fe80::1"),
        ("x" * 5000, "127.0.0.1"),
    ):
        made = api.data(
            api.post(
                "/api/v2/tenants",
                {"tenant_name": address, "tenant_type": "personal"},
                headers={"X-Forwarded-For": forwarded},
            )
        )
        (entry,) = factories.audit_entries(api, resource=made["id"])
        assert entry["address"] == address
