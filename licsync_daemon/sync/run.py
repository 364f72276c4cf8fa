"""One run of one instance: collect, check, deliver, record; and the look that settles what was delivered.

Talks to ports only. A run is recorded as `running` before its first request and leaves exactly one final or open state behind, whatever
happens. The caller holds the instance's lock and has closed a stale run. A failure is a value here: `Run.code`, `cause`, `next_step`.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from licsync_daemon.model.errors import Code, RemoteError, RunError, StateUnwritableError, own_error
from licsync_daemon.model.instance import ConnectDelivery, Instance, ManualDelivery, NoSource
from licsync_daemon.model.ports import Adapters, Clock, CloudReader, Delivery, StateStore
from licsync_daemon.model.run import AWAITING, KEEP, Baseline, Decision, DeliveryOutcome, DeliveryRecord, Holder, Run, RunState, Trigger
from licsync_daemon.model.usage import CLOCK_SLACK, Notice, ServerIdentity
from licsync_daemon.rules.digests import digest_of, pack
from licsync_daemon.rules.guard import ON_IDENTITY, beyond_approval
from licsync_daemon.rules.handover import folder_of
from licsync_daemon.rules.schedule import HELD_FOR
from licsync_daemon.rules.verdict import Accepted, Confirmed, Refuted, baseline_of, judge, must_wait_s
from licsync_daemon.state.document import UsageDocument
from licsync_daemon.state.held_exports import keep, sweep
from licsync_daemon.sync.confirm import identity_known, instance_record, is_overdue, look, read_status
from licsync_daemon.sync.journal import Journal, Observer, ignore
from licsync_daemon.sync.prepare import Prepared, Preparer, continues
from licsync_daemon.sync.supervise import PHASE, conclude, installations_of, watch

log = structlog.get_logger()


RUNS_READ = 60  # newest first; the failures of one slot are among them


@dataclass(slots=True, kw_only=True)
class Runner:
    """Makes runs. One for the life of the process.

    Attributes:
        store: Where runs and delivery records are kept.
        adapters: Opens the far sides, for each run anew.
        clock: Time.
        spool_dir: Where a run's unlinked files lie.
        holder: Who we are, for the run's row.
        digest_key: Keys the digests of accounts.
        fleet: Every configured instance: the guards look for two with one identity.
        history: Where earlier usage is read from, if not from `store`: a dry run records nothing and still compares.
        observe: Hears of every change of a run, for progress on a terminal.
    """

    store: StateStore
    adapters: Adapters
    clock: Clock
    spool_dir: Path
    holder: Holder
    digest_key: bytes
    fleet: tuple[Instance, ...] = ()
    observe: Observer = ignore
    history: StateStore | None = None

    @property
    def known(self) -> StateStore:
        """Where earlier usage is read from."""
        return self.history if self.history is not None else self.store

    @property
    def _preparer(self) -> Preparer:
        return Preparer(far=self, known=self.known, spool_dir=self.spool_dir, digest_key=self.digest_key, fleet=self.fleet)

    async def run(self, instance: Instance, *, trigger: Trigger, reason: str, slot: datetime | None) -> Run:
        """Make one run and answer how it ended: `delivered`, `held`, `failed`, or `confirmed` where an earlier delivery had arrived.

        Raises:
            asyncio.CancelledError: The process is stopping; the run is recorded as `interrupted` (a `delivered` one stays so).
        """
        run = self.new_run(instance, trigger, reason, slot)
        journal = Journal(self.store, self.clock, run, self.observe)
        with structlog.contextvars.bound_contextvars(run_id=run.run_id, instance=instance.name, slot=slot and slot.isoformat()):
            try:
                return await self._recorded(instance, journal)
            except asyncio.CancelledError:
                journal.interrupted()
                raise
            except Exception:  # whatever it is, it stays with this instance
                log.critical("run.crashed", exc_info=True)
                return journal.failed(own_error())

    async def _recorded(self, instance: Instance, journal: Journal) -> Run:
        """Go through the steps; what they raise on purpose becomes the run's end."""
        try:
            journal.update()
            log.info("run.started", reason=journal.run.reason)
            await self._steps(instance, journal)
        except RunError as error:
            return journal.failed(error)
        except StateUnwritableError as error:
            return journal.failed(_unwritable(str(error)))
        return journal.run

    def not_started(self, instance: Instance, *, trigger: Trigger, reason: str, slot: datetime | None, cause: str) -> Run:
        """Return a failed run of an instance whose lock or stale run could not be written; nobody was asked anything."""
        with structlog.contextvars.bound_contextvars(instance=instance.name):
            return Journal(self.store, self.clock, self.new_run(instance, trigger, reason, slot), self.observe).failed(_unwritable(cause))

    def new_run(self, instance: Instance, trigger: Trigger, reason: str, slot: datetime | None) -> Run:
        """Return a run that begins now, not recorded yet."""
        runs = self.store.runs(instance.name, limit=RUNS_READ if slot is not None else 1)
        failed = next((run for run in runs if run.slot == slot and run.state is RunState.FAILED), None)
        return Run(
            run_id=secrets.token_hex(6),
            instance=instance.name,
            trigger=trigger,
            reason=reason,
            slot=slot,
            started_at=self.clock.now(),
            holder=self.holder,
            failures=failed.failures if failed is not None else 0,
        )

    def close_stale(self, instance: Instance) -> None:
        """Close what nobody will ever end, though we hold the instance's lock.

        A run that is still `running` is `interrupted`: its process is gone. One that waits for a delivery which the configuration does not
        have any more is `superseded`: GitHub Connect sends, and nothing is watched for it; nobody is asked to upload any more,
        or would look in another outbox.
        """
        name = instance.name
        self._interrupt(name)
        awaiting = self.store.awaiting_run(name)
        if isinstance(instance.delivery, ManualDelivery):
            if awaiting is not None and self._lies_elsewhere(instance, awaiting):
                self._supersede([awaiting], "another outbox is configured by now")
            self._supersede([self.store.open_run(name)], "another delivery is configured by now")
            return
        left = [awaiting]
        if isinstance(instance.delivery, ConnectDelivery):
            left += [self.store.open_run(name), self.store.held_run(name)]
            sweep(self.spool_dir, name, ())
        self._supersede(left, "another delivery is configured by now")

    def _lies_elsewhere(self, instance: Instance, awaiting: Run) -> bool:
        record = self.store.delivery_of(awaiting.run_id)
        return record is not None and record.upload_id not in {None, record.key, str(folder_of(instance))}

    def let_go(self, name: str) -> None:
        """Close all that is open of an instance for which nothing is done any more, and delete its exports. We hold its lock."""
        self._interrupt(name)
        left = (self.store.awaiting_run(name), self.store.open_run(name), self.store.held_run(name))
        self._supersede(left, "it is not configured any more, or not to be synced")
        sweep(self.spool_dir, name, ())

    def _interrupt(self, name: str) -> None:
        stale, now = self.store.open_run(name), self.clock.now()
        if stale is not None and stale.state is RunState.RUNNING:
            self.store.save_run(replace(stale, state=RunState.INTERRUPTED, ended_at=now, waiting_for=None, waiting_until=None), now)
            log.warning("run.interrupted", run_id=stale.run_id, instance=name)

    def _supersede(self, runs: Iterable[Run | None], cause: str) -> None:
        """End runs that wait for nothing any more, and take away what lies ready for a person."""
        now = self.clock.now()
        for run in runs:
            if run is None:
                continue
            record = self.store.delivery_of(run.run_id)
            if record is not None and run.state in AWAITING:
                self.adapters.take_back(record)
            if record is not None and record.closed_at is None:
                record = replace(record, closed_at=now, outcome=DeliveryOutcome.NOT_CONFIRMED)
            ended = replace(run, state=RunState.SUPERSEDED, ended_at=now, waiting_for=None, waiting_until=None)
            self.store.save_run(ended, now, delivery=record)
            log.warning("run.superseded", run_id=run.run_id, instance=run.instance, cause=cause)

    def expire(self, name: str) -> None:
        """End a held run that nobody decided on within 7 days."""
        held, now = self.store.held_run(name), self.clock.now()
        if held is not None and now - held.started_at >= HELD_FOR and self._approval_of(held) is None:
            self.store.save_run(replace(held, state=RunState.EXPIRED, ended_at=now), now)
            log.warning("run.expired", run_id=held.run_id, instance=name)

    def note_clock(self, instance: Instance) -> None:
        """Note in the history that the clock was set back, where it is: no run from the time that did not come satisfies a later slot."""
        now = self.clock.now()
        runs = self.store.runs(instance.name, limit=RUNS_READ)
        newest = next((run for run in runs if run.started_at > now - KEEP), None)  # what is older is forgotten with the next run
        if newest is not None and newest.started_at > now + CLOCK_SLACK:
            mark = self.new_run(instance, Trigger.SCHEDULE, "the clock was set back", None)
            self.store.save_run(replace(mark, state=RunState.SKIPPED, phase="done", ended_at=now), now)
            log.warning("run.clock_set_back", instance=instance.name, newest=newest.started_at.isoformat())

    async def preview(self, instance: Instance, journal: Journal, stack: AsyncExitStack) -> UsageDocument:
        """Collect, check, compare and guard without sending or recording anything. `stack` closes the document."""
        cloud = await stack.enter_async_context(self.adapters.cloud(journal))
        prepared = await self._preparer.collect(instance, journal, stack, cloud)
        journal.update(tripped=prepared.tripped)
        return prepared.document

    async def _steps(self, instance: Instance, journal: Journal) -> None:
        async with AsyncExitStack() as stack:
            cloud = await stack.enter_async_context(self.adapters.cloud(journal))
            if isinstance(instance.delivery, ConnectDelivery):
                await self._supervise(instance, journal, stack, cloud)
                return
            if self.store.awaiting_run(instance.name) is not None:
                await look(self, (instance,))  # what a person uploaded meanwhile was the earlier hand-over
            delivery = await stack.enter_async_context(self.adapters.delivery(instance, journal))
            record = self.store.open_delivery(instance.name)
            if record is not None:
                journal.update(phase="settling an earlier delivery")
                record = await self._settle(instance, journal, record, cloud, delivery)
                if journal.run.state.is_final:
                    return
            if isinstance(instance.source, NoSource):
                await self._ask_person(instance, journal, record, cloud, delivery)
                return
            held = self.store.held_run(instance.name)
            sender = self.store.run(record.run_id) if record is not None else None
            sweep(self.spool_dir, instance.name, (held, sender))
            approved = held if held is not None and self._approval_of(held) is not None else None
            journal.update(phase="collecting")
            preparer = self._preparer
            prepared = await preparer.take_kept(instance, journal, stack, cloud, approved or sender) or await preparer.collect(
                instance, journal, stack, cloud
            )
            if prepared.export is not None and prepared.export.is_clear and isinstance(instance.delivery, ManualDelivery):
                raise _readable(instance)
            if not continues(record, prepared) and not self._may_pass(prepared, held):
                if prepared.export is not None and not prepared.export.is_clear:  # no readable address rests on disk
                    keep(self.spool_dir, journal.run, prepared.export)
                journal.held(prepared.tripped, instead_of=held)
                return
            record = await self._record(instance, journal, record, prepared, held)
            journal.update(phase="delivering")
            await self._send(instance, journal, record, prepared.document, delivery)

    async def _supervise(self, instance: Instance, journal: Journal, stack: AsyncExitStack, cloud: CloudReader) -> None:
        """Read an instance that GitHub Connect syncs: what the guards say is a warning, for nothing here can hold it."""
        journal.update(phase="collecting")
        prepared = await self._preparer.collect(instance, journal, stack, cloud)
        told = [Notice(code=one.code, text=f"{one.text}; GitHub Connect sends this by itself") for one in prepared.tripped]
        journal.update(phase=PHASE, notices=(*journal.run.notices, *told))
        conclude(self, instance, journal, prepared.status, await installations_of(cloud))

    async def _ask_person(
        self, instance: Instance, journal: Journal, record: DeliveryRecord | None, cloud: CloudReader, delivery: Delivery
    ) -> None:
        """Ask a person for everything: to export the usage on the instance and to upload it."""
        if record is None:
            known, now = self.store.instance(instance.name), self.clock.now()
            identity = identity_known(instance, known)
            status = await read_status(self, cloud)
            record = self._new_record(instance, journal, identity, baseline_of(identity, status), content_hash="", sent=None)
            journal.update(delivery=record, remember=instance_record(instance, identity, status, now, known))
        journal.update(phase="delivering")
        await self._send(instance, journal, record, None, delivery)

    def _may_pass(self, prepared: Prepared, held: Run | None) -> bool:
        """Return whether nothing tripped, or a person approved exactly this usage or nothing beyond the figures that were approved.

        Of an export, which says itself whose it is, that must be as approved as well: another instance may have turned up under its id.
        """
        if not prepared.tripped:
            return True
        if held is None or self._approval_of(held) is None:
            return False
        beyond = beyond_approval(prepared.tripped, held.tripped)
        if prepared.document.content_hash == held.content_hash:
            return prepared.export is None or not any(one.code in ON_IDENTITY for one in beyond)
        return not beyond

    def _approval_of(self, held: Run) -> Decision | None:
        approval = self.store.approval(held.run_id)
        return approval if approval is not None and approval.in_force(self.clock.now()) else None

    async def _settle(
        self, instance: Instance, journal: Journal, record: DeliveryRecord, cloud: CloudReader, delivery: Delivery
    ) -> DeliveryRecord | None:
        """Close a record that an earlier run left open, or answer it to be sent again with its key and baseline.

        A record that was never accepted cannot be confirmed by the read-back alone: nothing shows that its first byte left. It is sent
        again, which changes nothing at an endpoint that has it.
        """
        now = self.clock.now()
        if record.slot != journal.run.slot:
            outcome: DeliveryOutcome | None = DeliveryOutcome.SLOT_PAST
        elif record.upload_id is None:
            outcome = None
        else:
            status = await read_status(self, cloud)
            verdict = judge(record, await delivery.ask(record.upload_id), status)
            if isinstance(verdict, Confirmed | Accepted):
                sender = self.store.run(record.run_id)
                if sender is not None:  # what is confirmed now is what that run collected
                    journal.update(collected_at=sender.collected_at, counts=sender.counts, notices=sender.notices)
                if isinstance(verdict, Confirmed):
                    known = self.store.instance(instance.name)
                    journal.confirmed(record, verdict.last_sync, instance_record(instance, record.identity, status, now, known))
                else:
                    journal.accepted(record)
                return None
            outcome = verdict.outcome if isinstance(verdict, Refuted) else None
            if outcome is None and is_overdue(record, instance, now):
                outcome = DeliveryOutcome.NOT_CONFIRMED
        if outcome is None:
            return record
        self.store.save_delivery(replace(record, closed_at=now, outcome=outcome))
        log.info("delivery.given_up", key=record.key, outcome=outcome)
        return None

    async def _record(
        self, instance: Instance, journal: Journal, open_record: DeliveryRecord | None, prepared: Prepared, held: Run | None
    ) -> DeliveryRecord:
        """Return the delivery record to send under: the open one if the usage is still the same, else a new one, stored durably.

        Storing it is also the moment from which a held run is superseded and its approval used up.
        """
        identity, document = prepared.identity, prepared.document
        if open_record is not None:
            if continues(open_record, prepared):
                record = replace(open_record, run_id=journal.run.run_id)
                journal.update(delivery=record, instead_of=held)
                return record
            changed = replace(open_record, closed_at=self.clock.now(), outcome=DeliveryOutcome.USAGE_CHANGED)
            self.store.save_delivery(changed)
        baseline = baseline_of(identity, prepared.status)
        if (pause := must_wait_s(baseline)) > 0:
            journal.waiting(self.clock.now() + timedelta(seconds=pause), "the cloud's clock to pass its newest sync", pause)
            await self.clock.sleep(pause)
            journal.resumed()
        now = self.clock.now()
        record = self._new_record(instance, journal, identity, baseline, content_hash=document.content_hash, sent=document.sent)
        if document.sent is not None and prepared.spool is not None:
            digests = (digest_of(account, self.digest_key) for account in prepared.spool.everyone())
            self.store.stage_digests(instance.name, record.key, pack(digests))
        known = instance_record(instance, identity, prepared.status, now, self.store.instance(instance.name))
        journal.update(delivery=record, remember=known, instead_of=held)
        return record

    def _new_record(
        self, instance: Instance, journal: Journal, identity: ServerIdentity, baseline: Baseline, *, content_hash: str, sent: int | None
    ) -> DeliveryRecord:
        return DeliveryRecord(
            key=secrets.token_hex(16),
            instance=instance.name,
            run_id=journal.run.run_id,
            slot=journal.run.slot,
            content_hash=content_hash,
            identity=identity,
            sent=sent,
            baseline=baseline,
            opened_at=self.clock.now(),
        )

    async def look(self, instances: Iterable[Instance]) -> list[Run]:
        """Ask the cloud once and settle every delivered run among `instances`, whose locks the caller holds. Answers those runs."""
        every = tuple(instances)
        for instance in every:
            self.close_stale(instance)
        return await look(self, every)

    async def watch(self, instances: Sequence[Instance], *, trigger: Trigger, reason: str) -> list[Run]:
        """Ask the cloud once how GitHub Connect is doing for `instances`, whose locks the caller holds. Answers their runs, in order."""
        for instance in instances:
            self.close_stale(instance)
        begun = [(instance, self.new_run(instance, trigger, reason, None)) for instance in instances]
        return await watch(self, begun) if begun else []

    async def _send(
        self, instance: Instance, journal: Journal, record: DeliveryRecord, document: UsageDocument | None, delivery: Delivery
    ) -> None:
        try:
            upload_id = await delivery.send(document, record.key)
        except RemoteError as error:
            if not error.transient:  # refused for good; otherwise nobody knows whether it arrived, and the record stays open
                closed = replace(record, closed_at=self.clock.now(), outcome=DeliveryOutcome.REFUSED)
                self.store.save_delivery(closed)
            raise
        if isinstance(instance.delivery, ManualDelivery):
            state = RunState.AWAITING_EXPORT if document is None else RunState.AWAITING_UPLOAD
            earlier = self.store.awaiting_run(instance.name)
            journal.delivered(record, upload_id, state=state, instead_of=earlier)
            theirs = self.store.delivery_of(earlier.run_id) if earlier is not None else None
            if theirs is not None and theirs.upload_id != upload_id:  # the outbox is another one by now
                self.adapters.take_back(theirs)
        else:
            journal.delivered(record, upload_id)


def _readable(instance: Instance) -> RunError:
    return RunError(
        Code.EXPORT_READABLE,
        f"the export of {instance.hostname} lists its users readably, so it is not laid into an outbox: no address rests on disk",
        "have it exported as GitHub does by default, with encrypted users: *Export license usage*, or ghe-license usage without options",
    )


def _unwritable(cause: str) -> RunError:
    return RunError(Code.STATE_UNWRITABLE, cause, "free the disk or mend its rights; it is tried again")
