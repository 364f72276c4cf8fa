"""Check whether the cloud confirms deliveries: one request to the cloud for all instances, then the state of each upload.

Uses ports only. The caller holds the leases of the instances.
"""

import contextlib
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from licsync_daemon.model.errors import Code, RunError, StateUnwritableError
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import CloudReader
from licsync_daemon.model.run import AWAITING, AWAITING_CLOUD, DeliveryOutcome, DeliveryRecord, InstanceRecord, Run, SeatRecord
from licsync_daemon.model.store import StateReader
from licsync_daemon.model.usage import CLOCK_SLACK, Listing, ServerIdentity, SyncStatus, Upload
from licsync_daemon.rules.success import is_synced
from licsync_daemon.rules.verdict import Accepted, Confirmed, Refuted, Verdict, Waiting, entry_of, judge
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.housekeeping import close_stale
from licsync_daemon.sync.journal import Journal

log = structlog.get_logger()

LISTING_FRESH = timedelta(minutes=10)  # an unchanged list is not written again before this


@dataclass(frozen=True, slots=True)
class _OpenDelivery:
    """A delivery that waits for confirmation."""

    instance: Instance
    journal: Journal
    record: DeliveryRecord


async def check_open_deliveries(context: RunContext, instances: Iterable[Instance]) -> list[Run]:
    """Close stale runs of `instances`, whose leases the caller holds, then check their deliveries. Return the checked runs."""
    every = tuple(instances)
    for instance in every:
        close_stale(context, instance)
    return await check_delivered(context, every)


async def check_delivered(context: RunContext, instances: Iterable[Instance]) -> list[Run]:
    """Query the cloud once and update every run of `instances` that waits for confirmation. Return those runs.

    The caller holds the leases. If the cloud or an endpoint cannot be queried, a run stays as it is until its time limit.
    """
    deliveries = [
        _OpenDelivery(instance, Journal(context, run), record)
        for instance in instances
        for run in unconfirmed_runs(context.store, instance.name)
        if (record := context.store.delivery_of(run.run_id)) is not None
    ]
    if not deliveries:
        return []
    async with AsyncExitStack() as stack:
        status: SyncStatus | RunError
        try:
            cloud = await stack.enter_async_context(context.adapters.cloud(deliveries[0].journal))
            status = await read_status(context, cloud)
        except RunError as error:
            status = error
        runs = [await _check(context, delivery, status) for delivery in deliveries]
        if any(run.state.is_good for run in runs) and not isinstance(status, RunError):
            await read_seats(context, cloud)
    return runs


def unconfirmed_runs(store: StateReader, name: str) -> list[Run]:
    """Return the runs of an instance that wait for confirmation: the delivered one, and the one that waits for a person."""
    return [run for run in (store.open_run(name), store.awaiting_run(name)) if run is not None and run.state in AWAITING_CLOUD]


async def read_status(context: RunContext, cloud: CloudReader) -> SyncStatus:
    """Read every server's latest sync from the cloud, and store the list for `status`."""
    status = await cloud.sync_status()
    before, now = context.store.listing(), context.clock.now()
    if status.exists and (before is None or before.entries != status.entries or abs(now - before.read_at) > LISTING_FRESH):
        with contextlib.suppress(StateUnwritableError):
            context.store.save_listing(Listing(entries=status.entries, read_at=now))
    return status


async def _check(context: RunContext, delivery: _OpenDelivery, status: SyncStatus | RunError) -> Run:
    """Update one run by the verdict on its delivery, and return it."""
    journal = delivery.journal
    with structlog.contextvars.bound_contextvars(run_id=journal.run.run_id, instance=delivery.instance.name):
        was = journal.run.state
        verdict = await _verdict(context, delivery, status)
        _record(context, delivery, status, verdict)
        if was in AWAITING and journal.run.state.is_final:
            context.adapters.take_back(delivery.record)
    return journal.run


