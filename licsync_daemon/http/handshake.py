"""What a failed TLS handshake means: the alert of the server, or the error of our own OpenSSL, in words. Pure.

Alert names: RFC 8446, section 6.2, as OpenSSL spells them in `SSLError.reason`.
"""

import ssl
from dataclasses import dataclass

from licsync_daemon.http.advice import TEMPORARY, Side
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import Destination

# A server's alert with one of these is about the certificate that this machine presented, or about its absence.
_ABOUT_OURS = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "NO_CERTIFICATE",
)
_NOTHING_COMMON = (
    "PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
    "INSUFFICIENT_SECURITY",
    "NO_SHARED_CIPHER",
    "NO_CIPHERS_AVAILABLE",
    "WRONG_CIPHER_RETURNED",
    "WRONG_SSL_VERSION",
    "KEY_TOO_SMALL",
    "VERSION_TOO_LOW",
    "LEGACY_RENEGOTIATION",
)
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "BAD_RECORD_TYPE")

CHECK_TLS = "check that the server supports TLS 1.2 or later with common ciphers, and that no device in between intercepts TLS"
OF_A_SERVER = "for a certificate of your own CA set `ca_file`; an expired or wrong certificate must be renewed on the server"


@dataclass(frozen=True, slots=True)
class Meaning:
    """Why a handshake failed, and the next step."""

    cause: str
    next_step: str


def tls_failed(error: ssl.SSLError, operation: str, to: Destination, side: Side) -> RemoteError:
    """Return the error for a failed TLS connection."""
    if is_closed(error):
        return broken_off(operation, "closed")
    said = meaning(error, to, side)
    return RemoteError(Code.TLS_FAILED, f"{operation}: {said.cause} ({reason_of(error)})", said.next_step)


def broken_off(operation: str, how: str) -> RemoteError:
    """Return the error for a connection that ended during the handshake, without a word."""
    step = f"{TEMPORARY}; if it persists, check that this port expects TLS 1.2 or later, and that no firewall or proxy cuts it off"
    return RemoteError(Code.CONNECTION_LOST, f"{operation}: the connection was {how} during the TLS handshake", step, transient=True)


def is_closed(error: ssl.SSLError) -> bool:
    """Say whether the server closed the connection instead of answering."""
    return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "UNEXPECTED_EOF" in (error.reason or "")


def reason_of(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason in words."""
    reason = getattr(error, "verify_message", None) or error.reason or "handshake failed"
    return str(reason).replace("_", " ").lower()


def meaning(error: ssl.SSLError, to: Destination | None = None, side: Side | None = None) -> Meaning:
    """Return why the handshake with a destination failed, or with a server of another protocol."""
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Meaning("the server's certificate was not accepted", OF_A_SERVER)
    if "ALERT" in reason and any(name in reason for name in _ABOUT_OURS):
        return _certificate_wanted(side)
    if "HANDSHAKE_FAILURE" in reason:
        return _handshake_failure(to, side)
    if any(name in reason for name in _NOTHING_COMMON):
        return Meaning("no TLS version or cipher in common with the server", CHECK_TLS)
    if any(name in reason for name in _NOT_TLS):
        return Meaning(
            "the response is not TLS", "check the address and its port, and that no proxy or firewall answers instead of the server"
        )
    if "UNRECOGNIZED_NAME" in reason:
        return Meaning("the server does not serve this host name over TLS", "check the host name in the address")
    return Meaning("the TLS connection failed", CHECK_TLS)


def _certificate_wanted(side: Side | None) -> Meaning:
    cause = "the server requires a client certificate, or does not accept the one it got"
    if side is Side.DELIVERY:
        return Meaning(cause, "set `client_cert` and `client_key` of the delivery, and ask its operator which CA must issue them")
    step = "a client certificate can be configured for deliveries only: check the address, and that no device in between intercepts TLS"
    return Meaning(cause, step)


def _handshake_failure(to: Destination | None, side: Side | None) -> Meaning:
    """TLS 1.2 has one alert for a missing client certificate and for having no version or cipher in common."""
    cause = "no TLS version or cipher in common with the server"
    if to is None or side is not Side.DELIVERY:
        return Meaning(cause, CHECK_TLS)
    other = "the server requires a client certificate" if to.client_cert is None else "it does not accept our client certificate"
    step = "ask the endpoint's operator which of the two it is; for the certificate, set `client_cert` and `client_key` of the delivery"
    return Meaning(f"{cause}, or {other}", step)
