"""The record of one run in progress: every step is stored immediately, and every end is logged once."""

import secrets
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from licsync_daemon.model.causes import out_of_files
from licsync_daemon.model.errors import PERMANENT, Code, RemoteError, RunError, StateUnwritableError, failure_of, internal_error
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import CloudReader
from licsync_daemon.model.run import AWAITING, DeliveryOutcome, DeliveryRecord, InstanceRecord, Run, RunState, Trigger, Tripped
from licsync_daemon.model.usage import Collected, Notice
from licsync_daemon.rules.guard import next_step
from licsync_daemon.sync.context import RunContext

log = structlog.get_logger()

FAILURES_READ = 60  # latest runs of an instance; enough to include the failures of one slot
SHOWN_WAIT_S = 5.0  # a wait longer than this is stored before it begins, for `status`

OPEN_PHASE = {
    RunState.DELIVERED: "waiting for confirmation",
    RunState.AWAITING_UPLOAD: "waiting for someone to upload the export",
    RunState.AWAITING_EXPORT: "waiting for someone to export and upload the usage",
}


def new_run(context: RunContext, instance: Instance, *, trigger: Trigger, reason: str, slot: datetime | None) -> Run:
    """Return a run that begins now, not recorded yet. It continues the count of failures of its slot."""
    runs: Sequence[Run] = ()
    with suppress(StateUnwritableError):  # the run cannot be recorded then; it fails with that
        runs = context.store.runs(instance.name, limit=FAILURES_READ if slot is not None else 1)
    failed = next((run for run in runs if run.slot == slot and run.state is RunState.FAILED), None)
    return Run(
        run_id=secrets.token_hex(6),
        instance=instance.name,
        trigger=trigger,
        reason=reason,
        slot=slot,
        started_at=context.clock.now(),
        holder=context.holder,
        failures=failed.failures if failed is not None else 0,
    )


