"""Open the state where the configuration says it is: the store with its leases for writing, or what `status` and `history` read."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

import structlog

from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError, StateError
from licsync_daemon.model.instance import POSTGRESQL, SQLITE, Config
from licsync_daemon.model.ports import Clock, Leases
from licsync_daemon.model.run import Holder, Member
from licsync_daemon.model.secrets import remember
from licsync_daemon.model.store import StateReader, StateStore
from licsync_daemon.settings.credential_forms import Kind
from licsync_daemon.settings.credentials import DIGEST_KEY, STATE_PASSWORD, STATE_URL, Credentials
from licsync_daemon.state import files
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.session import SessionLeases, alive, members
from licsync_daemon.state.sql import SqlStore
from licsync_daemon.system.filelock import is_alive

if TYPE_CHECKING:
    from licsync_daemon.state.postgresql import PostgresqlEngine

log = structlog.get_logger()

DAEMON, COMMAND = "daemon", "command"  # the roles of a session
EXTRA = 'install it with: pip install "licsync-daemon[postgresql]"'


@dataclass(frozen=True, slots=True)
class Opened:
    """The state, open for writing, and its leases."""

    store: StateStore
    leases: Leases


@dataclass(frozen=True, slots=True)
class Seen:
    """The state as a command reads it."""

    store: StateReader | None  # None: nothing is recorded yet
    is_alive: Callable[[Holder], bool]  # whether the process of a run exists
    members: tuple[Member, ...] | None = None  # the daemons of a shared state; None: this host alone knows


@contextmanager
def opened(config: Config, credentials: Credentials, clock: Clock, *, role: str = COMMAND) -> Iterator[Opened]:
    """Open the state for writing, and close it at the end.

    Raises:
        ConfigError: The state directory belongs to another user, or a credential or the driver of PostgreSQL is missing.
        LockedError, StateError: The state cannot be opened for writing.
    """
    files.prepare_state_dir(config.state_dir)  # also with PostgreSQL: held exports and temporary files are there
    if config.is_shared:
        engine = session(config, credentials, create=True)
        assert engine is not None
        try:
            refuse_moved(engine)
            yield Opened(SqlStore(engine), SessionLeases(engine, clock, role=role))
        finally:
            engine.close()
        return
    found = files.open_state(config.state_dir, clock.now())
    try:
        if found.set_aside is not None:
            next_step = "the run history is lost; every instance runs once"
            log.critical("state.set_aside", code=Code.STATE_DAMAGED, set_aside=str(found.set_aside), next_step=next_step)
        yield Opened(found.store, FileLeases(config.state_dir, clock))
    finally:
        found.store.close()


@contextmanager
def reading(config: Config, credentials: Credentials) -> Iterator[Seen]:
    """Open the state without changing it, and close it at the end. Raises as `files.open_for_reading` does."""
    if config.is_shared:
        engine = session(config, credentials, create=False)
        if engine is None:
            yield Seen(None, lambda _: False, ())
            return
        try:
            yield Seen(SqlStore(engine), alive(engine), members(engine))
        finally:
            engine.close()
        return
    with files.reading(config.state_dir) as store:
        yield Seen(store, is_alive)


def session(config: Config, credentials: Credentials, *, create: bool) -> "PostgresqlEngine | None":
    """Open a session with PostgreSQL; None if there is no state in it and `create` is not set.

    Raises:
        ConfigError: A credential or the driver is missing.
        StateError: See `postgresql.connect`.
    """
    try:
        from licsync_daemon.state.postgresql import connect  # noqa: PLC0415 - only who uses PostgreSQL has the driver
    except ImportError as error:
        raise ConfigError((Problem("state", f"the driver of PostgreSQL is not installed ({error.name})", EXTRA),)) from error
    try:
        if config.state in {POSTGRESQL, SQLITE}:  # `state copy` reads both
            address, password = credentials.text(STATE_URL, Kind.LINE), None
            for secret in _passwords_in(address):
                remember(secret)
        else:
            address, password = config.state, credentials.optional_text(STATE_PASSWORD, Kind.LINE)
    except RunError as error:
        raise ConfigError((Problem("state", error.cause, error.next_step),)) from error
    return connect(address, password, create=create)


def refuse_moved(engine: "PostgresqlEngine") -> None:
    """Raise `StateError` if this state was copied to a state file, which is in use since then."""
    with engine.errors():
        mark = engine.execute("SELECT moved FROM meta").fetchone()["moved"]
    if mark is not None:
        step = "remove `state` from the configuration, or copy the state file back: $licsync state copy --to postgresql"
        raise StateError(f"the state in PostgreSQL is no longer in use: {mark}; {step}")


def refuse_other_key(state: Opened, key: bytes) -> None:
    """Remember the mark of the key of the digests in a shared state, by which another key is recognized.

    Raises:
        ConfigError: Another host used another key: each would report every account as changed.
    """
    if not isinstance(state.leases, SessionLeases) or not isinstance(state.store, SqlStore):
        return
    engine, mark = state.store.engine, hmac.new(key, b"licsync digest key", "sha256").hexdigest()
    with engine.errors():
        known = engine.execute("SELECT key_mark FROM meta").fetchone()["key_mark"]
    if known is None:
        with state.store.transaction():
            sql = "UPDATE meta SET key_mark = coalesce(key_mark, ?) RETURNING key_mark"
            known = engine.execute(sql, (mark,)).fetchone()["key_mark"]
    if known != mark:
        step = "use the same on every host; to begin with another key, run in PostgreSQL: UPDATE licsync.meta SET key_mark = NULL"
        raise ConfigError((Problem(DIGEST_KEY[0], "another host of this fleet uses another key", step),))


def _passwords_in(address: str) -> Iterator[str]:
    """Yield the password in an address, as it is written and as it is meant, so that no message repeats it."""
    user, _, _ = address.partition("://")[2].rpartition("@")
    for password in (user.partition(":")[2], *parse_qs(address.partition("?")[2]).get("password", ())):
        yield from filter(None, dict.fromkeys((password, unquote(password))))
