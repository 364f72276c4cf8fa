"""PostgreSQL as the engine of the state. The only module that imports psycopg.

One session carries the state and all locks, and is never opened again inside its life: a process that has lost its locks cannot write.
The server ends the session of a process that is silent for a minute, inside a transaction or not.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import resources
from time import monotonic
from typing import Any

import psycopg
from psycopg.rows import dict_row

from licsync_daemon.model.errors import StateNewerError, StateUnreachableError, StateUnwritableError
from licsync_daemon.state.damage import KEPT, READERS, UNREADABLE, report
from licsync_daemon.state.engine import Values
from licsync_daemon.state.migration import VERSION
from licsync_daemon.state.storable import storable

SCHEMA = "licsync"
SETTINGS = {
    "search_path": SCHEMA,
    "idle_session_timeout": "60s",  # a process that stands still loses its session, and with it its locks
    "idle_in_transaction_session_timeout": "60s",
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
    "synchronous_commit": "on",
}
READING = {**SETTINGS, "idle_session_timeout": "1h"}  # it holds no lock, and a dry run waits for servers
PROBE = "idle_session_timeout"
CONNECT_WITHIN_S = 5
ANSWER_WITHIN_S = 40.0  # more than the server's own limits: a connection that is half open answers nothing
MIGRATION_KEY = 4_711_000
OLDEST = 140_000

logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # its warnings repeat what is raised

POOLER = "this is a pooler, which shares one session among several clients, so that each of them would get the same lock"
PAST_POOLER = "name PostgreSQL itself in the address, not its pooler"
EXPLAINED = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.InsufficientPrivilege)
_STEPS = (  # a part of PostgreSQL's message, what it means, and the next step
    ("unsupported startup parameter", POOLER, PAST_POOLER),
    (f'unrecognized configuration parameter "{PROBE}"', "this PostgreSQL is older than version 14", "upgrade PostgreSQL"),
    ("session is read-only", "this is a replica, which cannot be written", "name the primary server in the address"),
    ("authentication failed", None, "check the user in the address, the credential state_password, and pg_hba.conf"),
    ("no password supplied", None, "put the password into the credential state_password"),
    ("pg_hba.conf", None, "allow this machine, user and database in pg_hba.conf"),
    ("permission denied", None, "as the owner of the database: CREATE SCHEMA licsync AUTHORIZATION the user in the address"),
    ("lock timeout", "another process writes for more than 5 s", "try again; see pg_stat_activity for what it does"),
    ("statement timeout", "PostgreSQL is too slow: a statement took more than 30 s", "check its load"),
    ("connection slots", None, "raise max_connections of PostgreSQL, or end other sessions"),
    ("certificate", None, "check sslmode and sslrootcert in the address"),
    ("does not exist", None, "create the database and the user that the address names"),
)


class _NoAnswerError(psycopg.OperationalError):
    """PostgreSQL did not answer in time."""


class _Connection(psycopg.Connection[dict[str, Any]]):
    """A connection that waits for an answer for a limited time, and is closed after one that did not come."""

    def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
        try:
            return super().wait(_within(gen, ANSWER_WITHIN_S), *args, **more)
        except _NoAnswerError:
            self.pgconn.finish()
            raise


def _within(steps: Any, seconds: float) -> Any:
    """Follow a generator of psycopg, which is resumed at least ten times a second, for a limited time."""
    end = monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() > end:
                raise _NoAnswerError(f"no answer for {seconds:.0f} s")
            wanted = steps.send(ready)
    except StopIteration as done:
        return done.value


class PostgresqlEngine:
    """The `Engine` port over one session."""

    def __init__(self, db: "psycopg.Connection[dict[str, Any]]") -> None:
        self._db = db
        self._own_writes = 0
        self.backend = db.info.backend_pid

    def execute(self, sql: str, values: Values = ()) -> Any:
        return self._db.execute(_native(sql), _storable(values))

    def executemany(self, sql: str, several: Iterable[Values]) -> Any:
        with self._db.cursor() as cursor:
            cursor.executemany(_native(sql), [_storable(values) for values in several])

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            if self._db.closed or isinstance(error, EXPLAINED):
                raise _explained(error) from error
            raise StateUnwritableError(f"the state in PostgreSQL cannot be used: {_sentence(error)}") from error
        finally:
            if self._db.broken:
                self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the lock of writers first, so that data read inside is still current when writing."""
        with self._db.transaction():
            found = self.execute("UPDATE meta SET revision = revision + 1 RETURNING pg_backend_pid() AS backend").fetchone()
            if found is None or found["backend"] != self.backend:
                raise StateUnreachableError(POOLER, PAST_POOLER)
            yield
        self._own_writes += 1

    def is_undecodable(self, error: Exception) -> bool:  # noqa: ARG002 - PostgreSQL decodes on the server
        return False

    def set_aside_unreadable(self) -> None:
        for table, read in READERS.items():
            causes = []
            for row in self.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608 - our own names
                try:
                    read(row)
                except UNREADABLE as error:
                    causes.append(str(error))
                    self._set_aside(table, row)
            if causes:
                report(table, causes)

    def _set_aside(self, table: str, row: Mapping[str, object]) -> None:
        with self._db.transaction():
            self.execute(
                "INSERT INTO set_aside (origin, content) SELECT ?, row_to_json(one)::text"  # noqa: S608 - our own names
                f" FROM (SELECT * FROM {table} WHERE rowid = ?) AS one",
                (table, row["rowid"]),
            )
            self.execute(f"DELETE FROM {table} WHERE rowid = ?", (row["rowid"],))  # noqa: S608
            self.execute("DELETE FROM set_aside WHERE number <= (SELECT max(number) FROM set_aside) - ?", (KEPT,))

    def writes_elsewhere(self) -> int:
        return int(self.execute("SELECT revision FROM meta").fetchone()["revision"]) - self._own_writes

    def check_file(self) -> None:
        """Do nothing: a touch of the lease checks the session."""

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._db.close()


