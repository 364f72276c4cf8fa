"""What a failed connection means: an exception of httpx or TLS becomes an error code, a cause and a next step."""

import ssl
from urllib.parse import urlsplit

import httpx

from licsync_daemon.http.advice import TEMPORARY, Side
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination


def translated(error: httpx.HTTPError, operation: str, to: Destination, side: Side) -> RemoteError:
    """Return the error for an exception of httpx; its cause chain tells TLS and name resolution from a refused connection."""
    chain = _causes(error)
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return tls_failed(cause, operation)
    if isinstance(error, httpx.ProxyError):
        return RemoteError(
            Code.UNREACHABLE,
            f"{operation}: the proxy refused the connection ({error})",
            "check `proxy` and `proxy_auth` of this destination",
            transient=True,
        )
    if isinstance(error, httpx.ConnectError):
        what = _unreachable(urlsplit(to.url).hostname or to.url, chain)
        return RemoteError(Code.UNREACHABLE, f"{operation}: {what}", "check DNS, the firewall and that the server is up", transient=True)
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return RemoteError(
            Code.CONNECTION_LOST,
            f"{operation}: the connection was lost before the exchange was complete",
            f"{TEMPORARY}{_refused_unread(to, side)}",
            transient=True,
        )
    return RemoteError(Code.BAD_RESPONSE, f"{operation} failed ({type(error).__name__})", "report this with the run ID")


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception and everything that caused it."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def _unreachable(host: str, chain: list[BaseException]) -> str:
    words = " ".join(map(str, chain)).lower()
    if any(sign in words for sign in ("name or service", "name resolution", "getaddrinfo", "no address", "nodename")):
        return f"the name {host} cannot be resolved"
    return f"{host} cannot be reached (connection refused or no route)"


def _refused_unread(to: Destination, side: Side) -> str:
    """Return what to check if an endpoint always closes the connection: it may refuse the upload before reading all of it.

    The response is then lost. The same happens if the endpoint requires a client certificate, which TLS 1.3 reports after the handshake.
    """
    if side is not Side.DELIVERY:
        return ""
    has_no_certificate = to.client_cert is None and to.url.startswith("https:")
    certificate = " or as sent without a client certificate (set `client_cert` and `client_key`)" if has_no_certificate else ""
    return f"; if the error persists, ask the endpoint's operator whether the upload is rejected early, as too large{certificate}"


def tls_failed(error: ssl.SSLError, operation: str) -> RemoteError:
    """Return the error for a failed TLS connection, which names whose certificate was not accepted."""
    reason = error.reason or "handshake failed"
    why = str(getattr(error, "verify_message", None) or reason).replace("_", " ").lower()
    # The server sends an alert about our side. TLS 1.2 reports a missing client certificate as a failed handshake only.
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE")):
        return RemoteError(
            Code.TLS_FAILED,
            f"{operation}: the server requires a client certificate, or rejected the one that was sent ({why})",
            "set `client_cert` and `client_key` of the delivery, and ask its operator which CA must issue them",
        )
    return RemoteError(
        Code.TLS_FAILED,
        f"{operation}: the certificate or the TLS connection was not accepted ({why})",
        "if your own CA issued the certificate, set `ca_file`; an expired or wrong certificate must be renewed on the server",
    )
