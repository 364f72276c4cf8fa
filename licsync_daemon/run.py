"""One run of one instance: collect, check, deliver, record; and the look that settles what was delivered.

Talks to ports only. A run is recorded as `running` before its first request and leaves exactly one final or open state behind, whatever
happens. The caller holds the instance's lock and has closed a stale run. A failure is a value here: `Run.code`, `cause`, `next_step`.
"""

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from licsync_daemon.check import check_usage
from licsync_daemon.document import UsageDocument, write_document
from licsync_daemon.errors import Code, RemoteError, RunError, StateUnwritableError
from licsync_daemon.journal import Journal, Observer, ignore
from licsync_daemon.model import (
    DeliveryOutcome,
    DeliveryRecord,
    Holder,
    Identity,
    Instance,
    InstanceRecord,
    Run,
    RunState,
    SeatRecord,
    SyncStatus,
    Trigger,
    Upload,
)
from licsync_daemon.ports import Adapters, Clock, CloudReader, Collected, Delivery, StateStore
from licsync_daemon.readback import Confirmed, Refuted, Verdict, Waiting, baseline_of, entry_of, judge, must_wait_s, server_id_of
from licsync_daemon.spool import AccountSpool

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Runner:
    """Makes runs. One for the life of the process.

    Attributes:
        store: Where runs and delivery records are kept.
        adapters: Opens the far sides, for each run anew.
        clock: Time.
        spool_dir: Where a run's unlinked files lie.
        holder: Who we are, for the run's row.
        observe: Hears of every change of a run, for progress on a terminal.
    """

    store: StateStore
    adapters: Adapters
    clock: Clock
    spool_dir: Path
    holder: Holder
    observe: Observer = ignore

    async def run(self, instance: Instance, *, trigger: Trigger, reason: str, slot: datetime | None) -> Run:
        """Make one run and answer how it ended: `delivered`, `confirmed` (an earlier delivery turned out to have arrived) or `failed`.

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
                return journal.failed(RunError(Code.INTERNAL, "an error in licsync-daemon itself", "report it with the log of this run"))

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
        """Answer a failed run of an instance whose lock or stale run could not be written; nobody was asked anything."""
        with structlog.contextvars.bound_contextvars(instance=instance.name):
            return Journal(self.store, self.clock, self.new_run(instance, trigger, reason, slot), self.observe).failed(_unwritable(cause))

    def new_run(self, instance: Instance, trigger: Trigger, reason: str, slot: datetime | None) -> Run:
        """Answer a run that begins now, not recorded yet."""
        return Run(
            run_id=secrets.token_hex(6),
            instance=instance.name,
            trigger=trigger,
            reason=reason,
            slot=slot,
            started_at=self.clock.now(),
            holder=self.holder,
        )

    def close_stale(self, name: str) -> None:
        """Record as `interrupted` a run that is still `running` though we hold its instance's lock: its process is gone."""
        stale = self.store.open_run(name)
        if stale is not None and stale.state is RunState.RUNNING:
            now = self.clock.now()
            self.store.save_run(replace(stale, state=RunState.INTERRUPTED, ended_at=now, waiting_for=None, waiting_until=None), now)
            log.warning("run.interrupted", run_id=stale.run_id, instance=name)

    async def preview(self, instance: Instance, journal: Journal, stack: AsyncExitStack) -> tuple[Collected, UsageDocument]:
        """Collect, check and build the document without sending or recording anything. `stack` closes the document."""
        cloud = await stack.enter_async_context(self.adapters.cloud(journal))
        source = await stack.enter_async_context(self.adapters.source(instance, journal))
        identity = await self._identity(instance, cloud)
        spool = stack.enter_context(AccountSpool(self.spool_dir))
        collected = await source.collect(spool)
        journal.collected(collected)
        check_usage(collected.counts)
        return collected, stack.enter_context(self._document(identity, collected, spool))

    async def _steps(self, instance: Instance, journal: Journal) -> None:
        async with AsyncExitStack() as stack:
            cloud = await stack.enter_async_context(self.adapters.cloud(journal))
            delivery = await stack.enter_async_context(self.adapters.delivery(instance, journal))
            record = self.store.open_delivery(instance.name)
            if record is not None:
                journal.update(phase="settling an earlier delivery")
                record = await self._settle(instance, journal, record, cloud, delivery)
                if journal.run.state.is_final:
                    return
            journal.update(phase="collecting")
            identity = await self._identity(instance, cloud)
            spool = stack.enter_context(AccountSpool(self.spool_dir))
            source = await stack.enter_async_context(self.adapters.source(instance, journal))
            collected = await source.collect(spool)
            journal.collected(collected)
            journal.update(phase="checking")
            check_usage(collected.counts)
            document = stack.enter_context(self._document(identity, collected, spool))
            journal.update(phase="reading the baseline", content_hash=document.content_hash)
            record = await self._record(instance, journal, record, identity=identity, document=document, cloud=cloud)
            journal.update(phase="delivering")
            await self._send(journal, record, document, delivery)

    async def _identity(self, instance: Instance, cloud: CloudReader) -> Identity:
        """Answer who the instance is towards the cloud; ask the cloud only where the configuration does not say its server id."""
        identity = Identity(hostname=instance.hostname, server_id=instance.server_id)
        if identity.server_id is None:
            identity = replace(identity, server_id=server_id_of(identity, await cloud.sync_status()))
        return identity

    def _document(self, identity: Identity, collected: Collected, spool: AccountSpool) -> UsageDocument:
        return write_document(
            spool,
            directory=self.spool_dir,
            identity=identity,
            collected_at=collected.collected_at,
            version=collected.version,
            http_only=collected.http_only,
            counts=collected.counts,
        )

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
            status = await cloud.sync_status()
            verdict = judge(record, await delivery.ask(record.upload_id), status)
            if isinstance(verdict, Confirmed):
                sender = self.store.run(record.run_id)
                if sender is not None:  # what is confirmed now is what that run collected
                    journal.update(collected_at=sender.collected_at, counts=sender.counts, notices=sender.notices)
                journal.confirmed(record, verdict.last_sync, _instance_record(instance, record.identity, status, now))
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
        self,
        instance: Instance,
        journal: Journal,
        open_record: DeliveryRecord | None,
        *,
        identity: Identity,
        document: UsageDocument,
        cloud: CloudReader,
    ) -> DeliveryRecord:
        """Answer the delivery record to send under: the open one if the usage is still the same, else a new one, stored durably."""
        if open_record is not None:
            if (open_record.content_hash, open_record.identity) == (document.content_hash, identity):
                record = replace(open_record, run_id=journal.run.run_id)
                self.store.save_delivery(record)
                return record
            changed = replace(open_record, closed_at=self.clock.now(), outcome=DeliveryOutcome.USAGE_CHANGED)
            self.store.save_delivery(changed)
        status = await cloud.sync_status()
        baseline = baseline_of(identity, status)
        if (pause := must_wait_s(baseline)) > 0:
            journal.waiting(self.clock.now() + timedelta(seconds=pause), "the cloud's clock to pass its newest sync", pause)
            await self.clock.sleep(pause)
            journal.resumed()
        now = self.clock.now()
        record = DeliveryRecord(
            key=secrets.token_hex(16),
            instance=instance.name,
            run_id=journal.run.run_id,
            slot=journal.run.slot,
            content_hash=document.content_hash,
            identity=identity,
            sent=document.sent,
            baseline=baseline,
            opened_at=now,
        )
        self.store.save_instance(_instance_record(instance, identity, status, now, self.store.instance(instance.name)))
        self.store.save_delivery(record)
        return record

    async def _send(self, journal: Journal, record: DeliveryRecord, document: UsageDocument, delivery: Delivery) -> None:
        try:
            upload_id = await delivery.send(document, record.key)
        except RemoteError as error:
            if not error.transient:  # refused for good; otherwise nobody knows whether it arrived, and the record stays open
                closed = replace(record, closed_at=self.clock.now(), outcome=DeliveryOutcome.REFUSED)
                self.store.save_delivery(closed)
            raise
        journal.delivered(record, upload_id)

    async def look(self, instances: Iterable[Instance]) -> list[Run]:
        """Ask the cloud once and settle every delivered run among `instances`, whose locks the caller holds. Answers those runs.

        A cloud or an endpoint that cannot be read leaves a run `delivered`, until its `confirm_timeout` has passed.
        """
        delivered = [
            (instance, run, record)
            for instance in instances
            if (run := self.store.open_run(instance.name)) is not None
            and run.state is RunState.DELIVERED
            and (record := self.store.open_delivery(instance.name)) is not None
        ]
        if not delivered:
            return []
        seen: list[Run] = []
        journals = [Journal(self.store, self.clock, run, self.observe) for _, run, _ in delivered]
        async with AsyncExitStack() as stack:
            status: SyncStatus | RunError
            try:
                cloud = await stack.enter_async_context(self.adapters.cloud(journals[0]))
                status = await cloud.sync_status()
            except RunError as error:
                status = error
            for journal, (instance, _, record) in zip(journals, delivered, strict=True):
                with structlog.contextvars.bound_contextvars(run_id=journal.run.run_id, instance=instance.name):
                    verdict = await self._ask(instance, journal, record, status)
                    self._settle_delivered(instance, journal, record, status, verdict)
                    seen.append(journal.run)
            if any(run.state is RunState.CONFIRMED for run in seen) and not isinstance(status, RunError):
                await self._read_seats(cloud)
        return seen

    async def _ask(self, instance: Instance, journal: Journal, record: DeliveryRecord, status: SyncStatus | RunError) -> Verdict:
        """Answer what is known of a delivery now. Whatever goes wrong only keeps this one waiting, until its time is over."""
        if isinstance(status, RunError):
            log.warning("run.look_failed", code=status.code, cause=status.cause)
            return Waiting(status.cause)
        try:
            async with self.adapters.delivery(instance, journal) as delivery:
                upload = await delivery.ask(record.upload_id) if record.upload_id else Upload(state=None)
            return judge(record, upload, status)
        except RunError as error:
            log.warning("run.look_failed", code=error.code, cause=error.cause)
            return Waiting(error.cause)
        except StateUnwritableError:
            raise
        except Exception:
            log.critical("run.look_crashed", exc_info=True)
            return Waiting("an error in licsync-daemon itself; its log says more")

    def _settle_delivered(
        self, instance: Instance, journal: Journal, record: DeliveryRecord, status: SyncStatus | RunError, verdict: Verdict
    ) -> None:
        now = self.clock.now()
        match verdict:
            case Confirmed(last_sync=last_sync):
                assert isinstance(status, SyncStatus)
                journal.confirmed(record, last_sync, _instance_record(instance, record.identity, status, now))
            case Refuted(outcome=outcome, code=code, cause=cause, next_step=next_step):
                journal.failed(RunError(code, cause, next_step), replace(record, closed_at=now, outcome=outcome))
            case Waiting(why=why) if is_overdue(record, instance, now):
                journal.failed(
                    RunError(
                        Code.NOT_CONFIRMED,
                        f"the upload was accepted, but the cloud did not confirm it in time: {why}",
                        "look at the enterprise's Licensing page for this server's last sync; the usage is sent anew with the next run",
                    ),
                    replace(record, closed_at=now, outcome=DeliveryOutcome.NOT_CONFIRMED),
                )
            case Waiting(why=why):
                journal.note_wait(why)

    async def _read_seats(self, cloud: CloudReader) -> None:
        """Record the account's seat totals; a failure is only told, the runs are confirmed all the same."""
        try:
            totals = await cloud.seats()
            self.store.save_seats(SeatRecord(read_at=self.clock.now(), consumed=totals.consumed, purchased=totals.purchased))
        except (RunError, StateUnwritableError) as error:
            log.warning("seats.not_read", cause=str(error))


def _unwritable(cause: str) -> RunError:
    return RunError(Code.STATE_UNWRITABLE, cause, "free the disk or mend its rights; it is tried again")


def is_overdue(record: DeliveryRecord, instance: Instance, now: datetime) -> bool:
    """Answer whether an accepted delivery has waited too long; a clock that was set back by more than that counts as well."""
    return record.accepted_at is not None and abs(now - record.accepted_at) >= instance.delivery.confirm_timeout


def _instance_record(
    instance: Instance, identity: Identity, status: SyncStatus, now: datetime, before: InstanceRecord | None = None
) -> InstanceRecord:
    """Answer what to remember of an instance after reading the cloud: its newest *successful* sync."""
    entry = entry_of(identity, status)
    date = entry.date if entry is not None and entry.status == "success" and not entry.error else None
    return InstanceRecord(
        name=instance.name,
        identity=identity,
        last_sync=date or (before.last_sync if before else None),
        seen_at=now,
    )
