"""The read-back of an enterprise: what the cloud account reports (the `CloudReader` port)."""

from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from urllib.parse import quote, urlsplit

from licsync_daemon.cloud.decode import decode_consumed_page, decode_sync_status
from licsync_daemon.cloud.graphql import Graphql
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.response import LISTING
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.http.wire import next_link
from licsync_daemon.model.decode import http_date
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.usage import Installation, Person, SeatTotals, SyncStatus

MAX_PAGES = 10_000  # of 100 people each
MAX_ETAG = 256  # characters; a longer one, or one that is not printable ASCII, is not sent back

#: The newest sync status of each address, with its `ETag`.
Remembered = MutableMapping[str, tuple[str, SyncStatus]]


class GithubCloud:
    """Reads one cloud enterprise over its documented REST and GraphQL interfaces.

    Args:
        enterprise: Its slug.
        http: A client for the cloud.
        retry: For REST.
        graphql_retry: For GraphQL, which has another rate limit and is not waited for; None uses `retry`.
        remembered: Responses to earlier readers, so that an unchanged sync status is not sent again.
    """

    def __init__(
        self,
        enterprise: str,
        http: HttpClient,
        retry: Retrier,
        *,
        graphql_retry: Retrier | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        self._enterprise = enterprise
        self._graphql = Graphql(enterprise, http, graphql_retry or retry)
        self._remembered: Remembered = {} if remembered is None else remembered
        self._path = f"enterprises/{quote(enterprise, safe='')}"
        self._http = http
        self._retry = retry

    async def sync_status(self) -> SyncStatus:
        """Request the status with the `ETag` of the newest response: a 304, which does not count against the rate limit, confirms it.

        Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api (checked 2026-11-24); whether this
        endpoint sends one is not published, so it is optional.
        """
        operation, path = f"license-sync-status of {self._enterprise}", f"{self._path}/license-sync-status"
        address = f"{self._http.to.url}/{path}"

        async def ask() -> SyncStatus:
            etag, before = self._remembered.get(address, ("", None))
            headers, wanted = ({}, (200,)) if before is None else ({"If-None-Match": etag}, (200, 304))
            async with self._http.get(path, operation=operation, headers=headers, limits=LISTING, wanted=wanted) as response:
                answered_at = http_date(response.headers.get("date", ""))
                if before is not None and response.status == 304:
                    return replace(before, answered_at=answered_at)
                status = decode_sync_status(await response.json(), answered_at)
                self._remember(address, response.headers.get("etag", ""), status)
                return status

        return await self._retry.call(ask)

    def _remember(self, address: str, etag: str, status: SyncStatus) -> None:
        if 0 < len(etag) <= MAX_ETAG and etag.isascii() and etag.isprintable():
            self._remembered[address] = (etag, status)
        else:
            self._remembered.pop(address, None)

    async def seats(self) -> SeatTotals:
        totals, _, _ = await self._page(f"{self._path}/consumed-licenses?per_page=1")
        return totals

    async def people(self) -> AsyncIterator[Person]:
        """Yield the people of all pages, following each page's `Link`.

        Paging is by offset, so a person added or removed meanwhile shifts the rest (34): one who appears on two neighboring pages comes
        once. A skipped person cannot be detected here; the caller compares with the totals.
        """
        address: str | None = f"{self._path}/consumed-licenses?per_page=100"
        before: frozenset[object] = frozenset()
        visited: set[tuple[str, str]] = set()
        for _ in range(MAX_PAGES):
            if address is None:
                return
            page = urlsplit(address).path.lstrip("/"), urlsplit(address).query
            if page in visited:
                raise RemoteError(
                    Code.BAD_RESPONSE, f"the pages of consumed-licenses of {self._enterprise} form a loop", "report this with the run ID"
                )
            visited.add(page)
            _, people, address = await self._page(address)
            for person in people:
                if person.key not in before:
                    yield person
            before = frozenset(person.key for person in people)
        raise RemoteError(Code.TOO_LARGE, f"consumed-licenses of {self._enterprise} has too many pages", "report this with the run ID")

    async def installations(self) -> tuple[Installation, ...] | None:
        return await self._graphql.installations()

    async def _page(self, address: str) -> tuple[SeatTotals, tuple[Person, ...], str | None]:
        operation = f"consumed-licenses of {self._enterprise}"

        async def ask() -> tuple[SeatTotals, tuple[Person, ...], str | None]:
            async with self._http.get(address, operation=operation) as response:
                totals, people = decode_consumed_page(await response.json())
                return totals, people, next_link(response.headers, response.url, operation) if people else None

        return await self._retry.call(ask)
