"""Check whether the cloud confirms deliveries: one request to the cloud for all instances, then the state of each upload.

Uses ports only. The caller holds the leases of the instances.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, RunError, StateUnwritableError, failure_of
from licsync_daemon.model.instance import Instance, ManualDelivery
from licsync_daemon.model.ports import CloudReader, WaitReporter
from licsync_daemon.model.run import AWAITING, AWAITING_CLOUD, DeliveryOutcome, DeliveryRecord, InstanceRecord, Run, SeatRecord
from licsync_daemon.model.store import StateReader
from licsync_daemon.model.usage import CLOCK_SLACK, Listing, ServerIdentity, SyncStatus, Upload
from licsync_daemon.rules.success import is_synced
from licsync_daemon.rules.verdict import Accepted, Confirmed, Refuted, Verdict, Waiting, entry_of, judge
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.drift import check_drift
from licsync_daemon.sync.housekeeping import close_stale, take_back
from licsync_daemon.sync.journal import Journal
from licsync_daemon.sync.put_back import put_back

log = structlog.get_logger()

RECORD_MISSING = RunError(
    Code.NOT_CONFIRMED,
    "the record of this delivery is missing from the state file, so nothing can confirm it",
    "the next run sends the usage again, or prepares it again for a person to upload; look for `state_damaged` in the log",
)
LISTING_FRESH = timedelta(minutes=10)  # an unchanged list is not written again before this


async def check_open_deliveries(context: RunContext, instances: Iterable[Instance]) -> list[Run]:
    """Close stale runs of `instances`, whose leases the caller holds, then check their deliveries. Return the checked runs."""
    every = tuple(instances)
    for instance in every:
        try:
            close_stale(context, instance)
        except StateUnwritableError:
            raise
        except BaseException as error:  # noqa: BLE001 - of any kind: the deliveries are checked
            _note_crash(error)
    return await check_delivered(context, every)


async def check_delivered(context: RunContext, instances: Iterable[Instance]) -> list[Run]:
    """Query the cloud once and check every run among `instances` that waits for its confirmation. Return these runs.

    The caller holds the leases. If the cloud or an endpoint cannot be queried, or after an error of any kind in a check, a run stays as
    it is until its time limit.

    Raises:
        StateUnwritableError: The result of a check could not be stored; all runs were checked.
    """
    watched = [(instance, Journal(context, run)) for instance in instances for run in unconfirmed_runs(context.store, instance.name)]
    unwritable: list[StateUnwritableError] = []
    try:
        async with AsyncExitStack() as stack:
            cloud, status = await _asked(context, watched[0][1], stack) if watched else (None, None)
            for instance, journal in watched:
                with structlog.contextvars.bound_contextvars(run_id=journal.run.run_id, instance=instance.name):
                    try:
                        await _check(context, instance, journal, status)
                    except StateUnwritableError as error:
                        unwritable.append(error)
                    except BaseException as error:  # noqa: BLE001 - of any kind: the other runs are checked
                        _note_crash(error)
            if any(journal.run.state.is_good for _, journal in watched) and cloud is not None:
                await check_drift(cloud, watched)
                await read_seats(context, cloud)
    except BaseException as error:  # noqa: BLE001 - from closing a connection
        _note_crash(error)
    if unwritable:
        raise unwritable[0]
    return [journal.run for _, journal in watched]


async def _asked(context: RunContext, waits: WaitReporter, stack: AsyncExitStack) -> tuple[CloudReader | None, SyncStatus | RunError]:
    """Return the cloud and what it lists, or why it cannot be read."""
    try:
        cloud = await stack.enter_async_context(context.adapters.cloud(waits))
        return cloud, await read_status(context, cloud)
    except BaseException as error:  # noqa: BLE001 - of any kind: the time limit of a delivery still ends
        return None, _note_crash(error)


def _note_crash(error: BaseException) -> RunError:
    """Return the failure that an exception means, and log an unexpected one.

    Raises:
        BaseException: `error` itself, if it ends the process or cancels the current task.
    """
    failure = failure_of(error)
    if failure.code is Code.INTERNAL:
        log.critical("run.check_crashed", exc_info=error)
    return failure


async def _check(context: RunContext, instance: Instance, journal: Journal, status: SyncStatus | RunError | None) -> None:
    """Check one run that waits for the cloud's confirmation."""
    record, was = context.store.delivery_of(journal.run.run_id), journal.run.state
    assert status is not None
    if record is None:
        journal.failed(RECORD_MISSING)
        return
    verdict = await _verdict(context, instance, journal, record, status)
    try:
        _record(context, instance, journal, record, status=status, verdict=verdict)
    except StateUnwritableError:
        raise
    except BaseException as error:  # noqa: BLE001 - of any kind: the run is not open for ever
        why = Waiting(_note_crash(error).cause)
        _record(context, instance, journal, record, status=status, verdict=why)
    if was in AWAITING and journal.run.state.is_final:
        take_back(context, record)
    elif was in AWAITING:
        await put_back(context, instance, journal, record)


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
    if status.answered_at is not None:
        await _prune(context, min(now, status.answered_at))
    return status


