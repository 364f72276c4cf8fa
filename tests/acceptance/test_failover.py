"""The leader or its database fails, at the worst moments: another daemon takes over, and nothing is delivered twice."""

import json
import signal
from collections.abc import Callable, Iterator

import pytest

from licsync_daemon.practice.sandbox import Fault
from tests.acceptance.hosts import Host
from tests.acceptance.support import UPLOADS, Running, Site, events, wait_for
from tests.postgresql import Server, database_of
from tests.torture.takeover import LIMIT_S, one_round

Hosts = Callable[[str], Host]


@pytest.fixture
def address(postgresql_server: Server) -> Iterator[str]:
    with postgresql_server.database() as address:
        yield address


@pytest.fixture
def hosts(site: Site, address: str) -> Hosts:
    return lambda name: Host(site, name, address)


@pytest.mark.parametrize("kind", ["kill", "crash of PostgreSQL"])
def test_another_daemon_leads_in_time(site: Site, own_postgresql: Server, kind: str) -> None:
    """Within 6 s after a kill, and within 10 s after the return of PostgreSQL; the run is made up for with one upload."""
    found = one_round(kind, own_postgresql, site, 0.2)
    assert found.takeover_s <= LIMIT_S[kind]
    assert (found.state, found.uploads) == ("confirmed", 1)


def end_the_leaders_session(server: Server, address: str) -> None:
    held = f"SELECT pid FROM pg_locks JOIN pg_database ON oid = database WHERE locktype = 'advisory' AND datname = '{database_of(address)}'"
    server.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM ({held}) AS holders GROUP BY pid")


def phase(host: Host) -> str | None:
    runs = host.json("history", "emea")["runs"]
    return runs[0]["phase"] if runs and runs[0]["state"] == "running" else None


def test_the_session_ends_before_the_delivery_record(hosts: Hosts, site: Site, postgresql_server: Server, address: str) -> None:
    """The old leader sends nothing, because it cannot record that it will; the new one collects and delivers."""
    a, b = hosts("a"), hosts("b")
    site.box.instances["emea"].report_ready_after = float("inf")
    a.make_due("emea")
    first, second = a.leads(), b.stands_by()
    wait_for(lambda: phase(b) == "collecting")
    end_the_leaders_session(postgresql_server, address)
    site.box.instances["emea"].report_ready_after = 0.0
    wait_for(lambda: "daemon.state_unusable" in first.err, 10)
    wait_for(lambda: b.json("history", "emea")["runs"][0]["state"] in {"delivered", "confirmed"}, 30)
    assert site.uploads("emea") == 1
    assert_calm(first, second)


@pytest.mark.parametrize("fault", ["hang", "lost_reply"])
def test_the_session_ends_after_the_delivery_record(hosts: Hosts, site: Site, postgresql_server: Server, address: str, fault: str) -> None:
    """The usage may have arrived or not: the new leader sends it with the same key, and there is one upload."""
    a, b = hosts("a"), hosts("b")
    site.box.faults.add(Fault("cloud", UPLOADS, fault, times=1))  # type: ignore[arg-type]
    a.make_due("emea")
    first, second = a.leads(), b.stands_by()
    wait_for(lambda: site.uploads("emea") == 1 if fault == "lost_reply" else phase(b) == "delivering")
    end_the_leaders_session(postgresql_server, address)
    wait_for(lambda: b.json("history", "emea")["runs"][0]["state"] in {"delivered", "confirmed"}, 40)
    assert site.uploads("emea") == 1
    assert_calm(first, second)


def test_a_leader_that_lost_its_session_stands_by(hosts: Hosts, postgresql_server: Server, address: str) -> None:
    """It says so in its log, opens a new session, and is the next to lead."""
    a, b = hosts("a"), hosts("b")
    first, second = a.leads(), b.stands_by()
    end_the_leaders_session(postgresql_server, address)
    wait_for(lambda: '"daemon.leads"' in second.err or first.err.count('"daemon.leads"') > 1, 15)
    wait_for(lambda: len(a.json("status")["daemon"]["standbys"]) == 1, 20)
    for one in (first, second):
        one.end(signal.SIGKILL)
        break
    wait_for(lambda: '"daemon.leads"' in second.err, 15)
    assert second.end()[0] == 0


def test_with_the_database_away_daemons_say_so_and_stop_at_once(hosts: Hosts, site: Site, own_postgresql: Server) -> None:
    """Both log it and send nothing; a signal ends them; `status --alive` is 0 while they wait, because restarting them would not help."""
    with own_postgresql.database() as address:
        a, b = Host(site, "a", address), Host(site, "b", address)
        first, second = a.leads(), b.stands_by()
        own_postgresql.stop("fast")
        wait_for(lambda: all("daemon.state_unusable" in one.err for one in (first, second)), 20)
        assert "cannot be used" in json.loads(first.err.splitlines()[-1])["cause"]
        assert [host.run("status", "--alive").code for host in (a, b)] == [0, 0]
        assert a.run("--run-now").code == 4
        assert site.asked("cloud", UPLOADS) == []
        for one in (first, second):
            code, within_s = one.end()
            assert (code, within_s < 10) == (0, True)
        own_postgresql.start()


def assert_calm(*daemons: Running) -> None:
    """End daemons; none has printed a traceback."""
    for one in daemons:
        assert one.end()[0] == 0
        assert "Traceback" not in one.err
        assert "daemon.work_crashed" not in events(one)
