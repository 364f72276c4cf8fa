"""What the responses of a server mean: a token's owner, permissions and expiration; clocks, versions and licenses. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from licsync_daemon.http.wire import AnswerFacts
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.decode import count_of, days_of, read_date
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import LICENSE_USAGE, CloudAccount, ConnectDelivery, DeliveryTo, Instance, ManualDelivery, SshSource
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import CLOCK_SLACK, Person, SeatTotals
from licsync_daemon.monitoring.preflight.rows import CREDENTIAL_DAYS, LICENSE_DAYS, CheckRow, Place, expires
from licsync_daemon.rules.seats import EXCEEDED_STEP, exceeded, totals_in_words

#: Other scopes that include a needed scope. Source: docs.github.com, "Scopes for OAuth apps" (checked 2026-11-24).
COVERED_BY = {"read:enterprise": {"admin:enterprise"}, "site_admin": set[str]()}
CLOCK_WARN = timedelta(minutes=1)
FEW_REQUESTS = 100  # remaining in a rate limit: a sync of a fleet takes fewer
FEW_SEATS = 0.05
UPGRADE = "upgrade the instance"
NEW_FILE = (
    f"an enterprise owner download the license file (in the cloud, {github.DOWNLOAD_LICENSE}), and a site administrator install it (on the "
    f"instance, {github.UPDATE_LICENSE})"
)

Version = tuple[int, int]


def owner_row(place: Place, user: Mapping[str, Any], username: str | None = None) -> CheckRow:
    """Return whether the token belongs to `username`."""
    login = user.get("login")
    if not isinstance(login, str) or not login:
        return place.ok("token", "accepted; owner not reported")
    login = clean(login)
    if username is not None and login.casefold() != username.casefold():
        fix = f"set `username` to {login}, or store a token of {username} in the credential"
        return place.warn("token", f"belongs to {login}, but the configured username is {username}", fix)
    return place.ok("token", f"belongs to {login}")


def token_rows(place: Place, facts: AnswerFacts, now: datetime, *, needed: str | None, credential: str) -> Iterator[CheckRow]:
    """Yield the scopes and the expiration date of a token, from the response headers.

    Args:
        place: Where the token is used.
        facts: The headers.
        now: This machine's clock.
        needed: The one scope that the configuration needs; None if unknown.
        credential: The name of its credential.
    """
    if needed is not None:
        yield _scopes(place, facts.scopes, needed)
    if facts.token_expires_at is not None:
        fix = f"create a new token as the same user and replace the credential {credential}; with systemd, then: systemctl restart licsync"
        at, code = facts.token_expires_at, Code.CREDENTIAL_EXPIRING
        yield expires(place, "expiry", "the token", at, now, steps=CREDENTIAL_DAYS, fix=fix, code=code)
    else:
        yield place.ok("expiry", "no expiration date reported")


def _scopes(place: Place, scopes: tuple[str, ...] | None, needed: str) -> CheckRow:
    if scopes is None:
        return place.ok("scopes", "not reported (not a classic token); see the other tests")
    held = set(scopes)
    if not held & ({needed} | COVERED_BY[needed]):
        seen = f"the token lacks {needed}; its scopes: {', '.join(scopes) or 'none'}"
        return place.fail(
            "scopes", seen, f"create a classic token with only the scope {needed}: there, {github.CREATE_TOKEN}", Code.SCOPE_MISSING
        )
    if more := sorted(held - {needed}):
        fix = f"create a token with only the scope {needed}"
        return place.warn("scopes", f"the token has more scopes than needed: {', '.join(more)}", fix)
    return place.ok("scopes", f"only {needed}")


def sso_row(place: Place, facts: AnswerFacts) -> CheckRow:
    """Return whether single sign-on blocks the token."""
    if facts.sso is None:
        return place.ok("single sign-on", "not required, or token authorized")
    fix = f"authorize the token, separately for each organization: on GitHub, {github.AUTHORIZE_TOKEN}, then {github.AUTHORIZE} beside each"
    if facts.sso.strip() == "required":
        return place.fail("single sign-on", "the token is not authorized for single sign-on", fix, Code.FORBIDDEN)
    seen = f"responses may be incomplete ({facts.sso.strip()}): the token is not authorized for every organization"
    return place.warn("single sign-on", seen, fix)


def clock_row(place: Place, date: datetime | None, now: datetime) -> CheckRow:
    """Compare this machine's clock with the server's `Date`, which has whole seconds."""
    if date is None:
        return place.ok("clock", "no date reported")
    off = now - date
    size = abs(off)
    if size <= CLOCK_WARN:
        return place.ok("clock", f"in sync ({round(size.total_seconds())} s difference)")
    seen = f"this machine's clock is {round(size.total_seconds() / 60)} min {'ahead of' if off > timedelta(0) else 'behind'} the server's"
    fix = "find out which clock is wrong (run `timedatectl` on this machine) and sync it with a time server"
    return (place.fail if size > CLOCK_SLACK else place.warn)("clock", seen, fix, Code.CLOCK_WRONG)


def interface_rows(place: Place, facts: AnswerFacts, requested: str | None, release: Version | None = None) -> Iterator[CheckRow]:
    """Yield the remaining rate limit and the API version, from the response headers.

    Args:
        place: Where the requests went.
        facts: The headers.
        requested: The configured API version; None if none is sent.
        release: The release of an instance; None for the cloud.
    """
    if facts.remaining is not None and facts.remaining < FEW_REQUESTS:
        fix = "find out which other program uses this token, and give licsync its own token"
        yield place.warn("rate limit", f"{facts.remaining} requests left", fix)
    elif facts.remaining is not None:
        yield place.ok("rate limit", f"{facts.remaining:,} requests left")
    if facts.deprecation is not None or facts.sunset_at is not None:
        until = f", and will be removed on {facts.sunset_at:%Y-%m-%d}" if facts.sunset_at is not None else ""
        yield place.warn(
            "interface", f"this API is deprecated{until}", api_step(facts.api_version or requested, release), Code.API_DEPRECATED
        )
    elif facts.api_version is not None:
        yield place.ok("interface", f"version {facts.api_version}")


def api_step(used: str | None, release: Version | None) -> str:
    """Return the step against an interface that ends: the next API version, unless the request was already made with it."""
    if used == github.NEXT_VERSION:
        return "update licsync-daemon before that date"
    return f"{github.newer_version(release)} ({github.API_VERSIONS})"


def license_rows(place: Place, data: Mapping[str, Any], now: datetime) -> Iterator[CheckRow]:
    """Yield the expiration date and the remaining seats of an instance's license. Every field is optional."""
    at, days = read_date(data.get("expire_at")), days_of(data.get("days_until_expiration"))
    if at is None and days is not None:
        at = now + timedelta(days=days)
    if at is None:
        yield place.ok("license", "no expiration date reported")
    else:
        fix = f"have {NEW_FILE}"
        yield expires(place, "license", "the license", at, now, steps=LICENSE_DAYS, fix=fix, code=Code.LICENSE_EXPIRING)
    yield _seats(place, count_of(data.get("seats")), count_of(data.get("seats_used")))


