"""Wire the parts from a configuration, for the daemon, `--run-now`, dry runs, and `demo`."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from licsync_daemon.daemon.connections import Connections
from licsync_daemon.http.ages import Ages
from licsync_daemon.http.clients import Clients
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import Clock
from licsync_daemon.model.store import RunStore, StateReader, StateStore
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.monitoring.channels.build import channels
from licsync_daemon.rules.handover import fleet_of
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.state.digest_key import own_digest_key
from licsync_daemon.state.files import open_state, prepare_state_dir, reading
from licsync_daemon.state.held_exports import HELD, PREPARED, FileHeldExports
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.state.workspace import DiskWorkspace
from licsync_daemon.sync.context import Observer, RunContext, ignore
from licsync_daemon.system.filelock import this_process

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a command uses."""

    config: Config
    store: StateStore
    context: RunContext
    alerting: Alerting

    @property
    def clock(self) -> Clock:
        return self.context.clock


def open_to_write(state_dir: Path, now: datetime) -> StateStore:
    """Prepare the state directory and open the state; log an error if a damaged file was set aside.

    Raises:
        ConfigError, LockedError, StateError: See `recording`.
    """
    prepare_state_dir(state_dir)
    opened = open_state(state_dir, now)
    if opened.set_aside is not None:
        log.critical(
            "state.set_aside",
            code=Code.STATE_DAMAGED,
            set_aside=str(opened.set_aside),
            next_step="the run history is lost; every instance runs once",
        )
    return opened.store


@contextmanager
def recording(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Open the state for writing and yield parts that record runs.

    Raises:
        ConfigError: The state directory belongs to another user.
        LockedError, StateError: The state file cannot be opened for writing.
    """
    store = open_to_write(config.state_dir, clock.now())
    try:
        credentials = credentials_of(config, environ)
        context = _context(config, store, clock, credentials, work_dir=config.state_dir, may_create_key=True)
        context.observe = observe
        yield Parts(config, store, context, Alerting(config, store, clock, context.leases, channels(config.notify, credentials)))
    finally:
        store.close()


@contextmanager
def unrecorded(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Yield parts that send nothing and record nothing, for `--dry-run` and `payload`; they compare with recorded usage."""
    writable = config.state_dir.is_dir() and os.access(config.state_dir, os.W_OK)
    work_dir = config.state_dir if writable else Path(tempfile.gettempdir())
    with reading(config.state_dir) as history:
        store = MemoryStore()
        credentials = credentials_of(config, environ)
        context = _context(config, store, clock, credentials, work_dir=work_dir, may_create_key=False)
        context.observe, context.history = observe, history
        yield Parts(config, store, context, Alerting(config, store, clock, context.leases, ()))


def _context(
    config: Config, store: RunStore, clock: Clock, credentials: Credentials, *, work_dir: Path, may_create_key: bool
) -> RunContext:
    key = credentials.digest_key()
    return RunContext(
        store=store,
        adapters=_connections(config, store, clock, Clients(config.cloud, credentials, Ages(clock))),
        clock=clock,
        workspace=DiskWorkspace(work_dir),
        exports=FileHeldExports(work_dir / HELD),
        prepared=FileHeldExports(work_dir / PREPARED),
        leases=FileLeases(config.state_dir, clock),
        holder=this_process(clock.now()),
        digest_key=key if key is not None else own_digest_key(config.state_dir, create=may_create_key),
        fleet=config.instances,
    )


def with_config(context: RunContext, config: Config, environ: Mapping[str, str]) -> RunContext:
    """Return a context for another configuration with the same state. Runs in progress keep the old one.

    Both respect a rate limit that either of them hits from now on; a reload ends the waits for earlier ones.
    """
    before = context.adapters if isinstance(context.adapters, Connections) else None
    ages = before.clients.ages if before is not None else Ages(context.clock)
    clients = Clients(config.cloud, credentials_of(config, environ), ages)
    gates = before.gates if before is not None else {}
    for gate in gates.values():
        gate.open()
    connections = _connections(config, context.store, context.clock, clients)
    return replace(context, adapters=replace(connections, gates=gates), fleet=config.instances)


def _connections(config: Config, store: StateReader, clock: Clock, clients: Clients) -> Connections:
    return Connections(clients, clock, config.invocation, fleet_of(config), store.deliveries)
