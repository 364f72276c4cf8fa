"""The state of the cloud account: the usage of every instance, its sync entries, and its uploads."""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from licsync_daemon.practice.sandbox.clock import SandboxClock, iso
from licsync_daemon.practice.sandbox.fleet import Fleet
from licsync_daemon.practice.sandbox.seats import Seat, ServerAccount, assign_seats, primary_address

Mode = Literal["success", "failure", "never"]
SyncState = Literal["PENDING", "SUCCESS", "FAILURE"]
User = dict[str, Any]
WEEK = timedelta(days=7)
ABSENT: Final = object()  # the entry has no `last_sync` at all, not even null


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """How new uploads are processed. `status` and `error` replace the usual texts of the sync entry."""

    mode: Mode = "success"
    delay_s: float = 0.2
    status: str | None = None
    error: str | None = None


@dataclass(slots=True)
class Upload:
    """One accepted upload; its times are of the sandbox clock. `due_at` None: it is never processed."""

    upload_id: str
    server_id: str
    hostname: str
    accounts: int
    users: list[User] = field(repr=False)  # emptied after processing
    received_at: datetime
    due_at: datetime | None
    processing: Processing
    sync_state: SyncState = "PENDING"
    error: str = ""

    def as_json(self) -> dict[str, str]:
        return {"upload_id": self.upload_id, "sync_state": self.sync_state, "error": self.error}


@dataclass(slots=True)
class _Entry:
    """The sync entry of one server."""

    hostname: str
    last_sync: object = ABSENT


@dataclass(slots=True)
class _Connection:
    """GitHub Connect on one server. `next_push_at` None: no weekly push; `usage` returns the server's current usage."""

    hostname: str
    usage: Callable[[], list[User]]
    next_push_at: datetime | None
    connected: bool = True


@dataclass(frozen=True, slots=True)
class Server:
    """One server known to the cloud, from an upload or from GitHub Connect."""

    server_id: str
    hostname: str
    connected: bool


