"""Fakes of the ports: a clock that is moved by hand, scripted servers, and builders of values.

Nothing here waits in real time. Every call to a server goes through `FakeWorld.at`, which counts it and is the one place where a test
makes it fail, cancels the task, or kills the process.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from licsync_daemon.deliveries.outbox import Outbox
from licsync_daemon.deliveries.outbox_folder import fault, take_back
from licsync_daemon.model.alert import Alert, Message, Severity
from licsync_daemon.model.errors import Code, LockedError, RemoteError, StateUnwritableError
from licsync_daemon.model.instance import CloudAccount, Config, Destination, HttpDelivery, Instance, ManualDelivery, ReportSource, Schedule
from licsync_daemon.model.ports import UsageDocument, WaitReporter
from licsync_daemon.model.run import Baseline, Decided, Decision, DeliveryRecord, Holder, Run, RunState, Trigger
from licsync_daemon.model.usage import (
    Account,
    Collected,
    Export,
    Installation,
    Person,
    SeatTotals,
    ServerIdentity,
    SyncEntry,
    SyncStatus,
    Upload,
    UploadState,
    UsageCounts,
)
from licsync_daemon.state.document import write_document
from licsync_daemon.state.held_exports import HELD, PREPARED, FileHeldExports
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.state.spool import AccountSpool
from licsync_daemon.state.workspace import DiskWorkspace
from licsync_daemon.sync.context import RunContext

# The servers of the imaginary world, by server ID.
HOSTS = {f"server-{name}": f"ghes-{name}.example.com" for name in ("emea", "apac", "labs", "gov")}
T0 = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # a Tuesday, and the slot of `an_instance`


class FakeClock:
    """The `Clock` port, moved by hand; sleeping moves it too. The wall clock may jump, the monotonic one never decreases."""

    def __init__(self, at: datetime = T0) -> None:
        self._now = at
        self._monotonic = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += max(0.0, seconds)

    def jump(self, by: timedelta) -> None:
        """Set the wall clock; no time passes."""
        self._now += by


class Waits:
    """The `WaitReporter` port: records every wait."""

    def __init__(self) -> None:
        self.told: list[tuple[datetime, str, float]] = []
        self.resumes = 0

    def waiting(self, until: datetime, why: str, seconds: float) -> None:
        self.told.append((until, why, seconds))

    def resumed(self) -> None:
        self.resumes += 1


class Died(BaseException):
    """The process died: nothing is cleaned up or recorded."""

    @classmethod
    def again(cls) -> None:
        """Raise it again where a dead process would write."""
        if isinstance(sys.exc_info()[1], cls):
            raise cls


def transient(code: Code = Code.SERVER_ERROR, **more: Any) -> RemoteError:
    return RemoteError(code, "it did not work", "wait", transient=True, **more)


def permanent(code: Code = Code.UPLOAD_REFUSED, **more: Any) -> RemoteError:
    return RemoteError(code, "it was refused", "look", **more)


@dataclass
class _Uploaded:
    upload_id: str
    content_hash: str
    server_id: str
    state: UploadState = UploadState.PENDING
    error: str = ""


@dataclass
class FakeWorld:
    """The `Adapters` port over one imaginary world: instances with accounts, an endpoint with uploads, a cloud with sync dates.

    Attributes:
        accounts: The accounts in each instance's report, by instance name; other instances have `default_accounts`.
        fail: Errors by step, raised one a call: `{"send": [error]}`. A step is `collect`, `send`, `answer` (after the endpoint accepted
            the upload), `ask`, `sync_status`, `seats`, or `open …`.
        calls: Every step in order.
        interfere: Called with every step's name and running number, before it happens.
    """

    clock: FakeClock
    accounts: dict[str, list[Account]] = field(default_factory=dict)
    default_accounts: list[Account] = field(default_factory=lambda: [an_account(2), an_account(1), an_account(3, suspended=True)])
    fail: dict[str, list[BaseException]] = field(default_factory=dict)
    interfere: Callable[[str, int], None] = lambda step, number: None
    processes: bool = True  # whether the endpoint hands uploads to the cloud as soon as they arrive
    tells_states: bool = True  # whether uploads can be queried
    entries: dict[str, SyncEntry] = field(default_factory=dict)
    uploads: dict[str, _Uploaded] = field(default_factory=dict)  # by idempotency key
    holds: dict[str, str] = field(default_factory=dict)  # content hash by server ID: what the cloud has
    processed: list[tuple[str, str]] = field(default_factory=list)  # (server ID, content hash), in order
    calls: list[str] = field(default_factory=list)
    exports: dict[str, Export] = field(default_factory=dict)  # by instance name; the others have a report
    counted: list[Account] | None = None  # from a second source, for an export
    collected_at: datetime | None = None  # when an export was made, if not now
    installs: tuple[Installation, ...] | None = None  # what GraphQL shows
    organization: bool = False
    version: str = "3.19.2"
    newer_than: datetime | None = None  # of the source that was opened last
    seat_totals: SeatTotals = field(default_factory=lambda: SeatTotals(consumed=10, purchased=20))

    async def at(self, step: str) -> None:
        self.calls.append(step)
        self.interfere(step, len(self.calls))
        await asyncio.sleep(0)
        if self.fail.get(step):
            raise self.fail[step].pop(0)

    # ---------------------------------------------------------------- what happens out there

    def sync(self, server_id: str, *, status: str = "success", error: str | None = None, hostname: str | None = None) -> None:
        """Set the cloud's latest sync of a server to now."""
        date = self.clock.now().replace(microsecond=0)
        host = hostname or HOSTS.get(server_id, server_id)
        self.entries[server_id] = SyncEntry(server_id=server_id, hostname=host, date=date, status=status, error=error)

    def process(self, upload: _Uploaded) -> None:
        """Let the cloud take what was uploaded."""
        upload.state = UploadState.SUCCESS
        self.holds[upload.server_id] = upload.content_hash
        self.processed.append((upload.server_id, upload.content_hash))
        self.sync(upload.server_id)

    def process_all(self) -> None:
        for upload in self.uploads.values():
            if upload.state is UploadState.PENDING:
                self.process(upload)

    def reject_all(self, error: str = "no such enterprise") -> None:
        for upload in self.uploads.values():
            if upload.state is UploadState.PENDING:
                upload.state, upload.error = UploadState.FAILURE, error

    # ---------------------------------------------------------------- the port

    @asynccontextmanager
    async def source(self, instance: Instance, waits: WaitReporter, *, newer_than: datetime | None = None) -> AsyncIterator["_Source"]:
        self.newer_than = newer_than
        await self.at("open source")
        yield _Source(self, instance)

    @asynccontextmanager
    async def delivery(self, instance: Instance, waits: WaitReporter) -> AsyncIterator["_Delivery"]:
        await self.at("open delivery")
        if isinstance(instance.delivery, ManualDelivery):
            yield Outbox(instance, instance.delivery, upload_page="https://github.com/enterprises/octo", now=self.clock.now())
        else:
            yield _Delivery(self)

    def take_back(self, record: DeliveryRecord) -> None:
        take_back(record)

    def outbox_fault(self, instance: Instance, run: Run, record: DeliveryRecord) -> str | None:
        return fault(instance, run, record)

    async def put_back(self, instance: Instance, run: Run, record: DeliveryRecord, document: UsageDocument | None) -> None:
        await self.at("put back")
        assert isinstance(instance.delivery, ManualDelivery)
        since = run.delivered_at or run.started_at
        await Outbox(instance, instance.delivery, upload_page="https://github.com/enterprises/octo", now=since).send(document, record.key)

    @asynccontextmanager
    async def cloud(self, waits: WaitReporter) -> AsyncIterator["_Cloud"]:
        await self.at("open cloud")
        yield _Cloud(self)


