"""Check syncs by GitHub Connect: one request to the cloud for the whole fleet, a result for each instance. Nothing is ever sent.

Uses ports only. The caller holds the leases of the instances.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from licsync_daemon.model.errors import RunError, StateUnwritableError, internal_error
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import CloudReader
from licsync_daemon.model.run import Run, Trigger
from licsync_daemon.model.usage import Installation, Notice, SyncStatus
from licsync_daemon.rules.connect import installation_of, judge_connect, was_disconnected
from licsync_daemon.rules.verdict import drift
from licsync_daemon.sync.confirm import instance_record, known_identity, read_seats, read_status
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.housekeeping import close_stale
from licsync_daemon.sync.journal import Journal, new_run

log = structlog.get_logger()

PHASE = "checking GitHub Connect's syncs"
DATES_READ = 300  # latest runs of an instance, from which its weekly time is learned: ten weeks of checks


async def check_connect(context: RunContext, instances: Sequence[Instance], *, trigger: Trigger, reason: str) -> list[Run]:
    """Query the cloud once for the syncs of all `instances`, whose leases the caller holds. Return a finished run for each, in order.

    Raises:
        StateUnwritableError: A run could not be recorded.
    """
    for instance in instances:
        close_stale(context, instance)
    if not instances:
        return []
    journals = [Journal(context, new_run(context, one, trigger=trigger, reason=reason, slot=None)) for one in instances]
    try:
        for journal in journals:
            journal.update(phase=PHASE)
        await _check_all(context, instances, journals)
    except asyncio.CancelledError:
        for journal in journals:
            journal.interrupted()
        raise
    except StateUnwritableError:
        raise
    except Exception:  # after any other error the daemon continues with the next check
        log.critical("watch.crashed", exc_info=True)
        for journal in journals:
            if not journal.run.state.is_final:
                journal.failed(internal_error())
    return [journal.run for journal in journals]


async def _check_all(context: RunContext, instances: Sequence[Instance], journals: Sequence[Journal]) -> None:
    async with AsyncExitStack() as stack:
        try:
            cloud = await stack.enter_async_context(context.adapters.cloud(journals[0]))
            status = await read_status(context, cloud)
        except RunError as error:
            for journal in journals:
                journal.failed(error)
            return
        installations = await installations_of(cloud)
        for journal, instance in zip(journals, instances, strict=True):
            with structlog.contextvars.bound_contextvars(run_id=journal.run.run_id, instance=instance.name):
                conclude(context, instance, journal, status, installations)
        await read_seats(context, cloud)


async def installations_of(cloud: CloudReader) -> tuple[Installation, ...] | None:
    """Read the servers from GraphQL; if that fails, only the dates of syncs are used."""
    try:
        return await cloud.installations()
    except RunError as error:
        log.warning("installations.not_read", code=error.code, cause=error.cause)
        return None


def conclude(
    context: RunContext, instance: Instance, journal: Journal, status: SyncStatus, installations: Sequence[Installation] | None
) -> None:
    """End a run with the result of the check."""
    known, now = context.store.instance(instance.name), context.clock.now()
    identity = known_identity(instance, known)
    before = known.last_sync if known is not None else None
    earlier = context.store.runs(instance.name, limit=DATES_READ)
    seen = judge_connect(
        instance,
        identity,
        status,
        installations=installations,
        dates=sorted({run.last_sync for run in earlier if run.last_sync is not None}),
        before=before,
        disconnected_before=was_disconnected(earlier),
        now=now,
    )
    notices = (*seen.notices, *_drift(journal, installation_of(instance, installations)))
    record = instance_record(instance, identity, status, now, known)
    if seen.code is None:
        journal.current(seen.last_sync, notices, record)
        return
    journal.update(remember=record, last_sync=seen.last_sync, notices=(*journal.run.notices, *notices))
    journal.failed(RunError(seen.code, seen.cause, seen.next_step))


def _drift(journal: Journal, there: Installation | None) -> tuple[Notice, ...]:
    """Record the number of accounts in the cloud; return a warning if it is lower than the number collected."""
    if there is None or there.accounts is None:
        return ()
    journal.update(accounts_in_cloud=there.accounts)
    counts = journal.run.counted
    warning = drift(counts.sent, there.accounts) if counts is not None else None
    return (warning,) if warning is not None else ()
