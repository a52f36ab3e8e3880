"""What an address that a tenant brought may lead to: public addresses, and listed exceptions.

Pure rules; `outbound_http` applies them to the address that is connected to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*"
    # A last label of digits would make it an address in one of the resolver's spellings.
    r"(?![0-9]+\Z|0x[0-9a-f]*\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z"
)
# Prefixes under which an IPv6 address stands for an IPv4 one, and the bits to shift it down by.
_EMBEDDED: Final[tuple[tuple[ipaddress.IPv6Network, int], ...]] = (
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291, 2.5.5.1
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped, RFC 4291, 2.5.5.2
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated, RFC 2765
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")  # RFC 4380
_GLOBAL: Final = ipaddress.IPv6Network("2000::/3")  # RFC 4291: the rest isn't global unicast
_REFUSED: Final[tuple[Network, ...]] = (
    # is_global is True for these in one Python or another.
    ipaddress.IPv4Network("192.0.0.0/24"),  # RFC 6890; a metadata service of Oracle is in it
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ipaddress.IPv4Network("168.63.129.16/32"),  # a public address, but Azure's metadata service
    ipaddress.IPv6Network("2001::/23"),  # RFC 2928; Teredo is unwrapped before
    ipaddress.IPv6Network("2001:db8::/32"),  # documentation, RFC 3849
    ipaddress.IPv6Network("3fff::/20"),  # documentation, RFC 9637
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """An exception: a network or a host name, at one port or at all of them.

    Attributes:
        network: None when it is a name.
        name: in lower case; None when it is a network.
        port: None is any.
    """

    network: Network | None
    name: str | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Read `address`, `network` or `name`, each with or without `:port`.

        An IPv6 address or network with a port stands in brackets: `[fd00::/8]:8000`.

        Raises:
            ValueError: it is none of these.
        """
        host, port = _split_port(text.strip())
        try:
            return cls(ipaddress.ip_network(host), None, port)
        except ValueError:
            name = host.lower().rstrip(".")
        if not _NAME.match(name):
            raise ValueError(
                f"{text.strip()[:100]!r} is no address, network or host name, "
                "with or without a port such as 10.0.0.5:11434"
            )
        return cls(None, name, port)

    def covers(self, host: str, port: int, address: Address) -> bool:
        """Whether a connection to `address`, which `host` resolved to, is this exception."""
        if self.port not in (None, port):
            return False
        if self.network is None:
            return host.lower().rstrip(".") == self.name
        return any(
            inner.version == self.network.version and inner in self.network
            for inner in (address, *unwrapped(address))
        )


def _split_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if bracket and not rest:
            return host, None
        port = rest.removeprefix(":") if rest.startswith(":") else "?"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        return text, None
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"{text[:100]!r} has no port from 1 to 65535")
    return host, int(port)


def is_permitted(
    host: str, port: int, addresses: Sequence[Address], allow: Sequence[Allowed]
) -> bool:
    """Whether a tenant's request for `host` may be sent.

    Args:
        addresses: all that the name resolved to. One that is refused spoils the rest: who
            answers with a private address beside a public one is up to something.
        allow: the operator's exceptions.
    """
    return bool(addresses) and all(
        is_public(address) or any(entry.covers(host, port, address) for entry in allow)
        for address in addresses
    )


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, whatever it is wrapped in.

    `is_global` alone isn't enough: it is True for 64:ff9b::7f00:1, 2002:7f00:1:: and 224.0.0.1.
    """
    inner = unwrapped(address)
    if inner:
        return all(is_public(part) for part in inner)
    if any(address.version == network.version and address in network for network in _REFUSED):
        return False
    if isinstance(address, ipaddress.IPv6Address) and (
        address.scope_id is not None or address not in _GLOBAL
    ):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_private
    )


def unwrapped(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses within an IPv6 address; () when there are none."""
    if not isinstance(address, ipaddress.IPv6Address):
        return ()
    if address in _TEREDO:
        return address.teredo or ()
    for network, shift in _EMBEDDED:
        if address in network:
            return (ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF),)
    return ()
