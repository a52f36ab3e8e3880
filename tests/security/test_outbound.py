"""Where an address that a tenant brought may lead to."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from maimconfig.providers.service import Providers
from maimconfig.providers.types import Failure
from maimconfig.security.outbound import Allowed, is_permitted, is_public, unwrapped
from maimconfig.security.outbound_http import GuardedBackend, client
from tests.providers.asking import ask, target
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import FaultyProvider

PUBLIC = ("93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "::ffff:93.184.216.34")
PRIVATE = (
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1"),
    *("192.168.0.1", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b:1::7f00:1", "100::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"),
    *("2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1"),
)


class TestAddresses:
    @pytest.mark.parametrize("text", PUBLIC)
    def test_public(self, text: str) -> None:
        """An address of the open internet is public, also by NAT64."""
        assert is_public(ipaddress.ip_address(text))

    @pytest.mark.parametrize("text", PRIVATE)
    def test_private(self, text: str) -> None:
        """Nothing else is, whatever it is wrapped in."""
        assert not is_public(ipaddress.ip_address(text))

    @given(st.ip_addresses(v=4))
    def test_wrapped(self, address: ipaddress.IPv4Address) -> None:
        """An IPv4 address that isn't public is not public in any wrapping."""
        number = int(address)
        wrappings = (
            number,
            0xFFFF << 32 | number,
            0xFFFF << 48 | number,
            0x64FF9B << 96 | number,
            0x2002 << 112 | number << 80,
            0x20010000 << 96 | 0x08080808 << 64 | (number ^ 0xFFFFFFFF),
        )
        for wrapping in wrappings:
            outer = ipaddress.IPv6Address(wrapping)
            assert address in unwrapped(outer)
            assert is_public(outer) <= is_public(address)

    @given(st.ip_addresses())
    def test_no_wider_than_python(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address
    ) -> None:
        """What Python takes for private is refused, but for public addresses in a wrapping."""
        assert unwrapped(address) or is_public(address) <= address.is_global

    def test_one_spoils_all(self) -> None:
        """A name with one private address is refused; so is one with none."""
        found = [ipaddress.ip_address(text) for text in ("93.184.216.34", "10.0.0.1")]
        assert is_permitted("a.example", 443, found[:1], ())
        assert not is_permitted("a.example", 443, found, ())
        assert not is_permitted("a.example", 443, [], ())


class TestExceptions:
    @pytest.mark.parametrize(
        ("entry", "host", "port", "address", "permitted"),
        [
            ("10.0.0.0/8", "a", 80, "10.1.2.3", True),
            ("10.0.0.0/8", "a", 80, "192.168.0.1", False),
            ("10.0.0.5:11434", "a", 11434, "10.0.0.5", True),
            ("10.0.0.5:11434", "a", 80, "10.0.0.5", False),
            ("10.0.0.5", "a", 80, "::ffff:10.0.0.5", True),
            ("[fd00::/8]:80", "a", 80, "fd00::1", True),
            ("fd00::/8", "a", 80, "10.0.0.1", False),
            ("Ollama.Internal", "ollama.internal.", 80, "10.0.0.1", True),
            ("ollama.internal:80", "ollama.internal", 81, "10.0.0.1", False),
            ("internal", "ollama.internal", 80, "10.0.0.1", False),
        ],
    )
    def test_covers(self, entry: str, host: str, port: int, address: str, permitted: bool) -> None:
        """An exception is for its address, network or name, and for its port."""
        found = [ipaddress.ip_address(address)]
        assert is_permitted(host, port, found, [Allowed.parse(entry)]) is permitted


@pytest.fixture
def listener() -> Iterator[FaultyProvider]:
    """What a hostile address is after; it answers everybody, and counts."""
    with FaultyProvider() as server:
        yield server


