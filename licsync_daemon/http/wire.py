"""Rules of the wire without any I/O: what a refusal means, how long to wait, which link may be followed, what JSON is acceptable.

Headers are given as a mapping with lower-case keys.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin, urlsplit

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.text import clean, read_date

LONGEST_WAIT = timedelta(days=30)  # what a far side asks for beyond that is taken for a mistake


class Side(StrEnum):
    """Whom we talk to; it decides what a refusal means and what to do about it."""

    INSTANCE = "instance"
    CLOUD = "cloud"  # an enterprise
    ORGANIZATION = "organization"
    DELIVERY = "delivery"
    WEBHOOK = "webhook"


Headers = Mapping[str, str]

_UNAUTHORIZED = {
    Side.INSTANCE: "create a classic token with the scope `site_admin` for the configured `username` and put it into the credential file",
    Side.CLOUD: "create a classic token with the scope `read:enterprise` as an enterprise owner and put it into `cloud__token`",
    Side.ORGANIZATION: "create a token of an owner of the organization that may read its plan and put it into `cloud__token`",
    Side.DELIVERY: "ask who runs the delivery endpoint for a valid token and put it into the delivery's credential file",
    Side.WEBHOOK: "ask who runs the webhook for a valid token and put it into notify__webhook__token",
}
# Candidates of a 403 that is no rate limit. Source: docs.github.com, "Troubleshooting the REST API" and the pages on IP allow lists, SSO
# authorization of tokens and token policies (checked 2026-11-24).
_FORBIDDEN = {
    Side.INSTANCE: "check that the token's owner is a site administrator and that the token has the scope `site_admin`",
    Side.CLOUD: (
        "check in this order: this machine's egress address is on the enterprise's IP allow list; the token is authorized for SSO; "
        "classic tokens are not restricted by policy; the token's owner is an enterprise owner"
    ),
    Side.ORGANIZATION: (
        "check in this order: this machine's egress address is on the organization's IP allow list; the token is authorized for SSO; "
        "tokens of this kind are not restricted by policy; the token's owner is an owner of the organization"
    ),
    Side.DELIVERY: "check that the delivery token may upload usage",
    Side.WEBHOOK: "check that the webhook's token may post",
}
_NOT_FOUND = {
    Side.INSTANCE: "GitHub answers 404 to anybody but site administrators: check the token's owner and scope, then the hostname",
    Side.CLOUD: "check `cloud.enterprise` and that the token's owner is an owner of it with the scope `read:enterprise`",
    Side.ORGANIZATION: "check `cloud.organization` and that the token's owner is a member of it",
    Side.DELIVERY: "check the delivery's `url`",
    Side.WEBHOOK: "check `notify.webhook.url`, and the credential notify__webhook__secret_path if part of the address is a secret",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFacts:
    """What the headers of a far side's answers tell beside the answers; None where they say nothing.

    Attributes:
        date: The far side's clock.
        deprecation: Its own words, cleaned: what was asked for will go away.
        sunset_at: When it will.
        api_version: The version of the interface that was chosen.
        enterprise_version: The release of a GHES.
        scopes: Of a classic token; other kinds have none.
        token_expires_at: When the token ends.
        sso: "required" or "partial-results": the token is not authorized for single sign-on.
        remaining: How many requests of the rate limit are left.
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
        """Lay what a later answer tells over this; what it is silent about stays."""
        newer = facts_of(headers)
        told = {one.name: value for one in fields(newer) if (value := getattr(newer, one.name)) is not None}
        return replace(self, **told)


def facts_of(headers: Headers) -> AnswerFacts:
    """Read what one answer's headers tell."""
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
        sso=(_words(headers, "x-github-sso") or "").partition(";")[0] or None,  # what follows is an address with a key in it
        remaining=int(remaining) if re.fullmatch(r"[0-9]{1,9}", remaining) else None,
    )


def _words(headers: Headers, name: str) -> str | None:
    return clean(headers.get(name, "").strip()) or None


_EXPIRY = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (UTC|[+-]\d{4})")


def _expiry(text: str, date: datetime | None) -> datetime | None:
    """Read when a token ends: `2026-12-01 09:00:00 UTC`, or with an offset.

    For fine-grained tokens GitHub was seen to send the present instead (https://github.com/google/go-github/issues/3708, read 2026-11-24):
    what is as good as now says nothing. A token that has ended is answered 401 anyway.
    """
    found = _EXPIRY.fullmatch(text.strip())
    moment = read_date(f"{found[1]}T{found[2]}{found[3].replace('UTC', '+0000')}") if found else None
    is_now = moment is not None and date is not None and abs(moment - date) < timedelta(minutes=5)
    return None if is_now else moment


