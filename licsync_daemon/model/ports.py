"""Every promise between parts. A port's docstrings are the specification of its contract suite in `tests/contract/`."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from licsync_daemon.model.alert import Alert, Message
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Decision, DeliveryRecord, InstanceRecord, Run, SeatRecord, Transition
from licsync_daemon.model.usage import Collected, Installation, Listing, Person, SeatTotals, SyncStatus, Upload
from licsync_daemon.state.document import UsageDocument
from licsync_daemon.state.spool import AccountSpool


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


class UsageSource(Protocol):
    """Reads the license usage of one instance."""

    async def collect(self, spool: AccountSpool) -> Collected:
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

    async def tell(self, message: Message) -> None:
        """Hand one message over; it was taken when this returns.

        Raises `RunError` with the cause. Bounded by timeouts of its own; canceled, it returns at once.
        """


class StateStore(Protocol):
    """What must outlive the process. Each call is one transaction, durable when it returns.

    Every writing method raises `StateUnwritableError` and then has changed nothing.
    An instance has at most one run that is `running` or `delivered`, at most one that is `held`, and at most one delivery record that is
    not closed. At most one waits for a person (`AWAITING`); a newer run may be in progress beside it.
    """

    def save_run(
        self,
        run: Run,
        at: datetime,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
    ) -> None:
        """Insert or replace a run by its id, with its delivery record and what is known of its instance, all or nothing.

        `instead_of` is the held run of the same instance whose place this one takes, or the one that waits for a person: it becomes
        `superseded` if it is not final, and its approval is used up.
        When the delivery record is closed as `confirmed`, the digests staged under its key take the place of the confirmed ones; closed
        in another way, they are dropped.

        A new run, or one whose state changed, adds a transition dated `at`. A final run is never changed back: then nothing is written.
        Runs, closed delivery records and seat totals from more than 400 days before `at` are dropped, or before the newest `last_sync`
        that is known, where that is earlier: it is the cloud's own date, and a clock of ours that is years ahead must not cost the history.
        """

    def open_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that is `running` or `delivered`."""

    def held_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that a guard holds."""

    def awaiting_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that waits for a person."""

    def run(self, run_id: str) -> Run | None: ...

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        """Return runs in the order they were recorded first, newest first; clocks jump, that order does not."""

    def last_run(self, instance: str, *, good: bool = False, counted: bool = False) -> Run | None:
        """Return the run that was recorded last; with `good` the last that ended well, with `counted` one whose accounts were counted."""

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        """Return the states a run went through, oldest first."""

    def save_delivery(self, record: DeliveryRecord) -> None:
        """Insert or replace a delivery record by its key."""

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        """Return the record of `instance` that is not closed."""

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        """Return every record kept for `instance`, oldest first."""

    def delivery_of(self, run_id: str) -> DeliveryRecord | None:
        """Return the newest record that a run opened or took up, closed or not."""

    def save_instance(self, record: InstanceRecord) -> None:
        """Insert or replace what is known of an instance."""

    def instance(self, name: str) -> InstanceRecord | None: ...

    def save_listing(self, listing: Listing) -> None:
        """Replace what the cloud listed."""

    def listing(self) -> Listing | None: ...

    def save_alert(self, alert: Alert) -> None:
        """Insert an alert, or replace the same one: the open one of its instance and code, or one opened at the same time.

        Closed ones are dropped after 400 days.
        """

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that are not closed, by instance and code."""

    def untold_closings(self, since: datetime) -> tuple[Alert, ...]:
        """Return the alerts that were told, and closed after that and after `since`, the oldest closing first: nobody knows of it yet."""

    def save_seats(self, record: SeatRecord) -> None:
        """Add seat totals to the history."""

    def seats(self) -> SeatRecord | None:
        """Return the newest seat totals."""

    def save_decision(self, decision: Decision, *, ends: Run | None = None) -> bool:
        """Add a person's decision to the history, together with the end of the run it is about.

        Answers False, and has written nothing, where that run has ended already.
        """

    def decisions(self, instance: str | None = None, *, limit: int = 100) -> tuple[Decision, ...]:
        """Return decisions, newest first."""

    def approval(self, run_id: str) -> Decision | None:
        """Return the approval of a run that is not used up, if there is one; whether it has expired is the caller's question."""

    def stage_digests(self, instance: str, key: str, chunks: Iterable[bytes]) -> None:
        """Keep the digests of a usage under its delivery's key, in the place of what was staged for the instance before.

        Several transactions, so that readers need not wait: digests count once a delivery record of that key is saved as confirmed.
        """

    def confirmed_digests(self, instance: str) -> Iterator[bytes] | None:
        """Yield the digests of the last confirmed usage, chunk by chunk in order; None where there are none."""

    def instances(self) -> tuple[InstanceRecord, ...]:
        """Return every instance that is known or has a recorded run, retired ones included, by name."""

    def changed_elsewhere(self) -> bool:
        """Return whether another connection has written since the last time this was asked."""

    def close(self) -> None:
        """Give back the file; calling twice is harmless."""
