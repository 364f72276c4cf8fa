"""The state, as ports. The docstrings are the specification of the contract suite `tests/contract/test_state_store.py`.

Code that only reads uses `StateReader`; runs write through `RunStore`, alerts through `AlertStore`, and people's decisions through
`DecisionStore`. Only code that opens the state needs the whole `StateStore`. Each call is one transaction, durable when it returns. A
writing method that fails raises `StateUnwritableError` and has changed nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.run import Decision, DeliveryRecord, InstanceRecord, Run, SeatRecord, Transition
from licsync_daemon.model.usage import Listing


class StateReader(Protocol):
    """Read access.

    An instance has at most one run that is `running` or `delivered`, at most one that is `held`, and at most one delivery record that is
    not closed. At most one waits for a person (`AWAITING`); a newer run may be in progress at the same time.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context in which everything that is read and written is one transaction: no other process writes meanwhile."""

    def open_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that is `running` or `delivered`."""

    def held_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that a guard holds."""

    def awaiting_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that waits for a person."""

    def instances_with_open_runs(self) -> frozenset[str]:
        """Return the names of all instances with a run in progress, or one that waits for confirmation."""

    def sync_dates(self, instance: str, *, limit: int) -> tuple[datetime, ...]:
        """Return the different `last_sync` of the latest `limit` runs, earliest first."""

    def run(self, run_id: str) -> Run | None: ...

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        """Return runs, newest first, in the order in which they were first recorded, which does not depend on the clock."""

    def last_run(self, instance: str, *, good: bool = False, counted: bool = False) -> Run | None:
        """Return the latest recorded run; with `good`, the latest successful one; with `counted`, the latest with counted accounts."""

    def first_run_at(self, instance: str) -> datetime | None:
        """Return when the first recorded run of `instance` started."""

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        """Return the states a run went through, oldest first."""

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        """Return the record of `instance` that is not closed."""

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        """Return every record kept for `instance`, oldest first."""

    def delivery_of(self, run_id: str) -> DeliveryRecord | None:
        """Return the newest record that a run opened or resumed, closed or not."""

    def instance(self, name: str) -> InstanceRecord | None: ...

    def instances(self) -> tuple[InstanceRecord, ...]:
        """Return every instance with a record or a run, including retired ones, sorted by name."""

    def listing(self) -> Listing | None:
        """Return the cloud's list of servers as last read."""

    def seats(self) -> SeatRecord | None:
        """Return the newest seat totals."""

    def decisions(self, instance: str | None = None, *, limit: int = 100) -> tuple[Decision, ...]:
        """Return decisions, newest first."""

    def pause(self, instance: str) -> Decision | None:
        """Return the latest decision to pause or resume an instance."""

    def approval(self, run_id: str) -> Decision | None:
        """Return the unused approval of a run, if any; the caller checks whether it has expired."""

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that are not closed, by instance and code."""

    def confirmed_digests(self, instance: str) -> Iterator[bytes] | None:
        """Yield the digests of the last confirmed usage, chunk by chunk in order; None if there are none."""


class RunStore(StateReader, Protocol):
    """Write access for runs."""

    def save_run(
        self,
        run: Run,
        at: datetime,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
    ) -> None:
        """Insert or replace a run by its id, together with its delivery record and its instance's record, all or nothing.

        `instead_of` is the run of the same instance, held or waiting for a person, that this one replaces: it becomes `superseded`
        unless it is final, and its approval is marked used.
        If the delivery record is closed as `confirmed`, the digests staged under its key replace the confirmed ones; if it is closed
        with another outcome, they are deleted.

        A new run, or one whose state changed, adds a transition dated `at`. A final run never changes its state: then nothing is written.
        """

    def prune(self, confirmed: datetime) -> bool:
        """Delete some of the runs, closed delivery records, seat totals and closed alerts older than 400 days before `confirmed`.

        `confirmed` is a time that the cloud confirmed: a local clock that is years ahead must not delete the history. Return whether more
        is left; once nothing is, nothing is deleted again for a day.
        """

    def save_delivery(self, record: DeliveryRecord) -> None:
        """Insert or replace a delivery record by its key."""

    def stage_digests(self, instance: str, key: str, chunks: Iterable[bytes]) -> None:
        """Store the digests of a usage under its delivery's key, replacing any staged earlier for the instance.

        Uses several transactions, so that readers need not wait. The digests take effect when the delivery record with that key is
        saved as confirmed.
        """

    def save_instance(self, record: InstanceRecord) -> None:
        """Insert or replace an instance's record."""

    def save_listing(self, listing: Listing) -> None:
        """Replace the cloud's list of servers."""

    def save_seats(self, record: SeatRecord) -> None:
        """Add seat totals to the history."""

    def check_file(self) -> None:
        """Check that the open state file is still the one at its path, and sound as far as it was read.

        Raises:
            StateReplacedError: It must be opened again.
        """

    def changed_elsewhere(self) -> bool:
        """Return whether another connection has written since the previous call."""


class AlertStore(StateReader, Protocol):
    """Write access for alerts."""

    def save_alert(self, alert: Alert) -> None:
        """Insert an alert, or replace the open alert of its instance and code, or the one opened at the same time."""

    def write_fault(self, *, try_it: bool = False) -> str | None:
        """Return why the state cannot be written; None if it can. It is tried where the newest write failed, or with `try_it`."""

    def unsent_closings(self, since: datetime) -> tuple[Alert, ...]:
        """Return alerts that were sent, were closed after `since`, and whose closing was not sent yet; oldest closing first."""


class DecisionStore(StateReader, Protocol):
    """Write access for people's decisions."""

    def save_decision(self, decision: Decision, *, ends: Run | None = None) -> bool:
        """Add a person's decision to the history and, with `ends`, end the run it is about.

        Return False, and write nothing, if that run has already ended.
        """


class StateStore(RunStore, AlertStore, DecisionStore, Protocol):
    """The whole state, while it is open."""

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