@dataclass
class _Source:
    world: FakeWorld
    instance: Instance

    async def collect(self, spool: AccountSpool) -> Collected:
        await self.world.at("collect")
        if (export := self.world.exports.get(self.instance.name)) is not None:
            spool.add(list(self.world.counted or ()))
            counts = UsageCounts(counted=False) if self.world.counted is None else counts_of(self.world.counted)
            made = self.world.collected_at or self.world.clock.now()
            return Collected(collected_at=made, version=None, http_only=False, counts=counts, export=export)
        accounts = self.world.accounts.get(self.instance.name, self.world.default_accounts)
        spool.add(list(accounts))
        return Collected(
            collected_at=self.world.clock.now(),
            version=self.world.version,
            http_only=False,
            counts=counts_of(accounts, total_users=len(accounts)),
        )


@dataclass
class _Delivery:
    world: FakeWorld

    async def send(self, document: UsageDocument | None, key: str) -> str:
        assert document is not None
        await self.world.at("send")
        known = self.world.uploads.get(key)
        if known is None:
            text = b"".join(document.plain()).decode()
            server_id = json.loads(text)["instance"]["server_id"]
            known = _Uploaded(f"upload-{len(self.world.uploads) + 1}", document.content_hash, server_id)
            self.world.uploads[key] = known
            if self.world.processes:
                self.world.process(known)
        elif known.content_hash != document.content_hash:
            raise permanent(Code.UPLOAD_CONFLICT, status=409)
        await self.world.at("answer")
        return known.upload_id

    async def ask(self, upload_id: str) -> Upload:
        await self.world.at("ask")
        found = next((one for one in self.world.uploads.values() if one.upload_id == upload_id), None)
        if found is None or not self.world.tells_states:
            return Upload(state=None)
        return Upload(state=found.state, error=found.error)


