"""What a server's certificate says, as far as a check reports it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from licsync_daemon.model.text import clean


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate.

    Attributes:
        issuer: The CA that issued it.
        ends_at: When it expires.
        names: The hosts it is valid for.
        is_alone: Whether another CA issued it and the server sent no further certificate, as with an intermediate that is not sent.
    """

    issuer: str
    ends_at: datetime
    names: tuple[str, ...]
    is_alone: bool = False


def certificate_of(fields: Mapping[str, Any]) -> Certificate:
    """Parse the fields of an accepted certificate, as `ssl` returns them."""
    issuer = {key: value for part in fields.get("issuer", ()) for key, value in part}
    return Certificate(
        clean(issuer.get("organizationName") or issuer.get("commonName") or "unknown issuer"),
        datetime.fromtimestamp(ssl.cert_time_to_seconds(fields["notAfter"]), UTC),
        tuple(clean(name) for _, name in fields.get("subjectAltName", ())),
    )


def sent_certificates(connection: ssl.SSLObject) -> int | None:
    """Return how many certificates the server sent; None if this Python does not tell."""
    inside = getattr(connection, "_sslobj", connection)  # public only from Python 3.13 on
    read = getattr(connection, "get_unverified_chain", None) or getattr(inside, "get_unverified_chain", None)
    return len(read() or ()) if read is not None else None
