"""Check syncs by GitHub Connect: one request to the cloud for the whole fleet, a result for each instance. Nothing is ever sent.

Uses ports only. The caller holds the leases of the instances.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

import structlog

from licsync_daemon.model.errors import RunError, failure_of
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.model.usage import Installation, SyncStatus
from licsync_daemon.rules.connect import DATES_READ, installation_of, judge_connect, was_disconnected
from licsync_daemon.sync.confirm import instance_record, known_identity, read_seats, read_status
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.drift import installations_of, note_accounts
from licsync_daemon.sync.housekeeping import close_stale
from licsync_daemon.sync.journal import Journal, new_run

log = structlog.get_logger()

PHASE = "checking GitHub Connect's syncs"
RUNS_READ = 60  # latest runs of an instance, among which the latest conclusive check is


async def check_connect(context: RunContext, instances: Sequence[Instance], *, trigger: Trigger, reason: str) -> list[Run]:
    """Query the cloud once about the syncs of all `instances`, whose leases the caller holds. Return a finished run for each, in order.

    An error of any kind with one instance ends the run of that instance only.
    """
    if not instances:
        return []
    journals = [Journal(context, new_run(context, one, trigger=trigger, reason=reason, slot=None)) for one in instances]
    try:
        for journal, instance in zip(journals, instances, strict=True):
            _begin(context, instance, journal)
            await asyncio.sleep(0)  # a large fleet takes a while: let other tasks run
        await _check_all(context, [pair for pair in zip(instances, journals, strict=True) if pair[1].run.state is RunState.RUNNING])
    except BaseException as error:  # noqa: BLE001 - of any kind: every run ends
        for journal in journals:
            with suppress(BaseException):
                journal.crashed(error)
        failure_of(error)
    return [journal.run for journal in journals]


def _begin(context: RunContext, instance: Instance, journal: Journal) -> None:
    try:
        close_stale(context, instance)
        journal.update(phase=PHASE)
    except BaseException as error:  # noqa: BLE001 - of any kind: the other instances continue
        journal.crashed(error)


async def _check_all(context: RunContext, begun: Sequence[tuple[Instance, Journal]]) -> None:
    if not begun:
        return
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(context.adapters.cloud(begun[0][1]))
        status = await read_status(context, cloud)
        installations = await installations_of(cloud)
        for instance, journal in begun:
            with structlog.contextvars.bound_contextvars(run_id=journal.run.run_id, instance=instance.name):
                try:
                    conclude(context, instance, journal, status, installations)
                except BaseException as error:  # noqa: BLE001 - of any kind: the other instances continue
                    journal.crashed(error)
            await asyncio.sleep(0)
        await read_seats(context, cloud)


def conclude(
    context: RunContext, instance: Instance, journal: Journal, status: SyncStatus, installations: Sequence[Installation] | None
) -> None:
    """End a run with the result of the check."""
    known, now = context.store.instance(instance.name), context.clock.now()
    identity = known_identity(instance, known)
    before = known.last_sync if known is not None else None
    earlier = context.store.runs(instance.name, limit=RUNS_READ)
    seen = judge_connect(
        instance,
        identity,
        status,
        installations=installations,
        dates=context.store.sync_dates(instance.name, limit=DATES_READ),
        before=before,
        disconnected_before=was_disconnected(earlier),
        now=now,
    )
    notices = (*seen.notices, *note_accounts(journal, installation_of(instance, installations)))
    record = instance_record(instance, identity, status, now, known)
    if seen.code is None:
        journal.current(seen.last_sync, notices, record)
        return
    journal.update(remember=record, last_sync=seen.last_sync, notices=(*journal.run.notices, *notices))
    journal.failed(RunError(seen.code, seen.cause, seen.next_step))
