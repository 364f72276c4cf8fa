"""What a failed connection means: an exception of httpx or TLS becomes an error code, a cause and a next step."""

import os
import socket
import ssl
from urllib.parse import urlsplit

import httpx

from licsync_daemon.http.advice import TEMPORARY, Side
from licsync_daemon.http.handshake import broken_off, is_closed, tls_failed
from licsync_daemon.http.route import proxy_address
from licsync_daemon.http.tunnel import Tunnel, login_place, not_through, refusal_of_proxy
from licsync_daemon.model.causes import causes, out_of_files
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination

WAITING = ssl.SSLWantReadError | ssl.SSLWantWriteError  # no failures: asyncio has not the bytes yet


def translated(error: httpx.HTTPError, operation: str, to: Destination, side: Side, tunnel: Tunnel) -> RemoteError:
    """Return the error for an exception of httpx; its cause chain tells TLS and name resolution from a refused connection."""
    chain = causes(error)
    if (own := out_of_files(error)) is not None:
        return own
    tls = _tls_error(chain)
    if not tunnel.is_open and proxy_address(to) is not None:
        return _before_the_tunnel(error, operation, to, tunnel)
    if tls is not None and (isinstance(error, httpx.ConnectError) or not is_closed(tls)):
        return tls_failed(tls, operation, to, side)
    if isinstance(error, httpx.ConnectError):
        return _not_connected(operation, to, chain)
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return RemoteError(
            Code.CONNECTION_LOST,
            f"{operation}: the connection was lost before the exchange was complete",
            f"{TEMPORARY}{_refused_unread(to, side)}",
            transient=True,
        )
    return RemoteError(Code.BAD_RESPONSE, f"{operation} failed ({type(error).__name__})", "report this with the run ID")


def _before_the_tunnel(error: httpx.HTTPError, operation: str, to: Destination, tunnel: Tunnel) -> RemoteError:
    if isinstance(error, httpx.ProxyError):
        has_login = bool(urlsplit(proxy_address(to) or "").username) or tunnel.has_login
        said = refusal_of_proxy(str(error), tunnel.challenges, has_login=has_login, credential=login_place(to))
        return RemoteError(Code.UNREACHABLE, f"{operation}: {said.cause}", said.next_step, transient=True)
    tls, failed = _tls_error(causes(error)), _system_error(causes(error))
    is_lost = isinstance(failed, ConnectionResetError | ConnectionAbortedError | BrokenPipeError)
    why = None
    if isinstance(error, httpx.ConnectError) and tls is None and not is_lost:
        why = unreachable(urlsplit(proxy_address(to) or "").hostname or "", failed)
    return not_through(operation, to, tls or error, why)


def _not_connected(operation: str, to: Destination, chain: list[BaseException]) -> RemoteError:
    failed = _system_error(chain)
    if isinstance(failed, ConnectionResetError | ConnectionAbortedError | BrokenPipeError) and to.url.startswith("https:"):
        return broken_off(operation, "reset")
    what = unreachable(urlsplit(to.url).hostname or "the server", failed)
    return RemoteError(Code.UNREACHABLE, f"{operation}: {what}", "check DNS, the firewall and that the server is up", transient=True)


def _tls_error(chain: list[BaseException]) -> ssl.SSLError | None:
    return next((one for one in chain if isinstance(one, ssl.SSLError) and not isinstance(one, WAITING)), None)


def _system_error(chain: list[BaseException]) -> OSError | None:
    return next((one for one in chain if isinstance(one, OSError) and not isinstance(one, ssl.SSLError) and one.errno is not None), None)


def unreachable(host: str, error: OSError | None) -> str:
    """Say why there is no connection to a host, in the words of the system."""
    if isinstance(error, socket.gaierror):
        return f"the name {host} cannot be resolved"
    number = error.errno if error is not None else None
    return f"{host} cannot be reached ({os.strerror(number).lower() if number is not None else 'no connection'})"


def _refused_unread(to: Destination, side: Side) -> str:
    """Return what to check if an endpoint always closes the connection: it may refuse the upload before reading all of it.

    The response is then lost. The same happens if the endpoint requires a client certificate, which TLS 1.3 reports after the handshake.
    """
    if side is not Side.DELIVERY:
        return ""
    has_no_certificate = to.client_cert is None and to.url.startswith("https:")
    certificate = " or as sent without a client certificate (set `client_cert` and `client_key`)" if has_no_certificate else ""
    return f"; if the error persists, ask the endpoint's operator whether the upload is rejected early, as too large{certificate}"
