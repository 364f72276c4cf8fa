"""The daemon, in the foreground, until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from licsync_daemon.assembly import Parts, recording, with_config
from licsync_daemon.cli.loading import load
from licsync_daemon.clock import SystemClock
from licsync_daemon.daemon import HEARTBEAT_S, Daemon
from licsync_daemon.errors import ConfigError, LockedError, Problem, StateNewerError, StateUnwritableError
from licsync_daemon.lock import FileLock, in_words, read_holder, this_process
from licsync_daemon.model import Config
from licsync_daemon.outcome import Exit
from licsync_daemon.process import SIGNALS, leave_threads_behind
from licsync_daemon.settings import load_config
from licsync_daemon.store.files import prepare_state_dir
from licsync_daemon.systemd import Notifier

log = structlog.get_logger()


def serve(arguments: argparse.Namespace) -> int:
    """Be the daemon. A state that cannot be opened for want of space or rights is tried again at every heartbeat."""
    config = load(arguments)
    clock = SystemClock()
    prepare_state_dir(config.state_dir)
    path = config.state_dir / "daemon.lock"
    lock = FileLock.take(path, holder=this_process(clock.now()))
    if lock is None:
        raise LockedError(path, in_words(read_holder(path)))
    with lock:
        return asyncio.run(_serve(arguments.config, config, clock, lock))


async def _serve(path: Path, config: Config, clock: SystemClock, lock: FileLock) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    reload: list[Callable[[], None]] = []  # what SIGHUP does, once there is a daemon
    loop.add_signal_handler(signal.SIGHUP, lambda: [act() for act in reload])
    notifier = Notifier(os.environ)
    try:
        while not stop.is_set():
            try:
                with recording(config, clock, os.environ) as parts:
                    daemon = Daemon(config, runner=parts.runner, locks=parts.locks, clock=clock, lock=lock, notifier=notifier)
                    reload[:] = [partial(_reload, path, config, parts, daemon, notifier)]
                    await daemon.serve(stop)
            except StateNewerError:
                raise
            except StateUnwritableError as error:
                log.error("daemon.state_unusable", cause=str(error))  # noqa: TRY400 - the cause is a sentence
                lock.touch()
                notifier.send("READY=1", "WATCHDOG=1", f"STATUS={error}")
                await _pause(stop)
    finally:
        leave_threads_behind(loop)
    return Exit.OK


def _reload(path: Path, began_with: Config, parts: Parts, daemon: Daemon, notifier: Notifier) -> None:
    """Read the configuration again. One that cannot be used changes nothing, and the log says every mistake."""
    notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        config = load_config(path, os.environ).config
        _same_state(began_with, config)
        daemon.reload(config, with_config(parts.runner, config, os.environ))
    except ConfigError as error:
        log.error("daemon.reload_refused", problems=[str(problem) for problem in error.problems])  # noqa: TRY400 - sentences, no stack
    finally:
        notifier.send("READY=1")


def _same_state(began_with: Config, config: Config) -> None:
    if config.state_dir != began_with.state_dir:
        raise ConfigError((Problem("state_dir", "cannot change while the daemon runs", "restart it instead"),))


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), HEARTBEAT_S)
    except TimeoutError:
        return
