"""How to get to a destination: through which proxy, and whom to trust there."""

import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination


def proxy_address(to: Destination) -> str | None:
    """Return the address of the proxy that stands before a destination, as `proxy` says; None for a direct connection."""
    return environment_proxy(to.url) if to.proxy == "env" else to.proxy


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the process's environment names for an address, `NO_PROXY` obeyed. It may hold a password."""
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
    """Return what OpenSSL would otherwise ask for on a terminal, where a daemon would wait for ever."""
    raise ValueError("the key has a passphrase")
