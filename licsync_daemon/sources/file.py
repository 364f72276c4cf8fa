"""The source `file`: the newest export or `all_users.csv` that a person or another job put in a folder.

Its date is the file's mtime, since neither format contains one. The content tells the format. A file is used once a run with it was
confirmed; until then it is read again.
"""

import asyncio
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from licsync_daemon.model.decode import moment_of
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import FileSource
from licsync_daemon.model.ports import AccountSink, Clock
from licsync_daemon.model.usage import CLOCK_SLACK, Collected
from licsync_daemon.sources.export import collected_from
from licsync_daemon.sources.rows import Tally
from licsync_daemon.sources.saved_again import beginning_of, is_report, other_kind, report_fault
from licsync_daemon.sources.users_csv import UsersCsvReader

SETTLED = timedelta(seconds=5)  # a newer file may still be written to
WRITTEN_S = 60.0  # how long a file that is being written is waited for
#: Names of unfinished transfers. Clients for SFTP, rsync, browsers, editors and NFS use them until a file is complete.
UNFINISHED = re.compile(
    r"^[.~#]|[~#]$"
    r"|\.(part|partial|filepart|crdownload|download|opdownload|upload|uploading|tmp|temp|sw[opx]|incomplete|inprogress|in-progress|unfinished"
    r"|writing|aspera-ckpt|aria2|gstmp|!ut|!qb|!sync|!bt|bc!|jc!|td|xltd|unconfirmed|nfs|!|~tmp|temporary|transfer|transferring|xfer"
    r"|copying|receiving|incoming|pending|wip|working|progress|rdownload|dtapart|lftp-pget-status)([-._]?[0-9]+|\.[a-z0-9]{6,10})?$"
    r"|\.(json|csv)\.(?=[0-9]*[a-f])[0-9a-f]{8}$|\.sb-[0-9a-f]{8}-[a-z0-9]{6}$",  # of cloud storage clients, of macOS
    re.IGNORECASE,
)
BESIDE = (".aria2", ".aspera-ckpt", ".lftp-pget-status")  # while a file with such a name lies beside it, a file is incomplete
PIECE_BYTES = 64 * 1024
_EXPORT, _REPORT = "export", "report"


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A file that may be an export or a report; sorts by its time."""

    at: datetime
    size: int
    path: Path


class BeingWrittenError(RunError):
    """A file may be complete in `seconds`."""

    def __init__(self, cause: str, next_step: str, seconds: float) -> None:
        super().__init__(Code.NO_NEW_EXPORT, cause, next_step)
        self.seconds = seconds


class FileUsageSource:
    """Reads one instance (the `UsageSource` port). Only a file newer than `newer_than` is read; None reads any."""

    def __init__(self, source: FileSource, clock: Clock, newer_than: datetime | None) -> None:
        self._source = source
        self._clock = clock
        self._newer_than = newer_than

    async def collect(self, spool: AccountSink) -> Collected:
        until = self._clock.monotonic() + WRITTEN_S
        while True:
            try:
                return await self._collect(spool)
            except BeingWrittenError as error:
                if self._clock.monotonic() >= until:
                    raise
                await self._clock.sleep(error.seconds)
                spool.clear()

    async def _collect(self, spool: AccountSink) -> Collected:
        skipped = ""
        for found in self.newest_first():
            with self._opened(found.path) as stream:
                beginning = stream.read(PIECE_BYTES)
                stream.seek(0)
                kind = kind_of(beginning)
                if kind is None:
                    what = other_kind(beginning)
                    skipped = skipped or (f"; {found.path.name} is {what}" if what else "")
                    continue
                collected = self._export(stream, found, spool) if kind == _EXPORT else await self._report(stream, found, spool)
                if _found(found.path, os.fstat(stream.fileno())) != found:
                    raise self._none(f"{found.path} changed while being read", written_s=1.0)
                return collected
        raise self._none(f"no newer file in {self._source.path} is an export or a report{skipped}")

    def newest_first(self) -> list[Candidate]:
        """Return the candidate files, newest first. While the newest of all is being written, no older one is used.

        Raises:
            RunError: `NO_NEW_EXPORT`: there are none.
            BeingWrittenError: The newest one may be complete in a few seconds.
        """
        path = self._source.path
        try:
            is_folder = path.is_dir()
            names = {one.name for one in os.scandir(path)} if is_folder else set()
            files = [path / name for name in names if _may_be_one(name, names)] if is_folder else [path]
            found = sorted((_found(one, status) for one in files if stat.S_ISREG((status := one.lstat()).st_mode)), reverse=True)
        except OSError as error:
            raise self._none(f"{path} cannot be read: {_reason(error)}") from error
        if not found:
            unfinished = f"; {len(names)} are unfinished transfers or hidden by name" if names else ""
            raise self._none(f"there is no file in {path}{unfinished}" if is_folder else f"{path} is not a regular file")
        newest = found[0]
        when = f"{newest.at:%Y-%m-%d %H:%M:%S} UTC"
        age = self._clock.now() - newest.at
        if age < SETTLED:
            soon = (SETTLED - age).total_seconds() if age > -SETTLED else None
            raise self._none(f"{newest.path} ({when}) is still being written, or its date is in the future", written_s=soon)
        fresh = [one for one in found if self._newer_than is None or one.at > self._newer_than]
        if not fresh:
            raise self._none(f"{newest.path} ({when}) is not newer than the last synced one ({self._newer_than:%Y-%m-%d %H:%M:%S} UTC)")
        return fresh

    def _none(self, cause: str, *, written_s: float | None = None) -> RunError:
        step = f"put a new export or all_users.csv at {self._source.path}, readable by the daemon's user; the next run finds it"
        return BeingWrittenError(cause, step, written_s) if written_s is not None else RunError(Code.NO_NEW_EXPORT, cause, step)

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
        if fault := report_fault(*beginning_of(stream.read(PIECE_BYTES))):
            cause = f"{found.path} is a report that a spreadsheet or another program saved again: {fault}"
            step = "download the report again, and put it there without opening and saving it: that may change addresses and flags"
            raise RunError(Code.REPORT_NOT_CSV, cause, step)
        stream.seek(0)
        reader, tally = UsersCsvReader(latest=self._clock.now() + CLOCK_SLACK), Tally(spool)
        try:
            while piece := stream.read(PIECE_BYTES):
                tally.count(reader.feed(piece))
                await asyncio.sleep(0)  # let other tasks run
            reader.finish()
        except RunError as error:
            raise RunError(error.code, f"{found.path}: {error.cause}", "download the report again and replace the file") from error
        counts, notices = tally.result()
        return Collected(
            collected_at=found.at,
            version=None,
            http_only=False,
            counts=counts,
            newest_activity=reader.newest_activity or found.at,
            notices=(*notices, *reader.notices()),
        )


def kind_of(beginning: bytes) -> str | None:
    """Return from the beginning of a file whether it is an export or a report, in whatever form; None for neither."""
    text, _ = beginning_of(beginning)
    if other_kind(beginning):
        return None
    return _REPORT if is_report(text) else _EXPORT if "{" in text else None


def _may_be_one(name: str, names: Collection[str]) -> bool:
    return not UNFINISHED.search(name) and not any(name + ending in names for ending in BESIDE)


def _found(path: Path, status: os.stat_result) -> Candidate:
    return Candidate(moment_of(status.st_mtime_ns), status.st_size, path)


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown reason").lower()
