"""The daemon, in the foreground, until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import signal

import structlog

from licsync_daemon.assembly import recording
from licsync_daemon.cli.loading import load
from licsync_daemon.clock import SystemClock
from licsync_daemon.daemon import HEARTBEAT_S, Daemon
from licsync_daemon.errors import LockedError, StateUnwritableError
from licsync_daemon.lock import FileLock, in_words, read_holder, this_process
from licsync_daemon.model import Config
from licsync_daemon.outcome import Exit
from licsync_daemon.process import SIGNALS, leave_threads_behind
from licsync_daemon.store.files import prepare_state_dir
from licsync_daemon.systemd import Notifier

log = structlog.get_logger()


def serve(arguments: argparse.Namespace) -> int:
    """Be the daemon. A state directory that lacks space or rights is tried again at every heartbeat: neither is a reason to end."""
    config = load(arguments)
    prepare_state_dir(config.state_dir)
    return asyncio.run(_serve(config, SystemClock()))


async def _serve(config: Config, clock: SystemClock) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: log.warning("daemon.reload_ignored", next_step="restart the daemon"))
    notifier = Notifier(os.environ)
    try:
        while not stop.is_set():
            try:
                with _daemon_lock(config, clock) as lock, recording(config, clock, os.environ) as parts:
                    daemon = Daemon(config, runner=parts.runner, locks=parts.locks, clock=clock, lock=lock, notifier=notifier)
                    await daemon.serve(stop)
            except (StateUnwritableError, OSError) as error:
                log.error("daemon.state_unusable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
                notifier.send("READY=1", "WATCHDOG=1", f"STATUS={error}")
                await _pause(stop)
    finally:
        leave_threads_behind(loop)
    return Exit.OK


def _daemon_lock(config: Config, clock: SystemClock) -> FileLock:
    path = config.state_dir / "daemon.lock"
    lock = FileLock.take(path, holder=this_process(clock.now()))
    if lock is None:
        raise LockedError(path, in_words(read_holder(path)))
    return lock


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), HEARTBEAT_S)
    except TimeoutError:
        return
