"""`--run-now`: run several instances at once, then wait for the confirmation of all of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from licsync_daemon.model.errors import failure_of
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.rules.verdict import next_check
from licsync_daemon.sync.context import RunContext, hold_free
from licsync_daemon.sync.housekeeping import close_stale
from licsync_daemon.sync.journal import new_run
from licsync_daemon.sync.put_back import is_lost
from licsync_daemon.sync.run import not_started, run_instance
from licsync_daemon.sync.supervise import check_connect
from licsync_daemon.sync.waiting import ConfirmationWait, Result

log = structlog.get_logger()

LOCK_POLL_S = 0.5
LOCK_WAIT = timedelta(hours=1)  # building a report may take half of that
BRIEF_TRIES, BRIEFLY_S = 5, 0.1
ASKED = "started by --run-now"


async def run_now(
    instances: Sequence[Instance],
    context: RunContext,
    *,
    max_concurrent_runs: int,
    wait: timedelta,
    wait_lock: bool = False,
    wait_sync: timedelta = timedelta(0),
) -> list[Result]:
    """Run `instances` at once and wait up to `wait` for their confirmation. Return a result for each, in the same order.

    Instances that GitHub Connect syncs are checked with one request for all, and again for up to `wait_sync` until a newer sync appears.

    With `wait_lock`, wait up to an hour for an instance that another process runs, instead of skipping it. If a run of an instance is
    `delivered`, or waits for a person in the current slot, it is joined: nothing is sent again.
    """
    by_connect = [instance for instance in instances if not instance.has_slots]
    with_slots = [instance for instance in instances if instance.has_slots]
    results = {result.instance.name: result for result in await _check_connect(context, by_connect, wait=wait_sync)}
    more = await _run_all(context, with_slots, max_concurrent_runs=max_concurrent_runs, wait=wait, wait_lock=wait_lock)
    results |= {result.instance.name: result for result in more}
    return [results[instance.name] for instance in instances]


async def _check_connect(context: RunContext, instances: Sequence[Instance], *, wait: timedelta) -> list[Result]:
    """Check instances that GitHub Connect syncs, for up to `wait`, until every one has a newer sync than at first."""
    clock = context.clock
    end_s, since = clock.monotonic() + wait.total_seconds(), clock.now()
    results: dict[str, Result] = {}
    waiting = list(instances)
    first: dict[str, datetime | None] = {}
    while True:
        unusable: dict[str, BaseException] = {}
        with hold_free(context.leases, waiting, unusable) as free:
            runs = await check_connect(context, free, trigger=Trigger.PERSON, reason=ASKED)
        results |= {run.instance: Result(instance, run) for instance, run in zip(free, runs, strict=True)}
        for one in waiting:
            if one.name in unusable:
                failed = not_started(context, one, trigger=Trigger.PERSON, reason=ASKED, slot=None, error=unusable[one.name])
                results[one.name] = Result(one, failed)
            elif one.name not in results:
                results[one.name] = Result(one, None, context.leases.holder(one.name))
        for run in runs:
            first.setdefault(run.instance, run.last_sync)
        waiting = [one for one, run in zip(free, runs, strict=True) if run.last_sync == first[one.name] or not run.state.is_good]
        left = end_s - clock.monotonic()
        if not waiting or left <= 0:
            return list(results.values())
        now = clock.now()
        await clock.sleep(min((next_check(since, now) - now).total_seconds(), left))


async def _run_all(
    context: RunContext, instances: Sequence[Instance], *, max_concurrent_runs: int, wait: timedelta, wait_lock: bool
) -> list[Result]:
    limit = asyncio.Semaphore(max_concurrent_runs)
    results: dict[str, Result] = {}

    async def run(instance: Instance) -> None:
        slot = slot_at(instance.schedule, context.clock.now())
        try:
            result = await _run_or_wait(context, instance, limit, slot, wait_lock=wait_lock)
        except BaseException as error:  # noqa: BLE001 - of any kind, before any request: the other instances continue
            result = Result(instance, not_started(context, instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot, error=error))
        results[instance.name] = result

    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(run(instance), name=f"run {instance.name}") for instance in instances]
        try:
            await ConfirmationWait(context, runs, results).wait(wait)
        except BaseException as error:
            failure_of(error)
            log.critical("run.wait_crashed", exc_info=error)
    return [results[instance.name] for instance in instances]


async def _run_or_wait(context: RunContext, instance: Instance, limit: asyncio.Semaphore, slot: datetime, *, wait_lock: bool) -> Result:
    lock_wait = _LockWait(context, instance)
    while True:
        async with limit:  # not held while waiting for a lock: others may go on
            result = await _run_or_join(context, instance, slot)
        if result.run is not None or not wait_lock or lock_wait.is_over:
            return result
        lock_wait.show(result.locked_by)
        await context.clock.sleep(LOCK_POLL_S)


async def _run_or_join(context: RunContext, instance: Instance, slot: datetime) -> Result:
    """Run an instance, or join its delivered run. The result has no run if another process is running the instance."""
    leases, store = context.leases, context.store
    lease = leases.instance(instance.name)
    for _ in range(BRIEF_TRIES):
        theirs = store.open_run(instance.name)
        if lease is not None or (theirs is not None and theirs.state is RunState.RUNNING):
            break
        if theirs is not None:  # delivered: the lease is held only for a confirmation check
            return Result(instance, theirs)
        await context.clock.sleep(BRIEFLY_S)  # no run is in progress: a check has just ended, or a run is about to start
        lease = leases.instance(instance.name)
    if lease is None:
        return Result(instance, None, leases.holder(instance.name))
    with lease:
        close_stale(context, instance)
        joined = store.open_run(instance.name) or _awaited(context, instance, slot)
        if joined is not None:
            return Result(instance, joined)
        return Result(instance, await run_instance(context, instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot))


def _awaited(context: RunContext, instance: Instance, slot: datetime) -> Run | None:
    """Return the run of this slot that waits for a person, unless a held run was approved, or only another run can prepare it again."""
    store = context.store
    awaiting, held = store.awaiting_run(instance.name), store.held_run(instance.name)
    approved = held is not None and store.approval(held.run_id) is not None
    if awaiting is None or awaiting.slot != slot or approved or is_lost(context, instance, awaiting):
        return None
    return awaiting


class _LockWait:
    """A wait for an instance that another process runs. It is shown to the observer but not recorded."""

    def __init__(self, context: RunContext, instance: Instance) -> None:
        self._context, self._instance = context, instance
        self._until = context.clock.now() + LOCK_WAIT
        self._ends_s = context.clock.monotonic() + LOCK_WAIT.total_seconds()
        self._shown: str | None = None

    @property
    def is_over(self) -> bool:
        return self._context.clock.monotonic() >= self._ends_s

    def show(self, holder: str | None) -> None:
        """Show and log the holder of the lease whenever it changes."""
        if holder == self._shown:
            return
        self._shown = holder
        log.info("run.waiting_for_lock", instance=self._instance.name, held_by=holder, until=self._until.isoformat(timespec="seconds"))
        shown = new_run(self._context, self._instance, trigger=Trigger.PERSON, reason=ASKED, slot=None)
        self._context.observe(replace(shown, phase="locked", waiting_for=holder, waiting_until=self._until))
