"""Stored copies: a response that a gateway kept proves nothing. The `Date` of each server is remembered as long as the process lives."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from licsync_daemon.http.wire import Headers
from licsync_daemon.model.decode import HTTP_DATE, http_date, read_date
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.ports import Clock

OLDEST = timedelta(seconds=300)
MOST_S = 2**31


@dataclass(slots=True)
class Ages:
    """Tells current responses from stored ones.

    A response is stored if its `Age` is over five minutes, or if its `Date` is that much behind the clock of its server, as earlier
    responses showed it. It is also stored if its `Date` is behind our clock, provided that another server agrees with our clock: ours
    alone may be wrong. A `Date` that agrees with our clock is current in any case.
    """

    clock: Clock
    _newest: dict[str, tuple[datetime, float]] = field(default_factory=dict)  # by host: its newest `Date`, and when it came

    def check(self, host: str, headers: Headers, operation: str, *, may_lag: bool = False) -> None:
        """Remember the `Date` of a current response.

        Args:
            host: The server's host and port.
            headers: Its response's.
            operation: What was requested.
            may_lag: Do not compare with our clock: the clock of a company's own server may be wrong as well.

        Raises:
            RemoteError: `STALE_ANSWER`: the response is stored.
        """
        date, now, age_s = _date(headers.get("date", "")), self.clock.now(), _age_s(headers.get("age", ""))
        if age_s > OLDEST.total_seconds():
            raise _stale(operation, timedelta(seconds=age_s), "its `Age`")
        if date is None:
            return
        if abs(date - now) > OLDEST:
            expected = self._expected(host)
            if expected is not None and expected - date > OLDEST:
                raise _stale(operation, expected - date, "its `Date`, compared with earlier responses")
            if now - date > OLDEST and not may_lag and self._confirms(now, but=host):
                raise _stale(operation, now - date, "its `Date`")
        self._newest[host] = (date, self.clock.monotonic())

    def _expected(self, host: str) -> datetime | None:
        """Return what a server's clock should show now; None if it has never given a `Date`."""
        if host not in self._newest:
            return None
        date, came_s = self._newest[host]
        return date + timedelta(seconds=max(0.0, self.clock.monotonic() - came_s))

    def _confirms(self, now: datetime, *, but: str) -> bool:
        """Return whether another server agrees with our clock."""
        others = (self._expected(host) for host in self._newest if host != but)
        return any(expected is not None and abs(expected - now) <= OLDEST for expected in others)


def _age_s(text: str) -> int:
    """Return an `Age`. Several caches on the way may each have added one: the greatest counts. Anything but whole seconds is ignored.

    Source: RFC 9111, 5.1, which ignores an invalid `Age`, and counts one that is too large as the largest.
    """
    found = (one.strip() for one in text.split(","))
    return max((min(int(one[:20]), MOST_S) for one in found if re.fullmatch(r"[0-9]+", one, re.ASCII)), default=0)


def _date(text: str) -> datetime | None:
    """Return a `Date`, in any form of a date: of several the earliest one. None if there is none."""
    found = [date for one in HTTP_DATE.findall(text) if (date := http_date(one)) is not None]
    return min(found) if found else read_date(text)


def _stale(operation: str, age: timedelta, by: str) -> RemoteError:
    days, hours, minutes = age.days, age.seconds // 3600, age.seconds // 60 % 60
    size = f"{days:,} days" if days > 1 else f"{days * 24 + hours} hours" if days or hours else f"{minutes} minutes"
    return RemoteError(
        Code.STALE_ANSWER,
        f"{operation} returned a stored copy, {size} old by {by}",
        "let the proxy or gateway in front of the server store no responses of its API; if there is none, correct the server's clock",
        transient=True,
    )
