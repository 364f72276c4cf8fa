"""The source `report`: an instance's users and totals, read from its documented endpoints.

- `GET /stafftools/reports/all_users.csv`, site root, basic authentication; 202 until the report is built, without `Retry-After`.
  Source: docs.github.com, "Accessing reports for your instance" (checked 2026-11-24).
- `GET /api/v3/enterprise/stats/users`, `/api/v3/enterprise/settings/license`, `/api/v3/meta`. Source: GitHub's published OpenAPI of GHES
  3.17 to 3.19 (package release 23.0.2). The license's numbers may be strings; users who are not site administrators get a 404.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.response import REPORT
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.decode import count_of, release_of, unusable_count
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import ReportSource
from licsync_daemon.model.ports import AccountSink, Clock
from licsync_daemon.model.usage import CLOCK_SLACK, Collected, Notice, UsageCounts
from licsync_daemon.rules.retry import GiveUp, Policy, RetryChoice, decide, poll_until
from licsync_daemon.sources.rows import Tally
from licsync_daemon.sources.users_csv import UsersCsvReader

REPORT_PATH = "stafftools/reports/all_users.csv"
SLOW = frozenset({Code.TIMEOUT, Code.SERVER_ERROR, Code.CONNECTION_LOST})


class ReportUsageSource:
    """Reads one instance (the `UsageSource` port)."""

    def __init__(self, source: ReportSource, http: HttpClient, retry: Retrier, clock: Clock) -> None:
        self._source = source
        self._http = http
        self._retry = retry
        self._clock = clock

    async def collect(self, spool: AccountSink) -> Collected:
        meta, version = await self._api("meta")
        total, unknown = await self._total_users()
        license_, _ = await self._api("enterprise/settings/license")
        counts, notices, activity = await self._retry.call(
            lambda: self._retry.call(lambda: self._report(spool)), policy=poll_until(self._source.report_timeout)
        )
        totals = {"total_users": total, "seats_used": license_.get("seats_used")}
        final = replace(counts, total_users=count_of(totals["total_users"]), seats_used=count_of(totals["seats_used"]))
        return Collected(
            collected_at=self._clock.now(),
            version=release_of(meta.get("installed_version")) or version,
            http_only=self._source.at.url.startswith("http:"),
            counts=final,
            newest_activity=activity,
            notices=notices + unknown + unusable_counts(totals),
        )

    async def _total_users(self) -> tuple[Any, tuple[Notice, ...]]:
        """Return the instance's count of its users. On large instances the request may time out, a known issue of GHES 3.20 and 3.21."""
        try:
            stats, _ = await self._api("enterprise/stats/users", policy=_once_if_slow)
        except RemoteError as error:
            if error.code not in SLOW:
                raise
            text = f"the instance did not count its users, so missing rows of the report cannot be detected: {error.cause}"
            return None, (Notice(code=Code.TOTAL_UNKNOWN, text=text),)
        return stats.get("total_users"), ()

    async def _api(self, path: str, *, policy: Policy | None = None) -> tuple[dict[str, Any], str | None]:
        """Return a JSON object of the instance's API, and the version in the headers."""
        operation = f"/api/v3/{path} of {self._source.at.url}"

        async def ask() -> tuple[dict[str, Any], str | None]:
            async with self._http.get(f"api/v3/{path}", operation=operation) as response:
                found = await response.json()
                if isinstance(found, list) and len(found) == 1:  # published examples differ (ref 5, row 23)
                    found = found[0]
                if not isinstance(found, dict):
                    raise RemoteError(Code.BAD_RESPONSE, f"{operation} is not a JSON object", "check that the hostname is a GHES instance")
                return found, release_of(response.headers.get("x-github-enterprise-version")) or None

        return await self._retry.call(ask, policy=policy)

    async def _report(self, spool: AccountSink) -> tuple[UsageCounts, tuple[Notice, ...], datetime | None]:
        """Read the report once from its start, discarding an earlier incomplete read."""
        operation = f"the report all_users.csv of {self._source.at.url}"
        spool.clear()
        async with self._http.get(REPORT_PATH, operation=operation, accept="text/csv", limits=REPORT, wanted=(200, 202)) as response:
            if response.status == 202:
                raise RemoteError(
                    Code.REPORT_TIMEOUT,
                    f"{operation} is still being built",
                    "raise `report_timeout`, or check the instance's background jobs",
                )
            if not response.is_framed:
                raise RunError(
                    Code.REPORT_TRUNCATED,
                    f"{operation} ends with the connection and without a length, so it may be incomplete",
                    "check for a proxy in between that removes `Content-Length`; the next run requests the report again",
                )
            reader, tally = UsersCsvReader(latest=self._clock.now() + CLOCK_SLACK), Tally(spool)
            async for piece in response.chunks():
                tally.count(reader.feed(piece))
            reader.finish()
        counts, notices = tally.result()
        return counts, notices + reader.notices(), reader.newest_activity


def _once_if_slow(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
    """Decide as `decide` does, but repeat nothing that timed out (the policy of a `Retrier`)."""
    return GiveUp() if error.code is Code.TIMEOUT or error.status == 504 else decide(error, attempt, elapsed_s, jitter)


def unusable_counts(totals: Mapping[str, object]) -> tuple[Notice, ...]:
    """Return a notice about each total that the instance reports and that is not a count from 0 to 2^53."""
    found = ((name, unusable_count(value)) for name, value in totals.items())
    return tuple(
        Notice(code=Code.COUNTS_UNKNOWN, text=f"the instance reports `{name}` as {value}, which is treated as not reported")
        for name, value in found
        if value is not None
    )
