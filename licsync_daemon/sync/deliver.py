"""The delivery of a run: the record stored before the first byte is sent, sending, and deliveries that an earlier run left open."""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.instance import ManualDelivery
from licsync_daemon.model.ports import Delivery, UsageDocument
from licsync_daemon.model.run import AWAITING, Baseline, DeliveryOutcome, DeliveryRecord, Run, RunState
from licsync_daemon.model.usage import ServerIdentity, SyncStatus
from licsync_daemon.rules.verdict import Accepted, Confirmed, Refuted, baseline_of, judge, must_wait_s
from licsync_daemon.sync.confirm import instance_record, is_overdue, known_identity, read_status
from licsync_daemon.sync.drift import check_drift
from licsync_daemon.sync.housekeeping import take_back
from licsync_daemon.sync.journal import RunScope
from licsync_daemon.sync.prepare import Prepared, continues

log = structlog.get_logger()


async def close_or_resume(scope: RunScope, record: DeliveryRecord, delivery: Delivery) -> DeliveryRecord | None:
    """Close a record that an earlier run left open, or return it to be sent again with its key and baseline.

    A record that was never accepted cannot be confirmed by the read-back alone: it may never have been sent. It is sent again, which
    changes nothing if the endpoint already has it.
    """
    context, journal, now = scope.context, scope.journal, scope.context.clock.now()
    outcome: DeliveryOutcome | None = None
    if record.slot != journal.run.slot:
        outcome = DeliveryOutcome.SLOT_PAST
    elif record.upload_id is not None:
        status = await read_status(context, scope.cloud)
        verdict = judge(record, await delivery.ask(record.upload_id), status)
        if isinstance(verdict, Confirmed | Accepted):
            await _end(scope, record, verdict, status)
            return None
        outcome = verdict.outcome if isinstance(verdict, Refuted) else None
        if outcome is None and is_overdue(record, scope.instance, now):
            outcome = DeliveryOutcome.NOT_CONFIRMED
    if outcome is None:
        return record
    context.store.save_delivery(replace(record, closed_at=now, outcome=outcome))
    log.info("delivery.given_up", key=record.key, outcome=outcome)
    return None


async def _end(scope: RunScope, record: DeliveryRecord, verdict: Confirmed | Accepted, status: SyncStatus) -> None:
    """End the run with the delivery of an earlier run, which has arrived. An earlier run that still waits for a person is superseded."""
    context, instance, journal = scope.context, scope.instance, scope.journal
    sender = context.store.run(record.run_id)
    record = _take_over(scope, record)
    if sender is not None:  # the cloud confirms the usage that run collected
        journal.update(collected_at=sender.collected_at, counts=sender.counts, notices=sender.notices)
        if sender.state in AWAITING:
            take_back(context, record)
    if isinstance(verdict, Accepted):
        journal.accepted(record)
        return
    known, now = context.store.instance(instance.name), context.clock.now()
    journal.confirmed(record, verdict.last_sync, instance_record(instance, record.identity, status, now, known))
    await check_drift(scope.cloud, [(instance, journal)])


def _take_over(scope: RunScope, record: DeliveryRecord) -> DeliveryRecord:
    """Make the open delivery of an earlier run this run's, and supersede the earlier run if it waits for a person: one transaction."""
    record = replace(record, run_id=scope.journal.run.run_id)
    scope.journal.update(delivery=record, instead_of=scope.context.store.awaiting_run(scope.instance.name))
    return record


async def open_record(scope: RunScope, earlier: DeliveryRecord | None, prepared: Prepared, held: Run | None) -> DeliveryRecord:
    """Return the record of the delivery: the `earlier` open one if the usage is unchanged, otherwise a new one, stored durably.

    Storing it also supersedes the held run and marks its approval used.
    """
    context, instance, journal = scope.context, scope.instance, scope.journal
    identity, document = prepared.identity, prepared.document
    if earlier is not None:
        if continues(earlier, prepared):
            journal.update(instead_of=held)
            return _take_over(scope, earlier)
        context.store.save_delivery(replace(earlier, closed_at=context.clock.now(), outcome=DeliveryOutcome.USAGE_CHANGED))
    before = context.store.instance(instance.name)
    baseline = baseline_of(identity, prepared.status, before.last_sync if before is not None else None)
    if (pause := must_wait_s(baseline)) > 0:
        journal.waiting(context.clock.now() + timedelta(seconds=pause), "the cloud's clock to pass its latest sync", pause)
        await context.clock.sleep(pause)
        journal.resumed()
    now = context.clock.now()
    record = _new_record(journal.run, identity, baseline, content_hash=document.content_hash, sent=document.sent, opened_at=now)
    if document.sent is not None and prepared.digests is not None:
        context.store.stage_digests(instance.name, record.key, prepared.digests)
    known = instance_record(instance, identity, prepared.status, now, before)
    journal.update(delivery=record, remember=known, instead_of=held)
    return record


async def ask_person(scope: RunScope, record: DeliveryRecord | None, delivery: Delivery) -> None:
    """Ask a person to export the usage on the instance and to upload it."""
    context, instance, journal = scope.context, scope.instance, scope.journal
    if record is None:
        known, now = context.store.instance(instance.name), context.clock.now()
        identity = known_identity(instance, known)
        status = await read_status(context, scope.cloud)
        baseline = baseline_of(identity, status, known.last_sync if known is not None else None)
        record = _new_record(journal.run, identity, baseline, content_hash="", sent=None, opened_at=now)
        journal.update(delivery=record, remember=instance_record(instance, identity, status, now, known))
    else:
        record = _take_over(scope, record)
    journal.update(phase="delivering")
    await send(scope, record, None, delivery)


async def send(scope: RunScope, record: DeliveryRecord, document: UsageDocument | None, delivery: Delivery) -> None:
    """Send a document, or without one ask a person to export it; from then on the run belongs to no process."""
    context, instance, journal = scope.context, scope.instance, scope.journal
    try:
        upload_id = await delivery.send(document, record.key)
    except RemoteError as error:
        if not error.transient:  # refused permanently; otherwise the document may have arrived, and the record stays open
            outcome = DeliveryOutcome.UPLOAD_FAILED if error.code is Code.UPLOAD_FAILED else DeliveryOutcome.REFUSED
            context.store.save_delivery(replace(record, closed_at=context.clock.now(), outcome=outcome))
        raise
    if not isinstance(instance.delivery, ManualDelivery):
        journal.delivered(record, upload_id)
        return
    state = RunState.AWAITING_EXPORT if document is None else RunState.AWAITING_UPLOAD
    earlier = context.store.awaiting_run(instance.name)
    journal.delivered(record, upload_id, state=state, instead_of=earlier)
    theirs = context.store.delivery_of(earlier.run_id) if earlier is not None else None
    if theirs is not None and theirs.upload_id != upload_id:  # another outbox is configured now
        take_back(context, theirs)


def _new_record(
    run: Run, identity: ServerIdentity, baseline: Baseline, *, content_hash: str, sent: int | None, opened_at: datetime
) -> DeliveryRecord:
    return DeliveryRecord(
        key=secrets.token_hex(16),
        instance=run.instance,
        run_id=run.run_id,
        slot=run.slot,
        content_hash=content_hash,
        identity=identity,
        sent=sent,
        baseline=baseline,
        opened_at=opened_at,
    )
