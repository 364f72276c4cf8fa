"""Several instances at once, for a person who asked: run them, then wait for the cloud's word on all of them together."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import Clock, StateStore
from licsync_daemon.model.run import AWAITING, AWAITING_CLOUD, Run, RunState, Trigger
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.rules.verdict import next_look
from licsync_daemon.sync.run import Runner
from licsync_daemon.system.filelock import FileLock, in_words, read_holder, this_process

log = structlog.get_logger()

LOCK_POLL_S = 0.5
LOCK_WAIT = timedelta(hours=1)  # a report may take half of that to be built
LOOK_LIMIT_S = 30.0
BRIEF_TRIES, BRIEFLY_S = 5, 0.1
ASKED = "asked with --run-now"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one instance. `run` is None only where another process has it: then `locked_by` says who."""

    instance: Instance
    run: Run | None
    locked_by: str | None = None


class InstanceLocks:
    """One lock a configured instance, in the state directory."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._directory = state_dir / "locks"
        self._clock = clock

    def take(self, name: str) -> FileLock | None:
        return FileLock.take(self._path(name), holder=this_process(self._clock.now()))

    def holder(self, name: str) -> str:
        return in_words(read_holder(self._path(name)))

    @contextmanager
    def those_free(self, instances: Sequence[Instance]) -> Iterator[list[Instance]]:
        """Hold the locks of those instances that nobody else has."""
        with ExitStack() as stack:
            held = []
            for instance in instances:
                lock = self.take(instance.name)
                if lock is not None:
                    stack.enter_context(lock)
                    held.append(instance)
            yield held

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"


async def run_now(
    instances: Sequence[Instance],
    *,
    runner: Runner,
    locks: InstanceLocks,
    clock: Clock,
    max_concurrent_runs: int,
    wait: timedelta,
    wait_lock: bool = False,
    wait_sync: timedelta = timedelta(0),
) -> list[Result]:
    """Run `instances` at once and wait up to `wait` for their confirmation. Answers a result for each, in the same order.

    What GitHub Connect carries is looked at with one question for all, and again for up to `wait_sync` until a newer sync appears.

    `wait_lock` waits up to an hour for an instance that another process has, instead of leaving it alone. An instance that is `delivered`
    already is joined: nothing is sent anew; so is one that waits for a person in the current slot.
    """
    watched = [instance for instance in instances if not instance.has_slots]
    others = [instance for instance in instances if instance.has_slots]
    results = {result.instance.name: result for result in await _watch(watched, runner=runner, locks=locks, clock=clock, wait=wait_sync)}
    more = await _run_all(
        others, runner=runner, locks=locks, clock=clock, max_concurrent_runs=max_concurrent_runs, wait=wait, wait_lock=wait_lock
    )
    results |= {result.instance.name: result for result in more}
    return [results[instance.name] for instance in instances]


async def _watch(instances: Sequence[Instance], *, runner: Runner, locks: InstanceLocks, clock: Clock, wait: timedelta) -> list[Result]:
    """Look at what GitHub Connect carries; with time to wait, until every instance has a newer sync than it had at first."""
    end_s, since = clock.monotonic() + wait.total_seconds(), clock.now()
    results: dict[str, Result] = {}
    waiting = list(instances)
    first: dict[str, datetime | None] = {}
    while True:
        with locks.those_free(waiting) as free:
            runs = await runner.watch(free, trigger=Trigger.PERSON, reason=ASKED)
        results |= {run.instance: Result(instance, run) for instance, run in zip(free, runs, strict=True)}
        results |= {one.name: Result(one, None, locks.holder(one.name)) for one in waiting if one.name not in results}
        for run in runs:
            first.setdefault(run.instance, run.last_sync)
        waiting = [one for one, run in zip(free, runs, strict=True) if run.last_sync == first[one.name] or not run.state.is_good]
        left = end_s - clock.monotonic()
        if not waiting or left <= 0:
            return list(results.values())
        now = clock.now()
        await clock.sleep(min((next_look(since, now) - now).total_seconds(), left))


def let_go(instances: Sequence[Instance], runner: Runner, locks: InstanceLocks) -> None:
    """Close what is left of instances that are not configured any more, or are not to be synced; not where somebody is at one."""
    wanted = {one.name for one in instances if one.unsynced_because is None}
    for name in (known.name for known in runner.store.instances() if known.name not in wanted):
        with contextlib.suppress(OSError):  # of one instance; the others are let go all the same
            lock = locks.take(name)
            if lock is not None:
                with lock:
                    runner.let_go(name)


def _awaited(instance: Instance, store: StateStore, slot: datetime) -> Run | None:
    """Return the run that waits for a person to do what this slot asks for, unless an approval says that something else is to go."""
    awaiting, held = store.awaiting_run(instance.name), store.held_run(instance.name)
    approved = held is not None and store.approval(held.run_id) is not None
    return awaiting if awaiting is not None and awaiting.slot == slot and not approved else None


async def _run_all(
    instances: Sequence[Instance],
    *,
    runner: Runner,
    locks: InstanceLocks,
    clock: Clock,
    max_concurrent_runs: int,
    wait: timedelta,
    wait_lock: bool,
) -> list[Result]:
    limit = asyncio.Semaphore(max_concurrent_runs)

    async def one(instance: Instance) -> Result:
        slot = slot_at(instance.schedule, clock.now())
        waiting = _LockWait(instance, runner, clock)
        while True:
            async with limit:  # not held while it waits for a lock: others may go on
                try:
                    result = await _one(instance, runner=runner, locks=locks, clock=clock, slot=slot)
                except (StateUnwritableError, OSError) as error:  # before anything was asked; the others go on
                    cause = str(error)
                    result = Result(instance, runner.not_started(instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot, cause=cause))
            if result.run is not None or not wait_lock or waiting.is_over:
                return result
            waiting.tell(result.locked_by)
            await clock.sleep(LOCK_POLL_S)

    results: dict[str, Result] = {}

    async def told(instance: Instance) -> None:
        results[instance.name] = await one(instance)

    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(told(instance), name=f"run {instance.name}") for instance in instances]
        await _look_meanwhile(runs, results, runner=runner, locks=locks, clock=clock, wait=wait)
    return [results[instance.name] for instance in instances]


async def _one(instance: Instance, *, runner: Runner, locks: InstanceLocks, clock: Clock, slot: datetime) -> Result:
    """Run an instance, or join what another process has delivered; without a run in the result where another process is at it."""
    lock = locks.take(instance.name)
    for _ in range(BRIEF_TRIES):
        theirs = runner.store.open_run(instance.name)
        if lock is not None or (theirs is not None and theirs.state is RunState.RUNNING):
            break
        if theirs is not None:  # delivered: the lock is held for a look only
            return Result(instance, theirs)
        await clock.sleep(BRIEFLY_S)  # no run is in progress: a look that has just settled it, or a run about to begin
        lock = locks.take(instance.name)
    if lock is None:
        return Result(instance, None, locks.holder(instance.name))
    with lock:
        runner.close_stale(instance)
        joined = runner.store.open_run(instance.name) or _awaited(instance, runner.store, slot)
        if joined is not None:
            return Result(instance, joined)
        return Result(instance, await runner.run(instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot))


class _LockWait:
    """A wait for an instance that another process has; whoever watches hears for whom and until when. Nothing of it is recorded."""

    def __init__(self, instance: Instance, runner: Runner, clock: Clock) -> None:
        self._instance, self._runner, self._clock = instance, runner, clock
        self._until = clock.now() + LOCK_WAIT
        self._ends_s = clock.monotonic() + LOCK_WAIT.total_seconds()
        self._told: str | None = None

    @property
    def is_over(self) -> bool:
        return self._clock.monotonic() >= self._ends_s

    def tell(self, holder: str | None) -> None:
        """Say who has the lock, whenever that is news."""
        if holder == self._told:
            return
        self._told = holder
        log.info("run.waiting_for_lock", instance=self._instance.name, held_by=holder, until=self._until.isoformat(timespec="seconds"))
        shown = self._runner.new_run(self._instance, Trigger.PERSON, ASKED, None)
        self._runner.observe(replace(shown, phase="locked", waiting_for=holder, waiting_until=self._until))


async def _look_meanwhile(
    runs: Sequence[asyncio.Task[None]],
    results: dict[str, Result],
    *,
    runner: Runner,
    locks: InstanceLocks,
    clock: Clock,
    wait: timedelta,
) -> None:
    """Look at what is delivered while others still run, and then for up to `wait`; keep `results` up to date."""
    asked: set[str] = set()  # runs that wait for a person, who is not done within minutes: one look tells whether it has happened
    all_ended_s: float | None = None
    waiting: list[Instance] = []
    since = clock.now()
    while True:
        running = {task for task in runs if not task.done()}
        if not running and all_ended_s is None:
            all_ended_s = clock.monotonic()
        left = wait.total_seconds() - (clock.monotonic() - all_ended_s) if all_ended_s is not None else LOOK_LIMIT_S
        before, waiting = (
            waiting,
            [
                one.instance
                for one in results.values()
                if one.run is not None and one.run.state in AWAITING_CLOUD and one.run.run_id not in asked
            ],
        )
        if not running and (not waiting or left <= 0):
            return
        if not waiting:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            continue
        if len(waiting) > len(before):  # something new was delivered: look soon again
            since = clock.now()
        now = clock.now()
        pause = min((next_look(since, now, eager=True) - now).total_seconds(), left)
        nap = asyncio.ensure_future(clock.sleep(max(0.0, pause)))
        await asyncio.wait({nap, *running}, return_when=asyncio.FIRST_COMPLETED)
        if not nap.done():
            nap.cancel()
            continue
        if not await _look(waiting, results, runner=runner, locks=locks, limit_s=max(1.0, min(left, LOOK_LIMIT_S))):
            waiting = []
            await asyncio.gather(*running)
            return
        asked |= {one.run.run_id for one in results.values() if one.run is not None and one.run.state in AWAITING}


async def _look(waiting: Sequence[Instance], results: dict[str, Result], *, runner: Runner, locks: InstanceLocks, limit_s: float) -> bool:
    """Look once; answer whether looking again makes sense."""
    try:
        with contextlib.suppress(TimeoutError), locks.those_free(waiting) as free:
            async with asyncio.timeout(limit_s):  # a far side that wants to be left alone must not outlast the person who waits
                await runner.look(free)
        for instance in waiting:
            run = results[instance.name].run
            assert run is not None
            results[instance.name] = Result(instance, runner.store.run(run.run_id) or run)
    except (StateUnwritableError, OSError) as error:  # what was delivered stays so; whoever looks next settles it
        log.error("state.unwritable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
        return False
    return True
