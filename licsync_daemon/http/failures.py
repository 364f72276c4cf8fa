"""What httpx could not do, in our words."""

import ssl
from urllib.parse import urlsplit

import httpx

from licsync_daemon.http.wire import Side
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination


def translated(error: httpx.HTTPError, operation: str, to: Destination, side: Side) -> RemoteError:
    """Say in our words what httpx could not do; the cause chain tells TLS and name resolution from a refused connection."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    host = urlsplit(to.url).hostname or to.url
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return tls_failed(cause, operation)
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


def tls_failed(error: ssl.SSLError, operation: str) -> RemoteError:
    """Say in our words why no TLS connection came about, and whose certificate it is about."""
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