async def _verdict(context: RunContext, delivery: _OpenDelivery, status: SyncStatus | RunError) -> Verdict:
    """Return the verdict on a delivery. After any error it keeps waiting, until its time limit."""
    if isinstance(status, RunError):
        log.warning("run.look_failed", code=status.code, cause=status.cause)
        return Waiting(status.cause)
    try:
        async with context.adapters.delivery(delivery.instance, delivery.journal) as endpoint:
            upload_id = delivery.record.upload_id
            upload = await endpoint.ask(upload_id) if upload_id else Upload(state=None)
        return judge(delivery.record, upload, status)
    except RunError as error:
        log.warning("run.look_failed", code=error.code, cause=error.cause)
        return Waiting(error.cause)
    except StateUnwritableError:
        raise
    except Exception:
        log.critical("run.look_crashed", exc_info=True)
        return Waiting("an error in licsync-daemon itself; see its log")


def _record(context: RunContext, delivery: _OpenDelivery, status: SyncStatus | RunError, verdict: Verdict) -> None:
    """Record a verdict in the run and its delivery record."""
    instance, journal, record, now = delivery.instance, delivery.journal, delivery.record, context.clock.now()
    match verdict:
        case Confirmed(last_sync=last_sync):
            assert isinstance(status, SyncStatus)
            known = context.store.instance(instance.name)
            journal.confirmed(record, last_sync, instance_record(instance, record.identity, status, now, known))
        case Accepted():
            journal.accepted(record)
        case Refuted(outcome=outcome, code=code, cause=cause, next_step=next_step):
            journal.failed(RunError(code, cause, next_step), replace(record, closed_at=now, outcome=outcome))
        case Waiting(why=why) if is_overdue(record, instance, now):
            error = _not_uploaded(record) if journal.run.state in AWAITING else _not_confirmed(why)
            journal.failed(error, replace(record, closed_at=now, outcome=DeliveryOutcome.NOT_CONFIRMED))
        case Waiting(why=why) if journal.run.state not in AWAITING:
            journal.note_wait(why)


def _not_uploaded(record: DeliveryRecord) -> RunError:
    return RunError(
        Code.NOT_UPLOADED,
        f"no one has uploaded the usage since {record.opened_at:%Y-%m-%d}, or the upload has not arrived",
        "the next run prepares it again; find out who is responsible for uploads, and see: $licsync outbox",
    )


def _not_confirmed(why: str) -> RunError:
    return RunError(
        Code.NOT_CONFIRMED,
        f"the upload was accepted, but the cloud did not confirm it in time: {why}",
        "check this server's last sync on the enterprise's Licensing page; the next run sends the usage again",
    )


async def read_seats(context: RunContext, cloud: CloudReader) -> None:
    """Record the account's seat totals. A failure is only logged; the runs are still confirmed."""
    try:
        totals = await cloud.seats()
        if totals.unusable:
            log.warning("seats.not_usable", code=Code.BAD_RESPONSE, reported=totals.unusable)
        context.store.save_seats(SeatRecord(read_at=context.clock.now(), consumed=totals.consumed, purchased=totals.purchased))
    except (RunError, StateUnwritableError) as error:
        log.warning("seats.not_read", cause=str(error))


def is_overdue(record: DeliveryRecord, instance: Instance, now: datetime) -> bool:
    """Return whether an accepted delivery has exceeded its time limit; a clock set back by more than the limit counts too."""
    return record.accepted_at is not None and abs(now - record.accepted_at) >= instance.confirm_within


def remembered_server_id(known: InstanceRecord | None) -> str | None:
    """Return the recorded server ID of an instance."""
    return known.identity.server_id if known is not None and known.identity is not None else None


def known_identity(instance: Instance, known: InstanceRecord | None) -> ServerIdentity:
    """Return the identity of an instance as configured, with the recorded server ID if none is configured."""
    return ServerIdentity(hostname=instance.hostname, server_id=instance.server_id or remembered_server_id(known))


def instance_record(
    instance: Instance, identity: ServerIdentity, status: SyncStatus, now: datetime, before: InstanceRecord | None
) -> InstanceRecord:
    """Return an instance's record after reading the cloud, with its latest *successful* sync.

    A sync that the cloud dates in the future is ignored: until then the instance would never be overdue.
    """
    entry = entry_of(identity, status)
    date = entry.date if entry is not None and is_synced(entry) else None
    if date is not None and date > (status.answered_at or now) + CLOCK_SLACK:
        date = None
    return InstanceRecord(
        name=instance.name,
        identity=identity,
        last_sync=date or (before.last_sync if before else None),
        seen_at=now,
    )