@dataclass
class _Cloud:
    world: FakeWorld

    async def sync_status(self) -> SyncStatus:
        await self.world.at("sync_status")
        answered_at = self.world.clock.now().replace(microsecond=0)
        if self.world.organization:
            return SyncStatus(entries=(), answered_at=answered_at, exists=False)
        return SyncStatus(entries=tuple(self.world.entries.values()), answered_at=answered_at)

    async def installations(self) -> tuple[Installation, ...] | None:
        await self.world.at("installations")
        return self.world.installs

    async def seats(self) -> SeatTotals:
        await self.world.at("seats")
        return self.world.seat_totals

    async def people(self) -> AsyncIterator[Person]:
        await self.world.at("people")
        for person in ():
            yield person


class FakeChannel:
    """The `Channel` port: records every message, or fails as scripted."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.told: list[Message] = []
        self.fail: list[BaseException] = []

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self.fail:
            raise self.fail.pop(0)
        self.told.append(message)


class MemoryLeases:
    """The `Leases` port within one process."""

    def __init__(self) -> None:
        self._taken: dict[str, _MemoryLease] = {}

    def instance(self, name: str) -> "_MemoryLease | None":
        return self._take(f"instance {name}")

    def holder(self, name: str) -> str:
        return "process 4711 on host-a" if f"instance {name}" in self._taken else "another process"

    def alerts(self) -> "_MemoryLease | None":
        return self._take("alerts")

    def daemon(self) -> "_MemoryLease":
        lease = self._take("daemon")
        if lease is None:
            raise LockedError(Path("daemon"), "process 4711 on host-a")
        return lease

    def _take(self, right: str) -> "_MemoryLease | None":
        if right in self._taken and self._taken[right].is_held:
            return None
        self._taken[right] = _MemoryLease()
        return self._taken[right]


class _MemoryLease:
    is_held = True
    unnamed_because: OSError | None = None
    is_findable = True

    def touch(self) -> None:
        assert self.is_held

    def release(self) -> None:
        self.is_held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class MemoryHeldExports:
    """The `HeldExports` port within one process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str | None], Export] = {}

    def keep(self, run: Run, export: Export) -> None:
        self._kept[run.instance, run.content_hash] = export

    def find(self, run: Run) -> Export | None:
        return self._kept.get((run.instance, run.content_hash))

    def sweep(self, instance: str, wanted: Iterable[Run | None] = ()) -> None:
        left = {(run.instance, run.content_hash) for run in wanted if run is not None}
        self._kept = {key: export for key, export in self._kept.items() if key[0] != instance or key in left}