class Journal:
    """Writes one run to the store, including its waits (the `WaitReporter` port)."""

    def __init__(self, context: RunContext, run: Run) -> None:
        self._store = context.store
        self._clock = context.clock
        self._observe = context.observe
        self.run = run

    def update(
        self,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
        **changes: Any,
    ) -> None:
        """Change fields of the run and store it in one transaction, together with the other records.

        Raises:
            StateUnwritableError: Nothing was stored, and the run is unchanged.
        """
        self._save(replace(self.run, **changes), delivery=delivery, remember=remember, instead_of=instead_of)

    def _save(
        self,
        run: Run,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
    ) -> None:
        self._store.save_run(run, self._clock.now(), delivery=delivery, remember=remember, instead_of=instead_of)
        self._show(run)

    def _show(self, run: Run) -> None:
        """Continue with a run, and show it. Whoever watches cannot stop it."""
        self.run = run
        try:
            self._observe(run)
        except Exception:
            log.critical("run.not_shown", exc_info=True)

    def waiting(self, until: datetime, why: str, seconds: float) -> None:
        if seconds > SHOWN_WAIT_S and not self.run.state.is_final:
            self.update(waiting_for=why, waiting_until=until)
            log.info("run.waiting", until=until.isoformat(timespec="seconds"), why=why)

    def resumed(self) -> None:
        if self.run.waiting_until is not None:
            self.update(waiting_for=None, waiting_until=None)

    def note_wait(self, why: str | None) -> None:
        """Record the reason that an open run waits, if there is one; stored only when it changes."""
        if self.run.waiting_for != why:
            self.update(waiting_for=why, waiting_until=None)

    def collected(self, collected: Collected) -> None:
        """Take over what the source returned; it is stored with the next step."""
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
        """Record that a guard stopped the run; nothing left the machine. The run replaces an earlier held one."""
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
        """Record that the endpoint accepted the usage, or that a person has to act; from then on the run belongs to no process."""
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
        """Record that the cloud has the usage."""
        self._arrived(record, DeliveryOutcome.CONFIRMED, remember, confirmed_at=self._clock.now(), last_sync=last_sync)
        log.info("run.confirmed", last_sync=last_sync and last_sync.isoformat())

    def accepted(self, record: DeliveryRecord) -> None:
        """Record that the endpoint of an organization has the usage, which cannot be confirmed there."""
        self._arrived(record, DeliveryOutcome.ACCEPTED)
        log.info("run.accepted")

    def _arrived(self, record: DeliveryRecord, outcome: DeliveryOutcome, remember: InstanceRecord | None = None, **more: Any) -> None:
        now = self._clock.now()
        sent_at = record.accepted_at if self.run.state not in AWAITING else None  # when a person uploaded it is not known
        arrived = self.run.ended(RunState(outcome), now, phase="done", content_hash=record.content_hash, delivered_at=sent_at, **more)
        self._save(arrived, delivery=replace(record, closed_at=now, outcome=outcome), remember=remember)

    def current(self, last_sync: datetime | None, notices: Sequence[Notice], remember: InstanceRecord) -> None:
        """Record that the latest sync by GitHub Connect is successful and recent enough; nothing was sent."""
        notices = (*self.run.notices, *notices)
        now = self._clock.now()
        self._save(self.run.ended(RunState.CURRENT, now, phase="done", last_sync=last_sync, notices=notices), remember=remember)
        log.info("run.current", last_sync=last_sync and last_sync.isoformat(), warnings=[one.code for one in notices])

    def failed(self, error: RunError, record: DeliveryRecord | None = None) -> Run:
        """Record and log a failure, once. Return the failed run, even if it could not be stored."""
        error = out_of_files(error, sys.exception()) or error
        now = self._clock.now()
        later = now + error.retry_after if isinstance(error, RemoteError) and error.retry_after is not None else None
        failed = self.run.ended(
            RunState.FAILED,
            now,
            delivered_at=self.run.sent_at,
            failures=self.run.failures + (error.code is not Code.MAINTENANCE),
            permanent=error.code in PERMANENT,
            code=error.code,
            cause=error.cause,
            next_step=error.next_step,
            retry_not_before=later,
        )
        log.error("run.failed", code=error.code, cause=error.cause, next_step=error.next_step)
        self._end(failed, record)
        return self.run

    def crashed(self, error: BaseException) -> Run:
        """Record whatever exception ended the run; one that has reached another state keeps it.

        Raises:
            BaseException: `error` itself, if it ends the process or cancels the current task; the run is then `interrupted`.
        """
        try:
            failure = failure_of(error)
        except BaseException:
            self.interrupted()
            raise
        if failure.code is Code.INTERNAL:
            log.critical("run.crashed", exc_info=error)
        if self.run.state is not RunState.RUNNING:
            return self.run
        try:
            return self.failed(failure)
        except Exception:  # the failure itself cannot be recorded
            log.critical("run.not_stored", exc_info=True)
            self._end_bare(self.run.ended(RunState.FAILED, self._clock.now(), failures=self.run.failures + 1))
            return self.run

    def interrupted(self) -> None:
        """Record that the process stops during the run; the slot is still due. A delivered run stays delivered."""
        if self.run.state is RunState.RUNNING:
            log.warning("run.interrupted")
            self._end(self.run.ended(RunState.INTERRUPTED, self._clock.now()), None)

    def _end(self, run: Run, record: DeliveryRecord | None) -> None:
        self._show(run)
        try:
            self._store.save_run(run, self._clock.now(), delivery=record)
        except StateUnwritableError as error:
            log.error("state.unwritable", cause=str(error))  # noqa: TRY400 - the cause is a sentence, a stack says no more
        except Exception:  # something in the run cannot be stored
            log.critical("run.not_stored", exc_info=True)
            self._end_bare(run)

    def _end_bare(self, run: Run) -> None:
        """Store the end of a run without anything that came from outside."""
        error = internal_error()
        bare = Run(
            run_id=run.run_id, instance=run.instance, trigger=run.trigger, reason=run.reason, slot=run.slot, started_at=run.started_at,
            state=run.state, phase=run.phase, ended_at=run.ended_at, failures=run.failures,
            code=error.code, cause=error.cause, next_step=error.next_step,
        )  # fmt: skip
        self._show(bare)
        try:
            self._store.save_run(bare, self._clock.now())
        except Exception:
            log.critical("run.not_stored", exc_info=True)


@dataclass(frozen=True, slots=True)
class RunScope:
    """The objects that one run uses.

    Attributes:
        stack: Closes everything the run opened.
        cloud: The open cloud reader.
    """

    context: RunContext
    instance: Instance
    journal: Journal
    stack: AsyncExitStack
    cloud: CloudReader
