"""What the answers of a far side mean: whose token it is, what it may do and until when, clocks, versions, licenses. Pure."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from licsync_daemon.http.wire import AnswerFacts
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import LICENSE_USAGE, CloudAccount, ConnectDelivery, Instance, ManualDelivery, SshSource
from licsync_daemon.model.text import clean, read_date
from licsync_daemon.model.usage import CLOCK_SLACK, SeatTotals
from licsync_daemon.monitoring.preflight.rows import CREDENTIAL_DAYS, LICENSE_DAYS, CheckRow, Place, ends
from licsync_daemon.sources.report import count_of

#: By the scope that is needed: what else covers it. Source: docs.github.com, "Scopes for OAuth apps" (checked 2026-11-24).
COVERED_BY = {"read:enterprise": {"admin:enterprise"}, "site_admin": set[str]()}
CLOCK_WARN = timedelta(minutes=1)
FEW_REQUESTS = 100  # left of a rate limit: a sync of a fleet takes fewer
FEW_SEATS = 0.05
UPGRADE = "upgrade the instance"

Version = tuple[int, int]


def owner_row(place: Place, user: Mapping[str, Any], username: str | None = None) -> CheckRow:
    """Say whose token it is; `username` is whose it should be."""
    login = user.get("login")
    if not isinstance(login, str) or not login:
        return place.ok("token", "it is accepted; whose it is, is not told")
    login = clean(login)
    if username is not None and login.casefold() != username.casefold():
        fix = f"set `username` to {login}, or put a token of {username} into the credential"
        return place.warn("token", f"it belongs to {login}, and the configured username is {username}", fix)
    return place.ok("token", f"it belongs to {login}")


def token_rows(place: Place, told: AnswerFacts, now: datetime, *, needed: str | None, credential: str) -> Iterator[CheckRow]:
    """Say what the headers tell about a token: its scopes and its end.

    Args:
        place: Whose token.
        told: The headers.
        now: This machine's clock.
        needed: The one scope that what is configured needs; None where none is known.
        credential: The name of its credential.
    """
    if needed is not None:
        yield _scopes(place, told.scopes, needed)
    if told.token_expires_at is not None:
        fix = f"create a new token as the same user, and replace the credential {credential}; under systemd then: systemctl restart licsync"
        yield ends(place, "expiry", "the token", told.token_expires_at, now, steps=CREDENTIAL_DAYS, fix=fix, code=Code.CREDENTIAL_EXPIRING)
    else:
        yield place.ok("expiry", "no end of the token is told")


def _scopes(place: Place, scopes: tuple[str, ...] | None, needed: str) -> CheckRow:
    if scopes is None:
        return place.ok("scopes", "none are told: no classic token; what it may do, the other tests show")
    held = set(scopes)
    if not held & ({needed} | COVERED_BY[needed]):
        seen = f"the token lacks {needed}; it has {', '.join(scopes) or 'no scope'}"
        return place.fail("scopes", seen, f"create a classic token with the scope {needed} and nothing more", Code.SCOPE_MISSING)
    if more := sorted(held - {needed}):
        fix = f"{needed} is enough: create a token with that scope alone"
        return place.warn("scopes", f"the token may do more than it has to: {', '.join(more)}", fix)
    return place.ok("scopes", f"{needed} and nothing more")


def sso_row(place: Place, told: AnswerFacts) -> CheckRow:
    """Say whether single sign-on stands in the way."""
    if told.sso is None:
        return place.ok("single sign-on", "nothing stands in the way")
    fix = "authorize the token: on GitHub, Settings > Developer settings > Personal access tokens, *Configure SSO*"
    if told.sso.strip() == "required":
        return place.fail("single sign-on", "the token is not authorized for single sign-on", fix, Code.FORBIDDEN)
    return place.warn("single sign-on", f"answers may be incomplete ({told.sso.strip()}): the token is not authorized everywhere", fix)


def clock_row(place: Place, date: datetime | None, now: datetime) -> CheckRow:
    """Compare this machine's clock with the far side's `Date`, which has whole seconds."""
    if date is None:
        return place.ok("clock", "no date is told")
    off = now - date
    size = abs(off)
    if size <= CLOCK_WARN:
        return place.ok("clock", f"it and this machine differ by {round(size.total_seconds())} s")
    seen = f"this machine is {round(size.total_seconds() / 60)} min {'ahead of' if off > timedelta(0) else 'behind'} it"
    fix = "see which of the two is wrong: `timedatectl` on this machine; let it follow a time server"
    return (place.fail if size > CLOCK_SLACK else place.warn)("clock", seen, fix, Code.CLOCK_WRONG)


def interface_rows(place: Place, told: AnswerFacts) -> Iterator[CheckRow]:
    """Say what the headers tell about the interface: how much of the rate limit is left, and whether it will go away."""
    if told.remaining is not None and told.remaining < FEW_REQUESTS:
        fix = "see which other program uses this token, and give licsync one of its own"
        yield place.warn("rate limit", f"{told.remaining} requests are left", fix)
    elif told.remaining is not None:
        yield place.ok("rate limit", f"{told.remaining:,} requests are left")
    if told.deprecation is not None or told.sunset_at is not None:
        until = f", and goes away on {told.sunset_at:%Y-%m-%d}" if told.sunset_at is not None else ""
        fix = "update licsync-daemon; until then `api_version` may name a version that lives longer"
        yield place.warn("interface", f"what is asked here is announced to end{until}", fix, Code.API_DEPRECATED)
    elif told.api_version is not None:
        yield place.ok("interface", f"version {told.api_version}")


def license_rows(place: Place, data: Mapping[str, Any], now: datetime) -> Iterator[CheckRow]:
    """Say how long an instance's license lasts and how many seats it has left. Nothing in it is required."""
    at, days = read_date(data.get("expire_at")), count_of(data.get("days_until_expiration"))
    if at is None and days is not None:
        at = now + timedelta(days=days)
    if at is None:
        yield place.ok("license", "it does not tell when it ends")
    else:
        fix = "an enterprise owner downloads the renewed license file; it is uploaded in the instance's Management Console"
        yield ends(place, "license", "the license", at, now, steps=LICENSE_DAYS, fix=fix, code=Code.LICENSE_EXPIRING)
    yield _seats(place, count_of(data.get("seats")), count_of(data.get("seats_used")))


