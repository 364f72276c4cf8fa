"""`state copy`: a fleet moves from its state file to PostgreSQL and back, and nothing is lost or done twice."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from licsync_daemon.state.copying import TABLES
from licsync_daemon.state.postgresql import connect
from licsync_daemon.state.sql import SqlStore
from tests.acceptance.hosts import DIGEST_KEY, Host
from tests.acceptance.support import Site, started, wait_for
from tests.postgresql import Server, database_of

KEY = {"LICSYNC_DIGEST_KEY": DIGEST_KEY}


@pytest.fixture
def address(postgresql_server: Server) -> Iterator[str]:
    with postgresql_server.database() as address:
        yield address


@pytest.fixture
def host(site: Site, address: str) -> Host:
    """A host with PostgreSQL in its configuration, in whose state directory a state file has been in use until now."""
    host = Host(site, "state", address)
    assert site.run("--run-now", env=KEY).code == 0
    site.shrink("emea")
    assert site.run("--run-now", "emea", env=KEY).code == 5
    assert site.run("pause", "amer", "--until", "3d", "--reason", "früher \U0001f600", env=KEY).code == 0
    return host


def test_there_and_back(host: Host, site: Site, postgresql_server: Server, address: str) -> None:
    """Runs, decisions, digests and the held run are the same on both sides; the original is refused afterwards."""
    before = site.run("history", "--json", env=KEY).out
    done = host.run("state", "copy", "--to", "postgresql")
    assert done.code == 0, done.all
    assert "compared one by one" in done.out
    assert host.run("history", "--json").out == before
    for command in (("history",), ("status",), ("--run-now",), ("pause", "emea", "--until", "3d", "--reason", "x")):
        refused = site.run(*command, env=KEY)
        assert refused.code not in {0, 4, 5}
        assert "is no longer in use: its content was copied to PostgreSQL" in refused.err
    held = host.json("status")["instances"][0]["held_run"]["run_id"]
    assert host.run("approve", held, "--reason", "site closed").code == 0
    uploads = site.uploads("emea")
    assert host.run("--run-now", "emea").code == 0
    assert site.uploads("emea") == uploads + 1
    assert host.json("history", "emea")["runs"][0]["changes"]["removed"] > 0  # the digests came along

    before = host.run("history", "--json").out
    done = host.run("state", "copy", "--to", "sqlite")
    assert done.code == 0, done.all
    assert site.run("history", "--json", env=KEY).out == before
    assert site.run("--run-now", env=KEY).code == 0
    refused = host.run("--run-now")
    assert refused.code not in {0, 4, 5}
    assert "the state in PostgreSQL is no longer in use: it was copied to" in refused.err
    assert len(list(site.state_dir.glob("state.db.before-*"))) == 1

    after = site.run("history", "--json", env=KEY).out
    assert host.run("state", "copy", "--to", "postgresql").code == 0
    assert host.run("history", "--json").out == after
    schemas = postgresql_server.sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'licsync%'", database_of(address))
    assert schemas == "2"  # the earlier state is kept
    postgresql_server.sql(
        "DO $$ DECLARE n text; BEGIN FOR n IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 'licsync_%' LOOP"
        " EXECUTE format('DROP SCHEMA %I CASCADE', n); END LOOP; END $$",
        database_of(address),
    )


def test_new_rows_follow_the_copied_ones(host: Host, address: str) -> None:
    """Their numbers do not begin again: every table takes another row after the copy."""
    assert host.run("state", "copy", "--to", "postgresql").code == 0
    engine = connect(address, None, create=True)
    assert engine is not None
    for table in TABLES:
        next_value = (
            "SELECT nextval(pg_get_serial_sequence('licsync." + table + "', ?)) AS next, (SELECT max(rowid) FROM " + table + ") AS last"
        )
        column = {"run": "seq", "seats": "seq", "decision": "seq", "listed": "number", "set_aside": "number"}.get(table, "rowid")
        row = engine.execute(next_value, (column,)).fetchone()
        assert row["last"] is None or row["next"] > row["last"], table
    SqlStore(engine).close()


def test_refused_while_a_daemon_lives(host: Host, site: Site, address: str) -> None:
    """On this host or on another; nothing is copied."""
    running = started(site, **KEY)
    done = host.run("state", "copy", "--to", "postgresql")
    assert (done.code, f"process {running.process.pid}" in done.err) == (11, True)
    assert running.end()[0] == 0
    other = Host(site, "other", address).leads()
    done = host.run("state", "copy", "--to", "postgresql")
    assert (done.code, f"process {other.process.pid}" in done.err) == (11, True)
    assert other.end()[0] == 0


def test_refused_while_a_command_writes(host: Host, site: Site) -> None:
    """A run in progress would be lost."""
    site.box.instances["emea"].report_ready_after = float("inf")
    running = site.start("--run-now", "emea", env=KEY)
    wait_for(lambda: (run := site.last("emea")) and run.phase == "collecting")
    done = host.run("state", "copy", "--to", "postgresql")
    assert (done.code, "wait until every command has ended" in done.err) == (11, True)
    running.end()
    site.box.instances["emea"].report_ready_after = 0.0
    assert host.run("state", "copy", "--to", "postgresql").code == 0
    site.box.instances["amer"].report_ready_after = float("inf")
    running = host.start("--run-now", "amer")
    wait_for(lambda: any(run["phase"] == "collecting" for run in host.json("history", "amer")["runs"]))
    done = host.run("state", "copy", "--to", "sqlite")
    assert (done.code, f"process {running.process.pid}" in done.err) == (11, True)
    running.end()


def test_a_target_with_a_state_of_its_own_is_refused(host: Host, site: Site, address: str, tmp_path: Path) -> None:
    """Nothing is overwritten; copying the same again after a crash before the mark is not refused."""
    assert host.run("state", "copy", "--to", "postgresql").code == 0
    (site.state_dir / "state.moved").unlink()
    assert host.run("state", "copy", "--to", "postgresql").code == 0
    (site.state_dir / "state.moved").unlink()
    assert site.run("--run-now", "emea", env=KEY).code == 5
    done = host.run("state", "copy", "--to", "postgresql")
    assert (done.code, "has a state of its own" in done.all) == (2, True)
    done = host.run("state", "copy", "--to", "sqlite")
    assert (done.code, "has a state of its own" in done.all) == (2, True)
    shutil.rmtree(site.state_dir)
    assert host.run("state", "copy", "--to", "sqlite").code == 0


def test_digests_of_a_local_key_are_left_out(site: Site, address: str) -> None:
    """Compared with another key, every account would be reported as changed."""
    assert site.run("--run-now", "emea").code == 0
    host = Host(site, "state", address)
    done = host.run("state", "copy", "--to", "postgresql")
    assert (done.code, "digests of accounts were left out" in done.out) == (0, True)
    assert host.json("--run-now", "emea", "--dry-run")["instances"][0]["changes"] is None


def test_without_an_address_or_a_key(site: Site, address: str) -> None:
    """The next step is named, and nothing is changed."""
    assert site.run("--run-now", "emea").code == 0
    done = site.run("state", "copy", "--to", "postgresql", env=KEY)
    assert (done.code, "state_url" in done.all) == (2, True)
    done = site.run("state", "copy", "--to", "postgresql", env={"LICSYNC_STATE": address})
    assert (done.code, "digest_key" in done.all) == (2, True)
    assert site.run("state", "copy", "--to", "postgresql", env={**KEY, "LICSYNC_STATE_URL": address}).code == 0
