"""The state in PostgreSQL: every command from any host, with the exit codes that it has with a state file."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.hosts import DIGEST_KEY, Host
from tests.acceptance.support import UPLOADS, Evidence, Site, events, wait_for
from tests.postgresql import Server

Hosts = Callable[[str], Host]


@pytest.fixture
def address(postgresql_server: Server) -> Iterator[str]:
    with postgresql_server.database() as address:
        yield address


@pytest.fixture
def hosts(site: Site, address: str) -> Hosts:
    return lambda name: Host(site, name, address)


def test_nothing_is_recorded_yet(hosts: Hosts) -> None:
    """Reading creates nothing, and says so as it does without a state file."""
    assert "no runs recorded yet" in hosts("a").run("history").out
    status = hosts("a").json("status")
    assert (status["daemon"]["alive"], status["daemon"]["standbys"]) == (False, [])


def test_one_host_syncs_and_the_other_knows(hosts: Hosts, site: Site) -> None:
    """What a host confirmed is in the history on the other, which does not deliver it again."""
    a, b = hosts("a"), hosts("b")
    assert a.run("--run-now").code == 0
    assert {run["state"] for run in b.json("history")["runs"]} == {"confirmed"}
    assert [one["state"] for one in b.json("status")["instances"]] == ["confirmed", "confirmed"]
    assert b.run("--run-now").code == 0
    assert site.uploads("emea") <= 2
    assert not [one for one in (a.state_dir / "state.db", site.state_dir / "state.db") if one.exists()]


def test_leader_and_standby_are_named(hosts: Hosts) -> None:
    """`status` names the leader with its host and since when, and the standbys; on each host, `status --alive` is 0."""
    a, b = hosts("a"), hosts("b")
    first, second = a.leads(), b.stands_by()
    for host in (a, b, hosts("c")):
        daemon = host.json("status")["daemon"]
        assert (daemon["alive"], daemon["pid"]) == (True, first.process.pid)
        assert daemon["leads_since"] is not None
        assert [one["pid"] for one in daemon["standbys"]] == [second.process.pid]
    out = hosts("c").run("status").out
    assert f"daemon: process {first.process.pid} on " in out
    assert "leads since" in out
    assert f"standby: process {second.process.pid} on " in out
    assert [host.run("status", "--alive").code for host in (a, b, hosts("c"))] == [0, 0, 1]
    assert second.end()[0] == 0
    assert first.end()[0] == 0
    assert "daemon.started" not in events(second)


def test_the_standby_leads_when_the_leader_stops(hosts: Hosts) -> None:
    """Within the time that it polls, and the other becomes its standby."""
    a, b = hosts("a"), hosts("b")
    first, second = a.leads(), b.stands_by()
    assert first.end()[0] == 0
    wait_for(lambda: "daemon.started" in second.err, 10)
    third = a.stands_by()
    assert second.end()[0] == 0
    wait_for(lambda: "daemon.started" in third.err, 10)


def test_an_instance_is_locked_across_hosts(hosts: Hosts, site: Site) -> None:
    """`--run-now` on one host finds an instance locked by the process on another, and exits with 11."""
    site.box.instances["emea"].report_ready_after = float("inf")
    first = hosts("a").start("--run-now", "emea", "--json")
    wait_for(lambda: any(run["phase"] == "collecting" for run in hosts("b").json("history")["runs"]))
    second = hosts("b").run("--run-now", "emea", "--json")
    assert second.code == 11
    assert json.loads(second.out)["instances"][0]["locked_by"].startswith(f"process {first.process.pid} on ")
    site.box.instances["emea"].report_ready_after = 0.0
    assert first.wait() == 0


def test_a_decision_on_any_host(hosts: Hosts, site: Site) -> None:
    """A run that one host holds is approved on a second, and sent by a third; a pause holds everywhere."""
    assert hosts("a").run("--run-now", "emea").code == 0
    site.shrink("emea")
    assert hosts("a").run("--run-now", "emea").code == 5
    held = hosts("b").json("status")["instances"][0]["held_run"]["run_id"]
    assert hosts("b").run("approve", held, "--reason", "site closed").code == 0
    assert hosts("c").run("--run-now", "emea").code == 0
    assert hosts("a").run("pause", "emea", "--until", "3d", "--reason", "audit").code == 0
    assert hosts("b").json("status")["instances"][0]["paused"]["reason"] == "audit"
    assert [one["what"] for one in hosts("c").json("history")["decisions"]] == ["paused", "approved"]


def test_a_dry_run_compares_with_the_shared_state(hosts: Hosts) -> None:
    """And records nothing."""
    assert hosts("a").run("--run-now", "emea").code == 0
    dry = hosts("b").json("--run-now", "emea", "--dry-run")
    assert dry["instances"][0]["changes"] == {"added": 0, "removed": 0, "address_changed": 0, "suspended": 0, "unsuspended": 0}
    assert len(hosts("b").json("history")["runs"]) == 1


REFUSED = {
    "a password in the file": ("postgresql://u:hunter2@127.0.0.1/x", {}, 2, "a password is not allowed in this address"),
    "another scheme": ("mysql://127.0.0.1/x", {}, 2, "the address of a PostgreSQL database"),
    "no database": ("postgresql://127.0.0.1", {}, 2, "names no database"),
    "no credential": ("postgresql", {}, 2, "no credential state_url"),
    "no server": ("postgresql://licsync@127.0.0.1:1/licsync", {}, 4, "check that PostgreSQL runs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_address_that_cannot_be_used(hosts: Hosts, case: str) -> None:
    """The cause and the next step, no traceback, no password; nothing is read or sent."""
    state, more, code, text = REFUSED[case]
    done = hosts("a").run("--run-now", LICSYNC_STATE=state, **more)
    assert (done.code, text in done.all) == (code, True), done.all
    assert "hunter2" not in done.all
    assert "Traceback" not in done.all


def test_the_whole_address_as_a_credential(hosts: Hosts, address: str) -> None:
    """As an operator for Kubernetes publishes it, with the password in it."""
    url = address.replace("licsync@", "licsync:hunter2%40@")
    assert hosts("a").run("--run-now", "emea", LICSYNC_STATE="postgresql", LICSYNC_STATE_URL=url).code == 0
    assert hosts("a").json("history")["runs"][0]["state"] == "confirmed"


PASSWORD = "correct horse 7c1f"


def test_the_password_is_a_credential(site: Site, hosts: Hosts, own_postgresql: Server, evidence: Evidence) -> None:
    """A wrong or missing one has its next step; none is ever shown, logged or stored."""
    evidence.secrets.add(PASSWORD)
    own_postgresql.require_password("secured", PASSWORD)
    with own_postgresql.database() as address:
        host = Host(site, "a", address.replace("licsync@", "secured@"))
        for more, text in (({}, "no password supplied"), ({"LICSYNC_STATE_PASSWORD": "wrong"}, "password authentication failed")):
            done = host.run("--run-now", **more)
            assert (done.code, text in done.all, "credential state_password" in done.all) == (4, True, True), done.all
        (site.credentials / "state_password").write_text(f"{PASSWORD}\n")
        assert host.run("--run-now", "emea").code == 0
        assert host.json("history")["runs"][0]["state"] == "confirmed"
        assert PASSWORD not in host.run("config", "show").all
        assert host.run("check", "--offline").code == 0


def test_every_host_needs_the_same_digest_key(hosts: Hosts) -> None:
    """Without the credential nothing starts: each host would report every account as changed."""
    host = hosts("a")
    assert hosts("b").run("--run-now", "emea").code == 0
    done = host.run("--run-now", LICSYNC_DIGEST_KEY=DIGEST_KEY[::-1])
    assert (done.code, "another host of this fleet uses another key" in done.all) == (2, True)
    done = host.run(LICSYNC_DIGEST_KEY=DIGEST_KEY[::-1])  # a daemon, before it stands by
    assert (done.code, "another host of this fleet uses another key" in done.all) == (2, True)
    del host.env["LICSYNC_DIGEST_KEY"]
    done = host.run("--run-now")
    assert (done.code, "every host of a shared state needs the same key" in done.all) == (2, True)


def test_the_state_is_away(hosts: Hosts, site: Site) -> None:
    """`status` says that it cannot be reached; nothing is sent."""
    host = hosts("a")
    host.env["LICSYNC_STATE"] = "postgresql://licsync@127.0.0.1:1/licsync"
    done = host.run("status")
    assert done.code != 0
    assert "the state in PostgreSQL cannot be used" in done.err
    assert "Traceback" not in done.err
    assert site.asked("delivery", UPLOADS) == []


def test_check_says_who_leads(hosts: Hosts) -> None:
    """With a shared state, `check` has a row about it, which fails with the next step where it cannot be used."""
    a = hosts("a")
    running = a.leads()
    row = next(one for one in a.json("check")["tests"] if one["test"] == "state")
    assert (row["outcome"], f"process {running.process.pid}" in row["text"], "0 standbys" in row["text"]) == ("ok", True, True)
    assert running.end()[0] == 0
    a.env["LICSYNC_STATE"] = "postgresql://licsync@127.0.0.1:1/licsync"
    row = next(one for one in a.json("check")["tests"] if one["test"] == "state")
    assert (row["outcome"], row["code"]) == ("fail", "state_unwritable")
