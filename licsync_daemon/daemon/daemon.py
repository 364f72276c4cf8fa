"""The daemon: its tasks, its heartbeat, and the order in which it stops."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import structlog

from licsync_daemon.daemon.alarms import Alarms
from licsync_daemon.daemon.daily import DailyCheck
from licsync_daemon.daemon.planner import Planner
from licsync_daemon.daemon.worker import SOONEST, Done, Worker
from licsync_daemon.model.errors import StateReplacedError
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.ports import Lease
from licsync_daemon.model.store import RunStore
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.rules.next_run import Planned
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.housekeeping import close_stale, record_clock_set_back, release_unconfigured
from licsync_daemon.system.contain import contained
from licsync_daemon.system.systemd import ServiceManager

log = structlog.get_logger()

HEARTBEAT_S = 30.0
DRAIN_S = 5.0
CLOCK_WAS_SET_S = 5.0  # between two heartbeats, against the monotonic clock; a suspend shows in the same way


class Daemon:
    """Keeps every enabled instance of a configuration synced until it is stopped.

    Args:
        config: The configuration.
        context: The context of runs; its store reports when another process has written.
        lease: The daemon's lease; touched at each heartbeat, for `status --alive`.
        service: The service manager that started this process.
        alerting: Evaluates the alerts of instances whose state changed.
        daily: The daily check, if any.
    """

    def __init__(
        self,
        config: Config,
        context: RunContext,
        *,
        lease: Lease,
        service: ServiceManager,
        alerting: Alerting,
        daily: DailyCheck | None = None,
    ) -> None:
        self._config = config
        self._context = context
        self._lease = lease
        self._service = service
        self._alerting = alerting
        self._daily = daily
        self._planner = Planner(context)
        self._worker = Worker(config, self._planner, self._is_busy)
        self.alarms = Alarms(self._start)
        self._offset_s = self._clock_offset_s()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beside: dict[str, asyncio.Task[None]] = {}
        self._planning: asyncio.Task[None] | None = None
        self._plans: dict[str, Planned] = {}  # why each alarm rings
        self._logged: tuple[str, str] | None = None  # what comes next, as last logged

    def reload(self, config: Config, context: RunContext) -> None:
        """Use another configuration from now on. Runs in progress keep the one they started with."""
        gone = {instance.name for instance in self._config.instances} - {instance.name for instance in config.instances}
        self._config, self._context = config, context
        self._planner.follow(context)
        self._worker.follow(config)
        for name in gone:
            self.alarms.silence(name)
        if self._planning is not None:
            self._planning.cancel()  # it plans by the earlier configuration
        self._planning = asyncio.create_task(self._plan_all(), name="plan after a reload")
        log.info("daemon.reloaded", instances=len(config.instances), retired=sorted(gone))

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. No run starts before the state was read, and none is left running.

        Raises:
            StateReplacedError: The state file was deleted, moved or replaced meanwhile.
        """
        self.alarms.start()
        self._serve_beside()
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            self._planning = asyncio.create_task(self._plan_all(), name="plan")
            while not self._planning.done() and not stop.is_set():  # a reload replaces it
                await asyncio.wait([self._planning, stopping], return_when=asyncio.FIRST_COMPLETED)
            self._service.send("READY=1")
            log.info("daemon.started", instances=len(self._config.instances), state_dir=str(self._config.state_dir))
            while not stop.is_set():
                await self._beat()
                await asyncio.wait([stopping], timeout=self._beat_every_s())
        finally:
            stopping.cancel()
            await self._shut_down()

    def _serve_beside(self) -> None:
        """Start what runs beside the instances, and start it again if it has ended."""
        for name, serve in {"alerts": self._alerting.serve, "daily check": self._daily.serve if self._daily else None}.items():
            task = self._beside.get(name)
            if serve is None or (task is not None and not task.done()):
                continue
            if task is not None:
                log.critical("daemon.task_ended", task=name, exc_info=None if task.cancelled() else task.exception())
            self._beside[name] = asyncio.create_task(serve(), name=name)

    # ---------------------------------------------------------------- heartbeat

    def _beat_every_s(self) -> float:
        return min(HEARTBEAT_S, self._service.watchdog_s / 2) if self._service.watchdog_s else HEARTBEAT_S

    async def _beat(self) -> None:
        """Every 30 s: report that the daemon is alive, and detect a clock that was set and changes by other processes.

        Raises:
            StateReplacedError: The state file or the daemon's lock must be opened again.
        """
        self._context.store.check_file()
        if not self._lease.is_findable:
            raise StateReplacedError(f"the lock of the daemon in {self._config.state_dir} was deleted or replaced")
        self._touch()
        with contained("daemon.heartbeat_failed"):
            self._serve_beside()
            self.alarms.check()
            if was_set := self._clock_was_set():
                await self._correct_clock()
            changed = self._context.store.changed_elsewhere() or was_set
            if changed:
                self._alerting.note()
                self._release_unconfigured()  # another process may have been working on an instance when it was removed
            for instance in self._config.instances:
                if instance.name not in self._tasks and (changed or not self.alarms.is_set(instance.name)):
                    self._plan(instance)
                    self._touch()
                    await asyncio.sleep(0)  # a large fleet takes a while: let other tasks run
            self._log_next()
        self._service.send("WATCHDOG=1", f"STATUS={self._next_in_words()}")

    def _touch(self) -> None:
        with suppress(OSError):  # read-only by now: the daemon continues, and `status --alive` reports it
            self._lease.touch()

    def _clock_was_set(self) -> bool:
        before, self._offset_s = self._offset_s, self._clock_offset_s()
        was_set = abs(self._offset_s - before) > CLOCK_WAS_SET_S
        if was_set:
            log.warning("daemon.clock_was_set", by_s=round(self._offset_s - before))
        return was_set

    async def _correct_clock(self) -> None:
        """Discard times recorded while the clock was ahead."""
        self._planner.correct_clock()
        for instance in self._config.instances:
            with contained("daemon.clock_not_corrected", instance=instance.name):
                record_clock_set_back(self._context, instance)
            await asyncio.sleep(0)

    def _clock_offset_s(self) -> float:
        return self._context.clock.now().timestamp() - self._context.clock.monotonic()

    def _log_next(self) -> None:
        """Log when the daemon looks next, at which instance and why, whenever that has changed; repeated looks for one word only once."""
        name, at = self._next()
        planned = self._plans.get(name)
        if self._tasks or at is None or planned is None:
            return
        told = (name, planned.reason if planned.is_confirm_check else at.isoformat())
        if told != self._logged:
            self._logged = told
            log.info("run.planned", instance=name, at=f"{at:%Y-%m-%dT%H:%M:%SZ}", reason=planned.reason)

    def _next(self) -> tuple[str, datetime | None]:
        """Return the instance whose alarm rings next, and when; none is set if nothing is planned."""
        return min(self.alarms.planned().items(), key=lambda alarm: alarm[1], default=("", None))

    def _next_in_words(self) -> str:
        if self._tasks:
            return f"running: {', '.join(sorted(self._tasks))}"
        name, at = self._next()
        return f"next: {name} at {at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "nothing planned"

    # ---------------------------------------------------------------- planning

    async def _plan_all(self) -> None:
        """Plan every configured instance, and note in the state which ones are no longer configured."""
        with contained("daemon.retired_not_noted"):
            _note_retired(self._context.store, self._config, self._context.clock.now())
        self._release_unconfigured()
        await self._correct_clock()
        for instance in self._config.instances:
            if instance.name not in self._tasks:  # it is planned when its work is done
                if instance.is_active:
                    with contained("daemon.stale_not_closed", instance=instance.name):
                        self._close_stale(instance)
                self._plan(instance)
            await asyncio.sleep(0)

    def _plan(self, instance: Instance, *, not_before: datetime | None = None) -> None:
        """Set the instance's alarm to its next run or check. Without one (disabled, or running elsewhere), the heartbeat tries again."""
        if not instance.is_active:
            self.alarms.silence(instance.name)
            return
        planned = None
        with contained("daemon.not_planned", instance=instance.name):
            planned = self._planner.planned(instance)
            if planned is None:
                self._close_stale(instance)
                planned = self._planner.planned(instance)
        if planned is not None:
            now = self._context.clock.now()
            at = max(planned.at, now + SOONEST, not_before or now)
            self.alarms.set(instance.name, at)
            self._plans[instance.name] = planned
            log.debug("daemon.planned", instance=instance.name, at=at.isoformat(), reason=planned.reason)

    def _close_stale(self, instance: Instance) -> None:
        """Close runs left open by a dead process or an earlier configuration, unless another process works on the instance."""
        if (lease := self._context.leases.instance(instance.name)) is not None:
            with lease:
                close_stale(self._context, instance)

    def _release_unconfigured(self) -> None:
        """Close what is left of instances no longer configured. Only the daemon does: a command may have a smaller configuration."""
        with contained("daemon.not_released"):
            release_unconfigured(self._context, self._config.instances)

    # ---------------------------------------------------------------- work

    async def _start(self, name: str) -> None:
        """Start a task when an alarm rings; the scheduler never cancels it. A coroutine, so that it runs on the event loop's thread."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._work(name), name=f"run {name}")

    async def _work(self, name: str) -> None:
        """Do what is due for an instance now, then plan its next run or check."""
        done = Done()
        try:
            done = await self._worker.work(name)
        finally:
            self._tasks.pop(name, None)
            touched = {name, *(one.name for one in done.served)}
            self._alerting.note(touched)
            configured = self._config.instance(name)
            if configured is None or configured.unsynced_because is not None:  # removed from the configuration during the run
                self._release_unconfigured()
        if self.alarms.is_on:
            for each in sorted(touched, key=lambda one: one != name):
                if (instance := self._config.instance(each)) is not None and each not in self._tasks:
                    self._plan(instance, not_before=done.not_before)
                    await asyncio.sleep(0)

    def _is_busy(self, instance: Instance) -> bool:
        """Return whether another task than the current one works on an instance."""
        task = self._tasks.get(instance.name)
        return task is not None and task is not asyncio.current_task()

    async def _shut_down(self) -> None:
        """Stop in reverse order: no new alarms, then the runs (each records itself as interrupted) and what runs beside them."""
        self._service.send("STOPPING=1", "STATUS=stopping")
        self.alarms.pause()
        tasks = [*self._tasks.values(), *self._beside.values(), *([self._planning] if self._planning else [])]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=DRAIN_S)
        self.alarms.shut_down()
        log.info("daemon.stopped")


def _note_retired(store: RunStore, config: Config, now: datetime) -> None:
    """Record when an instance was removed from the configuration; one that was added again is not retired."""
    for known in store.instances():
        retired_at = None if config.instance(known.name) is not None else known.retired_at or now
        if retired_at != known.retired_at:
            store.save_instance(replace(known, retired_at=retired_at))