HOSTILE = [
    # loopback in eight spellings
    "http://127.0.0.1:{port}/v1",
    "http://127.1:{port}/v1",
    "http://0x7f000001:{port}/v1",
    "http://2130706433:{port}/v1",
    "http://0177.0.0.1:{port}/v1",
    "http://①②⑦.0.0.1:{port}/v1",
    "http://localhost:{port}/v1",
    "http://0.0.0.0:{port}/v1",
    "http://[::1]:{port}/v1",
    # wrapped
    "http://[::ffff:127.0.0.1]:{port}/v1",
    "http://[::ffff:7f00:1]:{port}/v1",
    "http://[64:ff9b::7f00:1]:{port}/v1",
    "http://[2002:7f00:1::]:{port}/v1",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]:{port}/v1",
    # other networks
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]:{port}/v1",
    "http://10.0.0.1:{port}/v1",
    "http://172.16.0.1:{port}/v1",
    "http://192.168.0.1:{port}/v1",
    "http://[fd00::1]:{port}/v1",
    # tricks of the address itself
    "http://api.example.com@127.0.0.1:{port}/v1",
    "http://user:secret@api.example.com/v1",
    "http://api.example.com\\@127.0.0.1:{port}/v1",
    "http://127.0.0.1:{port}\\@api.example.com/v1",
    "http://127.0.0.1:{port}#@api.example.com/v1",
    "file:///etc/passwd",
    "unix:///run/docker.sock",
    "gopher://127.0.0.1:{port}/v1",
    "//127.0.0.1:{port}/v1",
    "http:///v1",
    "http://127.0.0.1:99999/v1",
    "",
]


