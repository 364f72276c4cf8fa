"""The source `file`: the newest export or `all_users.csv` that a person or another job put in a folder.

Its date is the file's mtime, since neither format contains one. The content tells the format. A file is used once a run with it was
confirmed; until then it is read again.
"""

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from licsync_daemon.model.decode import read_date
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import FileSource
from licsync_daemon.model.ports import AccountSink, Clock
from licsync_daemon.model.usage import Collected
from licsync_daemon.sources.export import collected_from
from licsync_daemon.sources.rows import Tally
from licsync_daemon.sources.users_csv import NEEDED, UsersCsvReader

SETTLED = timedelta(seconds=5)  # a newer file may still be written to
UNFINISHED = (".part", ".tmp")
PIECE_BYTES = 64 * 1024
_EXPORT, _REPORT = "export", "report"


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A file that may be an export or a report; sorts by its time."""

    at: datetime
    size: int
    path: Path


class FileUsageSource:
    """Reads one instance (the `UsageSource` port). Only a file newer than `newer_than` is read; None reads any."""

    def __init__(self, source: FileSource, clock: Clock, newer_than: datetime | None) -> None:
        self._source = source
        self._clock = clock
        self._newer_than = newer_than

    async def collect(self, spool: AccountSink) -> Collected:
        for found in self.newest_first():
            with self._opened(found.path) as stream:
                kind = kind_of(stream.read(PIECE_BYTES))
                stream.seek(0)
                if kind is None:
                    continue
                collected = self._export(stream, found, spool) if kind == _EXPORT else await self._report(stream, found, spool)
                if _found(found.path, os.fstat(stream.fileno())) != found:
                    raise self._none(f"{found.path} changed while being read")
                return collected
        raise self._none(f"no newer file in {self._source.path} is an export or a report")

    def newest_first(self) -> list[Candidate]:
        """Return the candidate files, newest first. While the newest of all is being written, no older one is used.

        Raises:
            RunError: `NO_NEW_EXPORT`: there are none.
        """
        path = self._source.path
        try:
            is_folder = path.is_dir()
            files = [Path(one) for one in os.scandir(path) if _may_be_one(one.name)] if is_folder else [path]
            found = sorted((_found(one, status) for one in files if stat.S_ISREG((status := one.lstat()).st_mode)), reverse=True)
        except OSError as error:
            raise self._none(f"{path} cannot be read: {_reason(error)}") from error
        if not found:
            raise self._none(f"there is no file in {path}" if is_folder else f"{path} is not a regular file")
        newest = found[0]
        when = f"{newest.at:%Y-%m-%d %H:%M:%S} UTC"
        if self._clock.now() - newest.at < SETTLED:
            raise self._none(f"{newest.path} ({when}) is still being written, or its date is in the future")
        fresh = [one for one in found if self._newer_than is None or one.at > self._newer_than]
        if not fresh:
            raise self._none(f"{newest.path} ({when}) is not newer than the last synced one ({self._newer_than:%Y-%m-%d %H:%M:%S} UTC)")
        return fresh

    def _none(self, cause: str) -> RunError:
        step = f"put a new export or all_users.csv at {self._source.path}, readable by the daemon's user; the next run finds it"
        return RunError(Code.NO_NEW_EXPORT, cause, step)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file without following a link or blocking on a pipe that replaced it meanwhile."""
        try:
            stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise self._none(f"{path} cannot be read: {_reason(error)}") from error
        with stream:
            yield stream

    def _export(self, stream: IO[bytes], found: Candidate, spool: AccountSink) -> Collected:
        limit = self._source.max_export_bytes
        content = stream.read(limit + 1)
        if len(content) > limit:
            cause = f"{found.path} is larger than {limit / 1024 / 1024:g} MiB"
            raise RunError(Code.EXPORT_TOO_LARGE, cause, "check that it is an export; if it is, raise `max_export_bytes`")
        return collected_from(content, spool, what=f"the file {found.path}", again="export again and replace the file", at=found.at)

    async def _report(self, stream: IO[bytes], found: Candidate, spool: AccountSink) -> Collected:
        reader, tally = UsersCsvReader(), Tally(spool)
        try:
            while piece := stream.read(PIECE_BYTES):
                for line, row in reader.feed(piece):
                    tally.count(line, row)
                await asyncio.sleep(0)  # let other tasks run
            reader.finish()
        except RunError as error:
            raise RunError(error.code, f"{found.path}: {error.cause}", "download the report again and replace the file") from error
        counts, notices = tally.result()
        activity = read_date(reader.newest_activity) or found.at
        return Collected(collected_at=found.at, version=None, http_only=False, counts=counts, newest_activity=activity, notices=notices)


def kind_of(beginning: bytes) -> str | None:
    """Return from the beginning of a file whether it is an export or a report; None for neither."""
    text = beginning.decode("utf-8-sig", "replace").lstrip()
    header = {cell.strip().strip('"').lower() for cell in text.partition("\n")[0].split(",")}
    if header.issuperset(NEEDED):
        return _REPORT
    return _EXPORT if "{" in text else None


def _may_be_one(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(UNFINISHED)


def _found(path: Path, status: os.stat_result) -> Candidate:
    return Candidate(datetime.fromtimestamp(status.st_mtime_ns // 1000 / 1_000_000, UTC), status.st_size, path)


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown reason").lower()