def connect(address: str, password: str | None, *, create: bool) -> PostgresqlEngine | None:
    """Open a session, and create or migrate the schema first if `create`. Otherwise return None if there is no schema.

    Raises:
        StateNewerError: A newer version of this program wrote the state; it is left untouched.
        StateUnreachableError: PostgreSQL cannot be reached, refuses, is older than version 14, or is a pooler or a replica.
        StateUnwritableError: The schema is of an earlier version, and `create` is not set.
    """
    settings = SETTINGS if create else READING
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    try:
        db = _Connection.connect(
            address,
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,
            options=options,
            application_name="licsync-daemon",
            client_encoding="utf8",
            connect_timeout=CONNECT_WITHIN_S,
            target_session_attrs="read-write",
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
            password=password,
        )
    except psycopg.Error as error:
        raise _explained(error) from error
    engine = PostgresqlEngine(db)
    try:
        with engine.errors():
            _refuse_pooler(engine, settings)
            if not create and not _is_created(engine):
                engine.close()
                return None
            if create:
                with db.transaction():
                    migrate(engine)
            _check_version(engine)
    except BaseException:
        engine.close()
        raise
    return engine


def _refuse_pooler(engine: PostgresqlEngine, settings: Mapping[str, str]) -> None:
    """Make sure that the settings of the start-up are in force, and that two statements run in the same session."""
    for _ in range(2):
        found = engine.execute(
            "SELECT current_setting(?, true)::interval = ?::interval AS is_ours, pg_backend_pid() AS backend", (PROBE, settings[PROBE])
        ).fetchone()
        if not found["is_ours"] or found["backend"] != engine.backend:
            raise StateUnreachableError(POOLER, PAST_POOLER)


def set_sequences(engine: PostgresqlEngine, columns: Mapping[str, str]) -> None:
    """Let the numbers of new rows follow those of rows that were copied with theirs; `columns` names the numbered one of each table."""
    for table, column in columns.items():
        sql = f"SELECT setval(pg_get_serial_sequence(?, ?), greatest(max({column}), 1)) FROM {table}"  # noqa: S608 - our own names
        engine.execute(sql, (f"{SCHEMA}.{table}", column))


def keep_earlier(engine: PostgresqlEngine, stamp: str) -> None:
    """Rename the schema of a state that is no longer in use, and create a new one."""
    engine.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO {SCHEMA}_{stamp}")
    migrate(engine)


def _is_created(engine: PostgresqlEngine) -> bool:
    return engine.execute("SELECT to_regclass('meta') AS found").fetchone()["found"] is not None


def migrate(engine: PostgresqlEngine) -> None:
    """Create the schema, or bring an older one to this version; one process at a time does, and all of it or nothing."""
    engine.execute("SELECT pg_advisory_xact_lock(?)", (MIGRATION_KEY,))
    if engine.execute("SELECT to_regnamespace(?) AS found", (SCHEMA,)).fetchone()["found"] is None:
        engine.execute(f"CREATE SCHEMA {SCHEMA}")
    found = engine.execute("SELECT version FROM meta").fetchone()["version"] if _is_created(engine) else FIRST - 1
    for number in range(found + 1, VERSION + 1):
        engine.execute(resources.files("licsync_daemon.state").joinpath(f"postgresql-{number}.sql").read_text(encoding="utf-8"))
        engine.execute("UPDATE meta SET version = ?", (number,))


FIRST = 4  # the version that postgresql-4.sql creates


def _check_version(engine: PostgresqlEngine) -> None:
    found = engine.execute("SELECT version FROM meta").fetchone()["version"]
    if found > VERSION:
        what = f"the state in PostgreSQL has version {found}, but this program supports only up to {VERSION}"
        raise StateNewerError(f"{what}: install the newer version again")
    if found < VERSION:
        raise StateUnwritableError("the state in PostgreSQL is of an earlier version; it is migrated when a daemon starts")


def _explained(error: psycopg.Error) -> StateUnreachableError:
    text = _sentence(error)
    for part, meaning, step in _STEPS:
        if part in text:
            return StateUnreachableError(f"the state in PostgreSQL cannot be used: {meaning or text}", step)
    return StateUnreachableError(f"the state in PostgreSQL cannot be used: {text}")


def _sentence(error: psycopg.Error) -> str:
    """Return the message in one line, without the attempts that psycopg lists."""
    return " ".join(str(error).split("\nMultiple connection attempts")[0].split()) or type(error).__name__


@lru_cache(maxsize=200)
def _native(sql: str) -> Any:
    """Return a statement with psycopg's placeholders. No statement has a percent sign, or a colon or a question mark in a literal."""
    return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", sql).replace("?", "%s")


def _storable(values: Values) -> Any:
    if isinstance(values, Mapping):
        return {name: storable(value) for name, value in values.items()}
    return [storable(value) for value in values] or None
