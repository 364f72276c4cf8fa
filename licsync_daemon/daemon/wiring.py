"""Put the parts together from a configuration: for the daemon, for `--run-now`, for a dry run, and for `demo`."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from licsync_daemon.daemon.adapters import NetworkAdapters, notifiers
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import Clock, StateStore
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.settings.credentials import DIGEST_KEY, Credentials
from licsync_daemon.state.files import open_state, own_digest_key, prepare_state_dir, reading
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.fleet import InstanceLocks
from licsync_daemon.sync.journal import Observer, ignore
from licsync_daemon.sync.run import Runner
from licsync_daemon.system.filelock import this_process

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a command works with."""

    config: Config
    store: StateStore
    runner: Runner
    locks: InstanceLocks
    clock: Clock
    alerting: Alerting


def open_to_write(state_dir: Path, now: datetime) -> StateStore:
    """Make the state directory ready and open the state; say loudly where a damaged file had to be set aside.

    Raises:
        ConfigError, LockedError, StateError: As `recording` says.
    """
    prepare_state_dir(state_dir)
    opened = open_state(state_dir, now)
    if opened.set_aside is not None:
        log.critical(
            "state.set_aside",
            code=Code.STATE_DAMAGED,
            set_aside=str(opened.set_aside),
            next_step="nothing is known of earlier runs: every instance is due once",
        )
    return opened.store


@contextmanager
def recording(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Open the state for writing and yield parts that record what they do.

    Raises:
        ConfigError: The state directory is not ours.
        LockedError, StateError: The state file cannot be opened for writing.
    """
    store = open_to_write(config.state_dir, clock.now())
    try:
        credentials = Credentials(config.credentials_dir, environ)
        key = credentials.optional_line(DIGEST_KEY)
        runner = Runner(
            store=store,
            adapters=NetworkAdapters(config.cloud, credentials, clock, config.invocation),
            clock=clock,
            spool_dir=config.state_dir,
            holder=this_process(clock.now()),
            digest_key=key.encode() if key is not None else own_digest_key(config.state_dir),
            fleet=config.instances,
            observe=observe,
        )
        alerting = Alerting(config, store, clock, notifiers(config.notify, credentials))
        yield Parts(config, store, runner, InstanceLocks(config.state_dir, clock), clock, alerting)
    finally:
        store.close()


@contextmanager
def unrecorded(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Yield parts that send and record nothing lasting, for `--dry-run` and `payload`; they compare with what is recorded."""
    writable = config.state_dir.is_dir() and os.access(config.state_dir, os.W_OK)
    with reading(config.state_dir) as history:
        credentials = Credentials(config.credentials_dir, environ)
        key = credentials.optional_line(DIGEST_KEY)
        store = MemoryStore()
        runner = Runner(
            store=store,
            adapters=NetworkAdapters(config.cloud, credentials, clock, config.invocation),
            clock=clock,
            spool_dir=config.state_dir if writable else Path(tempfile.gettempdir()),
            holder=this_process(clock.now()),
            digest_key=key.encode() if key is not None else own_digest_key(config.state_dir, create=False),
            fleet=config.instances,
            observe=observe,
            history=history,
        )
        yield Parts(config, store, runner, InstanceLocks(config.state_dir, clock), clock, Alerting(config, store, clock, ()))


def with_config(runner: Runner, config: Config, environ: Mapping[str, str]) -> Runner:
    """Return a runner for another configuration on the same state; the old one goes on with what it has begun.

    A host that wants to be left alone is left alone by both.
    """
    credentials = Credentials(config.credentials_dir, environ)
    gates = runner.adapters.gates if isinstance(runner.adapters, NetworkAdapters) else {}
    return replace(
        runner, adapters=NetworkAdapters(config.cloud, credentials, runner.clock, config.invocation, gates), fleet=config.instances
    )
