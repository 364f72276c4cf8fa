"""The daemon, in the foreground, until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import structlog

from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import content_of, load, read_config
from licsync_daemon.daemon.daemon import HEARTBEAT_S, Daemon
from licsync_daemon.daemon.daily import DailyCheck
from licsync_daemon.daemon.standby import POLL_S, lead
from licsync_daemon.daemon.wiring import Parts, check_key, parts_over, with_config
from licsync_daemon.model.errors import ConfigError, Problem, StateReplacedError, StateUnwritableError
from licsync_daemon.model.instance import Config
from licsync_daemon.monitoring.channels.build import channels
from licsync_daemon.monitoring.outgoing import Outgoing
from licsync_daemon.monitoring.preflight.in_child import preflight_in_child
from licsync_daemon.monitoring.state_fault import NEXT_STEP, REPLACED, StateFault
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.state import accepted
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.opening import DAEMON, opened
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.log import set_up
from licsync_daemon.system.process import SIGNALS, leave_threads_behind
from licsync_daemon.system.systemd import ServiceManager

log = structlog.get_logger()

RESTART_S = 30.0  # a PostgreSQL that is away for less was restarted, which nobody needs to be told


def serve(arguments: argparse.Namespace) -> int:
    """Run the daemon. Retry an unusable state directory at every heartbeat: a full disk or wrong permissions do not end the daemon."""
    config = load(arguments, background=True)
    prepare_state_dir(config.state_dir)
    return asyncio.run(_run(arguments.config.absolute(), config))


async def _run(path: Path, config: Config) -> int:
    return await _Service(path, config, SystemClock()).run()


class _Service:
    """The daemon from its start to its stop: it opens the state, serves, and opens it again after it could not be used."""

    def __init__(self, path: Path, config: Config, clock: SystemClock) -> None:
        self._path = path
        self._config = config
        self._content = content_of(path)
        self._clock = clock
        self._stop = asyncio.Event()
        self._manager = ServiceManager(os.environ)
        self._serving: tuple[Daemon, DailyCheck, Parts] | None = None
        self._fault = StateFault(clock)
        self._telling: asyncio.Task[None] | None = None
        self._away_since_s: float | None = None

    async def run(self) -> int:
        """Serve until a signal. A state that cannot be used ends nothing: it is tried again."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            while not self._stop.is_set():
                try:
                    await self._serve()
                except (StateUnwritableError, OSError) as error:
                    await self._wait_for_state(error)
        finally:
            self._stop_telling()
            leave_threads_behind(loop)
        return Exit.OK

    async def _serve(self) -> None:
        """Open the state, wait for the lead where several hosts share it, and serve."""
        _prepare_again(self._config.state_dir)  # it may be gone by now
        clock, shared = self._clock, self._config.is_shared
        credentials = credentials_of(self._config, os.environ)
        with FileLeases(self._config.state_dir, clock).daemon() as here, opened(self._config, credentials, clock, role=DAEMON) as state:
            accepted.keep(self._content, self._config.state_dir)
            check_key(state, self._config, credentials)
            self._away_since_s = None
            lease = await lead(state.leases, here, self._stop, self._manager, self._tell_that_it_is_back) if shared else here
            self._stop_telling()
            if lease is None:
                return
            with lease:
                parts = parts_over(state, self._config, credentials_of(self._config, os.environ), clock)
                daily = DailyCheck(partial(preflight_in_child, self._path), parts.alerting.heed)
                daemon = Daemon(
                    self._config,
                    parts.context,
                    lease=lease,
                    service=self._manager,
                    alerting=parts.alerting,
                    daily=daily,
                    beat_s=POLL_S if shared else HEARTBEAT_S,
                )
                self._serving = (daemon, daily, parts)
                parts.alerting.state_fault = self._fault
                parts.alerting.note_state()
                if lease.unnamed_because is not None:
                    log.error("daemon.state_unusable", cause=str(lease.unnamed_because))
                try:
                    await daemon.serve(self._stop)
                finally:
                    self._serving = None

    async def _wait_for_state(self, error: StateUnwritableError | OSError) -> None:
        """Say why the state cannot be used, and wait before it is tried again. A restart of PostgreSQL is logged only."""
        log.error("daemon.state_unusable", cause=str(error))
        self._manager.send("READY=1", "WATCHDOG=1", f"STATUS={error}")
        if self._away_since_s is None:
            self._away_since_s = self._clock.monotonic()
        if not self._config.is_shared:
            await self._tell_and_wait(error)
            return
        if self._clock.monotonic() - self._away_since_s >= RESTART_S and (self._telling is None or self._telling.done()):
            self._tell(str(error))
        await _pause(self._stop, POLL_S)

    async def _tell_and_wait(self, error: StateUnwritableError | OSError) -> None:
        """Tell people at once, and wait. A replaced file is opened once they are told."""
        is_replaced = isinstance(error, StateReplacedError)
        telling = self._tell(str(error), REPLACED if is_replaced else NEXT_STEP)
        stopping = asyncio.create_task(self._stop.wait())
        waiting = {stopping, telling} if is_replaced else {stopping}
        await asyncio.wait(waiting, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._stop_telling()

    def _tell(self, cause: str | None, next_step: str = NEXT_STEP) -> asyncio.Task[None]:
        self._stop_telling()
        self._telling = asyncio.create_task(self._fault.tell(cause, self._config, _outgoing(self._config), next_step=next_step))
        return self._telling

    def _tell_that_it_is_back(self) -> None:
        self._tell(None)

    def _stop_telling(self) -> None:
        if self._telling is not None:
            self._telling.cancel()

    def _reload(self) -> None:
        """Read the configuration again. An invalid one changes nothing; every problem is logged."""
        self._manager.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._content, self._config = content_of(self._path), _reloaded(self._path, self._config)  # both or, if it is refused, neither
            config = self._config
            accepted.keep(self._content, config.state_dir)
            if self._serving is not None:
                daemon, daily, parts = self._serving
                daemon.reload(config, with_config(parts.context, config, os.environ))
                daily.soon()
                parts.alerting.follow(config, channels(config.notify, credentials_of(config, os.environ)))
        except ConfigError as error:
            log.error("daemon.reload_refused", problems=[str(problem) for problem in error.problems])  # noqa: TRY400 - sentences
        finally:
            self._manager.send("READY=1")


def _prepare_again(state_dir: Path) -> None:
    """Create the state directory if it was deleted; one that cannot be used any more is told, and tried again."""
    try:
        prepare_state_dir(state_dir)
    except ConfigError as error:
        raise StateUnwritableError(str(error)) from error


def _reloaded(path: Path, before: Config) -> Config:
    loaded = read_config(path)
    for key in ("state_dir", "state"):
        if getattr(loaded.config, key) != getattr(before, key):
            raise ConfigError((Problem(key, "cannot change while the daemon runs", "restart it instead"),))
    set_up(loaded.config.log_level, loaded.config.invocation, background=True)
    for problem in loaded.warnings:
        log.warning("config.warning", where=problem.where, what=problem.what, hint=problem.hint)
    return loaded.config


def _outgoing(config: Config) -> list[Outgoing]:
    return [Outgoing(one) for one in channels(config.notify, credentials_of(config, os.environ))]


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
