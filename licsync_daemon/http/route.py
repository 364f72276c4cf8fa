"""Which proxy a destination is reached through."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from licsync_daemon.model.instance import Destination


def proxy_address(to: Destination) -> str | None:
    """Return the address of the proxy for a destination, as `proxy` configures it; None for a direct connection."""
    return environment_proxy(to.url) if to.proxy == "env" else to.proxy


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment variables name for an address, or None if `NO_PROXY` applies. It may contain a password."""
    parts = urlsplit(url)
    address = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    # Environment variables often omit the scheme.
    return f"http://{address}" if address and "://" not in address else address
