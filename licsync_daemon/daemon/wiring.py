"""Wire the parts from a configuration, for the daemon, `--run-now`, dry runs, and `demo`."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from licsync_daemon.daemon.connections import Connections
from licsync_daemon.http.ages import Ages
from licsync_daemon.http.clients import Clients
from licsync_daemon.model.errors import ConfigError, Problem, StateUnwritableError
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import Clock, Leases
from licsync_daemon.model.store import RunStore, StateReader, StateStore
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.monitoring.channels.build import channels
from licsync_daemon.rules.handover import fleet_of
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.settings.credentials import DIGEST_KEY, Credentials
from licsync_daemon.state.digest_key import own_digest_key
from licsync_daemon.state.held_exports import HELD, PREPARED, FileHeldExports
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.state.opening import Opened, opened, reading, refuse_other_key
from licsync_daemon.state.workspace import DiskWorkspace
from licsync_daemon.sync.context import Observer, RunContext, ignore
from licsync_daemon.system.filelock import this_process

KEY_STEP = "put 32 random bytes as text into the credential digest_key, the same on every host"
TOUCH_S = 10.0


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


@contextmanager
def recording(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Open the state for writing and yield parts that record runs.

    Raises:
        ConfigError: The state directory belongs to another user.
        LockedError, StateError: The state file cannot be opened for writing.
    """
    credentials = credentials_of(config, environ)
    with opened(config, credentials, clock) as state:
        yield parts_over(state, config, credentials, clock, observe)


def parts_over(state: Opened, config: Config, credentials: Credentials, clock: Clock, observe: Observer = ignore) -> Parts:
    """Return parts that record runs in an open state.

    Raises:
        ConfigError: The state is shared, and there is no `digest_key`, or another one than on the other hosts.
    """
    check_key(state, config, credentials)
    context = _context(config, state.store, state.leases, clock, credentials, work_dir=config.state_dir, may_create_key=True)
    context.observe = observe
    alerting = Alerting(config, state.store, clock, state.leases, channels(config.notify, credentials))
    return Parts(config, state.store, context, alerting)


def check_key(state: Opened, config: Config, credentials: Credentials) -> None:
    """Raise `ConfigError` if the state is shared, and the key of the digests is missing, or is not that of the other hosts."""
    if config.is_shared:
        refuse_other_key(state, _key(config, credentials, may_create=False))


def _key(config: Config, credentials: Credentials, *, may_create: bool) -> bytes:
    key = credentials.digest_key()
    if key is None and config.is_shared:
        raise ConfigError((Problem(DIGEST_KEY[0], "every host of a shared state needs the same key", KEY_STEP),))
    return key if key is not None else own_digest_key(config.state_dir, create=may_create)


@asynccontextmanager
async def kept_alive(parts: Parts) -> AsyncIterator[None]:
    """Keep the session of a shared state while a command waits for servers; its next write says if it has ended."""

    async def touch() -> None:
        with suppress(StateUnwritableError):
            while True:
                await asyncio.sleep(TOUCH_S)
                parts.context.leases.touch()

    task = asyncio.create_task(touch(), name="session")
    try:
        yield
    finally:
        task.cancel()


@contextmanager
def unrecorded(config: Config, clock: Clock, environ: Mapping[str, str], observe: Observer = ignore) -> Iterator[Parts]:
    """Yield parts that send nothing and record nothing, for `--dry-run` and `payload`; they compare with recorded usage."""
    writable = config.state_dir.is_dir() and os.access(config.state_dir, os.W_OK)
    work_dir = config.state_dir if writable else Path(tempfile.gettempdir())
    credentials = credentials_of(config, environ)
    with reading(config, credentials) as seen:
        store = MemoryStore()
        context = _context(config, store, FileLeases(config.state_dir, clock), clock, credentials, work_dir=work_dir, may_create_key=False)
        context.observe, context.history = observe, seen.store
        yield Parts(config, store, context, Alerting(config, store, clock, context.leases, ()))


def _context(
    config: Config, store: RunStore, leases: Leases, clock: Clock, credentials: Credentials, *, work_dir: Path, may_create_key: bool
) -> RunContext:
    return RunContext(
        store=store,
        adapters=_connections(config, store, clock, Clients(config.cloud, credentials, Ages(clock))),
        clock=clock,
        workspace=DiskWorkspace(work_dir),
        exports=FileHeldExports(work_dir / HELD),
        prepared=FileHeldExports(work_dir / PREPARED),
        leases=leases,
        holder=this_process(clock.now()),
        digest_key=_key(config, credentials, may_create=may_create_key),
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
