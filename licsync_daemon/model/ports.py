"""All ports except the state (`store.py`). A port's docstrings are the specification of its contract suite."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Protocol, Self

from licsync_daemon.model.alert import Message
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import DeliveryRecord, Run
from licsync_daemon.model.usage import (
    Account,
    Collected,
    Export,
    Installation,
    Person,
    Present,
    SeatTotals,
    ServerIdentity,
    SyncStatus,
    Upload,
)


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> datetime:
        """Return the wall-clock time as aware UTC. May jump in either direction."""

    def monotonic(self) -> float:
        """Return seconds since a fixed point; never decreases."""

    async def sleep(self, seconds: float) -> None:
        """Wait; a canceled task stops waiting immediately."""


class WaitReporter(Protocol):
    """Receives the waits inside a run, so that `status` can show them."""

    def waiting(self, until: datetime, why: str, seconds: float) -> None:
        """Report that nothing happens before `until`."""

    def resumed(self) -> None:
        """Report that the wait, if any, is over."""


class AccountSink(Protocol):
    """Takes the accounts that a source reads."""

    def add(self, accounts: Sequence[Account]) -> dict[int, Present]:
        """Store the accounts whose ids are not present yet. Return the others by their position."""

    def clear(self) -> None:
        """Remove every account, before they are read again."""


class Accounts(AccountSink, Protocol):
    """The accounts of one collection. They are deleted when the context or the process ends."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def everyone(self) -> Iterator[Account]:
        """Yield every account, suspended ones included, ordered by id. May be called again."""

    def active(self) -> Iterator[Account]:
        """Yield the accounts that are not suspended, ordered by id. May be called again."""


class UsageDocument(Protocol):
    """Exactly what leaves the machine, and its content hash. It is deleted when the context or the process ends."""

    @property
    def identity(self) -> ServerIdentity: ...
    @property
    def collected_at(self) -> datetime: ...
    @property
    def content_type(self) -> str: ...
    @property
    def content_hash(self) -> str:
        """Return "sha256:" and 64 hexadecimal digits; equal usage has an equal hash, except in an export."""

    @property
    def sent(self) -> int | None:
        """Return the number of accounts in the document; None for an encrypted export."""

    @property
    def size_bytes(self) -> int:
        """Return the size after compression."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the compressed document from its start."""

    def plain(self) -> Iterator[bytes]:
        """Yield the uncompressed document."""