class Cloud:
    """The cloud account. Every method may be called from any thread.

    Uploads are processed by the sandbox clock, without a thread: every method first processes the uploads that are due, and dates
    them at the time they were due.
    """

    def __init__(self, fleet: Fleet, clock: SandboxClock, processing: Processing) -> None:
        self.fleet, self.processing = fleet, processing
        self._clock = clock
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._holdings: dict[str, list[User]] = {}
        self._uploads: dict[str, Upload] = {}
        self._pending: list[Upload] = []
        self._connections: dict[str, _Connection] = {}
        self._seats: Sequence[Seat] | None = None

    def receive(self, server_id: str, hostname: str, users: list[User], *, delay_s: float | None = None) -> Upload:
        """Accept usage; when it is processed, it replaces the server's usage. `delay_s` overrides the usual delay."""
        with self._lock:
            upload = self._add(server_id, hostname, users, self._clock.precise, self.processing.delay_s if delay_s is None else delay_s)
            self._process_due()
            return upload

    def connect(self, server_id: str, hostname: str, usage: Callable[[], list[User]], *, weekly: bool = False) -> None:
        """Enable GitHub Connect on a server. `weekly`: it pushes every week, for the first time in a week."""
        with self._lock:
            self._process_due()
            self._connections[server_id] = _Connection(hostname, usage, self._clock.precise + WEEK if weekly else None)

    def disconnect(self, server_id: str) -> None:
        """Disable GitHub Connect on a server; its usage in the cloud remains."""
        with self._lock:
            self._process_due()
            if (connection := self._connections.get(server_id)) is not None:
                connection.connected, connection.next_push_at = False, None

    def is_connected(self, server_id: str) -> bool | None:
        """Return whether GitHub Connect is enabled; None if it never was."""
        with self._lock:
            connection = self._connections.get(server_id)
            return None if connection is None else connection.connected

    def servers(self) -> list[Server]:
        """Return every server that is listed or was ever connected."""
        with self._lock:
            self._process_due()
            hosts = {**{server_id: one.hostname for server_id, one in self._connections.items()},
                     **{server_id: one.hostname for server_id, one in self._entries.items()}}  # fmt: skip
            return [Server(server_id, host, self.is_connected(server_id) is True) for server_id, host in hosts.items()]

    def uploads_of(self, server_id: str) -> list[Upload]:
        return [upload for upload in self.uploads() if upload.server_id == server_id]

    def upload(self, upload_id: str) -> Upload | None:
        with self._lock:
            self._process_due()
            return self._uploads.get(upload_id)

    def list_server(self, server_id: str, hostname: str) -> None:
        """List a server that was never synced."""
        with self._lock:
            self._entries.setdefault(server_id, _Entry(hostname))

    def set_sync_entry(self, server_id: str, hostname: str, last_sync: object = ABSENT) -> None:
        """Set the entry of a server to any value: absent, empty, null, in the future, with an unknown status."""
        with self._lock:
            self._process_due()
            self._entries[server_id] = _Entry(hostname, last_sync)

    def sync_status(self) -> dict[str, Any]:
        """Return the published `license-sync-status`."""
        with self._lock:
            self._process_due()
            rows = []
            for server_id, entry in self._entries.items():
                row: dict[str, Any] = {"server_id": server_id, "hostname": entry.hostname}
                if entry.last_sync is not ABSENT:
                    row["last_sync"] = entry.last_sync
                rows.append(row)
            return {"server_instances": rows}

    def holdings(self, server_id: str) -> list[User]:
        """Return the usage of a server exactly as it was sent; empty if there is none."""
        with self._lock:
            self._process_due()
            return list(self._holdings.get(server_id, ()))

    def counts(self) -> Mapping[str, int]:
        """Return the number of accounts by server_id."""
        with self._lock:
            self._process_due()
            return {server_id: len(users) for server_id, users in self._holdings.items()}

    def uploads(self) -> list[Upload]:
        with self._lock:
            self._process_due()
            return [replace(upload) for upload in self._uploads.values()]

    def seats(self) -> int:
        """Return the number of consumed seats."""
        return len(self.assigned())

    def assigned(self) -> Sequence[Seat]:
        """Return every seat with its accounts; cached until the usage changes."""
        with self._lock:
            self._process_due()
            if self._seats is None:
                self._seats = assign_seats(self.fleet.members, self._accounts())
            return self._seats

    def _accounts(self) -> list[ServerAccount]:
        return [
            ServerAccount(self._entries[server_id].hostname, user["id"], primary_address(user))
            for server_id, users in self._holdings.items()
            for user in users
        ]

    def _add(self, server_id: str, hostname: str, users: list[User], at: datetime, delay_s: float) -> Upload:
        due_at = None if self.processing.mode == "never" else at + timedelta(seconds=delay_s)
        upload = Upload(str(uuid.uuid4()), server_id, hostname, len(users), users, at, due_at, self.processing)
        self._uploads[upload.upload_id] = upload
        self._pending.append(upload)
        return upload

    def _push_weekly(self, now: datetime) -> None:
        """Run every weekly push that is due, dated at its due time."""
        for server_id, connection in self._connections.items():
            if connection.next_push_at is None or connection.next_push_at > now:
                continue
            users = connection.usage()
            while connection.next_push_at <= now:
                self._add(server_id, connection.hostname, users, connection.next_push_at, 0.0)
                connection.next_push_at += WEEK

    def _process_due(self) -> None:
        now = self._clock.precise
        self._push_weekly(now)
        due = sorted((upload for upload in self._pending if upload.due_at is not None and upload.due_at <= now), key=_due)
        for upload in due:
            self._pending.remove(upload)
            self._process(upload)

    def _process(self, upload: Upload) -> None:
        failed = upload.processing.mode == "failure"
        status = upload.processing.status or ("failure" if failed else "success")
        error = upload.processing.error if upload.processing.error is not None else ("The usage could not be imported." if failed else "")
        upload.sync_state, upload.error = ("FAILURE", error) if failed else ("SUCCESS", "")
        last_sync = {"date": iso(_due(upload)), "status": status, "error": error}
        self._entries[upload.server_id] = _Entry(upload.hostname, last_sync)
        if not failed:
            self._holdings[upload.server_id] = upload.users
            self._seats = None
        upload.users = []


def _due(upload: Upload) -> datetime:
    assert upload.due_at is not None
    return upload.due_at
