"""The way to a destination, over real sockets: names, ports, certificates, proxies. Nothing but a handshake is ever sent."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from licsync_daemon.http.handshake import EXPIRED, NOT_YET_VALID, UNKNOWN_ISSUER, WRONG_ADDRESS, WRONG_NAME, Meaning
from licsync_daemon.http.tls import tls_context
from licsync_daemon.model.instance import Destination
from licsync_daemon.monitoring.preflight import network
from licsync_daemon.monitoring.preflight.network import Reachability, explore, look_up, route_of
from tests.contract.loopback import Server, answer, serving

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Example CA")


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def going(url: str, login: str = "", **to: object) -> Reachability:
    destination = Destination(url=url, **to)  # type: ignore[arg-type]
    return await explore(route_of(destination, lambda: login), tls_context(destination))


def way_over_tls(context: ssl.SSLContext, host: str = "localhost", ca_file: Path | None = None) -> tuple[Reachability, Server]:
    async def main() -> tuple[Reachability, Server]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)  # a refused handshake is no news
        async with serving(context, host=host) as server:
            return await going(server.url, ca_file=ca_file), server

    return asyncio.run(main())


# ---------------------------------------------------------------- certificates


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate(authority: trustme.CA, ca_file: Path, host: str) -> None:
    """Its issuer, its end and its names are read, and no request is made."""
    ends = NOW + 20 * DAY
    way, server = way_over_tls(context_of(authority.issue_cert(host, "other.example.com", not_after=ends)), host, ca_file)
    assert way.is_clear
    assert way.certificate is not None
    assert (way.certificate.issuer, way.certificate.ends_at) == ("Example CA", ends)
    assert set(way.certificate.names) == {host, "other.example.com"}
    assert server.seen == []


def test_an_unknown_issuer_is_named(authority: trustme.CA) -> None:
    """The system does not know it; who it is can be told all the same."""
    way, server = way_over_tls(context_of(authority.issue_cert("localhost")))
    assert way.refused is not None
    assert way.refused.verify_code in UNKNOWN_ISSUER
    assert way.refused.shown is not None
    assert (way.refused.shown.issuer, way.certificate) == ("Example CA", None)
    assert server.seen == []


@pytest.mark.parametrize(("host", "code"), [("localhost", WRONG_NAME), ("127.0.0.1", WRONG_ADDRESS)])
def test_a_certificate_for_others(authority: trustme.CA, ca_file: Path, host: str, code: int) -> None:
    """It is told for whom it is."""
    way, _ = way_over_tls(context_of(authority.issue_cert("a.example.com", "b.example.com")), host, ca_file)
    assert way.refused is not None
    assert way.refused.verify_code == code
    assert way.refused.shown is not None
    assert set(way.refused.shown.names) == {"a.example.com", "b.example.com"}


@pytest.mark.parametrize(("begin", "end", "code"), [(-2, -1, EXPIRED), (1, 2, NOT_YET_VALID)], ids=["expired", "not yet valid"])
def test_a_certificate_of_another_time(authority: trustme.CA, ca_file: Path, begin: int, end: int, code: int) -> None:
    """What is over, and what has not begun, are told apart."""
    certificate = authority.issue_cert("localhost", not_before=NOW + begin * DAY, not_after=NOW + end * DAY)
    way, _ = way_over_tls(context_of(certificate), ca_file=ca_file)
    assert way.refused is not None
    assert way.refused.verify_code == code


def test_tls_1_1_only(authority: trustme.CA, ca_file: Path) -> None:
    """It is a failure of TLS and not of the certificate."""
    context = context_of(authority.issue_cert("localhost"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    way, _ = way_over_tls(context, ca_file=ca_file)
    assert way.refused is not None
    assert (way.refused.verify_code, way.refused.reason) == (None, "the connection was closed")


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serve in any way at all; yield the port."""

    async def harmless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)  # type: ignore[misc]
        writer.transport.abort()

    listener = await asyncio.start_server(harmless, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(400))
    await reader.read(1)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


