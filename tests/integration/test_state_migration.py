"""A state file of an earlier version is migrated completely, with all its data."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, StateError, StateUnwritableError
from licsync_daemon.model.run import DeliveryOutcome, RunState
from licsync_daemon.model.usage import UsageCounts
from licsync_daemon.rules.digests import pack
from licsync_daemon.state import files, migration
from licsync_daemon.state.files import open_for_reading, open_state, prepare_state_dir
from tests.fakes import T0, a_decision, a_run

SAMPLE = Path(__file__).parents[1] / "samples" / "state" / "state-1.db"  # written by the program as version 1 was
WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    prepare_state_dir(tmp_path / "state")
    shutil.copy(SAMPLE, tmp_path / "state" / files.FILE)
    return tmp_path / "state"


def version(directory: Path) -> int:
    db = sqlite3.connect(directory / files.FILE)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def test_everything_of_version_1_is_there_afterwards(directory: Path) -> None:
    """Runs, transitions, deliveries, the instance and the seats survive; what version 1 did not know is empty."""
    assert version(directory) == 1
    opened = open_state(directory, T0)
    store = opened.store
    assert opened.set_aside is None
    delivered, failed, confirmed = store.runs("emea")
    assert [run.run_id[-2:] for run in (delivered, failed, confirmed)] == ["a3", "a2", "a1"]
    assert (confirmed.state, confirmed.slot, confirmed.last_sync) == (RunState.CONFIRMED, T0 - WEEK, T0 - WEEK)
    assert confirmed.counts == UsageCounts(rows=3, sent=2, suspended=1, total_users=3, seats_used=2)
    assert (failed.code, failed.retry_not_before) == (Code.RATE_LIMITED, T0 + 60 * MINUTE)
    assert failed.notices[0].code is Code.REPORT_UNUSABLE_ROWS
    assert [(one.tripped, one.changes, one.failures, one.permanent) for one in (delivered, failed, confirmed)] == [((), None, 0, False)] * 3
    assert [one.state for one in store.transitions("0000000000a1")] == [RunState.RUNNING, RunState.CONFIRMED]
    assert [one.outcome for one in store.deliveries("emea")] == [DeliveryOutcome.CONFIRMED, None]
    assert store.open_run("emea") == delivered
    known = store.instance("emea")
    assert known is not None
    assert (known.last_sync, known.retired_at) == (T0 - WEEK, None)
    assert store.seats() is not None
    assert (store.decisions(), store.held_run("emea"), store.confirmed_digests("emea")) == ((), None, None)
    store.close()
    assert version(directory) == migration.VERSION


def test_a_migrated_file_works_like_a_new_one(directory: Path) -> None:
    """It has the same tables and indexes as a new file, and stores new data: a held run, a decision, digests."""
    store = open_state(directory, T0).store
    store.save_run(a_run("held", state=RunState.HELD), T0)
    assert store.save_decision(a_decision())
    store.stage_digests("emea", "key2", pack(()))
    assert store.approval("held") == a_decision()
    with pytest.raises(StateUnwritableError):
        store.save_run(a_run("second", state=RunState.HELD), T0)
    store.close()
    fresh = directory.parent / "fresh"
    prepare_state_dir(fresh)
    open_state(fresh, T0).store.close()
    assert shape(directory) == shape(fresh)


def shape(directory: Path) -> list[tuple[str, str]]:
    """Return the columns of every table and the text of every index."""
    db = sqlite3.connect(directory / files.FILE)
    try:
        names = db.execute("SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1").fetchall()
        tables = [name.split()[1] for name, _ in names if name.startswith("table")]
        columns = [(table, repr(db.execute(f"PRAGMA table_info({table})").fetchall())) for table in tables]
        return columns + [(name, sql) for name, sql in names if name.startswith("index")]
    finally:
        db.close()


def test_status_reads_no_older_file_and_leaves_it_alone(directory: Path) -> None:
    """Only a writer migrates; a reader reports it."""
    before = (directory / files.FILE).read_bytes()
    with pytest.raises(StateError, match="earlier version; restart the daemon, which migrates it"):
        open_for_reading(directory)
    assert (directory / files.FILE).read_bytes() == before


def test_a_migration_that_fails_leaves_the_old_version_whole(directory: Path) -> None:
    """One version is one transaction: what cannot be finished is not begun."""
    db = sqlite3.connect(directory / files.FILE)
    db.execute("CREATE TABLE digest (in_the_way TEXT)")  # near the end of the way to version 2
    db.commit()
    db.close()
    with pytest.raises(StateUnwritableError):
        open_state(directory, T0)
    assert version(directory) == 1
    db = sqlite3.connect(directory / files.FILE)
    assert db.execute("SELECT count(*) FROM run").fetchone() == (3,)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('decision', 'one_held_run')").fetchone() == (0,)
    db.execute("DROP TABLE digest")
    db.commit()
    db.close()
    store = open_state(directory, T0).store
    assert len(store.runs()) == 3
    store.close()
    assert version(directory) == migration.VERSION


def test_a_new_file_is_never_seen_half_made(directory: Path) -> None:
    """A file that fails on its way to our version has none of the tables, so that `status` takes it for one that is being made."""
    path = directory / files.FILE
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE digest (in_the_way TEXT)")
    db.commit()
    with closing(sqlite3.connect(path, isolation_level=None)) as other, pytest.raises(sqlite3.OperationalError):
        migration.migrate(other)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("digest",)]
    db.close()