async def _prune(context: RunContext, confirmed: datetime) -> None:
    """Delete what is too old, some at a time, by a time on which the cloud's clock and this machine's agree."""
    with contextlib.suppress(StateUnwritableError):
        while context.store.prune(confirmed):  # noqa: ASYNC110 - not a wait: between two parts, other tasks run
            await asyncio.sleep(0)


async def _verdict(
    context: RunContext, instance: Instance, journal: Journal, record: DeliveryRecord, status: SyncStatus | RunError
) -> Verdict:
    """Return the verdict on a delivery. After any error it keeps waiting, until its time limit."""
    if isinstance(status, RunError):
        log.warning("run.look_failed", code=status.code, cause=status.cause)
        return Waiting(status.cause)
    try:
        async with context.adapters.delivery(instance, journal) as delivery:
            upload = await delivery.ask(record.upload_id) if record.upload_id else Upload(state=None)
        return judge(record, upload, status, by_person=isinstance(instance.delivery, ManualDelivery))
    except StateUnwritableError:
        raise
    except BaseException as error:  # noqa: BLE001 - of any kind: until its time is over, it waits
        failure = _note_crash(error)
        log.warning("run.look_failed", code=failure.code, cause=failure.cause)
        return Waiting(failure.cause)


def _record(
    context: RunContext, instance: Instance, journal: Journal, record: DeliveryRecord, *, status: SyncStatus | RunError, verdict: Verdict
) -> None:
    """Record a verdict in the run and its delivery record."""
    now = context.clock.now()
    match verdict:
        case Confirmed(last_sync=last_sync):
            assert isinstance(status, SyncStatus)
            known = context.store.instance(instance.name)
            journal.confirmed(record, last_sync, instance_record(instance, record.identity, status, now, known))
        case Accepted():
            journal.accepted(record)
        case Refuted(outcome=outcome, code=code, cause=cause, next_step=next_step):
            journal.failed(RunError(code, cause, next_step), replace(record, closed_at=now, outcome=outcome))
        case Waiting(why=why) if is_overdue(record, instance, now, journal.run):
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
        f"compare this server's last sync: in the cloud, {github.LAST_SYNC}; the next run sends the usage again",
    )


async def read_seats(context: RunContext, cloud: CloudReader) -> None:
    """Record the account's seat totals. A failure is only logged; the runs are still confirmed."""
    try:
        totals = await cloud.seats()
        if totals.unusable:
            log.warning("seats.not_usable", code=Code.BAD_RESPONSE, reported=totals.unusable)
        context.store.save_seats(SeatRecord(read_at=context.clock.now(), consumed=totals.consumed, purchased=totals.purchased))
    except BaseException as error:  # noqa: BLE001 - of any kind
        log.warning("seats.not_read", cause=_note_crash(error).cause)


def is_overdue(record: DeliveryRecord, instance: Instance, now: datetime, run: Run | None = None) -> bool:
    """Return whether an accepted delivery has waited too long; a clock that was set back by more than that counts as well.

    `run` is the run that waits for the delivery: where the record does not say when it was accepted, the run does.
    """
    since = record.accepted_at or (run.delivered_at or run.started_at if run is not None else None)
    return since is not None and abs(now - since) >= instance.confirm_within


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
