"""HTTP over httpx, with every limit set.

This module adds what httpx lacks: a deadline for the exchange, limits on decompressed data, detection of a truncated gzip body, and no
use of `HTTPS_PROXY` and `~/.netrc`. Tokens are sent in `Authorization` only, redirects stay within the same origin, and
exceptions become `RemoteError` in one place.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from licsync_daemon import __version__
from licsync_daemon.http.advice import Side, in_between, is_in_between, refusal
from licsync_daemon.http.ages import Ages
from licsync_daemon.http.connection_errors import translated
from licsync_daemon.http.handshake import tls_failed
from licsync_daemon.http.response import API, CHUNK_BYTES, LISTING, PUSH, UPLOAD, Limits, Response
from licsync_daemon.http.route import proxy_address
from licsync_daemon.http.tls import tls_context, trusting_none, trusting_proxy
from licsync_daemon.http.tunnel import Tunnel, not_through
from licsync_daemon.http.wire import AnswerFacts, joined, same_origin
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination

Body = Callable[[], AsyncIterator[bytes]]

MAX_REDIRECTS = 3
EXCERPT_BYTES = 16 * 1024  # read of a body for its message
EXCERPT_S = 5.0  # for reading that


@dataclass(slots=True, kw_only=True)
class HttpClient:
    """Requests to one destination. Open it with `async with`, which closes its connections at the end.

    Attributes:
        to: The address, and how to reach it.
        side: The kind of server, which decides what a refusal means.
        authorization: Reads the `Authorization` value, or "" for none; called again after a 401, in case the token was just rotated.
        proxy_auth: Reads `USER:PASSWORD` for the proxy.
        headers: Sent with every request.
        ages: Refuses stored copies of what is read; None accepts them.
        tls: A context to share among many clients, since building one is slow; None builds one from `to`.
        seen: The facts in the headers of the responses so far.
    """

    to: Destination
    side: Side
    authorization: Callable[[], str]
    proxy_auth: Callable[[], str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ages: Ages | None = None
    tls: ssl.SSLContext | None = None
    seen: AnswerFacts = field(default_factory=AnswerFacts, init=False)
    _http: httpx.AsyncClient | None = None
    _tunnel: Tunnel = field(default_factory=Tunnel, init=False)

    async def __aenter__(self) -> Self:
        secure = urlsplit(self.to.url).scheme == "https"
        self._http = httpx.AsyncClient(
            # Settings allow http for loopback addresses only.
            verify=(self.tls or tls_context(self.to)) if secure else trusting_none(),
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
        wanted: Collection[int] = (200,),
    ) -> AsyncIterator[Response]:
        """Open a GET of `path` (or of a whole address of the same origin) and yield the response, whose status is one of `wanted`.

        Raises:
            RemoteError: Any other status, any failure, or the deadline of the whole exchange.
        """
        url = urljoin(self.to.url + "/", path)
        async with self._bounded(operation, limits):
            for _ in range(MAX_REDIRECTS + 1):
                async with self._exchange("GET", url, operation, limits, headers={"Accept": accept, **(headers or {})}) as response:
                    if response.status not in {301, 302, 303, 307, 308}:
                        self._must_be_current(response, operation)
                        await self._want(response, wanted, operation)
                        yield response
                        return
                    url = self._redirect(url, response, operation)
            raise RemoteError(Code.REDIRECT_REFUSED, f"{operation} redirects too many times", "configure the final address")

    @asynccontextmanager
    async def query(self, path: str, content: bytes, *, operation: str) -> AsyncIterator[Response]:
        """POST a read-only query in JSON and yield the response, whose status is 200."""
        url = urljoin(self.to.url + "/", path)
        headers = {"Accept": "application/json", **_json_headers(content)}
        async with self._posted(url, operation, LISTING, headers, lambda: _once(content), wanted=(200,)) as response:
            self._must_be_current(response, operation)
            yield response

    async def post(self, *, operation: str, headers: Mapping[str, str], body: Body) -> tuple[int, Any]:
        """POST `body()` to the destination's own address; return the status, which is 200, 201 or 202, and the decoded JSON."""
        async with self._posted(self.to.url, operation, UPLOAD, headers, body, wanted=(200, 201, 202)) as response:
            try:
                return response.status, await response.json()
            except RemoteError as error:
                is_accepted = response.status == 202  # send it again rather than give up; a 200 may be a sign-in page
                raise RemoteError(error.code, error.cause, error.next_step, transient=is_accepted, status=response.status) from error

    async def push(self, content: bytes, *, operation: str) -> bytes:
        """POST JSON to the destination's own address; return the beginning of the body of its 2xx, as far as it can be read."""
        headers = _json_headers(content)
        async with self._posted(self.to.url, operation, PUSH, headers, lambda: _once(content), wanted=range(200, 300)) as response:
            return await _excerpt(response)

    @asynccontextmanager
    async def _posted(
        self, url: str, operation: str, limits: Limits, headers: Mapping[str, str], body: Body, *, wanted: Collection[int]
    ) -> AsyncIterator[Response]:
        async with (
            self._bounded(operation, limits),
            self._exchange("POST", url, operation, limits, headers=headers, body=body) as response,
        ):
            await self._want(response, wanted, operation)
            yield response

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str,
        operation: str,
        limits: Limits,
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
    ) -> AsyncIterator[Response]:
        """Send one request and yield its response; after a 401, send it again if the credential has changed meanwhile."""
        assert self._http is not None, "use `async with`"
        used = self.authorization()
        for last in (False, True):
            secret = {"Authorization": used} if used else {}
            self._tunnel = Tunnel(has_login=self._tunnel.has_login)
            request = self._http.build_request(
                method, url, headers={**headers, **secret}, content=body() if body is not None else None, extensions={"trace": self._tunnel}
            )
            async with self._sent(request) as sent:
                fresh = self.authorization() if sent.status_code == 401 and not last else used
                if fresh == used:
                    names = {key.lower(): value for key, value in sent.headers.items()}
                    self.seen = self.seen.then(names)
                    yield Response(url, sent.status_code, names, sent.aiter_raw(CHUNK_BYTES), limits, operation)
                    return
                used = fresh

    @asynccontextmanager
    async def _sent(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        assert self._http is not None
        response = await self._http.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    @asynccontextmanager
    async def _bounded(self, operation: str, limits: Limits) -> AsyncIterator[None]:
        """Apply one deadline to everything inside, and translate exceptions of httpx."""
        try:
            async with asyncio.timeout(limits.deadline_s):
                yield
        except (TimeoutError, httpx.TimeoutException) as error:
            if not self._tunnel.is_open and proxy_address(self.to) is not None:
                raise not_through(operation, self.to, TimeoutError(), None) from error
            raise RemoteError(Code.TIMEOUT, f"{operation} timed out", "check the network and the server's load", transient=True) from error
        except httpx.HTTPError as error:
            raise translated(error, operation, self.to, self.side, self._tunnel) from error
        except httpx.InvalidURL as error:  # httpx parses the `Location` of a redirect even if it does not follow it
            raise RemoteError(
                Code.REDIRECT_REFUSED, f"{operation} redirects to an invalid address", "check the configured address"
            ) from error
        except ssl.SSLError as error:
            raise tls_failed(error, operation, self.to, self.side) from error

    async def _want(self, response: Response, wanted: Collection[int], operation: str) -> None:
        if response.status not in wanted:
            raise refusal(self.side, operation, response.status, response.headers, await _excerpt(response))
        if is_in_between(self.side, response.headers, b""):
            raise in_between(operation, response.status, response.headers, await _excerpt(response))

    def _must_be_current(self, response: Response, operation: str) -> None:
        if self.ages is not None:
            self.ages.check(urlsplit(self.to.url).netloc, response.headers, operation, may_lag=self.side is Side.INSTANCE)

    def _redirect(self, url: str, response: Response, operation: str) -> str:
        target = joined(url, response.headers.get("location", ""))
        if target is None or not same_origin(target, self.to.url):
            raise RemoteError(
                Code.REDIRECT_REFUSED,
                f"{operation} redirects to another server ({(target and urlsplit(target).hostname) or 'no address'})",
                "if that server is the right one, configure its address; if it is a sign-in page, the token was not accepted",
            )
        return target

    def _proxy(self) -> httpx.Proxy | None:
        try:
            address = proxy_address(self.to)
            if address is None:
                return None
            user, _, password = self.proxy_auth().partition(":") if self.proxy_auth else ("", "", "")
            tls = trusting_proxy(self.to.ca_file) if address.casefold().startswith("https:") else None
            proxy = httpx.Proxy(address, auth=(user, password) if user else None, ssl_context=tls)
            self._tunnel = Tunnel(has_login=bool(user))
            usable = proxy.url.scheme in {"http", "https"}
        except (ValueError, httpx.InvalidURL):
            usable = False
        if not usable:
            raise RemoteError(
                Code.UNREACHABLE,
                f"the proxy address for {urlsplit(self.to.url).hostname} is not usable",
                "check `proxy` of this destination, or the proxy environment variables if it is `env`: http or https, "
                "and a password with each @ # / ? percent-encoded",
            )
        return proxy


def _json_headers(content: bytes) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Length": str(len(content))}


async def _excerpt(response: Response) -> bytes:
    """Return the beginning of a body; less if it is broken or slow, since the status is enough."""
    excerpt = b""
    with contextlib.suppress(RemoteError, httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(EXCERPT_S):
            async for piece in response.chunks():
                excerpt += piece
                if len(excerpt) >= EXCERPT_BYTES:
                    break
    return excerpt[:EXCERPT_BYTES]


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