class TestHostile:
    @pytest.mark.parametrize("url", HOSTILE)
    def test_refused(self, listener: FaultyProvider, url: str) -> None:
        """A hostile address is refused at once, and a listener on loopback sees no connection."""
        providers = Providers(())
        fields = {"trusted": False, "scope": "tenant_a", "max_retry": 3, "timeout": 5}
        found = target(url.format(port=listener.port), endpoint_fields=fields)
        end = providers.start([found], ask()).wait()
        providers.close()
        assert end.failure is Failure.ADDRESS
        assert len(end.attempts) == 1
        assert listener.connections == 0

    def test_mixed_name(self, listener: FaultyProvider) -> None:
        """A name with a public and a private address is refused whole."""
        assert self.asked(listener, [["93.184.216.34", "127.0.0.1"]]) is Failure.ADDRESS
        assert listener.connections == 0

    def test_rebinding(self, listener: FaultyProvider) -> None:
        """A name is resolved once; what it resolves to the next time, nobody asks."""
        answers = [["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]]
        assert self.asked(listener, answers) is Failure.ADDRESS
        assert len(answers) == 2
        assert listener.connections == 0

    def test_connects_to_what_was_checked(self) -> None:
        """The connection goes to an address, not to the name that was resolved for it."""
        seen: list[str] = []

        class Recorder(httpcore.AnyIOBackend):
            async def connect_tcp(self, host: str, *_: object, **__: object) -> object:
                seen.append(host)
                raise httpcore.ConnectError

        async def resolve(_host: str, _port: int) -> Sequence[str]:
            return ["93.184.216.34", "2606:4700::1111"]

        backend = GuardedBackend((), resolve)
        backend._inner = Recorder()
        with pytest.raises(httpcore.ConnectError):
            asyncio.run(backend.connect_tcp("rebinds.example", 80))
        assert seen == ["93.184.216.34", "2606:4700::1111"]

    def test_redirect(self, listener: FaultyProvider) -> None:
        """A redirect to a private address isn't followed, not even from an exception's server."""
        with FaultyProvider() as public:
            public.default = faulty.redirect(f"{listener.base_url}/chat/completions", 307)
            providers = Providers([Allowed.parse(f"127.0.0.1:{public.port}")])
            found = target(public, endpoint_fields={"trusted": False, "scope": "tenant_a"})
            end = providers.start([found], ask()).wait()
            providers.close()
        assert end.failure is Failure.ADDRESS
        assert (len(public.requests), listener.connections) == (1, 0)

    def test_pools(self, listener: FaultyProvider) -> None:
        """A connection that was made for the operator isn't lent to a tenant."""
        providers = Providers(())
        assert providers.start([target(listener)], ask()).wait().failure is None
        found = target(listener, endpoint_fields={"trusted": False, "scope": "tenant_a"})
        assert providers.start([found], ask()).wait().failure is Failure.ADDRESS
        providers.close()
        assert len(listener.requests) == 1

    def test_proxy(self, listener: FaultyProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy of the environment is no way around the rules."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
        assert self.asked(listener, [["10.0.0.1"]]) is Failure.ADDRESS
        assert listener.connections == 0

    def test_exception(self, listener: FaultyProvider) -> None:
        """What the operator lists is reached."""
        providers = Providers([Allowed.parse("127.0.0.0/8")])
        found = target(listener, endpoint_fields={"trusted": False, "scope": "tenant_a"})
        assert providers.start([found], ask()).wait().failure is None
        providers.close()

    def test_cookies(self, listener: FaultyProvider) -> None:
        """A cookie that a provider sets isn't sent back, for two tenants may ask it."""
        listener.script(faulty.status(500, set_cookie="a=b"))
        providers = Providers(())
        for _ in range(2):
            providers.start([target(listener)], ask()).wait()
        providers.close()
        assert ["cookie" in request.headers for request in listener.requests] == [False, False]

    def asked(self, listener: FaultyProvider, answers: list[list[str]]) -> Failure | None:
        """How a request ends to a name that resolves to these, one after the other."""
        providers = Providers((), resolve=_resolver(answers))
        fields = {"trusted": False, "scope": "tenant_a", "max_retry": 3, "timeout": 5}
        found = target(f"http://rebinds.example:{listener.port}/v1", endpoint_fields=fields)
        end = providers.start([found], ask()).wait()
        providers.close()
        return end.failure


def _resolver(answers: list[list[str]]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    return resolve


class TestTls:
    @pytest.fixture
    def pem(self, tmp_path: Path) -> Path:
        """A certificate of its own for good.example, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "good.example")])
        today = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(today - day)
            .not_valid_after(today + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), False)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return file

    def test_name(self, pem: Path) -> None:
        """Though an address is connected to, the certificate must be the name's."""
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_side.load_cert_chain(pem)
        trusting = ssl.create_default_context(cafile=str(pem))
        allow = [Allowed.parse("127.0.0.1")]

        async def ask_for(host: str, port: int) -> httpx.Response:
            async def resolve(_host: str, _port: int) -> Sequence[str]:
                return ["127.0.0.1"]

            async with client(GuardedBackend(allow, resolve), trusting) as asking:
                return await asking.post(f"https://{host}:{port}/v1", json={})

        with FaultyProvider(tls=server_side) as server:
            assert asyncio.run(ask_for("good.example", server.port)).status_code == 200
            with pytest.raises(httpcore.ConnectError):
                asyncio.run(ask_for("evil.example", server.port))

    def test_unknown_certificate(self, pem: Path) -> None:
        """A certificate that nobody vouches for ends in no connection."""
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_side.load_cert_chain(pem)
        with FaultyProvider(tls=server_side) as server:
            providers = Providers(())
            end = providers.start([target(server)], ask()).wait()
            providers.close()
        assert end.failure is Failure.CONNECT
        assert server.requests == []


def test_slow_resolver() -> None:
    """A name whose resolution hangs costs its request a time-out, and no other anything."""
    gone = threading.Event()

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return []

    providers = Providers((), resolve=resolve)
    fields = {"trusted": False, "scope": "tenant_a", "timeout": 0.3}
    end = providers.start([target("http://slow.example/v1", endpoint_fields=fields)], ask()).wait()
    assert end.failure is Failure.TIMEOUT
    assert gone.wait(2)
    with FaultyProvider() as other:
        assert providers.start([target(other)], ask()).wait().failure is None
    providers.close()


def test_unresolvable() -> None:
    """A name that is unknown is no connection."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror

    providers = Providers((), resolve=resolve)
    fields = {"trusted": False, "scope": "tenant_a"}
    end = providers.start([target("http://no.example/v1", endpoint_fields=fields)], ask()).wait()
    providers.close()
    assert end.failure is Failure.CONNECT
