"""Every promise between parts, but for the state (`store.py`). A port's docstrings are the specification of its contract suite."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, Self

from licsync_daemon.model.alert import Message
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import DeliveryRecord, Run
from licsync_daemon.model.usage import (
    Account,
    Added,
    Collected,
    Export,
    Installation,
    Person,
    SeatTotals,
    ServerIdentity,
    SyncStatus,
    Upload,
)


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> datetime:
        """Return the wall clock as aware UTC. May jump, in both directions."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait; a canceled task wakes at once."""


class WaitReporter(Protocol):
    """Hears about waits inside a run, so that `status` can show them."""

    def waiting(self, until: datetime, why: str, seconds: float) -> None:
        """Tell that nothing will happen before `until`."""

    def resumed(self) -> None:
        """Tell that the wait, if there was one, is over."""


class AccountSink(Protocol):
    """Takes the accounts that a source reads."""

    def add(self, account: Account) -> Added:
        """Keep `account`, unless its id is there already."""

    def clear(self) -> None:
        """Forget every account, for another try at reading them."""


class Accounts(AccountSink, Protocol):
    """The accounts of one collection. They are gone when the context ends, or with the process."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def everyone(self) -> Iterator[Account]:
        """Yield every account, suspended ones included, ordered by id. May be called again."""

    def active(self) -> Iterator[Account]:
        """Yield the accounts that are not suspended, ordered by id. May be called again."""


class UsageDocument(Protocol):
    """Exactly what leaves the machine, and its content hash. It is gone when the context ends, or with the process."""

    @property
    def identity(self) -> ServerIdentity: ...
    @property
    def collected_at(self) -> datetime: ...
    @property
    def content_type(self) -> str: ...
    @property
    def content_hash(self) -> str:
        """Return "sha256:" and 64 hexadecimal digits; equal usage has an equal hash, an export need not."""

    @property
    def sent(self) -> int | None:
        """Return the number of accounts in the document; None where an export is opaque."""

    @property
    def size_bytes(self) -> int:
        """Return the size after compression."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the compressed document from its start."""

    def plain(self) -> Iterator[bytes]:
        """Yield the document as it is before compression."""


class Workspace(Protocol):
    """Room for what a run holds while it lasts. Nothing of it has a name on a disk. Every method raises `StateUnwritableError`."""

    def accounts(self) -> Accounts:
        """Return an empty collection of accounts."""

    def document(self, accounts: Accounts, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        """Write the document of all accounts that are not suspended; the server id of `identity` must be known."""

    def export_document(self, export: Export, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        """Put GitHub's own export into a document, unchanged."""


class HeldExports(Protocol):
    """Exports of held runs, kept until a person decides, and of what was sent, until it has arrived."""

    def keep(self, run: Run, export: Export) -> None:
        """Keep the export of a run by its content hash; durable when this returns.

        Raises `StateUnwritableError`: nothing was kept.
        """

    def find(self, run: Run) -> Export | None:
        """Return the export that a run held or sent, if it is there and its content still has the run's hash."""

    def sweep(self, instance: str, wanted: Iterable[Run | None] = ()) -> None:
        """Delete the exports of an instance except those of the `wanted` runs. Raises nothing."""


class Lease(Protocol):
    """The right to do something that only one process may do at a time: held until `release`, or the end of the process."""

    def touch(self) -> None:
        """Record that the holder is alive. Raises `OSError`."""

    def release(self) -> None:
        """Give the right back; releasing twice is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Leases(Protocol):
    """Who may run an instance, evaluate the alerts, or be the daemon, among all processes on one state. Taking never waits."""

    def instance(self, name: str) -> Lease | None:
        """Take the right to run an instance; None where another process, or another part of this one, has it. Raises `OSError`."""

    def holder(self, name: str) -> str:
        """Say who has, or had last, the right to run an instance: "process 4711 on host-a since 2026-11-24 02:00:00 UTC"."""

    def alerts(self) -> Lease | None:
        """Take the right to evaluate alerts; None where another process has it. Raises `OSError`."""

    def daemon(self) -> Lease:
        """Take the right to be the daemon.

        Raises `LockedError` where another daemon has it, `OSError` where the directory cannot be written.
        """


class UsageSource(Protocol):
    """Reads the license usage of one instance."""

    async def collect(self, spool: AccountSink) -> Collected:
        """Fill `spool` with every usable account and answer the counts; an opaque export fills nothing.

        Nothing is kept between calls. Raises `RunError` with the cause; the spool's content is then meaningless.
        """


class Delivery(Protocol):
    """Hands a usage document to the cloud side, or to a person who does. Safe to repeat with the same key and content hash."""

    async def send(self, document: UsageDocument | None, key: str) -> str:
        """Send `document` under the idempotency `key` and answer the upload's id, or the folder in which it lies ready for a person.

        None: nothing was collected, and a person exports the usage (with the delivery `manual` only).

        Raises `RemoteError`: not `transient` where the endpoint refused for good; `transient` where it may not even have seen it.
        """

    async def ask(self, upload_id: str) -> Upload:
        """Return what became of an upload; `state` None where the endpoint does not know or cannot be asked."""


class CloudReader(Protocol):
    """Reads back what the cloud account has. Never changes anything."""

    async def sync_status(self) -> SyncStatus:
        """Return every server the cloud lists; one reply serves all instances."""

    async def seats(self) -> SeatTotals:
        """Return the account's seat totals from one page."""

    async def installations(self) -> tuple[Installation, ...] | None:
        """Return the servers as GraphQL shows them; None where the token may not ask that."""

    def people(self) -> AsyncIterator[Person]:
        """Yield everybody who consumes a license, page by page, a person who moved between two pages once."""


class Adapters(Protocol):
    """Opens the far sides for the length of one run; leaving the context closes their connections."""

    def source(
        self, instance: Instance, waits: WaitReporter, *, newer_than: datetime | None = None
    ) -> AbstractAsyncContextManager[UsageSource]:
        """Open what the instance's usage is collected from, which must not be `none`.

        `newer_than` is the `collected_at` of the last confirmed run: a file that is not newer was used already.
        """

    def delivery(self, instance: Instance, waits: WaitReporter) -> AbstractAsyncContextManager[Delivery]: ...

    def take_back(self, record: DeliveryRecord) -> None:
        """Take away what lies ready for a person under a record, wherever the outbox was then; what is newer stays. Raises nothing."""

    def cloud(self, waits: WaitReporter) -> AbstractAsyncContextManager[CloudReader]: ...


class Channel(Protocol):
    """Tells somebody outside. What it is told may be told twice, never lost: whoever calls keeps what was not taken."""

    @property
    def name(self) -> str:
        """Return the kind of channel, such as `mail`; no address."""

    async def send(self, message: Message) -> None:
        """Hand one message over; it was taken when this returns.

        Raises `RunError` with the cause. Bounded by timeouts of its own; canceled, it returns at once.
        """
