"""Which proxy a destination is reached through."""

import re
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from licsync_daemon.http.no_proxy import is_excepted
from licsync_daemon.model.instance import Destination
from licsync_daemon.model.secrets import remember
from licsync_daemon.settings.addresses import is_loopback, is_refused

# In a password, each of @ # / ? must be percent-encoded: unencoded, a part of it would be taken for the host and looked up.
_PROXY = re.compile(r"https?://(?:[^\s@/?#\\]*@)?[^\s@/?#\\]+/?", re.IGNORECASE)


def proxy_address(to: Destination) -> str | None:
    """Return the address of the proxy for a destination, as `proxy` configures it; None for a direct connection.

    Plain http to this machine, the only plain http that settings allow, never goes through a proxy, which could read the token.

    Raises:
        ValueError: As `environment_proxy`.
    """
    parts = urlsplit(to.url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return None
    return environment_proxy(to.url) if to.proxy == "env" else to.proxy


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment variables name for an address, or None if `NO_PROXY` applies. It may contain a password.

    Raises:
        ValueError: It is not an address, contains a stray @ # / or ?, or leads to a link-local or metadata address. The message repeats
            no part of it.
    """
    address = _named(url)
    if address is None:
        return None
    if not _PROXY.fullmatch(address) or is_refused(urlsplit(address).hostname or ""):
        raise ValueError("not the address of a proxy")
    remember(unquote(urlsplit(address).password or ""))
    return address


def is_behind_proxy(url: str) -> bool:
    """Say whether the environment variables name a proxy for an address, usable or not."""
    return _named(url) is not None


def _named(url: str) -> str | None:
    parts, proxies = urlsplit(url), getproxies()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = None if is_excepted(parts.hostname or "", port, proxies.get("no", "")) else proxies.get(parts.scheme)
    # Environment variables often omit the scheme.
    return f"http://{address}" if address and "://" not in address else address
