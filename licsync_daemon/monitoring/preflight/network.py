"""The way to a destination, step by step: name, connection, TLS. The standard library only; nothing but a handshake is ever sent.

Through a proxy, name and connection are the proxy's, and TLS is spoken through it with the destination.
"""

import asyncio
import base64
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from licsync_daemon.http.route import environment_proxy, proxy_address
from licsync_daemon.http.tls import inspecting, trusting
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.text import clean
from licsync_daemon.system.process import in_own_thread

RESOLVE_S = 5.0
CONNECT_S = 5.0
TLS_S = 10.0
TRIED_ADDRESSES = 4
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Hop:
    """What is connected to, and whether TLS is spoken with it."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a destination is reached.

    Attributes:
        to: The destination.
        proxy: What stands before it; None for a direct connection.
        login: `USER:PASSWORD` for the proxy, or "".
        ca_file: The authorities that are trusted; None: the system's.
        ignored: Whether the environment names a proxy for this destination that is not used.
    """

    to: Hop
    proxy: Hop | None = None
    login: str = ""
    ca_file: Path | None = None
    ignored: bool = False

    @property
    def first(self) -> Hop:
        return self.proxy or self.to


def route_of(to: Destination, login: Callable[[], str] = str) -> Route:
    """Return the route to a destination; `login` answers the proxy's credential.

    Raises:
        ValueError: The proxy's address cannot be used.
    """
    there = _hop(to.url)
    address = proxy_address(to)
    if address is None:
        ignored = not _is_loopback(there.host) and environment_proxy(to.url) is not None
        return Route(to=there, ca_file=to.ca_file, ignored=ignored)
    parts = urlsplit(address)
    own = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return Route(to=there, proxy=_hop(address), login=own or login(), ca_file=to.ca_file)


def _hop(url: str) -> Hop:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("only http and https")
    return Hop(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "https")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server shows of itself. `names`: for whom it is."""

    issuer: str
    ends_at: datetime
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why TLS did not come about.

    Attributes:
        reason: OpenSSL's or the system's words.
        verify_code: OpenSSL's number for what is wrong with the certificate; None where it is not the certificate.
        shown: The certificate, where it could be read.
    """

    reason: str
    verify_code: int | None = None
    shown: Certificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachability:
    """How far one came on a route. What stands after the first failure is not known.

    Attributes:
        addresses: What the first hop's name resolves to.
        unresolved: Why it does not.
        unconnected: Why there is none.
        unproxied: What the proxy said instead of letting us through.
        certificate: The destination's, accepted.
        refused: Why TLS did not come about.
    """

    addresses: tuple[str, ...] = ()
    unresolved: str | None = None
    unconnected: str | None = None
    unproxied: str | None = None
    certificate: Certificate | None = None
    refused: Refused | None = None

    @property
    def is_clear(self) -> bool:
        return not (self.unresolved or self.unconnected or self.unproxied or self.refused)


async def explore(route: Route, tls: ssl.SSLContext) -> Reachability:
    """Go the route to its end and come back. `tls` says whom we trust."""
    try:
        addresses = await look_up(route.first.host, route.first.port)
    except OSError as error:
        return Reachability(unresolved=_words(error))
    way = Reachability(addresses=addresses)
    try:
        address = await _reachable(addresses, route.first.port)
    except OSError as error:
        return replace(way, unconnected=_words(error))
    if route.proxy is None and not route.to.secure:
        return way
    try:
        async with asyncio.timeout(TLS_S), _through(route, address) as writer:
            if not route.to.secure:
                return way
            await writer.start_tls(tls, server_hostname=route.to.host)
            return replace(way, certificate=certificate_of(writer.get_extra_info("ssl_object").getpeercert()))
    except ProxyRefusedError as error:
        return replace(way, unproxied=str(error))
    except ssl.SSLCertVerificationError as error:
        shown = await _shown(route, address)
        return replace(way, refused=Refused(error.verify_message, error.verify_code, shown))
    except (OSError, EOFError) as error:
        return replace(way, refused=Refused(_words(error)))


