"""The only place that builds TLS contexts: which CAs are trusted, and which certificate this machine presents."""

import ssl
from pathlib import Path

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination


def tls_context(to: Destination) -> ssl.SSLContext:
    """Return the context for a destination: its CA file, and its client certificate if it has one.

    Raises:
        RemoteError: `TLS_FAILED`: a file cannot be used.
    """
    context = trusting(to.ca_file)
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


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the CAs in a file, or the system's.

    The minimum of TLS 1.2 is explicit: without it, Debian's Python allows whatever its OpenSSL was built for. So are the X.509 flags, which
    `ssl.create_default_context` sets differently from Python 3.13 on: certificates of many company CAs lack extensions that the strict
    check requires, and curl, git and browsers accept them. A CA certificate in `ca_file` need not be self-signed, as with these.

    Raises:
        RemoteError: `TLS_FAILED`: the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise RemoteError(
            Code.TLS_FAILED, f"the CA certificates in {ca_file} cannot be read: {error}", "check `ca_file`: it must be a readable PEM file"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def trusting_proxy(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context for an https proxy: it may be the company's, like the CA of the destination, or a public one.

    Raises:
        RemoteError: As `trusting`.
    """
    context = trusting(None)
    if ca_file is not None:
        trusting(ca_file)  # raises for a file that cannot be read
        context.load_verify_locations(ca_file)
    return context


def trusting_none() -> ssl.SSLContext:
    """Return a context that trusts no CA, for connections without TLS; it is cheap to build."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def inspecting(certificate: bytes | None = None) -> ssl.SSLContext:
    """Return a context that accepts any certificate, or trusts exactly this one (DER). Only for reading it; nothing may be sent."""
    context = trusting_none()
    context.check_hostname = False
    if certificate is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=certificate)
    return context


def _no_passphrase() -> str:
    """Raise instead of letting OpenSSL prompt on a terminal, where a daemon would wait forever."""
    raise ValueError("the key has a passphrase")