def _seats(place: Place, seats: int | None, used: int | None) -> CheckRow:
    if seats is None or used is None:
        return place.ok("seats", f"{used:,} seats used; no limit reported" if used is not None else "seat count not reported")
    fix = "suspend unused accounts, or upload a license file with more seats"
    if used >= seats:
        return place.warn("seats", f"none of {seats:,} left", fix, Code.SEATS_LOW)
    if seats - used < seats * FEW_SEATS:
        return place.warn("seats", f"fewer than {FEW_SEATS:.0%} of {seats:,} left", fix, Code.SEATS_LOW)
    return place.ok("seats", f"{seats - used:,} of {seats:,} left")


def license_file_row(place: Place, seats: int | None, purchased: int | None) -> CheckRow | None:
    """Return whether more seats were purchased than the license file of the instance contains; None if either number is unknown."""
    if not seats or not purchased:
        return None
    if purchased <= seats:
        return place.ok("license file", f"matches the {purchased:,} purchased seats")
    return place.warn(
        "license file",
        f"the file has {seats:,} seats, but the cloud account has {purchased:,}: it is older than the latest purchase",
        f"have {NEW_FILE}",
        Code.OLD_LICENSE_FILE,
    )


def seats_row(place: Place, totals: SeatTotals) -> CheckRow:
    """Return how many seats the cloud account has and consumes. Consuming more than were purchased is allowed, and a warning."""
    if (warning := exceeded(totals)) is not None:
        return place.warn("seats", f"{totals_in_words(totals)}: {warning}", EXCEEDED_STEP, Code.SEATS_EXCEEDED)
    return place.ok("seats", totals_in_words(totals))