def _seats(place: Place, seats: int | None, used: int | None) -> CheckRow:
    if seats is None or used is None:
        return place.ok("seats", f"{used:,} are used; no limit is told" if used is not None else "their number is not told")
    fix = "suspend accounts that nobody uses, or install a license file with more seats"
    if used >= seats:
        return place.warn("seats", f"none of {seats:,} is left", fix, Code.SEATS_LOW)
    if seats - used < seats * FEW_SEATS:
        return place.warn("seats", f"fewer than {FEW_SEATS:.0%} of {seats:,} are left", fix, Code.SEATS_LOW)
    return place.ok("seats", f"{seats - used:,} of {seats:,} are left")


def license_file_row(place: Place, seats: int | None, purchased: int | None) -> CheckRow | None:
    """Say whether a volume contract has bought more seats than the instance's license file knows; None where that cannot be told."""
    if not seats or not purchased:
        return None
    if purchased <= seats:
        return place.ok("license file", f"it knows all {purchased:,} seats that were bought")
    return place.warn(
        "license file",
        f"it has {seats:,} seats, and the cloud account {purchased:,}: it is older than the newest purchase",
        "an enterprise owner downloads the license file anew; it is uploaded in the instance's Management Console",
        Code.OLD_LICENSE_FILE,
    )


def seats_row(place: Place, totals: SeatTotals) -> CheckRow:
    """Say how many seats the cloud account has and uses. More used than bought is legal."""
    consumed, purchased = (f"{one:,}" if one is not None else "an unknown number" for one in (totals.consumed, totals.purchased))
    return place.ok("seats", f"{consumed} consumed of {purchased} purchased")


def version_of(text: str | None) -> Version | None:
    """Read `3.19.2`; None if it is no version."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})(?:\.|$)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def version_rows(place: Place, text: str | None, instance: Instance, cloud: CloudAccount) -> Iterator[CheckRow]:
    """Say which release an instance runs, and which of the things that are configured it is too old for (ref 1.1, 1.7, 2.1)."""
    version = version_of(text)
    if text is None or version is None:
        yield place.ok("version", "it is not told")
        return
    found = list(_gates(place, clean(text), version, instance, cloud))
    yield from found or [place.ok("version", f"GitHub Enterprise Server {clean(text)}")]


def metered_row(place: Place, text: str | None, purchased: int | None) -> CheckRow | None:
    """Say whether an instance is too old for usage-based billing (ref 1.2), which is told by an account without purchased seats."""
    version = version_of(text)
    if text is None or version is None or version >= (3, 13) or purchased != 0:
        return None
    seen = f"{clean(text)}: usage-based billing takes 3.13, and the cloud account has no purchased seats"
    return place.warn("version", seen, UPGRADE, Code.GHES_VERSION)


def _gates(place: Place, text: str, version: Version, instance: Instance, cloud: CloudAccount) -> Iterator[CheckRow]:
    source = instance.source
    if isinstance(source, SshSource) and version < (3, 13) and source.command[:2] == LICENSE_USAGE:
        yield place.fail(
            "version", f"{text} has no `ghe-license usage` yet", 'set the source\'s command = ["ghe-license-usage"]', Code.GHES_VERSION
        )
    if isinstance(source, SshSource) and version >= (3, 13) and source.command[0] == "ghe-license-usage":
        fix = 'leave the source\'s `command` out, or set it to ["ghe-license", "usage"]'
        yield place.fail("version", f"{text} has no `ghe-license-usage` any more", fix, Code.GHES_VERSION)
    if isinstance(instance.delivery, ConnectDelivery) and _is_ghe_com(cloud) and version < (3, 15):
        yield place.fail("version", f"{text} does not sync licenses to GHE.com: that takes 3.15", UPGRADE, Code.GHES_VERSION)
    if version < (3, 12) and isinstance(instance.delivery, ConnectDelivery | ManualDelivery):
        seen = f"{text}: usage tells who takes a license of Advanced Security from 3.12 on"
        yield place.warn("version", seen, UPGRADE, Code.GHES_VERSION)


def _is_ghe_com(cloud: CloudAccount) -> bool:
    return (urlsplit(cloud.at.url).hostname or "").endswith(".ghe.com")
