"""The contract of `Leases`, sentence by sentence of its docstrings, over every implementation."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from licsync_daemon.model.errors import LockedError, StateUnreachableError
from licsync_daemon.model.ports import Lease, Leases
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.postgresql import PostgresqlEngine, connect
from licsync_daemon.state.session import LEADER, SessionLeases, members
from tests.fakes import FakeClock, MemoryLeases
from tests.postgresql import Server, wait_until

Take = Callable[[Leases], Lease | None]


@pytest.fixture(params=["files", "memory", "session"])
def leases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Leases]:
    if request.param == "memory":
        yield MemoryLeases()
    elif request.param == "files":
        prepare_state_dir(tmp_path / "state")
        yield FileLeases(tmp_path / "state", FakeClock())
    else:
        with request.getfixturevalue("postgresql_server").database() as address:
            engine = a_session(address)
            yield SessionLeases(engine, FakeClock(), role="daemon")
            engine.close()


def a_session(address: str) -> PostgresqlEngine:
    engine = connect(address, None, create=True)
    assert engine is not None
    return engine


@pytest.fixture
def several(postgresql_server: Server) -> Iterator[Callable[[], SessionLeases]]:
    """Yield a function that opens another session of the same fleet."""
    engines: list[PostgresqlEngine] = []

    with postgresql_server.database() as address:

        def another() -> SessionLeases:
            engines.append(a_session(address))
            return SessionLeases(engines[-1], FakeClock(), role="daemon")

        yield another
        for one in engines:
            one.close()


def daemon(leases: Leases) -> Lease | None:
    try:
        return leases.daemon()
    except LockedError:
        return None


RIGHTS: dict[str, Take] = {
    "an instance": lambda leases: leases.instance("emea"),
    "another instance": lambda leases: leases.instance("apac"),
    "the alerts": lambda leases: leases.alerts(),
    "the daemon": daemon,
}


@pytest.mark.parametrize("right", RIGHTS)
def test_only_one_at_a_time(leases: Leases, right: str) -> None:
    """What is held is not given again, to this process or another, until it is released; releasing twice is harmless."""
    take = RIGHTS[right]
    lease = take(leases)
    assert lease is not None
    assert take(leases) is None
    assert lease.is_findable
    lease.touch()
    lease.release()
    lease.release()
    again = take(leases)
    assert again is not None
    with again:
        assert take(leases) is None
    with take(leases) or pytest.fail("leaving the context releases"):
        pass


def test_rights_do_not_touch_each_other(leases: Leases) -> None:
    """Whoever runs one instance keeps nobody from another one, from the alerts, or from being the daemon."""
    taken = [take(leases) for take in RIGHTS.values()]
    assert None not in taken


def test_who_holds_an_instance(leases: Leases) -> None:
    """The holder is named in words, as `status` and `--run-now` print them."""
    with leases.instance("emea") or pytest.fail("it is free"):
        assert "process" in leases.holder("emea")  # "this process", or another with its id
    assert leases.holder("never taken") == "another process"


def test_a_second_daemon_is_told_who_the_first_is(leases: Leases) -> None:
    """Being the daemon is not a question of waiting: the second one ends with the first one's process id in its error."""
    with leases.daemon(), pytest.raises(LockedError, match=r"is held by .*process"):
        leases.daemon()


def test_a_process_that_dies_holds_nothing(tmp_path: Path) -> None:
    """The kernel frees the files of a killed process; what it wrote into them stays readable."""
    prepare_state_dir(tmp_path)
    program = (
        "import os, sys; from pathlib import Path; from licsync_daemon.state.leases import FileLeases;"
        "from licsync_daemon.system.clock import SystemClock;"
        "lease = FileLeases(Path(sys.argv[1]), SystemClock()).instance('emea'); assert lease; os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    assert died.returncode == -9
    leases = FileLeases(tmp_path, FakeClock())
    assert leases.holder("emea").startswith("process ")
    with leases.instance("emea") or pytest.fail("a dead process holds nothing"):
        pass


@pytest.mark.parametrize("right", RIGHTS)
def test_sessions_exclude_each_other(several: Callable[[], SessionLeases], right: str) -> None:
    """What one session holds, no other gets, until it is released or the session ends; the holder's process is named."""
    one, other = several(), several()
    take = RIGHTS[right]
    lease = take(one)
    assert lease is not None
    assert take(other) is None
    lease.release()
    with take(other) or pytest.fail("it was released"):
        assert take(one) is None
    assert take(one) is not None
    one._db.close()
    wait_until(lambda: take(other) is not None, 5)


def test_a_session_that_was_ended_holds_nothing(several: Callable[[], SessionLeases], postgresql_server: Server) -> None:
    """It says so at the next touch, and another one leads; releasing what is gone is harmless."""
    one, other = several(), several()
    lease = one.daemon()
    postgresql_server.sql(f"SELECT pg_terminate_backend({one._db.backend}, 5000)")  # type: ignore[attr-defined]
    assert other.daemon() is not None
    with pytest.raises(StateUnreachableError):
        lease.touch()
    with pytest.raises(StateUnreachableError):
        one.instance("emea")
    lease.release()


def test_a_lock_that_is_gone_is_noticed(several: Callable[[], SessionLeases]) -> None:
    """As behind a pooler, which gives each transaction another session."""
    one = several()
    lease = one.daemon()
    one._db.execute("SELECT pg_advisory_unlock_all()")
    with pytest.raises(StateUnreachableError, match="is gone"):
        lease.touch()


def test_who_leads_and_who_stands_by(several: Callable[[], SessionLeases]) -> None:
    """The leader comes first; a session that ended is not listed."""
    one, other, third = several(), several(), several()
    with one.daemon():
        assert one.holder(LEADER) == "this process"
        found = members(other._db)
        assert [member.leads for member in found] == [True, False, False]
        assert all(member.heartbeat_at is not None for member in found)
    third._db.close()
    wait_until(lambda: len(members(other._db)) == 2, 5)
    assert not any(member.leads for member in members(other._db))
