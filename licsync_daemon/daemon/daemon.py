"""The daemon: everything that is started, and in what order it stops. The only module that imports APScheduler.

APScheduler is the alarm clock and nothing else. Its own wall-clock triggers skip whole weeks at daylight-saving changes, its default store
forgets and its executor cancels what runs when it stops; so each instance has one job with a plain date, the state says what is due, and
the runs are tasks of ours.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from licsync_daemon.daemon.daily import DailyCheck
from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.instance import Config, ConnectDelivery, Instance
from licsync_daemon.model.ports import Clock, StateStore
from licsync_daemon.model.run import Decided, RunState, Trigger
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.rules.schedule import LOCKED_AGAIN, Planned, next_run
from licsync_daemon.state.history import recorded
from licsync_daemon.sync.confirm import watched_runs
from licsync_daemon.sync.fleet import InstanceLocks, let_go
from licsync_daemon.sync.run import Runner
from licsync_daemon.system.filelock import FileLock
from licsync_daemon.system.systemd import ServiceManager

log = structlog.get_logger()

HEARTBEAT_S = 30.0
SOONEST = timedelta(seconds=1)  # a date trigger that answers the past hangs APScheduler 3
DRAIN_S = 5.0
CLOCK_WAS_SET_S = 5.0  # between two heartbeats, against the monotonic clock; a suspend shows in the same way


class Daemon:
    """Keeps every enabled instance of a configuration synced until it is told to stop."""

    def __init__(
        self,
        config: Config,
        *,
        runner: Runner,
        locks: InstanceLocks,
        clock: Clock,
        lock: FileLock,
        notifier: ServiceManager,
        alerting: Alerting,
        daily: DailyCheck | None = None,
    ) -> None:
        self._config = config
        self._runner = runner
        self._locks = locks
        self._clock = clock
        self._lock = lock
        self._notifier = notifier
        self._alerting = alerting
        self._daily = daily
        self._up_since = self._changed_at = clock.now()
        self._offset_s = self._clock_offset_s()
        self._limit = asyncio.Semaphore(config.max_concurrent_runs)
        self._watching = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1})

    def reload(self, config: Config, runner: Runner) -> None:
        """Follow another configuration from now on. Runs in progress end with the one they began with."""
        gone = {instance.name for instance in self._config.instances} - {instance.name for instance in config.instances}
        if config.max_concurrent_runs != self._config.max_concurrent_runs:
            self._limit = asyncio.Semaphore(config.max_concurrent_runs)
        self._config, self._runner = config, runner
        self._changed_at = self._clock.now()
        for name in gone:
            self._silence(name)
        self._plan_all()
        log.info("daemon.reloaded", instances=len(config.instances), retired=sorted(gone))

    def _silence(self, name: str) -> None:
        if self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    def _plan_all(self) -> None:
        """Plan every configured instance, and note in the state which ones are no longer configured."""
        with contextlib.suppress(StateUnwritableError):
            _note_retired(self._runner.store, self._config, self._clock.now())
        self._let_go()
        self._heed_clock()
        for instance in self._config.instances:
            if instance.is_active:
                with contextlib.suppress(StateUnwritableError, OSError):
                    self._close_stale(instance)
            self._plan(instance)

    def _close_stale(self, instance: Instance) -> None:
        """Close what a process that is gone, or another configuration, left open; not where somebody is at it, who does so himself."""
        if (lock := self._locks.take(instance.name)) is not None:
            with lock:
                self._runner.close_stale(instance)

    def _let_go(self) -> None:
        """Close what is left of instances that are not ours any more. Only the daemon does: a command may have a smaller configuration."""
        with contextlib.suppress(StateUnwritableError, OSError):
            let_go(self._config.instances, self._runner, self._locks)

    def _heed_clock(self) -> None:
        """Let nothing wait for a moment that only a clock ahead of time knew."""
        now = self._clock.now()
        self._up_since, self._changed_at = min(self._up_since, now), min(self._changed_at, now)
        with contextlib.suppress(StateUnwritableError):
            for instance in self._config.instances:
                self._runner.note_clock(instance)

    def _clock_offset_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Starts nothing before the state could be read, and leaves nothing running."""
        self._scheduler.start()
        beside = [asyncio.create_task(self._alerting.serve(), name="alerts")]
        if self._daily is not None:
            beside.append(asyncio.create_task(self._daily.serve(), name="daily check"))
        try:
            self._plan_all()
            self._notifier.send("READY=1")
            log.info("daemon.started", instances=len(self._config.instances), state_dir=str(self._config.state_dir))
            while not stop.is_set():
                self._beat()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._beat_every_s())
        finally:
            await self._shut_down(beside)

    def _beat_every_s(self) -> float:
        return min(HEARTBEAT_S, self._notifier.watchdog_s / 2) if self._notifier.watchdog_s else HEARTBEAT_S

    def _beat(self) -> None:
        """Once every 30 s: say that we live, notice a clock that was set and a record that another process changed."""
        with contextlib.suppress(OSError):  # read-only by now: the daemon goes on, and `status --alive` tells of it
            self._lock.touch()
        self._scheduler.wakeup()
        before, self._offset_s = self._offset_s, self._clock_offset_s()
        was_set = abs(self._offset_s - before) > CLOCK_WAS_SET_S
        if was_set:
            log.warning("daemon.clock_was_set", by_s=round(self._offset_s - before))
            self._heed_clock()
        with contextlib.suppress(StateUnwritableError):
            changed = self._runner.store.changed_elsewhere() or was_set
            if changed:
                self._alerting.note()
                self._let_go()  # another process may have been at it when it was taken out
            for instance in self._config.instances:
                if instance.name not in self._tasks and (changed or self._scheduler.get_job(instance.name) is None):
                    self._plan(instance)
        self._notifier.send("WATCHDOG=1", f"STATUS={self._next_in_words()}")

    def _next_in_words(self) -> str:
        if self._tasks:
            return f"running: {', '.join(sorted(self._tasks))}"
        jobs = [job for job in self._scheduler.get_jobs() if job.next_run_time is not None]
        first = min(jobs, key=lambda job: job.next_run_time, default=None)
        return f"next: {first.id} at {first.next_run_time:%Y-%m-%d %H:%M:%S} UTC" if first else "nothing planned"

    def _planned(self, instance: Instance) -> Planned | None:
        known = recorded(self._runner.store, instance.name)
        return next_run(instance, known, self._clock.now(), up_since=self._up_since, changed_at=self._changed_at)

    def _plan(self, instance: Instance, *, not_before: datetime | None = None) -> None:
        """Set the instance's alarm to its next planned instant. Without one (disabled, or running elsewhere) the heartbeat asks again."""
        if not instance.is_active:
            self._silence(instance.name)
            return
        now = self._clock.now()
        try:
            planned = self._planned(instance)
            if planned is None:
                self._close_stale(instance)
                planned = self._planned(instance)
        except (StateUnwritableError, OSError) as error:
            log.error("daemon.state_unusable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
            return
        if planned is not None:
            at = max(planned.at, now + SOONEST, not_before or now)
            self._scheduler.add_job(
                self._start, DateTrigger(at, timezone=UTC), args=[instance.name], id=instance.name, replace_existing=True
            )
            log.debug("daemon.planned", instance=instance.name, at=at.isoformat(), reason=planned.reason)

    async def _start(self, name: str) -> None:
        """What a job does: start a task of ours, which no scheduler cancels. A coroutine, so that it runs on the loop's own thread."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._work(name), name=f"run {name}")

    async def _work(self, name: str) -> None:
        """Do what is due for an instance now, then plan what comes next."""
        not_before = None
        looked: list[Instance] = []
        try:
            async with self._limit:
                instance = self._config.instance(name)  # as it is configured now: the alarm may be from before a reload
                if instance is None:
                    return
                lock = self._locks.take(name)
                if lock is None:
                    not_before = self._clock.now() + LOCKED_AGAIN
                    log.info("run.skipped", instance=name, cause=f"locked by {self._locks.holder(name)}")
                    return
                with lock:
                    self._runner.close_stale(instance)
                    self._runner.expire(name)
                    planned = self._planned(instance)  # the alarm may be old: the state says what is due
                    if planned is None or (planned.at > self._clock.now() + SOONEST and not planned.is_confirm_look):
                        return
                    if not (planned.is_confirm_look or planned.is_connect_look):
                        not_before = await self._run(instance, planned)
                        return
            # Of a look only the next moment is planned; this alarm was for the one before it.
            looked = await self._watch(instance) if planned.is_connect_look else await self._look()
        except (StateUnwritableError, OSError) as error:
            not_before = self._clock.now() + timedelta(seconds=HEARTBEAT_S)
            log.error("daemon.state_unusable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
        except Exception:
            not_before = self._clock.now() + timedelta(seconds=HEARTBEAT_S)
            log.critical("daemon.work_crashed", instance=name, exc_info=True)
        finally:
            self._tasks.pop(name, None)
            self._alerting.note({name, *(one.name for one in looked)})
            configured = self._config.instance(name)
            if configured is None or configured.unsynced_because is not None:  # taken out while this ran
                self._let_go()
            if self._scheduler.running:
                for each in {name, *(one.name for one in looked)}:
                    configured = self._config.instance(each)
                    if configured is not None:
                        self._plan(configured, not_before=not_before)

    async def _run(self, instance: Instance, planned: Planned) -> datetime | None:
        """Run an instance; answer before when not to do so again, whatever the state says: it may not have been written."""
        run = await self._runner.run(instance, trigger=Trigger.SCHEDULE, reason=planned.reason, slot=planned.slot)
        return self._clock.now() + timedelta(seconds=HEARTBEAT_S) if run.state is RunState.FAILED else None

    async def _look(self) -> list[Instance]:
        """One question to the cloud settles every delivered instance that nobody else is at; the locks of the others stay free."""
        idle = [one for one in self._config.instances if one.is_active and (one.name not in self._tasks or self._is_mine(one))]
        with self._locks.those_free([one for one in idle if watched_runs(self._runner.store, one.name)]) as free:
            await self._runner.look(free)
        return free

    async def _watch(self, instance: Instance) -> list[Instance]:
        """One question to the cloud tells how GitHub Connect is doing for every instance that nobody is at; `instance` is due."""
        async with self._watching:  # the alarms of a fleet ring together: the first answers for all
            planned = self._planned(instance)
            if planned is None or not planned.is_connect_look or planned.at > self._clock.now() + SOONEST:
                return []
            watched = [one for one in self._config.instances if isinstance(one.delivery, ConnectDelivery) and one.is_active]
            with self._locks.those_free([one for one in watched if not self._is_paused(one)]) as free:
                await self._runner.watch(free, trigger=Trigger.SCHEDULE, reason=planned.reason)
            return free

    def _is_paused(self, instance: Instance) -> bool:
        pause = recorded(self._runner.store, instance.name).pause
        return pause is not None and pause.what is Decided.PAUSED and pause.in_force(self._clock.now())

    def _is_mine(self, instance: Instance) -> bool:
        return self._tasks.get(instance.name) is asyncio.current_task()

    async def _shut_down(self, beside: Sequence[asyncio.Task[None]]) -> None:
        """Stop in reverse order: no new alarms, then the runs (each records itself as interrupted) and what goes on beside them."""
        self._notifier.send("STOPPING=1", "STATUS=stopping")
        self._scheduler.pause()
        tasks = [*self._tasks.values(), *beside]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=DRAIN_S)
        self._scheduler.shutdown(wait=False)
        log.info("daemon.stopped")


def _note_retired(store: StateStore, config: Config, now: datetime) -> None:
    """An instance that is no longer configured is kept, with the date from which it was missing; one that came back is not retired."""
    for known in store.instances():
        retired_at = None if config.instance(known.name) is not None else known.retired_at or now
        if retired_at != known.retired_at:
            store.save_instance(replace(known, retired_at=retired_at))
