"""A practice fleet with its configuration, run in this process: real sockets, a real state file, and time that passes quickly."""

import asyncio
import csv
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.daemon.wiring import Parts, recording
from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import DeliveryRecord, Run
from licsync_daemon.practice.sandbox import Sandbox
from licsync_daemon.settings import load_config
from licsync_daemon.sync.context import Observer, ignore
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.waiting import Result

START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
COLUMNS = ["created_at", "id", "login", "email", "role", "suspended?", "last_logged_ip", "repos", "ssh_keys", "org_memberships",
           "dormant?", "last_active", "raw_login", "2fa_enabled?"]  # fmt: skip
META = "/api/v3/meta"
REPORT = "/stafftools/reports/all_users.csv"
UPLOADS = "/licsync/uploads"
SYNC_STATUS = "/enterprises/octo-enterprise/license-sync-status"


class FastClock:
    """A clock whose sleeps last 20 ms at most and then are over on it and on the sandbox's clock.

    Sleeps that overlap pass together, as they do in real time.
    """

    def __init__(self, box: Sandbox | None = None, start: datetime = START, longest_s: float = 0.02) -> None:
        self._box = box
        self._start = start
        self._longest_s = longest_s
        self._ahead_s = 0.0
        self._began_s = time.monotonic()
        self.sleeping = 0
        if box is not None:
            box.clock.set(start)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return time.monotonic() - self._began_s + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.monotonic() + seconds
        self.sleeping += 1
        try:
            await asyncio.sleep(min(seconds, self._longest_s))
        finally:
            self.sleeping -= 1
        self.advance(until_s - self.monotonic())

    def advance(self, seconds: float) -> None:
        """Let time pass at once, here and in the sandbox."""
        if seconds > 0:
            self._ahead_s += seconds
            if self._box is not None:
                self._box.clock.advance(seconds)


class Outcome:
    """What a `--run-now` in this process came to."""

    def __init__(self, results: Sequence[Result], *, named: bool) -> None:
        self.results = {result.instance.name: result for result in results}
        self.exit = exit_code(results, named=named)

    def __getitem__(self, name: str) -> Run:
        run = self.results[name].run
        assert run is not None, f"{name} is locked by {self.results[name].locked_by}"
        return run

    @property
    def states(self) -> dict[str, str]:
        return {name: str(result.run.state) if result.run else "locked" for name, result in self.results.items()}


class Practice:
    """A running sandbox and a matching configuration. `environ` overrides settings of the file."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box = box
        self.folder = folder
        self.path = box.write_config(folder)
        self.clock = FastClock(box)
        self.environ: dict[str, str] = {}

    @property
    def config(self) -> Config:
        return load_config(self.path, self.environ).config

    @property
    def state_dir(self) -> Path:
        return self.config.state_dir

    def override(self, **settings: str) -> None:
        """Lay settings over the file: `instances__emea__enabled="false"`."""
        self.environ |= {f"LICSYNC_{name.upper()}": value for name, value in settings.items()}

    def forget_server_id(self, name: str) -> None:
        """Take an instance's `server_id` out of the file."""
        server_id = self.box.instances[name].server_id
        text = self.path.read_text(encoding="utf-8")
        self.path.write_text(text.replace(f'server_id = "{server_id}"\n', ""), encoding="utf-8")

    def recording(self, observe: Observer = ignore) -> AbstractContextManager[Parts]:
        return recording(self.config, self.clock, {}, observe)

    def run(self, *names: str, wait: timedelta = timedelta(minutes=2)) -> Outcome:
        """Run the named instances, or all, as `--run-now` does."""
        with self.recording() as parts:
            return asyncio.run(self.run_with(parts, *names, wait=wait))

    async def run_with(self, parts: Parts, *names: str, wait: timedelta = timedelta(minutes=2)) -> Outcome:
        config = parts.config
        chosen = tuple(one for one in config.instances if one.enabled and (not names or one.name in names))
        results = await run_now(chosen, parts.context, max_concurrent_runs=config.max_concurrent_runs, wait=wait)
        return Outcome(results, named=bool(names))

    def deliveries(self, name: str) -> tuple[DeliveryRecord, ...]:
        with self.recording() as parts:
            return parts.store.deliveries(name)

    def asked(self, server: str, path: str = "/", method: str | None = None) -> list[int]:
        """Return the status of every request that `server` received for `path`; 0 if it sent no response."""
        return [
            seen.status
            for seen in tuple(self.box.requests)
            if seen.server == server and seen.path.startswith(path) and method in {None, seen.method}
        ]

    def sent(self, name: str) -> set[tuple[int, str]]:
        """Return what the cloud holds of an instance as pairs of id and address."""
        return pairs(self.box.cloud.holdings(self.box.instances[name].server_id))

    def uploads(self, name: str) -> int:
        server_id = self.box.instances[name].server_id
        return sum(upload.server_id == server_id for upload in self.box.cloud.uploads())


def pairs(users: Iterable[Mapping[str, object]]) -> set[tuple[int, str]]:
    """Return users of a usage document as pairs of id and primary address, empty without one."""
    found = set()
    for user in users:
        emails = user["emails"]
        assert isinstance(user["id"], int)
        assert isinstance(emails, list)
        found.add((user["id"], emails[0]["email"] if emails else ""))
    return found


def row(
    number: object, email: str = "mona@example.com", *, login: str = "mona", suspended: str = "false", raw_login: str = "{}"
) -> list[str]:
    """Return one row of a report."""
    return ["2020-01-01T08:00:00Z", str(number), login, email, "user", suspended, "10.0.0.1", "1", "1", "1", "false", "", raw_login, "true"]


def rows(count: int, first: int = 1) -> list[list[str]]:
    return [row(number, f"user{number}@example.com", login=f"user{number}") for number in range(first, first + count)]


def report(*lines: Sequence[str], header: Sequence[str] = COLUMNS, end: str = "\n") -> str:
    """Write a report."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


OK, SOME_FAILED, ALL_FAILED, HELD, OPEN = Exit.OK, Exit.SOME_FAILED, Exit.ALL_FAILED, Exit.HELD, Exit.OPEN
