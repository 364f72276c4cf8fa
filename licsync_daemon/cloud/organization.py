"""The read-back of a single organization: its seats only (the `CloudReader` port).

For an organization without an enterprise, GitHub offers neither a sync status nor a list of license holders, only `GET /orgs/{org}`.
Source: GitHub's published OpenAPI of GHEC, `orgs/get` (23.0.2).
"""

from collections.abc import AsyncIterator
from urllib.parse import quote

from licsync_daemon.cloud.decode import decode_organization
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.decode import http_date
from licsync_daemon.model.usage import Installation, Person, SeatTotals, SyncStatus


class OrganizationCloud:
    """Reads one organization over its documented REST interface."""

    def __init__(self, login: str, http: HttpClient, retry: Retrier) -> None:
        self._login = login
        self._http = http
        self._retry = retry

    async def sync_status(self) -> SyncStatus:
        """Return an empty status with the time of the response: organizations have no sync status."""
        _, status = await self._ask()
        return status

    async def seats(self) -> SeatTotals:
        totals, _ = await self._ask()
        return totals

    async def installations(self) -> tuple[Installation, ...] | None:
        return None

    async def people(self) -> AsyncIterator[Person]:
        """Yield nothing: an organization has no such list."""
        none: tuple[Person, ...] = ()
        for person in none:
            yield person

    async def _ask(self) -> tuple[SeatTotals, SyncStatus]:
        operation = f"the organization {self._login}"

        async def ask() -> tuple[SeatTotals, SyncStatus]:
            async with self._http.get(f"orgs/{quote(self._login, safe='')}", operation=operation) as response:
                totals = decode_organization(await response.json())
                return totals, SyncStatus(entries=(), answered_at=http_date(response.headers.get("date", "")), exists=False)

        return await self._retry.call(ask)
