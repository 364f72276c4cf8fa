"""Put the parts together from a configuration: for the daemon, for `--run-now`, for a dry run, and for `demo`."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from licsync_daemon.adapters import NetworkAdapters
from licsync_daemon.credentials import Credentials
from licsync_daemon.errors import Code
from licsync_daemon.fleet import InstanceLocks
from licsync_daemon.journal import Observer, ignore
from licsync_daemon.lock import this_process
from licsync_daemon.model import Config
from licsync_daemon.ports import Clock, StateStore
from licsync_daemon.run import Runner
from licsync_daemon.store.files import open_state, prepare_state_dir
from licsync_daemon.store.memory import MemoryStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a command works with."""

    config: Config
    store: StateStore
    runner: Runner
    locks: InstanceLocks
    clock: Clock


@contextmanager
def recording(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Open the state for writing and yield parts that record what they do.

    Raises:
        ConfigError: The state directory is not ours.
        LockedError, StateError: The state file cannot be opened for writing.
    """
    prepare_state_dir(config.state_dir)
    opened = open_state(config.state_dir, clock.now())
    if opened.set_aside is not None:
        log.critical(
            "state.set_aside",
            code=Code.STATE_DAMAGED,
            set_aside=str(opened.set_aside),
            next_step="nothing is known of earlier runs: every instance is due once",
        )
    try:
        yield _parts(config, clock, environ, store=opened.store, spool_dir=config.state_dir, observe=observe)
    finally:
        opened.store.close()


def unrecorded(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Parts:
    """Answer parts that send and record nothing lasting, for `--dry-run` and `payload`."""
    writable = config.state_dir.is_dir() and os.access(config.state_dir, os.W_OK)
    spool_dir = config.state_dir if writable else Path(tempfile.gettempdir())
    return _parts(config, clock, environ, store=MemoryStore(), spool_dir=spool_dir, observe=observe)


def _parts(config: Config, clock: Clock, environ: Mapping[str, str], *, store: StateStore, spool_dir: Path, observe: Observer) -> Parts:
    adapters = NetworkAdapters(config.cloud, Credentials(config.credentials_dir, environ), clock)
    runner = Runner(store=store, adapters=adapters, clock=clock, spool_dir=spool_dir, holder=this_process(clock.now()), observe=observe)
    return Parts(config, store, runner, InstanceLocks(config.state_dir, clock), clock)
