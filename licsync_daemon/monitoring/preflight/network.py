"""The connection to a destination, step by step: name, TCP, TLS. Standard library only; nothing but a handshake is sent.

With a proxy, name and TCP connection are the proxy's, and TLS with the destination goes through it.
"""

import asyncio
import base64
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from licsync_daemon.http.handshake import Meaning, fault_of_certificate
from licsync_daemon.http.route import is_behind_proxy, proxy_address
from licsync_daemon.http.tls import inspecting, trusting_proxy
from licsync_daemon.http.tunnel import login_place, refusal_of_proxy
from licsync_daemon.model.instance import Destination
from licsync_daemon.monitoring.preflight.certificates import Certificate, certificate_of, sent_certificates
from licsync_daemon.system.process import in_own_thread

RESOLVE_S = 5.0
CONNECT_S = 5.0
TLS_S = 10.0
PROXY_S = 8.0  # of that, for the proxy
TRIED_ADDRESSES = 4
_DEAD = "check that the proxy is up and can reach the destination, and that `proxy` is the address of an HTTP proxy"
_NOT_HTTP = "the proxy's response is not HTTP"
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Hop:
    """A host and port, and whether it uses TLS."""

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
        proxy: The proxy to use; None for a direct connection.
        login: `USER:PASSWORD` for the proxy, or "".
        login_place: Where that is configured, in words.
        ca_file: The trusted CAs; None: the system's.
        ignored: Whether the environment names a proxy for this destination that is not used.
    """

    to: Hop
    proxy: Hop | None = None
    login: str = ""
    login_place: str = "`proxy_auth` of this destination"
    ca_file: Path | None = None
    ignored: bool = False

    @property
    def first(self) -> Hop:
        return self.proxy or self.to


def route_of(to: Destination, login: Callable[[], str] = str) -> Route:
    """Return the route to a destination; `login` returns the proxy's credential.

    Raises:
        ValueError: The proxy's address is invalid.
    """
    there = _hop(to.url)
    address = proxy_address(to)
    if address is None:
        ignored = not _is_loopback(there.host) and is_behind_proxy(to.url)
        return Route(to=there, ca_file=to.ca_file, ignored=ignored)
    parts = urlsplit(address)
    own = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return Route(to=there, proxy=_hop(address), login=own or login(), login_place=login_place(to), ca_file=to.ca_file)


def _hop(url: str) -> Hop:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("only http and https")
    return Hop(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "https")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the TLS handshake failed.

    Attributes:
        reason: The message of OpenSSL or the system.
        verify_code: OpenSSL's number of the certificate error; None if the certificate is not the cause.
        shown: The certificate, if it could be read.
    """

    reason: str
    verify_code: int | None = None
    shown: Certificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachability:
    """The result of each step on a route. Steps after the first failure are unknown.

    Attributes:
        addresses: What the first hop's name resolves to.
        unresolved: Why it does not resolve.
        unconnected: Why there is no connection.
        unproxied: The proxy's refusal, and the next step.
        certificate: The destination's certificate, if accepted.
        refused: Why TLS failed.
    """

    addresses: tuple[str, ...] = ()
    unresolved: str | None = None
    unconnected: str | None = None
    unproxied: Meaning | None = None
    certificate: Certificate | None = None
    refused: Refused | None = None

    @property
    def is_clear(self) -> bool:
        return not (self.unresolved or self.unconnected or self.unproxied or self.refused)


async def explore(route: Route, tls: ssl.SSLContext) -> Reachability:
    """Connect along a route, then disconnect. `tls` holds the trusted CAs."""
    try:
        addresses = await look_up(route.first.host, route.first.port)
    except OSError as error:
        return Reachability(unresolved=_reason(error))
    reached = Reachability(addresses=addresses)
    try:
        address = await _reachable(addresses, route.first.port)
    except OSError as error:
        return replace(reached, unconnected=_reason(error))
    if route.proxy is None and not route.to.secure:
        return reached
    try:
        async with asyncio.timeout(TLS_S), _through(route, address) as writer:
            if not route.to.secure:
                return reached
            await writer.start_tls(tls, server_hostname=route.to.host)
            return replace(reached, certificate=certificate_of(writer.get_extra_info("ssl_object").getpeercert()))
    except ProxyRefusedError as error:
        return replace(reached, unproxied=error.meaning)
    except ssl.SSLCertVerificationError as error:
        shown = await _shown(route, address)
        return replace(reached, refused=Refused(error.verify_message, error.verify_code, shown))
    except (OSError, EOFError) as error:
        return replace(reached, refused=Refused(_reason(error)))


