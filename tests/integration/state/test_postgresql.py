"""A session with a real PostgreSQL: what is refused, and that a connection which answers nothing ends in an error."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from licsync_daemon.model.errors import StateNewerError, StateUnreachableError, StateUnwritableError
from licsync_daemon.state import postgresql
from licsync_daemon.state.postgresql import PostgresqlEngine, connect
from licsync_daemon.state.session import SessionLeases
from licsync_daemon.state.sql import SqlStore
from tests.fakes import T0, FakeClock, a_run
from tests.postgresql import Server, database_of, wait_until
from tests.proxy import proxy_to
from tests.tools import tool


@pytest.fixture
def address(postgresql_server: Server) -> Iterator[str]:
    with postgresql_server.database() as address:
        yield address


def opened(address: str, *, create: bool = True) -> PostgresqlEngine:
    engine = connect(address, None, create=create)
    assert engine is not None
    return engine


def test_the_settings_of_a_session_are_in_force(address: str) -> None:
    """A silent session ends within a minute, in a transaction or not; a reader holds no lock, and may wait for longer."""
    engine = opened(address)
    for name, value in postgresql.SETTINGS.items():
        assert engine.execute("SELECT current_setting(?)::text AS it", (name,)).fetchone()["it"] in {
            value,
            "1min",
            "30000",
            "5000",
            value.rstrip("s"),
        }
    assert engine.execute("SHOW idle_session_timeout").fetchone()["idle_session_timeout"] == "1min"
    reader = opened(address, create=False)
    assert reader.execute("SHOW idle_session_timeout").fetchone()["idle_session_timeout"] == "1h"
    engine.close()
    reader.close()


def test_many_processes_create_the_schema_at_once(address: str) -> None:
    """One does, the others wait for it; all can write afterwards."""
    barrier = threading.Barrier(8)

    def begin(number: int) -> str:
        barrier.wait()
        engine = opened(address)
        SqlStore(engine).save_run(a_run(f"run{number}", instance=f"instance{number}"), T0)
        engine.close()
        return "done"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(begin, range(8))) == ["done"] * 8
    engine = opened(address)
    assert engine.execute("SELECT count(*) AS runs FROM run").fetchone()["runs"] == 8
    engine.close()


def test_a_reader_creates_nothing(address: str) -> None:
    """There is no state until somebody writes."""
    assert connect(address, None, create=False) is None


def test_a_newer_schema_is_left_alone(address: str) -> None:
    """By readers and by writers; an older one is only read once it has been migrated."""
    engine = opened(address)
    engine.execute("UPDATE meta SET version = 99")
    for create in (True, False):
        with pytest.raises(StateNewerError, match="version 99"):
            connect(address, None, create=create)
    engine.execute("UPDATE meta SET version = 3")
    with pytest.raises(StateUnwritableError, match="earlier version"):
        connect(address, None, create=False)
    engine.close()


def test_a_replica_is_refused(address: str, postgresql_server: Server) -> None:
    """What cannot be written is no place for the state."""
    name = database_of(address)
    postgresql_server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        with pytest.raises(StateUnreachableError, match="replica") as error:
            connect(address, None, create=True)
        assert "primary" in error.value.next_step
    finally:
        postgresql_server.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_a_user_without_rights_gets_the_statement_to_run(address: str, postgresql_server: Server) -> None:
    """The schema can also be created by the owner of the database."""
    postgresql_server.sql("DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN")
    weak = address.replace("licsync@", "weak@")
    with pytest.raises(StateUnreachableError) as error:
        connect(weak, None, create=True)
    assert "CREATE SCHEMA licsync AUTHORIZATION" in error.value.next_step
    postgresql_server.sql("CREATE SCHEMA licsync AUTHORIZATION weak", database_of(address))
    engine = opened(weak)
    SqlStore(engine).save_run(a_run(), T0)
    engine.close()
    postgresql_server.sql("DROP SCHEMA licsync CASCADE", database_of(address))
    postgresql_server.sql("DROP ROLE weak")


@contextmanager
def a_pooler(folder: Path, to_port: int, *more: str) -> Iterator[int]:
    """Run PgBouncer in transaction mode; yield its port."""
    folder.mkdir()
    path, port = folder / "pgbouncer.ini", _free_port()
    lines = ["[databases]", f"* = host=127.0.0.1 port={to_port} user=licsync", "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}", "auth_type = any",
             "pool_mode = transaction", f"logfile = {folder / 'log'}", "unix_socket_dir =", *more]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    words = [tool("pgbouncer"), "-q", str(path)]
    if os.geteuid() == 0:
        folder.chmod(0o777)
        for parent in folder.parents:
            if parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        words = [tool("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(port), 20)
            yield port
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    "more", [(), ("ignore_startup_parameters = options,extra_float_digits",)], ids=["as installed", "start-up options ignored"]
)
def test_a_pooler_is_refused(address: str, postgresql_server: Server, tmp_path: Path, more: tuple[str, ...]) -> None:
    """It would give the same lock to several daemons."""
    with a_pooler(tmp_path / "pooler", postgresql_server.port, *more) as port:
        pooled = address.replace(f":{postgresql_server.port}/", f":{port}/")
        with pytest.raises(StateUnreachableError, match="pooler") as error:
            connect(pooled, None, create=True)
        assert "not its pooler" in error.value.next_step


def test_a_half_open_connection_is_an_error(address: str, postgresql_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call ends although nobody answers, and the session is over: nothing is written in it any more."""
    monkeypatch.setattr(postgresql, "ANSWER_WITHIN_S", 1.0)
    with proxy_to(postgresql_server.port) as proxy:
        engine = opened(re.sub(r":\d+/", f":{proxy.port}/", address))
        leases = SessionLeases(engine, FakeClock(), role="daemon")
        lease, store = leases.daemon(), SqlStore(engine)
        proxy.swallow()
        began = time.monotonic()
        with pytest.raises(StateUnreachableError, match="no answer"):
            lease.touch()
        assert time.monotonic() - began < 10
        with pytest.raises(StateUnwritableError):
            store.save_run(a_run(), T0)
        assert time.monotonic() - began < 11
        lease.release()


