"""Connections through a proxy: how far one has come, and what a refusal means. Until the tunnel is open, the proxy is at fault."""

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from licsync_daemon.http.advice import TEMPORARY
from licsync_daemon.http.handshake import Meaning, certificate_meaning, reason_of
from licsync_daemon.http.route import proxy_address
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.text import clean

PORTS = {"https": 443, "http": 80}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(slots=True)
class Tunnel:
    """Follows a request as httpcore's `trace` extension.

    Attributes:
        is_open: Whether the proxy has connected us to the destination, as it has on a connection that is used again.
        has_login: Whether the credential for the proxy is sent.
        challenges: The `Proxy-Authenticate` headers of its refusal.
    """

    is_open: bool = True
    has_login: bool = False
    challenges: list[str] = field(default_factory=list)

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.is_open = False
        elif event == "proxy.start_tls.started":
            self.is_open = True
        elif event == "http11.receive_response_headers.complete" and not self.is_open:
            headers = info["return_value"][3]
            self.challenges = [value.decode("latin-1") for name, value in headers if name.lower() == b"proxy-authenticate"]


def schemes(challenges: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the login methods in `Proxy-Authenticate` headers, each of which may have several (RFC 9110, 11.6.1)."""
    found: list[str] = []
    for part in (part for one in challenges for part in _QUOTED.sub("", one).split(",")):
        name, _, rest = part.strip().partition(" ")
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,30}", name) and not rest.lstrip().startswith("="):
            found.append(name)
    return tuple(dict.fromkeys(found))


def refusal_of_proxy(said: str, challenges: Iterable[str], *, has_login: bool, credential: str) -> Meaning:
    """Return why a proxy refused to connect, and the next step.

    Args:
        said: Its status and reason.
        challenges: Its `Proxy-Authenticate` headers.
        has_login: Whether a user name was sent.
        credential: The name of the credential for this proxy, or where else its login is configured.
    """
    said = clean(said)
    if not said.startswith("407"):
        return Meaning(f"the proxy refused the connection ({said})", "check `proxy` of this destination, and the rules of the proxy")
    offered = schemes(challenges)
    names = " or ".join(offered) or "a method that it does not name"
    if offered and "basic" not in {one.casefold() for one in offered}:
        return Meaning(
            f"the proxy requires a login by {names} ({said}), and licsync-daemon logs in by Basic only",
            "no user name and password can help: ask the operator of the proxy to let this machine through without a login, or to offer "
            "Basic; or set `proxy` to a local proxy that logs in for it",
        )
    if has_login:
        return Meaning(f"the proxy did not accept the login; it offers {names} ({said})", f"check USER:PASSWORD in {credential}")
    return Meaning(f"the proxy requires a login by {names} ({said})", f"put USER:PASSWORD into {credential}")


def login_place(to: Destination) -> str:
    """Return where the login for the proxy of a destination is configured, in words."""
    if to.proxy_auth:
        return f"the credential {to.proxy_auth[0]} (`proxy_auth`)"
    return "the proxy's address in HTTPS_PROXY" if to.proxy == "env" else "`proxy_auth` of this destination"


def proxy_name(to: Destination) -> str:
    """Return host and port of the proxy of a destination, without its login."""
    parts = urlsplit(proxy_address(to) or "")
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or PORTS.get(parts.scheme, 80)}"


def not_through(operation: str, to: Destination, error: BaseException, why: str | None) -> RemoteError:
    """Return the error for a connection that ended before the proxy connected it; `why` says so of a connection that was never made."""
    who = proxy_name(to)
    if why is not None:
        step = "check `proxy`, DNS, the firewall and that the proxy is up"
        return RemoteError(Code.UNREACHABLE, f"{operation}: no connection to the proxy: {why}", step, transient=True)
    if isinstance(error, ssl.SSLError):
        said = certificate_meaning(error, who) if isinstance(error, ssl.SSLCertVerificationError) else None
        cause = f"{operation}: TLS with the proxy {who} itself failed{f': {said.cause}' if said else ''} ({reason_of(error)})"
        step = said.next_step if said else 'check that this port of the proxy expects TLS; if it does not, write its address with "http://"'
        return RemoteError(Code.TLS_FAILED, cause, step)
    if isinstance(error, TimeoutError):
        step = "check that the proxy is up, and that it can reach the destination"
        return RemoteError(Code.TIMEOUT, f"{operation}: the proxy {who} did not connect in time", step, transient=True)
    step = f"{TEMPORARY}; if it persists, check that `proxy` is the address of an HTTP proxy, and its own log"
    return RemoteError(
        Code.CONNECTION_LOST, f"{operation}: the proxy {who} closed the connection instead of connecting", step, transient=True
    )