async def look_up(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a name. Each lookup has its own thread, so that a silent DNS server delays no other lookup.

    Raises:
        OSError: There is no address, or no response in time.
    """

    def work() -> tuple[str, ...]:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError(f"{host} is not a valid name") from None
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))

    async with asyncio.timeout(RESOLVE_S):
        return await in_own_thread(work, f"look up {host}")


async def _reachable(addresses: tuple[str, ...], port: int) -> str:
    """Return the first address that accepts a connection."""
    tried = addresses[:TRIED_ADDRESSES]
    failure: OSError = OSError("no address")
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
    """A proxy refused the connection."""

    def __init__(self, cause: str, next_step: str = "check that `proxy` of this destination is the address of an HTTP proxy") -> None:
        super().__init__(cause)
        self.meaning = Meaning(cause, next_step)


@asynccontextmanager
async def _through(route: Route, address: str) -> AsyncIterator[asyncio.StreamWriter]:
    """Yield a connection on which TLS with the destination can start."""
    reader, writer = await asyncio.open_connection(address, route.first.port)
    try:
        if route.proxy is not None:
            try:
                async with asyncio.timeout(PROXY_S):
                    await _connect_through(route, route.proxy, reader, writer)
            except TimeoutError as error:
                raise ProxyRefusedError("the proxy did not connect in time", _DEAD) from error
        yield writer
    finally:
        writer.transport.abort()


async def _connect_through(route: Route, proxy: Hop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if proxy.secure:
        try:
            await writer.start_tls(trusting_proxy(route.ca_file), server_hostname=proxy.host)
        except OSError as error:
            raise _tls_with_proxy(proxy, error) from error
    if route.to.secure:
        try:
            await _ask_proxy(route, reader, writer)
        except (OSError, EOFError) as error:
            raise ProxyRefusedError("the proxy closed the connection instead of connecting", _DEAD) from error


def _tls_with_proxy(proxy: Hop, error: OSError) -> ProxyRefusedError:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = fault_of_certificate(error.verify_code, f"the proxy {proxy}")
        return ProxyRefusedError(f"TLS with the proxy itself failed: {said.cause} ({error.verify_message})", said.next_step)
    fix = 'check that this port of the proxy expects TLS; if it does not, write its address with "http://"'
    return ProxyRefusedError(f"TLS with the proxy itself failed: {_reason(error)}", fix)


async def _ask_proxy(route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    login = f"Proxy-Authorization: Basic {base64.b64encode(route.login.encode()).decode()}\r\n" if route.login else ""
    writer.write(f"CONNECT {route.to} HTTP/1.1\r\nHost: {route.to}\r\n{login}\r\n".encode())
    await writer.drain()
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ProxyRefusedError(_NOT_HTTP) from error
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, said = first.partition(" ")
    if not version.startswith("HTTP/") or not said:
        raise ProxyRefusedError(_NOT_HTTP)
    if not said.startswith("2"):
        challenges = [value for name, _, value in (line.partition(":") for line in lines) if name.casefold() == "proxy-authenticate"]
        meaning = refusal_of_proxy(said, challenges, has_login=bool(route.login), credential=route.login_place)
        raise ProxyRefusedError(meaning.cause, meaning.next_step)


async def _shown(route: Route, address: str) -> Certificate | None:
    """Read a rejected certificate, to report its issuer and names. Nothing is sent over these connections.

    The standard library parses a certificate only if it is trusted: so it is fetched first, then trusted itself.
    """
    with contextlib.suppress(OSError, EOFError, ProxyRefusedError, ValueError):
        async with asyncio.timeout(TLS_S):
            async with _through(route, address) as writer:
                await writer.start_tls(inspecting(), server_hostname=route.to.host)
                raw = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                count = sent_certificates(writer.get_extra_info("ssl_object"))
            async with _through(route, address) as writer:
                await writer.start_tls(inspecting(raw), server_hostname=route.to.host)
                fields = writer.get_extra_info("ssl_object").getpeercert()
                is_alone = count == 1 and fields.get("issuer") != fields.get("subject")
                return replace(certificate_of(fields), is_alone=is_alone)
    return None


def _reason(error: BaseException) -> str:
    """Return the system's message for a failure."""
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno is not None:
        return os.strerror(error.errno).lower()  # asyncio's own message contains the address
    text = "" if isinstance(error, EOFError) else str(getattr(error, "strerror", None) or error)
    return text.lower() or "the connection was closed"