def basic(username: str, password: str) -> str:
    """Return the `Authorization` value of basic authentication."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def refusal(side: Side, operation: str, status: int, headers: Headers, body: bytes) -> RemoteError:
    """Turn a response that is not the wanted one into an error with a code, a cause and a next step.

    Args:
        side: Whom the request went to.
        operation: What was asked of whom, for people: "license-sync-status of octo-enterprise".
        status: HTTP status code.
        headers: The response's, keys in lower case.
        body: Its first bytes; GitHub's own message in them is quoted.
    """
    said = message_of(body)
    is_quoted = said and side is not Side.WEBHOOK  # which may repeat the address it was asked for, a part of which may be a secret
    cause = f"{operation} was answered {status}" + (f': "{said}"' if is_quoted else "")

    def error(code: Code, next_step: str, *, transient: bool = False, retry_after: timedelta | None = None) -> RemoteError:
        return RemoteError(code, cause, next_step, transient=transient, retry_after=retry_after, status=status)

    if is_rate_limit(status, headers, said):
        wait = stated_wait(headers)
        return error(Code.RATE_LIMITED, "nothing to do: it is tried again when the limit allows", transient=True, retry_after=wait)
    match status:
        case 401:
            return error(Code.UNAUTHORIZED, _UNAUTHORIZED[side])
        case 403:
            return error(Code.FORBIDDEN, _FORBIDDEN[side])
        case 404:
            return error(Code.NOT_FOUND, _NOT_FOUND[side])
        case 410:
            return error(Code.API_VERSION_RETIRED, "set `api_version` to one the far side still supports, or update licsync-daemon")
        case 413 if side is Side.DELIVERY:
            return error(Code.UPLOAD_TOO_LARGE, "ask who runs the delivery endpoint to raise its limit")
        case 409 if side is Side.DELIVERY:
            return error(Code.UPLOAD_CONFLICT, "the endpoint holds other content under this key: report this to who runs it")
        case 422 if side is Side.DELIVERY:
            return error(Code.UPLOAD_REFUSED, "compare `$licsync payload INSTANCE` with docs/delivery-openapi.yaml")
        case 503 if side is Side.INSTANCE:
            return error(
                Code.MAINTENANCE,
                "nothing to do if maintenance is planned; otherwise look at the instance's Management Console",
                transient=True,
                retry_after=stated_wait(headers),
            )
        case 408 | 500 | 502 | 503 | 504:
            return error(
                Code.SERVER_ERROR, "nothing to do if it passes: it is tried again", transient=True, retry_after=stated_wait(headers)
            )
        case _ if status >= 500:
            return error(Code.SERVER_ERROR, "nothing to do if it passes: it is tried again", transient=True)
        case _ if side is Side.WEBHOOK:
            return error(Code.REJECTED, "check `notify.webhook.url`, and whether what is there takes the form of docs/notifications.md")
        case _:
            return error(Code.REJECTED, "look at the quoted answer; if it makes no sense, report it with the run's id")


def is_rate_limit(status: int, headers: Headers, said: str) -> bool:
    """Return whether a refusal is a rate limit. GitHub uses 429 and also 403, then with no header at all but words in the body.

    Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (checked 2026-11-24).
    """
    if status == 429:
        return True
    return status == 403 and (
        "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said.lower() or "abuse" in said.lower()
    )


def stated_wait(headers: Headers) -> timedelta | None:
    """Return how long the far side asks to be left alone, or None.

    `Retry-After` in seconds or as an HTTP date; else `x-ratelimit-reset` (epoch seconds) when nothing remains. Dates are compared with the
    response's own `Date`, so that a wrong clock here does not matter. Never negative, never over 30 days; nonsense counts as not stated.
    """
    wait = _stated(headers)
    return None if wait is None else min(max(timedelta(0), wait), LONGEST_WAIT)


def _stated(headers: Headers) -> timedelta | None:
    now = http_date(headers.get("date", "")) or datetime.now(UTC)
    retry_after = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        return timedelta(seconds=int(retry_after))
    if (moment := http_date(retry_after)) is not None:
        return moment - now
    reset = headers.get("x-ratelimit-reset", "").strip()
    if headers.get("x-ratelimit-remaining", "").strip() == "0" and re.fullmatch(r"[0-9]{1,11}", reset):
        return datetime.fromtimestamp(int(reset), UTC) - now
    return None


def http_date(text: str) -> datetime | None:
    """Read an HTTP date as aware UTC; None if it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def message_of(body: bytes) -> str:
    """Return the far side's own words: `message` or `detail` of a JSON body, cleaned and cut; "" where there are none."""
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
    """Return the address of the next page, or None on the last one. Only the same origin is ever followed.

    Raises:
        RemoteError: The link leaves the origin or points at the page itself.
    """
    for target, parameters in _NEXT.findall(headers.get("link", "")[:8192]):
        if re.search(r";\s*rel\s*=\s*\"?next\"?\s*(?:;|$)", parameters + ";", re.IGNORECASE):
            address = joined(current, target.strip())
            if address is None or not same_origin(address, current) or address == current:
                raise RemoteError(
                    Code.BAD_RESPONSE,
                    f"{operation} links to a next page that may not be followed",
                    "check what stands between licsync and the far side (a proxy that rewrites links?)",
                )
            return address
    return None


def joined(base: str, target: str) -> str | None:
    """Return where a link on `base` leads; None where it is no address at all."""
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
    """Decode JSON strictly: no NaN, no Infinity, no key twice, no bottomless nesting, no half of a character.

    Raises:
        RemoteError: `BAD_RESPONSE`, or with a hint when the body is a web page.
    """
    try:
        found = json.loads(body, parse_constant=_refuse, object_pairs_hook=_unique)
        if _SURROGATE.search(body):  # whole pairs are one character by now; a lone half can neither be stored nor sent
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        looks_like_page = body.lstrip()[:1] == b"<"
        raise RemoteError(
            Code.BAD_RESPONSE,
            f"{operation} answered {'a web page' if looks_like_page else 'something'} that is not JSON",
            "check that the address is the API's, and that no sign-in or maintenance page stands in front of it",
        ) from error
    return found


def _refuse(literal: str) -> Any:
    raise ValueError(literal)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found