@pytest.mark.parametrize(
    ("serve", "words"),
    [(greet, "wrong version number"), (say_nothing, "no response in time"), (hang_up, "the connection was closed")],
    ids=["no TLS", "silent", "gone"],
)
def test_a_server_that_does_not_speak_tls(serve: Serve, words: str, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is open and the handshake fails; one that never comes ends after its time."""
    monkeypatch.setattr(network, "TLS_S", 0.3)

    async def main() -> Reachability:
        async with listening(serve) as port:
            return await going(f"https://127.0.0.1:{port}", ca_file=ca_file)

    way = asyncio.run(main())
    assert way.refused is not None
    assert (way.addresses, way.unconnected, words in way.refused.reason) == (("127.0.0.1",), None, True)


# ---------------------------------------------------------------- names and ports


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_closed_port(closed_port: int) -> None:
    """It is said that the connection was refused, without the words of the event loop."""
    way = asyncio.run(going(f"http://127.0.0.1:{closed_port}"))
    assert (way.unconnected, way.is_clear) == ("connection refused", False)


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    """A name with a dead address and a living one can be reached."""

    async def main() -> Reachability:
        async with serving() as server:
            entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port)) for address in ("127.0.0.2", "127.0.0.1")]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
            return await going(f"http://ghes.example.com:{server.port}")

    way = asyncio.run(main())
    assert (way.addresses, way.is_clear) == (("127.0.0.2", "127.0.0.1"), True)


def test_a_name_that_is_none() -> None:
    """`.invalid` never resolves; what the resolver says is told."""
    way = asyncio.run(going("https://ghes.invalid"))
    assert way.unresolved
    assert way.addresses == ()


def test_silent_name_servers_delay_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look-ups wait for an answer that never comes, another one is made at once, and each ends after its time."""
    never = threading.Event()
    really = socket.getaddrinfo

    def resolve(host: str, *rest: object, **more: object) -> object:
        if host.endswith(".example.com"):
            never.wait(60)
        return really(host, *rest, **more)  # type: ignore[arg-type]

    async def main() -> set[type]:
        waiting = [asyncio.create_task(look_up(f"ghes{number}.example.com", 443)) for number in range(100)]
        await asyncio.sleep(0)
        async with asyncio.timeout(0.9):
            assert await look_up("127.0.0.1", 443) == ("127.0.0.1",)
        return {type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)}

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(network, "RESOLVE_S", 1.0)
    assert asyncio.run(main()) == {TimeoutError}
    never.set()


# ---------------------------------------------------------------- proxies