async def look_up(host: str, port: int) -> tuple[str, ...]:
    """Return a name's addresses. Each look-up has a thread of its own: where a name server is silent, nobody else waits for its thread.

    Raises:
        OSError: There is none, or no answer in time.
    """

    def work() -> tuple[str, ...]:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError(f"{host} is no name") from None
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))

    async with asyncio.timeout(RESOLVE_S):
        return await in_own_thread(work, f"look up {host}")


async def _reachable(addresses: tuple[str, ...], port: int) -> str:
    """Return the first address that takes a connection."""
    tried = addresses[:TRIED_ADDRESSES]
    failure: OSError = OSError("it has no address")
    for address in tried:
        try:
            async with asyncio.timeout(CONNECT_S / len(tried)):
                _, writer = await asyncio.open_connection(address, port)
                writer.transport.abort()
                return address
        except OSError as error:
            failure = error
    raise failure


class ProxyRefusedError(Exception):
    """A proxy answered, and did not let us through."""


@asynccontextmanager
async def _through(route: Route, address: str) -> AsyncIterator[asyncio.StreamWriter]:
    """Yield a connection on which TLS with the destination may begin."""
    reader, writer = await asyncio.open_connection(address, route.first.port)
    try:
        if route.proxy is not None:
            if route.proxy.secure:
                try:
                    await writer.start_tls(trusting(None), server_hostname=route.proxy.host)
                except OSError as error:
                    raise ProxyRefusedError(f"TLS with the proxy itself failed: {_words(error)}") from error
            if route.to.secure:
                await _ask_proxy(route, reader, writer)
        yield writer
    finally:
        writer.transport.abort()


async def _ask_proxy(route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    login = f"Proxy-Authorization: Basic {base64.b64encode(route.login.encode()).decode()}\r\n" if route.login else ""
    writer.write(f"CONNECT {route.to} HTTP/1.1\r\nHost: {route.to}\r\n{login}\r\n".encode())
    await writer.drain()
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ProxyRefusedError("it answers something that is not HTTP") from error
    version, _, said = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    if not version.startswith("HTTP/") or not said.startswith("200"):
        raise ProxyRefusedError(clean(said) or "it answers something that is not HTTP")


async def _shown(route: Route, address: str) -> Certificate | None:
    """Read the certificate that was not accepted, so that its issuer and names can be told. Nothing is sent over these connections.

    The standard library reads the fields of a certificate only where it is trusted; so it is fetched first, and then trusted itself.
    """
    with contextlib.suppress(OSError, EOFError, ProxyRefusedError, ValueError):
        async with asyncio.timeout(TLS_S):
            async with _through(route, address) as writer:
                await writer.start_tls(inspecting(), server_hostname=route.to.host)
                raw = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            async with _through(route, address) as writer:
                await writer.start_tls(inspecting(raw), server_hostname=route.to.host)
                return certificate_of(writer.get_extra_info("ssl_object").getpeercert())
    return None


def certificate_of(fields: Mapping[str, Any]) -> Certificate:
    """Read the fields of an accepted certificate, as `ssl` answers them."""
    issuer = {key: value for part in fields.get("issuer", ()) for key, value in part}
    return Certificate(
        clean(issuer.get("organizationName") or issuer.get("commonName") or "nobody named"),
        datetime.fromtimestamp(ssl.cert_time_to_seconds(fields["notAfter"]), UTC),
        tuple(clean(name) for _, name in fields.get("subjectAltName", ())),
    )


def _words(error: BaseException) -> str:
    """Return the system's words for a failure."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno is not None:
        return os.strerror(error.errno).lower()  # asyncio has words of its own that hold the address
    text = "" if isinstance(error, EOFError) else str(getattr(error, "strerror", None) or error)
    return text.lower() or "the connection was closed"
