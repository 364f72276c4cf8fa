"""The work after an alarm: a run, a confirmation check, or a Connect check."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from licsync_daemon.daemon.planner import Planner
from licsync_daemon.model.errors import Code, StateUnwritableError, failure_of
from licsync_daemon.model.instance import Config, ConnectDelivery, Instance
from licsync_daemon.model.run import RunState, Trigger
from licsync_daemon.rules.next_run import LOCKED_AGAIN, Planned
from licsync_daemon.sync.confirm import check_open_deliveries, unconfirmed_runs
from licsync_daemon.sync.context import RunContext, hold_free
from licsync_daemon.sync.housekeeping import close_stale, expire
from licsync_daemon.sync.run import not_started, run_instance
from licsync_daemon.sync.supervise import check_connect
from licsync_daemon.system.contain import contained

log = structlog.get_logger()

SOONEST = timedelta(seconds=1)
LEASES_AT_ONCE = 200  # each is an open file
PAUSE = timedelta(seconds=30)  # before a retry, if the outcome may not have been stored


@dataclass(frozen=True, slots=True)
class Done:
    """The result: the other instances a check covered, and the earliest time of the next alarm."""

    served: tuple[Instance, ...] = ()
    not_before: datetime | None = None


class Worker:
    """Does what is due for an instance; at most `max_concurrent_runs` run at once.

    Attributes:
        is_busy: Whether another task of this daemon works on an instance, whose lease is then not tried.
    """

    def __init__(self, config: Config, planner: Planner, is_busy: Callable[[Instance], bool]) -> None:
        self._config = config
        self._planner = planner
        self._is_busy = is_busy
        self._limit = asyncio.Semaphore(config.max_concurrent_runs)
        self._connect_lock = asyncio.Lock()

    @property
    def _context(self) -> RunContext:
        return self._planner.context

    def follow(self, config: Config) -> None:
        """Use another configuration; runs in progress keep the one they started with."""
        if config.max_concurrent_runs != self._config.max_concurrent_runs:
            self._limit = asyncio.Semaphore(config.max_concurrent_runs)
        self._config = config

    async def work(self, name: str) -> Done:
        """Do what is due for the named instance now, as the state and the configuration say at this moment.

        Raises nothing but the cancellation of its task. An error of any kind before a run begins ends a run of its own: its code is
        recorded, and the next attempt follows as after any failed run.
        """
        try:
            return await self._work(name)
        except (StateUnwritableError, OSError) as error:
            log.error("daemon.state_unusable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
            self._record_failure(name, error)
        except BaseException as error:
            failure_of(error)
            log.critical("daemon.work_crashed", instance=name, exc_info=error)
            self._record_failure(name, error)
        return Done(not_before=self._context.clock.now() + PAUSE)

    def _record_failure(self, name: str, error: BaseException) -> None:
        """Record a failed run, if one was due; nothing where the state itself cannot be used."""
        instance, planned = self._config.instance(name), None
        if instance is None or isinstance(error, StateUnwritableError):
            return
        with contained("daemon.not_planned", instance=name):
            planned = self._planner.planned(instance)
        if planned is not None and not planned.is_confirm_check and not self._is_ahead(planned):
            not_started(self._context, instance, trigger=Trigger.SCHEDULE, reason=planned.reason, slot=planned.slot, error=error)

    async def _work(self, name: str) -> Done:
        async with self._limit:
            await asyncio.sleep(0)  # when the alarms of a large fleet ring at the same time, a few instances have a turn at a time
            context = self._context
            instance = self._config.instance(name)  # as configured now: the alarm may be from before a reload
            if instance is None:
                return Done()
            lease = context.leases.instance(name)
            if lease is None:
                log.info("run.skipped", instance=name, cause=f"in use by {context.leases.holder(name)}")
                return Done(not_before=context.clock.now() + LOCKED_AGAIN)
            with lease:
                close_stale(context, instance)
                expire(context, name)
                planned = self._planner.planned(instance)  # the alarm may be outdated: the state determines what is due
                if planned is None or (self._is_ahead(planned) and not planned.is_confirm_check):
                    return Done()
                if not (planned.is_confirm_check or planned.is_connect_check):
                    return await self._run(instance, planned)
        # A check is planned at its next time, so it may seem early: this alarm was for the previous time.
        return await self._check_connect(instance) if planned.is_connect_check else await self._check_deliveries()

    async def _run(self, instance: Instance, planned: Planned) -> Done:
        run = await run_instance(self._context, instance, trigger=Trigger.SCHEDULE, reason=planned.reason, slot=planned.slot)
        return Done(not_before=self._context.clock.now() + PAUSE if run.state is RunState.FAILED else None)

    async def _check_deliveries(self) -> Done:
        """Check the deliveries of every free instance with one request to the cloud."""
        context = self._context
        names = context.store.instances_with_open_runs()
        idle = [one for one in self._config.instances if one.name in names and one.is_active and not self._is_busy(one)]
        with hold_free(context.leases, [one for one in idle if unconfirmed_runs(context.store, one.name)]) as free:
            await check_open_deliveries(context, free)
        return Done(served=tuple(free))

    async def _check_connect(self, instance: Instance) -> Done:
        """Check every free instance that GitHub Connect syncs with one request to the cloud; `instance` is due."""
        async with self._connect_lock:  # the alarms of a fleet ring at the same time: the first check covers all
            planned = self._planner.planned(instance)
            if planned is None or not planned.is_connect_check or self._is_ahead(planned):
                return Done()
            watched = [one for one in self._config.instances if isinstance(one.delivery, ConnectDelivery) and one.is_active]
            served: list[Instance] = []
            is_unstored = False
            for some in (watched[first : first + LEASES_AT_ONCE] for first in range(0, len(watched), LEASES_AT_ONCE)):
                with hold_free(self._context.leases, [one for one in some if not self._planner.is_paused(one)]) as free:
                    runs = await check_connect(self._context, free, trigger=Trigger.SCHEDULE, reason=planned.reason)
                served += free
                is_unstored = is_unstored or any(run.code is Code.STATE_UNWRITABLE for run in runs)
            return Done(served=tuple(served), not_before=self._context.clock.now() + PAUSE if is_unstored else None)

    def _is_ahead(self, planned: Planned) -> bool:
        return planned.at > self._context.clock.now() + SOONEST