def test_a_session_that_was_ended_is_not_opened_again(address: str, postgresql_server: Server) -> None:
    """Every call says so, also in the middle of a transaction; what was written in it is gone."""
    engine = opened(address)
    store = SqlStore(engine)

    def write_twice() -> None:
        with store.transaction():
            store.save_run(a_run(), T0)
            postgresql_server.sql(f"SELECT pg_terminate_backend({engine.backend}, 5000)")
            store.save_run(a_run("run2", instance="apac"), T0)

    with pytest.raises(StateUnreachableError):
        write_twice()
    for call in (store.runs, store.seats, lambda: store.save_run(a_run(), T0), store.changed_elsewhere):
        with pytest.raises(StateUnwritableError):
            call()
    again = SqlStore(opened(address))
    assert again.runs() == ()
    again.close()


MESSAGES = {
    'FATAL:  unrecognized configuration parameter "idle_session_timeout"': ("older than version 14", "upgrade"),
    'connection failed: FATAL:  password authentication failed for user "licsync"': ("password authentication failed", "state_password"),
    "connection failed: fe_sendauth: no password supplied": ("no password supplied", "state_password"),
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "licsync", database "licsync", no encryption': (
        "no pg_hba.conf entry",
        "pg_hba.conf",
    ),
    'FATAL:  database "licsync" does not exist': ("does not exist", "create the database"),
    "canceling statement due to lock timeout": ("another process writes", "try again"),
    "canceling statement due to statement timeout": ("too slow", "load"),
    "FATAL:  remaining connection slots are reserved": ("connection slots", "max_connections"),
    "could not translate host name": ("could not translate", "check that PostgreSQL runs"),
}


@pytest.mark.parametrize("text", MESSAGES)
def test_messages_have_a_next_step(text: str) -> None:
    """What PostgreSQL says, in one line, and what to do about it."""
    error = postgresql._explained(postgresql.psycopg.OperationalError(f"{text}\nmore"))
    cause, step = MESSAGES[text]
    assert cause in str(error)
    assert step in error.next_step
    assert "\n" not in str(error)
