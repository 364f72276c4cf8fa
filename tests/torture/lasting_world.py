"""An instance, an endpoint and a cloud that outlive the process that talks to them: what they know lies in a folder.

Every question takes a moment, so that a process can be killed in any of them: also after the endpoint took an upload and before its
answer arrives.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import UsageDocument, WaitReporter
from licsync_daemon.model.usage import Account, Collected, Person, SeatTotals, SyncEntry, SyncStatus, Upload, UploadState
from licsync_daemon.state.spool import AccountSpool
from tests.fakes import an_account, counts_of

MOMENT_S = 0.001
ACCOUNTS = tuple(an_account(number, suspended=number % 20 == 0) for number in range(1, 201))


class QuickClock:
    """Real time, in which a sleep is over after a few milliseconds; then as much time has passed as was asked for."""

    def __init__(self, start: datetime, longest_s: float = 0.003) -> None:
        self._start = start
        self._longest_s = longest_s
        self._began_s = time.monotonic()
        self._ahead_s = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return time.monotonic() - self._began_s + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, self._longest_s))
        self._ahead_s += max(0.0, seconds - self._longest_s)

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds


@dataclass
class Post:
    """One upload as it arrived at the endpoint."""

    key: str
    content_hash: str
    server_id: str
    at: datetime


async def at_once() -> None:
    """The far side that keeps nobody waiting."""


@dataclass
class LastingWorld:
    """The `Adapters` port over a folder."""

    folder: Path
    clock: QuickClock
    accounts: tuple[Account, ...] = ACCOUNTS
    before_collecting: Callable[[], Awaitable[None]] = at_once

    # ---------------------------------------------------------------- what it knows

    def posts(self) -> list[Post]:
        """Return everything that arrived, in order; a line that a killed process left unfinished did not arrive."""
        path = self.folder / "posts"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [Post(one["key"], one["hash"], one["server_id"], datetime.fromisoformat(one["at"])) for one in found]

    def uploads(self) -> dict[str, Post]:
        """Return what the endpoint made of it: one upload a key, the first."""
        kept: dict[str, Post] = {}
        for post in self.posts():
            kept.setdefault(post.key, post)
        return kept

    def take(self, document: UsageDocument, key: str, server_id: str) -> str:
        """Take an upload in; one write, which is there whole or not at all."""
        line = json.dumps({"key": key, "hash": document.content_hash, "server_id": server_id, "at": self.clock.now().isoformat()})
        descriptor = os.open(self.folder / "posts", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)
        return f"upload-of-{key}"

    # ---------------------------------------------------------------- the port

    @asynccontextmanager
    async def source(self, instance: Instance, waits: WaitReporter, **_: object) -> AsyncIterator["_Source"]:
        yield _Source(self)

    @asynccontextmanager
    async def delivery(self, instance: Instance, waits: WaitReporter) -> AsyncIterator["_Delivery"]:
        assert instance.server_id is not None
        yield _Delivery(self, instance.server_id)

    @asynccontextmanager
    async def cloud(self, waits: WaitReporter) -> AsyncIterator["_Cloud"]:
        yield _Cloud(self)


@dataclass
class _Source:
    far: LastingWorld

    async def collect(self, spool: AccountSpool) -> Collected:
        await self.far.before_collecting()
        for number, account in enumerate(self.far.accounts):
            if number % 50 == 0:
                await asyncio.sleep(MOMENT_S)
            spool.add([account])
        counts = counts_of(self.far.accounts, total_users=len(self.far.accounts))
        return Collected(collected_at=self.far.clock.now(), version="3.19.2", http_only=False, counts=counts)


@dataclass
class _Delivery:
    far: LastingWorld
    server_id: str

    async def send(self, document: UsageDocument, key: str) -> str:
        await asyncio.sleep(MOMENT_S)
        known = self.far.uploads().get(key)
        assert known is None or known.content_hash == document.content_hash, "one key came with two hashes"
        upload_id = self.far.take(document, key, self.server_id)
        await asyncio.sleep(3 * MOMENT_S)
        return upload_id

    async def ask(self, upload_id: str) -> Upload:
        await asyncio.sleep(MOMENT_S)
        known = upload_id.removeprefix("upload-of-") in self.far.uploads()
        return Upload(state=UploadState.SUCCESS if known else None)


@dataclass
class _Cloud:
    far: LastingWorld

    async def sync_status(self) -> SyncStatus:
        await asyncio.sleep(MOMENT_S)
        newest = {post.server_id: post.at.replace(microsecond=0) for post in self.far.uploads().values()}
        entries = tuple(
            SyncEntry(
                server_id=server_id,
                hostname=f"ghes-{server_id.removeprefix('server-')}.example.com",
                date=date,
                status="success",
                error=None,
            )
            for server_id, date in newest.items()
        )
        return SyncStatus(entries=entries, answered_at=self.far.clock.now().replace(microsecond=0))

    async def seats(self) -> SeatTotals:
        await asyncio.sleep(MOMENT_S)
        return SeatTotals(consumed=10, purchased=20)

    async def people(self) -> AsyncIterator[Person]:
        for person in ():
            yield person


NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday, ten hours after the slot of `an_instance`
