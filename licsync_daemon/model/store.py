"""What the state remembers, as ports. The docstrings are the specification of the contract suite `tests/contract/test_state_store.py`.

Whoever only looks takes a `StateReader`; runs write through `RunStore`, alerts through `AlertStore`, decisions of people through
`DecisionStore`. Only what opens the state needs a whole `StateStore`. Each call is one transaction, durable when it returns. Every
writing method raises `StateUnwritableError` and then has changed nothing.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.run import Decision, DeliveryRecord, InstanceRecord, Run, SeatRecord, Transition
from licsync_daemon.model.usage import Listing


class StateReader(Protocol):
    """Everything that can be read.

    An instance has at most one run that is `running` or `delivered`, at most one that is `held`, and at most one delivery record that is
    not closed. At most one waits for a person (`AWAITING`); a newer run may be in progress beside it.
    """

    def open_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that is `running` or `delivered`."""

    def held_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that a guard holds."""

    def awaiting_run(self, instance: str) -> Run | None:
        """Return the run of `instance` that waits for a person."""

    def run(self, run_id: str) -> Run | None: ...

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        """Return runs, newest first, in the order in which they were first recorded; clocks jump, that order does not."""

    def last_run(self, instance: str, *, good: bool = False, counted: bool = False) -> Run | None:
        """Return the run that was recorded last; with `good` the last that ended well, with `counted` one whose accounts were counted."""

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        """Return the states a run went through, oldest first."""

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        """Return the record of `instance` that is not closed."""

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        """Return every record kept for `instance`, oldest first."""

    def delivery_of(self, run_id: str) -> DeliveryRecord | None:
        """Return the newest record that a run opened or took up, closed or not."""

    def instance(self, name: str) -> InstanceRecord | None: ...

    def instances(self) -> tuple[InstanceRecord, ...]:
        """Return every instance that is known or has a recorded run, retired ones included, by name."""

    def listing(self) -> Listing | None:
        """Return what the cloud listed when it was last read."""

    def seats(self) -> SeatRecord | None:
        """Return the newest seat totals."""

    def decisions(self, instance: str | None = None, *, limit: int = 100) -> tuple[Decision, ...]:
        """Return decisions, newest first."""

    def approval(self, run_id: str) -> Decision | None:
        """Return the approval of a run that is not used up, if there is one; whether it has expired is for the caller to decide."""

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that are not closed, by instance and code."""

    def confirmed_digests(self, instance: str) -> Iterator[bytes] | None:
        """Yield the digests of the last confirmed usage, chunk by chunk in order; None where there are none."""


class RunStore(StateReader, Protocol):
    """What a run writes."""

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
        When the delivery record is closed as `confirmed`, the digests staged under its key replace the confirmed ones; closed
        in another way, they are dropped.

        A new run, or one whose state changed, adds a transition dated `at`. A final run is never changed back: then nothing is written.
        Runs, closed delivery records and seat totals from more than 400 days before `at` are dropped, or before the newest `last_sync`
        that is known, where that is earlier: it is the cloud's own date, and a local clock that is years ahead must not cost the history.
        """

    def save_delivery(self, record: DeliveryRecord) -> None:
        """Insert or replace a delivery record by its key."""

    def stage_digests(self, instance: str, key: str, chunks: Iterable[bytes]) -> None:
        """Keep the digests of a usage under its delivery's key, replacing what was staged for the instance before.

        Several transactions, so that readers need not wait: digests count once a delivery record of that key is saved as confirmed.
        """

    def save_instance(self, record: InstanceRecord) -> None:
        """Insert or replace what is known of an instance."""

    def save_listing(self, listing: Listing) -> None:
        """Replace what the cloud listed."""

    def save_seats(self, record: SeatRecord) -> None:
        """Add seat totals to the history."""

    def changed_elsewhere(self) -> bool:
        """Return whether another connection has written since the last time this was called."""


class AlertStore(StateReader, Protocol):
    """What alerting writes."""

    def save_alert(self, alert: Alert) -> None:
        """Insert an alert, or replace the same one: the open one of its instance and code, or one opened at the same time.

        Closed ones are dropped after 400 days.
        """

    def unsent_closings(self, since: datetime) -> tuple[Alert, ...]:
        """Return the alerts that were sent, then closed after `since`, and whose closing was not sent; oldest closing first."""


class DecisionStore(StateReader, Protocol):
    """What a person's decision writes."""

    def save_decision(self, decision: Decision, *, ends: Run | None = None) -> bool:
        """Add a person's decision to the history, together with the end of the run it is about.

        Return False, and write nothing, where that run has already ended.
        """


class StateStore(RunStore, AlertStore, DecisionStore, Protocol):
    """The whole state, as long as it is open."""

    def close(self) -> None:
        """Give back the file; closing twice is harmless."""