class Workspace(Protocol):
    """Temporary storage of a run, in unnamed files. Every method raises `StateUnwritableError`."""

    def accounts(self) -> Accounts:
        """Return an empty collection of accounts."""

    def kept(self, chunks: Iterator[bytes]) -> AbstractContextManager[Iterable[bytes]]:
        """Return chunks that are computed when they are read first, to the end, and kept until the context ends."""

    def document(self, accounts: Accounts, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        """Write the document with all accounts that are not suspended; `identity` must have a server ID."""

    def export_document(self, export: Export, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        """Wrap GitHub's own export in a document, unchanged."""


class HeldExports(Protocol):
    """Exports of held runs, kept until a person decides, and of sent runs, kept until confirmation."""

    def keep(self, run: Run, export: Export) -> None:
        """Store the export of a run under its content hash; durable when this returns.

        Raises `StateUnwritableError` if nothing was stored.
        """

    def find(self, run: Run) -> Export | None:
        """Return the export that a run held or sent, if present and its content still has the run's hash."""

    def sweep(self, instance: str, wanted: Iterable[Run | None] = ()) -> None:
        """Delete the exports of an instance except those of the `wanted` runs. Raises nothing."""


class Lease(Protocol):
    """The exclusive right to do something, among all processes; held until `release` or the end of the process."""

    @property
    def unnamed_because(self) -> OSError | None:
        """Return why the holder could not be recorded, such as a full disk; the right is held all the same."""

    @property
    def is_findable(self) -> bool:
        """Return whether another process that tries to take the lease still finds it taken."""

    def touch(self) -> None:
        """Record that the holder is alive. Raises `OSError`."""

    def release(self) -> None:
        """Release the lease; releasing twice is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Leases(Protocol):
    """The leases of one state directory: to run an instance, to evaluate alerts, and to be the daemon. Taking a lease never waits."""

    def instance(self, name: str) -> Lease | None:
        """Take the lease of an instance; None if another process, or another task of this one, holds it. Raises `OSError`."""

    def holder(self, name: str) -> str:
        """Return the current or last holder of an instance's lease, for people: "process 4711 on host-a since 2026-11-24 02:00:00 UTC"."""

    def alerts(self) -> Lease | None:
        """Take the lease for evaluating alerts; None if another process holds it. Raises `OSError`."""

    def daemon(self) -> Lease:
        """Take the daemon's lease.

        Raises `LockedError` if another daemon holds it, and `OSError` if the directory is not writable.
        """


class UsageSource(Protocol):
    """Reads the license usage of one instance."""

    async def collect(self, spool: AccountSink) -> Collected:
        """Add every usable account to `spool` and return the counts; an encrypted export adds none.

        Keeps nothing between calls. Raises `RunError` with the cause; the content of `spool` is then undefined.
        """


class Delivery(Protocol):
    """Sends a usage document to an endpoint, or hands it to a person. Safe to repeat with the same key and content hash."""

    async def send(self, document: UsageDocument | None, key: str) -> str:
        """Send `document` under the idempotency `key`. Return the upload's id, or the folder from which a person takes it.

        `document` is None if a person exports the usage (delivery `manual` only).

        Raises `RemoteError`, which is `transient` unless the endpoint refused the document permanently.
        """

    async def ask(self, upload_id: str) -> Upload:
        """Return the status of an upload; its `state` is None if the endpoint does not know it or cannot be queried."""


class CloudReader(Protocol):
    """Reads the sync status and license data of the cloud account. Never changes anything."""

    async def sync_status(self) -> SyncStatus:
        """Return every server the cloud lists; one response covers all instances."""

    async def seats(self) -> SeatTotals:
        """Return the account's seat totals from one page."""

    async def installations(self) -> tuple[Installation, ...] | None:
        """Return the servers as GraphQL shows them; None if the token lacks permission."""

    def people(self) -> AsyncIterator[Person]:
        """Yield every person who consumes a license, page by page; a person who moved between two pages appears once."""


class Adapters(Protocol):
    """Opens sources, deliveries and the cloud for one run; leaving the context closes the connections."""

    def source(
        self, instance: Instance, waits: WaitReporter, *, newer_than: datetime | None = None
    ) -> AbstractAsyncContextManager[UsageSource]:
        """Open the instance's source, which must not be `none`.

        `newer_than` is the `collected_at` of the last confirmed run: a file that is not newer was already used.
        """

    def delivery(self, instance: Instance, waits: WaitReporter) -> AbstractAsyncContextManager[Delivery]: ...

    def take_back(self, record: DeliveryRecord) -> None:
        """Remove a record's export from the outbox it was put in; a newer export stays. Raises nothing."""

    def outbox_fault(self, instance: Instance, run: Run, record: DeliveryRecord) -> str | None:
        """Return how what waits for a person differs from what was put into the outbox; None if nothing does. Raises nothing."""

    async def put_back(self, instance: Instance, run: Run, record: DeliveryRecord, document: UsageDocument | None) -> None:
        """Put what waits for a person into the outbox again, under the same key; without a document, the steps only.

        Raises `RunError`.
        """

    def cloud(self, waits: WaitReporter) -> AbstractAsyncContextManager[CloudReader]: ...


class Channel(Protocol):
    """Sends notifications. A message may be sent twice but is never lost: the caller keeps it until it was accepted."""

    @property
    def name(self) -> str:
        """Return the kind of channel, such as `mail`, without an address."""

    async def send(self, message: Message) -> None:
        """Send one message; it was accepted when this returns.

        Raises `RunError` with the cause. Has its own timeouts; stops immediately when canceled.
        """
