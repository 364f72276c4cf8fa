"""HTTP with every bound set: the only module that imports httpx.

What httpx leaves open is closed here (measured in our reference notes): it has no total deadline, holds what a gzip bomb unpacks to, does
not notice a truncated gzip body, and obeys `HTTPS_PROXY` and `~/.netrc` unless told not to. `Authorization` is the only header that carries
a token, redirects are followed by hand within the same origin, and exceptions become `RemoteError` in one place.
"""

import asyncio
import contextlib
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from licsync_daemon import __version__
from licsync_daemon.configured import Destination
from licsync_daemon.errors import Code, RemoteError
from licsync_daemon.transport.wire import Headline, Side, decode_json, joined, refusal, same_origin

MIB = 1024 * 1024
MAX_REDIRECTS = 3
EXCERPT_BYTES = 16 * 1024  # of a refusal's body, for its message
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one request: all of it in seconds, bytes on the wire, bytes after decompression."""

    deadline_s: float
    wire_bytes: int
    decoded_bytes: int


API = Limits(deadline_s=60, wire_bytes=16 * MIB, decoded_bytes=64 * MIB)
REPORT = Limits(deadline_s=900, wire_bytes=512 * MIB, decoded_bytes=2048 * MIB)
PUSH = Limits(deadline_s=30, wire_bytes=MIB, decoded_bytes=MIB)
UPLOAD = Limits(deadline_s=900, wire_bytes=MIB, decoded_bytes=MIB)  # of the answer; the request's size is ours


@dataclass(slots=True)
class Response:
    """A response whose body is read as it comes, decoded and counted."""

    url: str
    status: int
    headers: dict[str, str]
    _raw: AsyncIterator[bytes]
    _limits: Limits
    _operation: str

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the decoded body in pieces.

        Raises:
            RemoteError: `TOO_LARGE` past a cap, `TRUNCATED` when a gzip body ends early, `BAD_RESPONSE` when it is none.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "identity", ""}:
            raise self._broken(f"came with the content encoding {encoding[:20]!r}")
        inflate = zlib.decompressobj(31) if encoding == "gzip" else None
        wire = decoded = 0
        async for raw in self._raw:
            wire += len(raw)
            if wire > self._limits.wire_bytes:
                raise self._too_large(self._limits.wire_bytes)
            for piece in _inflated(inflate, raw, self._broken):
                decoded += len(piece)
                if decoded > self._limits.decoded_bytes:
                    raise self._too_large(self._limits.decoded_bytes)
                yield piece
        if inflate is not None and not inflate.eof:
            raise RemoteError(
                Code.TRUNCATED, f"{self._operation} was cut off", "nothing to do if it passes: it is tried again", transient=True
            )

    async def read(self) -> bytes:
        """Answer the whole decoded body."""
        return b"".join([piece async for piece in self.chunks()])

    async def json(self) -> Any:
        """Answer the body as strictly decoded JSON."""
        return decode_json(await self.read(), self._operation)

    def _too_large(self, limit: int) -> RemoteError:
        return RemoteError(
            Code.TOO_LARGE,
            f"{self._operation} is larger than {limit // MIB} MiB",
            "check that the address is right and answers what it should",
        )

    def _broken(self, what: str) -> RemoteError:
        return RemoteError(
            Code.BAD_RESPONSE,
            f"{self._operation} {what}",
            "check what stands between licsync and the far side (a proxy that rewrites bodies?)",
        )


def _inflated(inflate: Any, raw: bytes, broken: Callable[[str], RemoteError]) -> Iterator[bytes]:
    """Yield what `raw` unpacks to, never more than a chunk at once, so that a bomb meets the cap before it fills the memory."""
    if inflate is None:
        yield raw
        return
    while raw:
        if inflate.eof:
            raise broken("goes on after the end of its gzip body")
        try:
            piece = inflate.decompress(raw, CHUNK_BYTES)
        except zlib.error as error:
            raise broken("is not valid gzip") from error
        if piece:
            yield piece
        if inflate.eof and inflate.unused_data:
            raise broken("goes on after the end of its gzip body")
        raw = inflate.unconsumed_tail


@dataclass(slots=True, kw_only=True)
class HttpClient:
    """Requests to one destination. Open it with `async with`; it keeps connections no longer than that.

    Attributes:
        to: Where, and how to get there.
        side: Whom we talk to, for the meaning of refusals.
        authorization: Answers the `Authorization` value, read anew, or "" where none is wanted; asked once more after a 401, in case it
            was just rotated.
        proxy_auth: Answers `USER:PASSWORD` for the proxy.
        headers: Sent with every request.
        tls: Whom we trust, ready made, for who asks many at once: it takes long to build. None builds it from `to`.
        seen: What the headers of the answers told so far.
    """

    to: Destination
    side: Side
    authorization: Callable[[], str]
    proxy_auth: Callable[[], str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    seen: Headline = field(default_factory=Headline, init=False)
    _http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        secure = urlsplit(self.to.url).scheme == "https"
        self._http = httpx.AsyncClient(
            # A plain http address is loopback (settings see to that); the context that trusts nobody costs nothing to build.
            verify=(self.tls or tls_context(self.to)) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            proxy=self._proxy(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(60.0, connect=15.0),
            headers={"User-Agent": f"licsync-daemon/{__version__}", "Accept-Encoding": "gzip", **self.headers},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    @asynccontextmanager
    async def get(
        self,
        path: str,
        *,
        operation: str,
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        limits: Limits = API,
        wanted: tuple[int, ...] = (200,),
    ) -> AsyncIterator[Response]:
        """Open a GET of `path` (or of a whole address of the same origin) and yield the response, whose status is one of `wanted`.

        Raises:
            RemoteError: For everything else, including the deadline over the whole exchange.
        """
        url = urljoin(self.to.url + "/", path)
        async with self._bounded(operation, limits):
            for _ in range(MAX_REDIRECTS + 1):
                async with self._exchange("GET", url, operation, limits, headers={"Accept": accept, **(headers or {})}) as response:
                    if response.status not in {301, 302, 303, 307, 308}:
                        await self._want(response, wanted, operation)
                        yield response
                        return
                    url = self._redirect(url, response, operation)
            raise RemoteError(Code.REDIRECT_REFUSED, f"{operation} redirects for ever", "check the address; it should be the final one")

    @asynccontextmanager
    async def query(self, path: str, content: bytes, *, operation: str) -> AsyncIterator[Response]:
        """POST a question in JSON, which changes nothing over there, and yield the response, whose status is 200."""

        async def body() -> AsyncIterator[bytes]:
            yield content

        url = urljoin(self.to.url + "/", path)
        headers = {"Accept": "application/json", "Content-Type": "application/json", "Content-Length": str(len(content))}
        async with (
            self._bounded(operation, API),
            self._exchange("POST", url, operation, API, headers=headers, body=body) as response,
        ):
            await self._want(response, (200,), operation)
            yield response

    async def post(self, *, operation: str, headers: Mapping[str, str], body: Callable[[], AsyncIterator[bytes]]) -> Any:
        """POST `body()` to the destination's own address and answer the decoded JSON of its 202."""
        async with (
            self._bounded(operation, UPLOAD),
            self._exchange("POST", self.to.url, operation, UPLOAD, headers=headers, body=body) as response,
        ):
            await self._want(response, (202,), operation)
            try:
                return await response.json()
            except RemoteError as error:  # it was accepted: the same delivery may be sent again, and must not be given up
                raise RemoteError(error.code, error.cause, error.next_step, transient=True, status=202) from error

    async def push(self, content: bytes, *, operation: str) -> None:
        """POST JSON to the destination's own address; any 2xx is an answer, and its body is nobody's business."""

        async def body() -> AsyncIterator[bytes]:
            yield content

        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        async with (
            self._bounded(operation, PUSH),
            self._exchange("POST", self.to.url, operation, PUSH, headers=headers, body=body) as response,
        ):
            await self._want(response, tuple(range(200, 300)), operation)

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str,
        operation: str,
        limits: Limits,
        *,
        headers: Mapping[str, str],
        body: Callable[[], AsyncIterator[bytes]] | None = None,
    ) -> AsyncIterator[Response]:
        """One request and its response; after a 401 once more if the credential has changed meanwhile."""
        assert self._http is not None, "use `async with`"
        used = self.authorization()
        for last in (False, True):
            secret = {"Authorization": used} if used else {}
            request = self._http.build_request(method, url, headers={**headers, **secret}, content=body() if body is not None else None)
            async with self._sent(request) as answer:
                fresh = self.authorization() if answer.status_code == 401 and not last else used
                if fresh == used:
                    names = {key.lower(): value for key, value in answer.headers.items()}
                    self.seen = self.seen.then(names)
                    yield Response(url, answer.status_code, names, answer.aiter_raw(CHUNK_BYTES), limits, operation)
                    return
                used = fresh

    @asynccontextmanager
    async def _sent(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        assert self._http is not None
        answer = await self._http.send(request, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()

    @asynccontextmanager
    async def _bounded(self, operation: str, limits: Limits) -> AsyncIterator[None]:
        """Put one deadline over everything inside, and translate what httpx raises."""
        try:
            async with asyncio.timeout(limits.deadline_s):
                yield
        except (TimeoutError, httpx.TimeoutException) as error:
            raise RemoteError(
                Code.TIMEOUT, f"{operation} took too long", "check the network and the load of the far side", transient=True
            ) from error
        except httpx.HTTPError as error:
            raise _translated(error, operation, self.to, self.side) from error
        except httpx.InvalidURL as error:  # httpx reads the `Location` of a redirect even when it is not to follow it
            raise RemoteError(
                Code.REDIRECT_REFUSED, f"{operation} redirects to something that is no address", "check the address of the far side"
            ) from error
        except ssl.SSLError as error:
            raise _tls_failed(error, operation) from error

    async def _want(self, response: Response, wanted: tuple[int, ...], operation: str) -> None:
        if response.status not in wanted:
            excerpt = b""
            with contextlib.suppress(RemoteError, httpx.HTTPError):  # the status says enough, however broken the error page is
                async for piece in response.chunks():
                    excerpt += piece
                    if len(excerpt) >= EXCERPT_BYTES:
                        break
            raise refusal(self.side, operation, response.status, response.headers, excerpt)

    def _redirect(self, url: str, response: Response, operation: str) -> str:
        target = joined(url, response.headers.get("location", ""))
        if target is None or not same_origin(target, self.to.url):
            raise RemoteError(
                Code.REDIRECT_REFUSED,
                f"{operation} redirects to another place ({(target and urlsplit(target).hostname) or 'nowhere'})",
                "if that place is right, configure its address; a sign-in page there means that the token was not accepted",
            )
        return target

    def _proxy(self) -> httpx.Proxy | None:
        address = proxy_address(self.to)
        if address is None:
            return None
        user, _, password = self.proxy_auth().partition(":") if self.proxy_auth else ("", "", "")
        try:
            proxy = httpx.Proxy(address, auth=(user, password) if user else None)
            usable = proxy.url.scheme in {"http", "https"}
        except (ValueError, httpx.InvalidURL):
            usable = False
        if not usable:
            raise RemoteError(
                Code.UNREACHABLE,
                f"the proxy for {urlsplit(self.to.url).hostname} has an address that cannot be used",
                "check `proxy` of this destination, or the environment's proxy variables if it is `env`; only http and https proxies are",
            )
        return proxy


def proxy_address(to: Destination) -> str | None:
    """Answer the address of the proxy that stands before a destination, as `proxy` says; None for a direct connection."""
    return environment_proxy(to.url) if to.proxy == "env" else to.proxy


def environment_proxy(url: str) -> str | None:
    """Answer the proxy that the process's environment names for an address, `NO_PROXY` obeyed. It may hold a password."""
    parts = urlsplit(url)
    address = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    # The environment's variables often leave the scheme out.
    return f"http://{address}" if address and "://" not in address else address


def tls_context(to: Destination) -> ssl.SSLContext:
    """TLS 1.2 or newer, said explicitly: Debian's Python would otherwise allow whatever its OpenSSL was built for."""
    try:
        context = ssl.create_default_context(cafile=to.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise RemoteError(
            Code.TLS_FAILED, f"the authorities in {to.ca_file} cannot be read: {error}", "check `ca_file`: it must be a readable PEM file"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if to.client_cert is not None:
        try:
            context.load_cert_chain(to.client_cert, to.client_key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise RemoteError(
                Code.TLS_FAILED,
                f"the certificate {to.client_cert} with the key {to.client_key} cannot be used: {error}",
                "check `client_cert` and `client_key`: two PEM files that belong together, the key without a passphrase",
            ) from error
    return context


def _no_passphrase() -> str:
    """Answer what OpenSSL would otherwise ask for on a terminal, where a daemon would wait for ever."""
    raise ValueError("the key has a passphrase")


def _translated(error: httpx.HTTPError, operation: str, to: Destination, side: Side) -> RemoteError:
    """Say in our words what httpx could not do; the cause chain tells TLS and name resolution from a refused connection."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    host = urlsplit(to.url).hostname or to.url
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return _tls_failed(cause, operation)
    if isinstance(error, httpx.ProxyError):
        return RemoteError(
            Code.UNREACHABLE,
            f"{operation}: the proxy refused ({error})",
            "check `proxy` and `proxy_auth` of this destination",
            transient=True,
        )
    if isinstance(error, httpx.ConnectError):
        words = " ".join(str(cause) for cause in chain).lower()
        unresolved = any(sign in words for sign in ("name or service", "name resolution", "getaddrinfo", "no address", "nodename"))
        what = f"the name {host} cannot be resolved" if unresolved else f"{host} cannot be reached (connection refused or no route)"
        return RemoteError(Code.UNREACHABLE, f"{operation}: {what}", "check DNS, the firewall and that the far side is up", transient=True)
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return RemoteError(
            Code.CONNECTION_LOST,
            f"{operation} broke off before it was whole",
            f"nothing to do if it passes: it is tried again{_refused_unread(to, side)}",
            transient=True,
        )
    return RemoteError(Code.BAD_RESPONSE, f"{operation} failed ({type(error).__name__})", "report this with the run's id")


def _refused_unread(to: Destination, side: Side) -> str:
    """Say what an endpoint that always breaks off may mean: one that closes before it has read everything takes its answer with it.

    So it may be where it misses a certificate of ours, which with TLS 1.3 is after the handshake, when the connection seems to be up.
    """
    if side is not Side.DELIVERY:
        return ""
    shows_none = to.client_cert is None and to.url.startswith("https:")
    wanted = ", or for want of a certificate of ours (set `client_cert` and `client_key`)" if shows_none else ""
    return f"; if it stays, ask who runs the endpoint whether it refuses before it has read everything, as too large{wanted}"


def _tls_failed(error: ssl.SSLError, operation: str) -> RemoteError:
    reason = error.reason or "handshake failed"
    why = str(getattr(error, "verify_message", None) or reason).replace("_", " ").lower()
    # An alert is what the far side says of us. TLS 1.2 has no better word for a certificate that it misses than a failed handshake.
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE")):
        return RemoteError(
            Code.TLS_FAILED,
            f"{operation}: the far side wants a certificate of ours, or does not accept the one it got ({why})",
            "set `client_cert` and `client_key` of the delivery, and ask who runs it which authority it wants them from",
        )
    return RemoteError(
        Code.TLS_FAILED,
        f"{operation}: the certificate or the TLS connection was not accepted ({why})",
        "for a certificate of your own authority set `ca_file`; an expired or wrong certificate must be renewed on the far side",
    )