class Proxy:
    """A proxy that connects every name to one port, or refuses."""

    def __init__(self, port: int, status: str = "200 Connection established") -> None:
        self._port, self._status = port, status
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        except asyncio.IncompleteReadError:  # only knocked
            return
        writer.write(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if not self._status.startswith("200"):
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
        finally:
            there_writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_through_a_proxy_the_destinations_certificate_is_read(authority: trustme.CA, ca_file: Path) -> None:
    """The name is the proxy's to resolve; the proxy gets its login, and the destination nothing but a handshake."""

    async def main() -> tuple[Reachability, Proxy, Server]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
        async with serving(context_of(authority.issue_cert("ghes.invalid"))) as server:
            proxy = Proxy(server.port)
            async with listening(proxy) as port:
                return await going("https://ghes.invalid", "mona:secret", proxy=f"http://127.0.0.1:{port}", ca_file=ca_file), proxy, server

    way, proxy, server = asyncio.run(main())
    assert way.is_clear
    assert way.certificate is not None
    assert way.certificate.names == ("ghes.invalid",)
    assert proxy.asked == [
        "CONNECT ghes.invalid:443 HTTP/1.1\r\nHost: ghes.invalid:443\r\nProxy-Authorization: Basic bW9uYTpzZWNyZXQ=\r\n\r\n"
    ]
    assert server.seen == []


def test_a_proxy_that_opens_tls_shows_its_own_authority(ca_file: Path) -> None:
    """Its certificate is for the right name and of an authority of the company: that is who must be trusted."""
    other = trustme.CA(organization_name="Corp Proxy CA")

    async def main() -> Reachability:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
        async with serving(context_of(other.issue_cert("ghes.invalid"))) as server, listening(Proxy(server.port)) as port:
            return await going("https://ghes.invalid", proxy=f"http://127.0.0.1:{port}", ca_file=ca_file)

    way = asyncio.run(main())
    assert way.refused is not None
    assert way.refused.shown is not None
    assert way.refused.shown.issuer == "Corp Proxy CA"


@pytest.mark.parametrize(
    ("status", "words"),
    [("407 Proxy Authentication Required", "407 Proxy Authentication Required"), ("403 Forbidden", "403 Forbidden")],
)
def test_a_proxy_that_does_not_let_us_through(status: str, words: str) -> None:
    """What it says is told; without a login none is sent."""
    proxy = Proxy(0, status)

    async def main() -> Reachability:
        async with listening(proxy) as port:
            return await going("https://ghes.invalid", proxy=f"http://127.0.0.1:{port}")

    way = asyncio.run(main())
    assert way.unproxied is not None
    assert words in way.unproxied.cause
    assert "Proxy-Authorization" not in proxy.asked[0]


@pytest.mark.parametrize("sends_intermediate", [False, True])
def test_a_server_that_does_not_send_its_intermediate(ca_file: Path, authority: trustme.CA, sends_intermediate: bool) -> None:
    """It is told from an unknown CA; with the intermediate it is accepted."""
    certificate = authority.create_child_ca().issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with certificate.private_key_and_cert_chain_pem.tempfile() as whole, certificate.private_key_pem.tempfile() as key:
        if sends_intermediate:
            context.load_cert_chain(whole)
        else:
            with certificate.cert_chain_pems[0].tempfile() as leaf:
                context.load_cert_chain(leaf, key)

    async def main() -> Reachability:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
        async with serving(context) as server:
            return await going(f"https://localhost:{server.port}", ca_file=ca_file)

    way = asyncio.run(main())
    assert way.is_clear is sends_intermediate
    assert sends_intermediate or (way.refused is not None and way.refused.shown is not None and way.refused.shown.is_alone)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"x" * 100_000], ids=["another protocol", "no end"])
def test_something_that_is_no_proxy(said: bytes) -> None:
    """What answers in another language is told as such."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read(65536)

    async def main() -> Reachability:
        async with listening(serve) as port:
            return await going("https://ghes.invalid", proxy=f"http://127.0.0.1:{port}")

    assert asyncio.run(main()).unproxied == Meaning(
        "the proxy's response is not HTTP", "check that `proxy` of this destination is the address of an HTTP proxy"
    )


@pytest.mark.parametrize(("scheme", "silent"), [("http", False), ("http", True), ("https", False), ("https", True)])
def test_a_dead_proxy_is_named_as_the_proxy(scheme: str, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and then closes it, or says nothing: TLS with the destination has not begun."""
    monkeypatch.setattr(network, "PROXY_S", 0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        if silent:
            while await reader.read(65536):  # until the client gives up
                pass

    async def main() -> Reachability:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
        async with listening(serve) as port:
            return await going("https://ghes.invalid", proxy=f"{scheme}://127.0.0.1:{port}")

    way = asyncio.run(main())
    assert (way.refused, way.unproxied is not None and "the proxy" in way.unproxied.cause) == (None, True)


def test_a_proxy_with_a_certificate_that_is_not_trusted(authority: trustme.CA) -> None:
    """TLS with the proxy itself is told from TLS with the destination."""

    async def main() -> Reachability:
        asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)
        async with serving(context_of(authority.issue_cert("127.0.0.1"))) as server:
            return await going("https://ghes.invalid", proxy=f"https://127.0.0.1:{server.port}")

    way = asyncio.run(main())
    assert way.unproxied is not None
    assert way.unproxied.cause.startswith("TLS with the proxy itself failed")


def test_plain_http_needs_no_more_of_a_proxy_than_a_connection() -> None:
    """A proxy takes requests to plain addresses as they are: there is nothing to try but its port."""
    proxy = Proxy(0)

    async def main() -> Reachability:
        async with listening(proxy) as port:
            return await going("http://ghes.invalid", proxy=f"http://127.0.0.1:{port}")

    assert asyncio.run(main()).is_clear
    assert proxy.asked == []
