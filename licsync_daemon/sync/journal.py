"""The record of one run while it happens: every step goes to the state at once, and every end is logged once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import structlog

from licsync_daemon.model.errors import PERMANENT, Code, RemoteError, RunError, StateUnwritableError
from licsync_daemon.model.ports import Adapters, Clock, StateStore
from licsync_daemon.model.run import DeliveryOutcome, DeliveryRecord, InstanceRecord, Run, RunState, Tripped
from licsync_daemon.model.usage import Collected, Notice
from licsync_daemon.rules.guard import next_step

log = structlog.get_logger()

Observer = Callable[[Run], None]

SHOWN_WAIT_S = 5.0  # a wait longer than this is written down before it begins, for `status`


OPEN_PHASE = {
    RunState.DELIVERED: "waiting for confirmation",
    RunState.AWAITING_UPLOAD: "waiting for a person to upload the export",
    RunState.AWAITING_EXPORT: "waiting for a person to export and upload the usage",
}


def ignore(run: Run) -> None:
    """The observer where nobody watches."""


class RunContext(Protocol):
    """What a look at the far sides works with; a `Runner` is one."""

    @property
    def store(self) -> StateStore: ...
    @property
    def adapters(self) -> Adapters: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def observe(self) -> Observer: ...


class Journal:
    """Writes one run to the store (and hears about its waits, the `WaitReporter` port)."""

    def __init__(self, store: StateStore, clock: Clock, run: Run, observe: Observer) -> None:
        self._store = store
        self._clock = clock
        self._observe = observe
        self.run = run

    def update(
        self,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
        **changes: Any,
    ) -> None:
        """Change fields of the run and store it, together with what else belongs to the same moment."""
        changed = replace(self.run, **changes)
        self._store.save_run(changed, self._clock.now(), delivery=delivery, remember=remember, instead_of=instead_of)
        self.run = changed
        self._observe(changed)

    def waiting(self, until: datetime, why: str, seconds: float) -> None:
        if seconds > SHOWN_WAIT_S and not self.run.state.is_final:
            self.update(waiting_for=why, waiting_until=until)
            log.info("run.waiting", until=until.isoformat(timespec="seconds"), why=why)

    def resumed(self) -> None:
        if self.run.waiting_until is not None:
            self.update(waiting_for=None, waiting_until=None)

    def note_wait(self, why: str) -> None:
        """Say what a delivered run is waiting for; written only when it is news."""
        if self.run.waiting_for != why:
            self.update(waiting_for=why, waiting_until=None)

    def collected(self, collected: Collected) -> None:
        """Note what the source found; it goes to the store with the next step."""
        self.run = replace(
            self.run,
            collected_at=collected.collected_at,
            counts=collected.counts,
            version=collected.version,
            notices=self.run.notices + collected.notices,
            waiting_for=None,
            waiting_until=None,
        )
        counts = collected.counts
        figures = {"rows": counts.rows, "sent": counts.sent, "suspended": counts.suspended, "unusable": counts.unusable}
        log.info("run.collected", **(figures if counts.counted else {}), version=collected.version)

    def held(self, tripped: Sequence[Tripped], *, instead_of: Run | None) -> None:
        """A guard stopped it; nothing left the machine. It takes the place of an earlier held run."""
        first = tripped[0]
        more = f" (and {len(tripped) - 1} more)" if len(tripped) > 1 else ""
        self.update(
            instead_of=instead_of,
            state=RunState.HELD,
            phase="held by a guard",
            tripped=tuple(tripped),
            code=first.code,
            cause=f"{first.text}{more}",
            next_step=next_step(tripped, self.run.run_id),
            waiting_for=None,
            waiting_until=None,
        )
        log.warning("run.held", codes=[one.code for one in tripped], causes=[one.text for one in tripped])

    def delivered(
        self, record: DeliveryRecord, upload_id: str, *, state: RunState = RunState.DELIVERED, instead_of: Run | None = None
    ) -> None:
        """The endpoint took it, or a person has to: from here on the run belongs to no process."""
        now = self._clock.now()
        self.update(
            delivery=replace(record, upload_id=upload_id, accepted_at=now),
            instead_of=instead_of,
            state=state,
            phase=OPEN_PHASE[state],
            delivered_at=now,
            waiting_for=None,
            waiting_until=None,
        )
        log.info("run.delivered" if state is RunState.DELIVERED else "run.handed_over", upload_id=upload_id, sent=record.sent)

    def confirmed(self, record: DeliveryRecord, last_sync: datetime | None, remember: InstanceRecord) -> None:
        """The cloud has it."""
        now = self._clock.now()
        self.update(
            delivery=replace(record, closed_at=now, outcome=DeliveryOutcome.CONFIRMED),
            remember=remember,
            state=RunState.CONFIRMED,
            phase="done",
            ended_at=now,
            content_hash=record.content_hash,
            delivered_at=record.accepted_at,
            confirmed_at=now,
            last_sync=last_sync,
            waiting_for=None,
            waiting_until=None,
        )
        log.info("run.confirmed", last_sync=last_sync and last_sync.isoformat())

    def accepted(self, record: DeliveryRecord) -> None:
        """An organization's endpoint has it; nobody can confirm it."""
        now = self._clock.now()
        self.update(
            delivery=replace(record, closed_at=now, outcome=DeliveryOutcome.ACCEPTED),
            state=RunState.ACCEPTED,
            phase="done",
            ended_at=now,
            content_hash=record.content_hash,
            delivered_at=record.accepted_at,
            waiting_for=None,
            waiting_until=None,
        )
        log.info("run.accepted")

    def current(self, last_sync: datetime | None, notices: Sequence[Notice], remember: InstanceRecord) -> None:
        """Nothing was sent: GitHub Connect's own sync is successful and young enough."""
        self.update(
            remember=remember,
            state=RunState.CURRENT,
            phase="done",
            ended_at=self._clock.now(),
            last_sync=last_sync,
            notices=(*self.run.notices, *notices),
            waiting_for=None,
            waiting_until=None,
        )
        log.info("run.current", last_sync=last_sync and last_sync.isoformat(), warnings=[one.code for one in notices])

    def failed(self, error: RunError, record: DeliveryRecord | None = None) -> Run:
        """Record and log a failure, once. Where even that cannot be written, the answer still says what happened."""
        now = self._clock.now()
        later = now + error.retry_after if isinstance(error, RemoteError) and error.retry_after is not None else None
        failed = replace(
            self.run,
            state=RunState.FAILED,
            failures=self.run.failures + (error.code is not Code.MAINTENANCE),
            permanent=error.code in PERMANENT,
            ended_at=now,
            code=error.code,
            cause=error.cause,
            next_step=error.next_step,
            retry_not_before=later,
            waiting_for=None,
            waiting_until=None,
        )
        log.error("run.failed", code=error.code, cause=error.cause, next_step=error.next_step)
        self._end(failed, record)
        return self.run

    def interrupted(self) -> None:
        """The process is stopping in mid-run; the slot is still due. A delivered run stays delivered."""
        if self.run.state is RunState.RUNNING:
            log.warning("run.interrupted")
            ended = replace(self.run, state=RunState.INTERRUPTED, ended_at=self._clock.now(), waiting_for=None, waiting_until=None)
            self._end(ended, None)

    def _end(self, run: Run, record: DeliveryRecord | None) -> None:
        self.run = run
        self._observe(run)
        try:
            self._store.save_run(run, self._clock.now(), delivery=record)
        except StateUnwritableError as error:
            log.error("state.unwritable", cause=str(error))  # noqa: TRY400 - the cause is a sentence, a stack says no more
