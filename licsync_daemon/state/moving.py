"""Move a fleet's state from the state file to PostgreSQL, or back: every row is copied and compared; the original is kept and marked."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from licsync_daemon.model.errors import ConfigError, LockedError, Problem, StateUnwritableError
from licsync_daemon.model.instance import POSTGRESQL, Config
from licsync_daemon.model.ports import Clock
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.state import copying, files
from licsync_daemon.state.damage import SET_ASIDE
from licsync_daemon.state.digest_key import FILE as KEY_FILE
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.opening import COMMAND, session
from licsync_daemon.state.session import SessionLeases, others
from licsync_daemon.state.sql import SqlStore
from licsync_daemon.system.filelock import in_words

NEW = "state.db.copy"


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied: the rows of each table, whether the digests of accounts were left out, and where the original is."""

    rows: Mapping[str, int]
    without_digests: bool
    original: str


def move(config: Config, credentials: Credentials, clock: Clock, *, to: str) -> Moved:
    """Copy the state and mark the original.

    Raises:
        ConfigError: There is nothing to copy, the target has a state of its own, or the credential `digest_key` is missing.
        LockedError: A daemon, or a command that writes, is at work in one of both places.
        StateError: One of both cannot be used, or the copy is not the same; the original is still the one in use.
    """
    files.prepare_state_dir(config.state_dir)
    if to == POSTGRESQL and credentials.digest_key() is None:
        raise ConfigError((Problem("digest_key", "every host of a shared state needs the same key", "create this credential first"),))
    with ExitStack() as stack:
        stack.enter_context(FileLeases(config.state_dir, clock).daemon())
        engine = session(config, credentials, create=True)
        assert engine is not None
        stack.callback(engine.close)
        leases = SessionLeases(engine, clock, role=COMMAND)
        if found := others(engine):
            raise LockedError(
                Path("the state in PostgreSQL"), in_words(found[0]), "stop every daemon, and wait until every command has ended"
            )
        stack.enter_context(leases.daemon())
        shared = SqlStore(engine)
        now = clock.now()
        return _to_postgresql(config, shared, now) if to == POSTGRESQL else _to_sqlite(config, shared, now)


def _to_postgresql(config: Config, shared: SqlStore, now: datetime) -> Moved:
    from licsync_daemon.state.postgresql import PostgresqlEngine, keep_earlier, set_sequences  # noqa: PLC0415 - only who uses PostgreSQL has the driver

    directory, engine = config.state_dir, shared.engine
    assert isinstance(engine, PostgresqlEngine)
    files.refuse_moved(directory)
    if not (directory / files.FILE).exists():
        raise ConfigError((Problem("state", f"there is no state file in {directory}", "nothing has to be copied: start the daemon"),))
    own = files.open_alone(directory, now)
    try:
        with_key_file = (directory / KEY_FILE).exists()  # its digests were made with a key that no other host has
        own.engine.execute(SET_ASIDE)
        tables = [one for one in copying.TABLES if not (with_key_file and one in copying.DIGESTS)]
        with engine.errors(), own.engine.errors(), shared.transaction():
            mark = engine.execute("SELECT moved FROM meta").fetchone()["moved"]
            if mark is not None:
                keep_earlier(engine, f"{now:%Y%m%dt%H%M%S}")
            is_done = mark is None and copying.count(engine) > 0
            if is_done and copying.difference(own.engine, engine, tables) is not None:
                raise ConfigError((_occupied("the database in PostgreSQL", "name an empty database, or drop the schema licsync"),))
            rows = copying.copy(own.engine, engine, tables) if not is_done else dict.fromkeys(tables, 0)
            set_sequences(engine, {one: copying.NUMBERED.get(one, "rowid") for one in copying.TABLES})
            copying.check(own.engine, engine, tables)
        _write_mark(directory, f"its content was copied to PostgreSQL on {now:%Y-%m-%d at %H:%M:%S} UTC")
    finally:
        own.close()
    return Moved(rows, with_key_file, str(directory / files.FILE))


def _to_sqlite(config: Config, shared: SqlStore, now: datetime) -> Moved:
    directory, engine = config.state_dir, shared.engine
    path, mark = directory / files.FILE, directory / files.MOVED
    if path.exists() and not mark.exists():
        raise ConfigError((_occupied(f"{directory}", f"move {path} away first"),))
    (directory / NEW).unlink(missing_ok=True)
    own = files.open_alone(directory, now, name=NEW)
    try:
        own.engine.execute(SET_ASIDE)
        with engine.errors(), own.engine.errors(), own.transaction():
            rows = copying.copy(engine, own.engine, copying.TABLES)
            copying.check(engine, own.engine, copying.TABLES)
        # Marked before the file has its name: after a crash in between neither is in use, and the copy can be repeated.
        with engine.errors(), shared.transaction():
            engine.execute("UPDATE meta SET moved = ?", (f"it was copied to {path} on {now:%Y-%m-%d at %H:%M:%S} UTC",))
        if path.exists():
            path.rename(directory / f"{files.FILE}.before-{now:%Y%m%dT%H%M%SZ}")
        (directory / NEW).rename(path)
        mark.unlink(missing_ok=True)
    except OSError as error:
        raise StateUnwritableError(f"the state file in {directory} cannot be written: {error}") from error
    finally:
        own.close()
    return Moved(rows, without_digests=False, original="the schema licsync in PostgreSQL")


def _occupied(place: str, step: str) -> Problem:
    return Problem("state", f"{place} has a state of its own", step)


def _write_mark(directory: Path, text: str) -> None:
    try:
        (directory / files.MOVED).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise StateUnwritableError(f"the state file in {directory} cannot be marked as copied: {error}") from error