class FlakyStore(MemoryStore):
    """A `MemoryStore` whose disk fills up, or whose process dies before or after a write."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.before_write: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None

    def write_fault(self, *, try_it: bool = False) -> str | None:
        return "database or disk is full" if self.full else super().write_fault(try_it=try_it)

    @contextmanager
    def _write(self) -> Iterator[None]:
        Died.again()
        if self.full:
            raise StateUnwritableError("database or disk is full")
        self.before_write()
        yield
        self.after_write()

    def save_run(self, *args: Any, **kwargs: Any) -> None:
        with self._write():
            super().save_run(*args, **kwargs)

    def save_delivery(self, record: DeliveryRecord) -> None:
        Died.again()
        if self.full:
            raise StateUnwritableError("database or disk is full")
        super().save_delivery(record)


# ---------------------------------------------------------------- builders


def an_account(number: int = 1, **changes: Any) -> Account:
    return Account(**{"id": number, "login": f"user{number}", "email": f"user{number}@example.com", "suspended": False, **changes})


def counts_of(accounts: Iterable[Account], **more: Any) -> UsageCounts:
    every = list(accounts)
    active = [one for one in every if not one.suspended]
    return UsageCounts(
        rows=len(every),
        sent=len(active),
        suspended=len(every) - len(active),
        without_address=sum(not one.email for one in active),
        **more,
    )


def an_instance(name: str = "emea", **changes: Any) -> Instance:
    """An instance that is due every Tuesday at 02:00 UTC, with a known server ID."""
    hostname = changes.get("hostname", f"ghes-{name}.example.com")
    return Instance(
        **{
            "name": name,
            "hostname": hostname,
            "server_id": f"server-{name}",
            "enabled": True,
            "schedule": Schedule(cron="0 2 * * 2", timezone="UTC"),
            "max_age": timedelta(days=8),
            "source": ReportSource(at=Destination(url=f"https://{hostname}"), username="reader"),
            "delivery": HttpDelivery(at=Destination(url="https://relay.example.com/uploads")),
            **changes,
        }
    )


def a_config(*instances: Instance, **changes: Any) -> Config:
    return Config(
        **{
            "state_dir": Path("/nonexistent/state"),
            "credentials_dir": Path("/nonexistent/credentials"),
            "cloud": CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo"),
            "instances": instances or (an_instance(),),
            "max_concurrent_runs": 4,
            "log_level": "info",
            **changes,
        }
    )


def a_run(run_id: str = "run1", **changes: Any) -> Run:
    return Run(
        **{
            "run_id": run_id,
            "instance": "emea",
            "trigger": Trigger.SCHEDULE,
            "reason": "weekly slot",
            "slot": T0,
            "started_at": T0,
            **changes,
        }
    )


def an_ended_run(run_id: str = "run1", state: RunState = RunState.CONFIRMED, **changes: Any) -> Run:
    return a_run(run_id, **{"state": state, "ended_at": changes.get("started_at", T0) + timedelta(minutes=1), **changes})


def a_decision(**changes: Any) -> Decision:
    """An approval of the run "held", a moment after T0, for a week."""
    return Decision(
        **{
            "instance": "emea",
            "run_id": "held",
            "what": Decided.APPROVED,
            "actor": "mona",
            "at": T0,
            "reason": "site closed",
            "until": T0 + timedelta(days=7),
            **changes,
        }
    )


def an_alert(code: Code = Code.UNREACHABLE, **changes: Any) -> Alert:
    return Alert(
        **{
            "instance": "emea",
            "code": code,
            "severity": Severity.ALERT,
            "text": "it cannot be reached",
            "next_step": "look at the network",
            "opened_at": T0,
            "changed_at": T0,
            **changes,
        }
    )


def a_baseline(**changes: Any) -> Baseline:
    return Baseline(**{"date": None, "answered_at": T0, "entry": "", **changes})


def a_delivery(key: str = "key1", **changes: Any) -> DeliveryRecord:
    return DeliveryRecord(
        **{
            "key": key,
            "instance": "emea",
            "run_id": "run1",
            "slot": T0,
            "content_hash": "sha256:" + "0" * 64,
            "identity": ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea"),
            "sent": 2,
            "baseline": a_baseline(),
            "opened_at": T0,
            **changes,
        }
    )


def an_entry(**changes: Any) -> SyncEntry:
    return SyncEntry(
        **{
            "server_id": "server-emea",
            "hostname": "ghes-emea.example.com",
            "date": T0,
            "status": "success",
            "error": None,
            **changes,
        }
    )


def a_status(*entries: SyncEntry, answered_at: datetime | None = T0) -> SyncStatus:
    return SyncStatus(entries=entries, answered_at=answered_at)


def a_holder(pid: int = 4711, **changes: Any) -> Holder:
    return Holder(**{"pid": pid, "host": "host-a", "boot_id": "boot-1", "start_ticks": 100, "since_at": T0, **changes})


def a_document(where: Path, accounts: Iterable[Account] = (), **changes: Any) -> UsageDocument:
    """Write a document of `accounts`, as a run would."""
    every = list(accounts)
    with AccountSpool(where) as spool:
        spool.add(every)
        return write_document(
            spool,
            **{
                "directory": where,
                "identity": ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea"),
                "collected_at": T0,
                "version": "3.19.2",
                "http_only": False,
                "counts": counts_of(every, seats_used=len(every)),
                **changes,
            },
        )


def a_context(world: FakeWorld, spool_dir: Path, store: Any = None, **changes: Any) -> RunContext:
    return RunContext(
        **{
            "store": store if store is not None else MemoryStore(),
            "adapters": world,
            "clock": world.clock,
            "workspace": DiskWorkspace(spool_dir),
            "exports": FileHeldExports(spool_dir / HELD),
            "prepared": FileHeldExports(spool_dir / PREPARED),
            "leases": FileLeases(spool_dir, world.clock),
            "holder": a_holder(),
            "digest_key": b"a key of this test",
            **changes,
        }
    )
