"""Wait for the confirmation of several runs while others are in progress."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from licsync_daemon.model.errors import StateUnwritableError, failure_of
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import AWAITING, AWAITING_CLOUD, Run
from licsync_daemon.rules.verdict import next_check
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.context import RunContext, hold_free

log = structlog.get_logger()

CHECK_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one instance. `run` is None only if another process is running it; `locked_by` names that process."""

    instance: Instance
    run: Run | None
    locked_by: str | None = None


class ConfirmationWait:
    """Checks deliveries while other runs are in progress, and then for a limited time; keeps `results` up to date."""

    def __init__(self, context: RunContext, runs: Sequence[asyncio.Task[None]], results: dict[str, Result]) -> None:
        self._context = context
        self._runs = runs
        self._results = results
        self._waits_for_person: set[str] = set()  # runs that wait for a person, which takes long: they are checked once
        self._since = context.clock.now()
        self._ended_s: float | None = None  # when the last run ended

    async def wait(self, limit: timedelta) -> None:
        """Return when every run is confirmed or ended, or `limit` after the last run ended."""
        waiting: list[Instance] = []
        while True:
            running = {task for task in self._runs if not task.done()}
            left = self._left_s(running, limit)
            before, waiting = waiting, self._unconfirmed()
            if not running and (not waiting or left <= 0):
                return
            if not waiting:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                continue
            if len(waiting) > len(before):  # something new was delivered: check again soon
                self._since = self._context.clock.now()
            if not await self._slept(running, left):
                continue
            if not await self._check(waiting, limit_s=max(1.0, min(left, CHECK_LIMIT_S))):
                await asyncio.gather(*running)
                return

    def _left_s(self, running: set[asyncio.Task[None]], limit: timedelta) -> float:
        """Return how long to keep waiting; while other runs are in progress, the time that one check may take."""
        now_s = self._context.clock.monotonic()
        if self._ended_s is None and not running:
            self._ended_s = now_s
        return CHECK_LIMIT_S if self._ended_s is None else limit.total_seconds() - (now_s - self._ended_s)

    def _unconfirmed(self) -> list[Instance]:
        return [
            one.instance
            for one in self._results.values()
            if one.run is not None and one.run.state in AWAITING_CLOUD and one.run.run_id not in self._waits_for_person
        ]

    async def _slept(self, running: set[asyncio.Task[None]], left_s: float) -> bool:
        """Wait until the next check is due; return False if a run ended before that."""
        now: datetime = self._context.clock.now()
        pause_s = min((next_check(self._since, now, eager=True) - now).total_seconds(), left_s)
        nap = asyncio.ensure_future(self._context.clock.sleep(max(0.0, pause_s)))
        await asyncio.wait({nap, *running}, return_when=asyncio.FIRST_COMPLETED)
        if not nap.done():
            nap.cancel()
            return False
        return True

    async def _check(self, waiting: Sequence[Instance], *, limit_s: float) -> bool:
        """Check once; return whether checking again makes sense."""
        try:
            with suppress(TimeoutError), hold_free(self._context.leases, waiting) as free:
                async with asyncio.timeout(limit_s):  # a server that asks for a long wait must not exceed the person's limit
                    await check_open_deliveries(self._context, free)
            for instance in waiting:
                run = self._results[instance.name].run
                assert run is not None
                self._results[instance.name] = Result(instance, self._context.store.run(run.run_id) or run)
        except (StateUnwritableError, OSError) as error:  # deliveries stay delivered; the next check updates them
            log.error("state.unwritable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
            return False
        except BaseException as error:
            failure_of(error)
            log.critical("run.check_crashed", exc_info=error)
            return False
        self._waits_for_person |= {one.run.run_id for one in self._results.values() if one.run is not None and one.run.state in AWAITING}
        return True
