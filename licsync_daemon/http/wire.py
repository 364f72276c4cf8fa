"""Rules of the wire, without I/O: facts in headers, stated waits, page links, origins, and strict JSON.

Headers are a mapping with lower-case keys.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

from licsync_daemon.model.decode import http_date, read_date
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.text import clean

LONGEST_WAIT = timedelta(days=30)  # a longer stated wait is treated as a mistake


Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFacts:
    """What the headers of a server's responses report; None where they report nothing.

    Attributes:
        date: The server's clock.
        deprecation: The deprecation notice for the requested interface, cleaned.
        sunset_at: When the interface is removed.
        api_version: The selected version of the interface.
        enterprise_version: The release of a GHES.
        scopes: The scopes of a classic token; other kinds report none.
        token_expires_at: When the token expires.
        sso: "required" or "partial-results" if the token is not authorized for single sign-on.
        remaining: The requests left in the rate limit.
    """

    date: datetime | None = None
    deprecation: str | None = None
    sunset_at: datetime | None = None
    api_version: str | None = None
    enterprise_version: str | None = None
    scopes: tuple[str, ...] | None = None
    token_expires_at: datetime | None = None
    sso: str | None = None
    remaining: int | None = None

    def then(self, headers: Headers) -> "AnswerFacts":
        """Return these facts updated with those of a later response; a fact that it does not report stays."""
        newer = facts_of(headers)
        reported = {one.name: value for one in fields(newer) if (value := getattr(newer, one.name)) is not None}
        return replace(self, **reported)


def facts_of(headers: Headers) -> AnswerFacts:
    """Read the facts in the headers of one response."""
    date = http_date(headers.get("date", ""))
    remaining = headers.get("x-ratelimit-remaining", "").strip()
    scopes = headers.get("x-oauth-scopes")
    return AnswerFacts(
        date=date,
        deprecation=_words(headers, "deprecation"),
        sunset_at=http_date(headers.get("sunset", "")),
        api_version=_words(headers, "x-github-api-version-selected"),
        enterprise_version=_words(headers, "x-github-enterprise-version"),
        scopes=None if scopes is None else tuple(scope for part in scopes.split(",") if (scope := clean(part.strip()))),
        token_expires_at=_expiry(headers.get("github-authentication-token-expiration", ""), date),
        sso=(_words(headers, "x-github-sso") or "").partition(";")[0] or None,  # the rest is an address with a key in it
        remaining=int(remaining) if re.fullmatch(r"[0-9]{1,9}", remaining) else None,
    )


def _words(headers: Headers, name: str) -> str | None:
    return clean(headers.get(name, "").strip()) or None


def _expiry(text: str, date: datetime | None) -> datetime | None:
    """Read when a token expires: `2026-12-01 09:00:00 UTC`, or with an offset.

    For fine-grained tokens GitHub may send the current time instead (https://github.com/google/go-github/issues/3708, read 2026-11-24), so
    a time within five minutes of now is ignored. An expired token gets a 401 anyway.
    """
    moment = read_date(text)
    is_now = moment is not None and date is not None and abs(moment - date) < timedelta(minutes=5)
    return None if is_now else moment


def basic(username: str, password: str) -> str:
    """Return the `Authorization` value of basic authentication."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def is_rate_limit(status: int, headers: Headers, said: str) -> bool:
    """Return whether a refusal is a rate limit. GitHub uses 429, and also 403, sometimes with no sign but the message in the body.

    Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (checked 2026-11-24).
    """
    if status == 429:
        return True
    return status == 403 and (
        "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said.lower() or "abuse" in said.lower()
    )


def stated_wait(headers: Headers) -> timedelta | None:
    """Return how long the server asks clients to wait, or None.

    `Retry-After` in seconds or as an HTTP date; else `x-ratelimit-reset` (epoch seconds) when nothing remains. Dates are compared with the
    response's own `Date`, so a wrong local clock does not matter. Never negative, never over 30 days; invalid counts as not stated.
    """
    wait = _stated(headers)
    return None if wait is None else min(max(timedelta(0), wait), LONGEST_WAIT)


def _stated(headers: Headers) -> timedelta | None:
    now = http_date(headers.get("date", "")) or datetime.now(UTC)
    retry_after = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", retry_after):  # some chat services send fractions
        return timedelta(seconds=float(retry_after))
    if (moment := http_date(retry_after)) is not None:
        return moment - now
    reset = headers.get("x-ratelimit-reset", "").strip()
    if headers.get("x-ratelimit-remaining", "").strip() == "0" and re.fullmatch(r"[0-9]{1,11}", reset):
        return datetime.fromtimestamp(int(reset), UTC) - now
    return None


def message_of(body: bytes) -> str:
    """Return the server's message: `message`, `detail` or `title` of a JSON body, cleaned and shortened; "" if there is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(data, dict):
        return ""
    words = data.get("message") or data.get("detail") or data.get("title")
    return clean(words) if isinstance(words, str) else ""


_NEXT = re.compile(r"<([^<>]*)>((?:\s*;\s*[^,;<>]+)*)")


def next_link(headers: Headers, current: str, operation: str) -> str | None:
    """Return the address of the next page, or None on the last one. Only links within the same origin are followed.

    Raises:
        RemoteError: The link leaves the origin or points at the page itself.
    """
    for target, parameters in _NEXT.findall(headers.get("link", "")[:8192]):
        if re.search(r";\s*rel\s*=\s*\"?next\"?\s*(?:;|$)", parameters + ";", re.IGNORECASE):
            address = joined(current, target.strip())
            if address is None or not same_origin(address, current) or address == current:
                raise RemoteError(
                    Code.BAD_RESPONSE,
                    f"{operation} links to a next page on another server, or to itself",
                    "check for a proxy between licsync-daemon and the server that rewrites links",
                )
            return address
    return None


def joined(base: str, target: str) -> str | None:
    """Return the target of a link on `base`; None if it is not an address."""
    try:
        return urljoin(base, target)
    except ValueError:
        return None


def same_origin(one: str, other: str) -> bool:
    """Return whether two addresses share scheme, host and port."""

    def origin(address: str) -> tuple[str, str, int | None]:
        parts = urlsplit(address)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)

    try:
        return origin(one) == origin(other)
    except ValueError:
        return False


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def decode_json(body: bytes, operation: str) -> Any:
    """Decode JSON strictly: no NaN or Infinity, no duplicate keys, no excessive nesting, no lone surrogates.

    Raises:
        RemoteError: `BAD_RESPONSE`, or with a hint when the body is a web page.
    """
    try:
        found = json.loads(body, parse_constant=_refuse, object_pairs_hook=_unique)
        if _SURROGATE.search(body):  # pairs are decoded by now; a lone surrogate can be neither stored nor sent
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        looks_like_page = body.lstrip()[:1] == b"<"
        raise RemoteError(
            Code.BAD_RESPONSE,
            f"{operation} returned {'a web page instead of JSON' if looks_like_page else 'content that is not JSON'}",
            "check that the address is the API's, and that no sign-in or maintenance page is served in front of it",
        ) from error
    return found


def _refuse(literal: str) -> Any:
    raise ValueError(literal)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found
