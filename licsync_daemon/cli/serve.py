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
from licsync_daemon.daemon.wiring import Parts, recording, with_config
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
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.log import set_up
from licsync_daemon.system.process import SIGNALS, leave_threads_behind
from licsync_daemon.system.systemd import ServiceManager

log = structlog.get_logger()


def serve(arguments: argparse.Namespace) -> int:
    """Run the daemon. Retry an unusable state directory at every heartbeat: a full disk or wrong permissions do not end the daemon."""
    config = load(arguments, background=True)
    prepare_state_dir(config.state_dir)
    return asyncio.run(_serve(arguments.config.absolute(), config, SystemClock()))


async def _serve(path: Path, config: Config, clock: SystemClock) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    service = ServiceManager(os.environ)
    serving: tuple[Daemon, DailyCheck, Parts] | None = None
    fault = StateFault(clock)
    content = content_of(path)

    def reload() -> None:
        """Read the configuration again. An invalid one changes nothing; every problem is logged."""
        nonlocal config, content
        service.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            content, config = content_of(path), _reloaded(path, config)  # both or, if it is refused, neither
            accepted.keep(content, config.state_dir)
            if serving is not None:
                daemon, daily, parts = serving
                daemon.reload(config, with_config(parts.context, config, os.environ))
                daily.soon()
                parts.alerting.follow(config, channels(config.notify, credentials_of(config, os.environ)))
        except ConfigError as error:
            log.error("daemon.reload_refused", problems=[str(problem) for problem in error.problems])  # noqa: TRY400 - sentences
        finally:
            service.send("READY=1")

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        while not stop.is_set():
            try:
                _prepare_again(config.state_dir)  # it may be gone by now
                with FileLeases(config.state_dir, clock).daemon() as lease, recording(config, clock, os.environ) as parts:
                    accepted.keep(content, config.state_dir)
                    daily = DailyCheck(partial(preflight_in_child, path), parts.alerting.heed)
                    daemon = Daemon(config, parts.context, lease=lease, service=service, alerting=parts.alerting, daily=daily)
                    serving = (daemon, daily, parts)
                    parts.alerting.state_fault = fault
                    parts.alerting.note_state()
                    if lease.unnamed_because is not None:
                        log.error("daemon.state_unusable", cause=str(lease.unnamed_because))
                    try:
                        await daemon.serve(stop)
                    finally:
                        serving = None
            except (StateUnwritableError, OSError) as error:
                log.error("daemon.state_unusable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
                service.send("READY=1", "WATCHDOG=1", f"STATUS={error}")
                await _tell(fault, error, config, stop)
    finally:
        leave_threads_behind(loop)
    return Exit.OK


def _prepare_again(state_dir: Path) -> None:
    """Create the state directory if it was deleted; one that cannot be used any more is told, and tried again."""
    try:
        prepare_state_dir(state_dir)
    except ConfigError as error:
        raise StateUnwritableError(str(error)) from error


def _reloaded(path: Path, before: Config) -> Config:
    loaded = read_config(path)
    if loaded.config.state_dir != before.state_dir:
        raise ConfigError((Problem("state_dir", "cannot change while the daemon runs", "restart it instead"),))
    set_up(loaded.config.log_level, loaded.config.invocation, background=True)
    for problem in loaded.warnings:
        log.warning("config.warning", where=problem.where, what=problem.what, hint=problem.hint)
    return loaded.config


def _outgoing(config: Config) -> list[Outgoing]:
    return [Outgoing(one) for one in channels(config.notify, credentials_of(config, os.environ))]


async def _tell(fault: StateFault, error: OSError | StateUnwritableError, config: Config, stop: asyncio.Event) -> None:
    """Tell people that the state cannot be used, and wait before the next attempt. A replaced file is opened once they are told."""
    is_replaced = isinstance(error, StateReplacedError)
    telling = asyncio.create_task(fault.tell(str(error), config, _outgoing(config), next_step=REPLACED if is_replaced else NEXT_STEP))
    stopping = asyncio.create_task(stop.wait())
    waiting = {stopping, telling} if is_replaced else {stopping}
    await asyncio.wait(waiting, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    telling.cancel()