def domains_row(place: Place, configured: Collection[str], people: Sequence[Person]) -> CheckRow:
    """Return the verified domains that are configured, or seen in the addresses of `people`; none is a warning, except with managed users.

    The logins of managed users, and only theirs, have an underscore. Source: docs.github.com, "Username considerations for external
    authentication" (checked 2026-11-27).
    """
    if configured:
        return place.ok("verified domains", f"{len(configured)} configured")
    seen = {email.rpartition("@")[2].casefold() for person in people for email in person.verified_emails}
    found = f"not configured; {len(seen)} found in the addresses of the first {len(people)} people"
    logins = [person.login for person in people if person.login]
    if seen or (logins and all("_" in login for login in logins)):
        return place.ok("verified domains", found if seen else "not required with managed users")
    fix = f"as an enterprise owner, in the cloud, {github.VERIFY_DOMAIN} ({github.VERIFIED_DOMAINS})"
    return place.warn("verified domains", found, fix)


def version_of(text: str | None) -> Version | None:
    """Parse a version such as `3.19.2`; return None if it is not one."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})(?:\.|$)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def version_rows(place: Place, text: str | None, instance: Instance, cloud: CloudAccount) -> Iterator[CheckRow]:
    """Yield an instance's release, or the configured features that it is too old for (ref 1.1, 1.7, 2.1)."""
    version = version_of(text)
    if text is None or version is None:
        yield place.ok("version", "not reported")
        return
    found = list(_gates(place, clean(text), version, instance, cloud))
    yield from found or [place.ok("version", f"GitHub Enterprise Server {clean(text)}")]


def metered_rows(place: Place, text: str | None, delivery: DeliveryTo, purchased: int | None) -> Iterator[CheckRow]:
    """Yield what of an instance does not fit usage-based billing, which an account without purchased seats uses.

    Args:
        place: The instance.
        text: Its release, if known.
        delivery: How its usage reaches the cloud.
        purchased: The purchased seats of the cloud account; None if unknown.
    """
    if purchased != 0:
        return
    version = version_of(text)
    if text is not None and version is not None and version < github.USAGE_BASED_FROM:
        seen = f"{clean(text)}: usage-based billing requires 3.13, and the cloud account has no purchased seats"
        yield place.warn("version", seen, UPGRADE, Code.GHES_VERSION)
    if not isinstance(delivery, ConnectDelivery):
        seen = (
            f'usage-based billing requires GitHub Connect, but the delivery is "{delivery.kind}"; the cloud account has no purchased seats'
        )
        fix = f'as an enterprise owner on both sides, on the instance, {github.CONNECT}; then set the delivery to {{ kind = "connect" }}'
        yield place.warn("billing", seen, fix)


def _gates(place: Place, text: str, version: Version, instance: Instance, cloud: CloudAccount) -> Iterator[CheckRow]:
    source = instance.source
    if isinstance(source, SshSource) and version < github.COMMAND_FROM and source.command[:2] == LICENSE_USAGE:
        yield place.fail(
            "version",
            f"{text} does not have `ghe-license usage` yet",
            'set the source\'s command = ["ghe-license-usage"]',
            Code.GHES_VERSION,
        )
    if isinstance(source, SshSource) and version >= github.COMMAND_FROM and source.command[0] == "ghe-license-usage":
        fix = 'remove the source\'s `command`, or set it to ["ghe-license", "usage"]'
        yield place.fail("version", f"{text} no longer has `ghe-license-usage`", fix, Code.GHES_VERSION)
    if isinstance(instance.delivery, ConnectDelivery) and _is_ghe_com(cloud) and version < github.GHE_COM_FROM:
        yield place.fail("version", f"{text} does not sync licenses to GHE.com: that requires 3.15", UPGRADE, Code.GHES_VERSION)
    if version < github.FLAGS_FROM and isinstance(instance.delivery, ConnectDelivery | ManualDelivery):
        seen = f"{text}: usage includes Advanced Security licenses only from 3.12 on"
        yield place.warn("version", seen, UPGRADE, Code.GHES_VERSION)


def _is_ghe_com(cloud: CloudAccount) -> bool:
    return (urlsplit(cloud.at.url).hostname or "").endswith(".ghe.com")
