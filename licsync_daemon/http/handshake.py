"""What a failed TLS handshake means: the alert of the server, or the error of our own OpenSSL, in words. Pure.

Alert names: RFC 8446, section 6.2, as OpenSSL spells them in `SSLError.reason`.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

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
# OpenSSL's numbers (X509_V_ERR_… in x509_vfy.h). Source:
# https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/ (checked 2026-11-24).
NOT_YET_VALID, EXPIRED, WRONG_NAME, WRONG_ADDRESS = 9, 10, 62, 64
SELF_SIGNED = 18
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
WEAK = frozenset({66, 67, 68, 76})
STRICT = frozenset(range(79, 95))  # an extension that RFC 5280 requires is missing or wrong
NO_AUTHORITY_KEY = 85
KNOWN = UNKNOWN_ISSUER | WEAK | {NOT_YET_VALID, EXPIRED, WRONG_NAME, WRONG_ADDRESS}

NO_INTERMEDIATE = "the server does not send its intermediate certificate"
OF_AN_ISSUER = (
    "if it is your own CA or the CA of your TLS-inspecting proxy, set `ca_file` to its PEM file; if `ca_file` has the root already, let "
    "the server send the intermediate certificate too, or add it to `ca_file`"
)
SELF_SIGNED_STEP = "this certificate, or replace it by one of a CA that this machine trusts"


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
        return certificate_meaning(error, (urlsplit(to.url).hostname if to is not None else None) or "the server")
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


def certificate_meaning(error: ssl.SSLCertVerificationError, of: str) -> Meaning:
    """Return why the certificate of a server or a proxy was not accepted."""
    return fault_of_certificate(error.verify_code, of)


def fault_of_certificate(code: int, of: str) -> Meaning:
    """Return what OpenSSL's number of a certificate error means for the certificate of `of`."""
    if code == EXPIRED:
        return Meaning(f"the certificate of {of} has expired", f"renew the certificate of {of}")
    if code == NOT_YET_VALID:
        return Meaning(f"the certificate of {of} is not valid yet", "check this machine's clock, then the certificate")
    if code in {WRONG_NAME, WRONG_ADDRESS}:
        return Meaning(f"the certificate is not for {of}", f"configure a name that the certificate contains, or get a certificate for {of}")
    if code == SELF_SIGNED:
        return Meaning(f"the certificate of {of} is self-signed and not trusted", f"set `ca_file` to a PEM file with {SELF_SIGNED_STEP}")
    if code in UNKNOWN_ISSUER:
        return Meaning(f"the certificate of {of} was issued by a CA that is not trusted, or {NO_INTERMEDIATE}", OF_AN_ISSUER)
    if code in STRICT:
        lacks = "no authority key identifier" if code == NO_AUTHORITY_KEY else "an extension that is missing or not as RFC 5280 requires"
        return Meaning(
            f"the certificate of {of}, or of a CA above it, has {lacks}",
            "have the CA reissue it with the extensions that RFC 5280 requires; renewing it unchanged does not help",
        )
    if code in WEAK:
        return Meaning(f"the certificate of {of}, or of a CA above it, has a key or signature that is too weak", f"reissue it for {of}")
    return Meaning(f"the certificate of {of} was not accepted", f"check the certificate of {of} and of the CAs above it")


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
