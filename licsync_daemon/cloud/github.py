"""The read-back: ask the cloud account what it has (the `CloudReader` port)."""

from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit

from licsync_daemon.cloud.decode import decode_consumed_page, decode_sync_status
from licsync_daemon.errors import Code, RemoteError
from licsync_daemon.model import Installation, Person, SeatTotals, SyncStatus
from licsync_daemon.retry import Retrier
from licsync_daemon.transport.client import HttpClient
from licsync_daemon.transport.wire import http_date, next_link

MAX_PAGES = 10_000  # of 100 people each


class GithubCloud:
    """Reads one cloud enterprise over its documented REST interface."""

    def __init__(self, enterprise: str, http: HttpClient, retry: Retrier) -> None:
        self._enterprise = enterprise
        self._path = f"enterprises/{quote(enterprise, safe='')}"
        self._http = http
        self._retry = retry

    async def sync_status(self) -> SyncStatus:
        operation = f"license-sync-status of {self._enterprise}"

        async def ask() -> SyncStatus:
            async with self._http.get(f"{self._path}/license-sync-status", operation=operation) as response:
                return decode_sync_status(await response.json(), http_date(response.headers.get("date", "")))

        return await self._retry.call(ask)

    async def seats(self) -> SeatTotals:
        totals, _, _ = await self._page(f"{self._path}/consumed-licenses?per_page=1")
        return totals

    async def people(self) -> AsyncIterator[Person]:
        """Walk every page by its `Link`; never build a page's address.

        Paging is by offset, so a person who is added or removed meanwhile shifts the rest (34): one who appears on two neighboring pages
        is yielded once. One who is skipped cannot be seen; the caller compares with the totals.
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
                    Code.BAD_RESPONSE, f"consumed-licenses of {self._enterprise} links in a circle", "report this with the run's id"
                )
            visited.add(page)
            _, people, address = await self._page(address)
            for person in people:
                if person.key not in before:
                    yield person
            before = frozenset(person.key for person in people)
        raise RemoteError(Code.TOO_LARGE, f"consumed-licenses of {self._enterprise} does not end", "report this with the run's id")

    async def installations(self) -> tuple[Installation, ...] | None:
        return None

    async def _page(self, address: str) -> tuple[SeatTotals, tuple[Person, ...], str | None]:
        operation = f"consumed-licenses of {self._enterprise}"

        async def ask() -> tuple[SeatTotals, tuple[Person, ...], str | None]:
            async with self._http.get(address, operation=operation) as response:
                totals, people = decode_consumed_page(await response.json())
                return totals, people, next_link(response.headers, response.url, operation) if people else None

        return await self._retry.call(ask)
