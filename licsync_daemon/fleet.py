"""Several instances at once, for a person who asked: run them, then wait for the cloud's word on all of them together."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from licsync_daemon.errors import StateUnwritableError
from licsync_daemon.lock import FileLock, in_words, read_holder, this_process
from licsync_daemon.model import Instance, Run, RunState, Trigger
from licsync_daemon.ports import Clock
from licsync_daemon.readback import next_look
from licsync_daemon.run import Runner
from licsync_daemon.schedule import slot_at

log = structlog.get_logger()

LOCK_POLL_S = 0.5
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
) -> list[Result]:
    """Run `instances` at once and wait up to `wait` for their confirmation. Answers a result for each, in the same order.

    `wait_lock` waits for an instance that another process has, instead of leaving it alone. An instance that is `delivered` already is
    joined: nothing is sent anew.
    """
    limit = asyncio.Semaphore(max_concurrent_runs)

    async def one(instance: Instance) -> Result:
        async with limit:
            slot = slot_at(instance.schedule, clock.now())
            try:
                lock = locks.take(instance.name)
                while lock is None and wait_lock:
                    await clock.sleep(LOCK_POLL_S)
                    lock = locks.take(instance.name)
                if lock is None:
                    theirs = runner.store.open_run(instance.name)
                    if theirs is not None and theirs.state is RunState.DELIVERED:  # the lock is held for a look only
                        return Result(instance, theirs)
                    return Result(instance, None, locks.holder(instance.name))
                with lock:
                    runner.close_stale(instance.name)
                    joined = runner.store.open_run(instance.name)
                    if joined is not None:
                        return Result(instance, joined)
                    return Result(instance, await runner.run(instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot))
            except (StateUnwritableError, OSError) as error:  # before anything was asked; the others go on
                return Result(instance, runner.not_started(instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot, cause=str(error)))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(instance), name=f"run {instance.name}") for instance in instances]
    results = [task.result() for task in tasks]
    return await _wait_for_confirmation(results, runner=runner, locks=locks, clock=clock, wait=wait)


async def _wait_for_confirmation(
    results: list[Result], *, runner: Runner, locks: InstanceLocks, clock: Clock, wait: timedelta
) -> list[Result]:
    began = clock.monotonic()
    looks_since = clock.now()
    while waiting := [result.instance for result in results if result.run is not None and result.run.state is RunState.DELIVERED]:
        now = clock.now()
        pause = (next_look(looks_since, now, eager=True) - now).total_seconds()
        left = wait.total_seconds() - (clock.monotonic() - began)
        if left <= 0:
            break
        await clock.sleep(max(0.0, min(pause, left)))
        try:
            with locks.those_free(waiting) as free:
                await runner.look(free)
        except (StateUnwritableError, OSError) as error:  # what was delivered stays so; whoever looks next settles it
            log.error("state.unwritable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
            break
        results = [
            Result(result.instance, runner.store.run(result.run.run_id) or result.run)
            if result.instance in waiting and result.run
            else result
            for result in results
        ]
    return results
