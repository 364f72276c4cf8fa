"""The state directory and file: created, refused, set aside, and never silently wrong."""

import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest
import structlog

from licsync_daemon.model.errors import (
    ConfigError,
    LicsyncError,
    LockedError,
    StateError,
    StateNewerError,
    StateReplacedError,
    StateUnwritableError,
)
from licsync_daemon.model.run import Run, RunState, SeatRecord
from licsync_daemon.model.usage import UsageCounts
from licsync_daemon.state import files, migration
from licsync_daemon.state.files import Opened, open_for_reading, open_state, prepare_state_dir
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.sqlite import SqliteStore
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import FileLock, this_process
from tests.fakes import T0, a_delivery, a_run, an_ended_run
from tests.tools import skip

ROOT = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    prepare_state_dir(tmp_path / "state")
    return tmp_path / "state"


def no_sleep(seconds: float) -> None:
    raise AssertionError("nothing should have to wait")


@contextmanager
def opened(directory: Path) -> Iterator[Opened]:
    found = open_state(directory, T0, sleep=no_sleep)
    try:
        yield found
    finally:
        found.store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


RUNS = [an_ended_run(f"run{number}", started_at=T0 + timedelta(hours=number)) for number in range(40)]


@cache
def a_small_file() -> bytes:
    """Return the bytes of a small state file; made once, for every write waits for the disk."""
    with TemporaryDirectory() as name:
        directory = Path(name) / "state"
        prepare_state_dir(directory)
        with opened(directory) as state:
            for run in RUNS:
                state.store.save_run(run, T0)
            state.store.save_delivery(a_delivery())
            state.store.save_seats(SeatRecord(read_at=T0, consumed=1, purchased=2))
        return (directory / files.FILE).read_bytes()


def fill(directory: Path) -> bytes:
    """Create a small state file and return its bytes."""
    (directory / files.FILE).write_bytes(a_small_file())
    (directory / files.FILE).chmod(0o600)
    return a_small_file()


# ---------------------------------------------------------------- the directory


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_everything_is_made_for_us_alone(tmp_path: Path, umask: int) -> None:
    """Directories are 0700 and files 0600, whatever the umask."""
    before = os.umask(umask)
    try:
        prepare_state_dir(tmp_path / "a" / "state")
        with opened(tmp_path / "a" / "state") as state:
            state.store.save_run(a_run(), T0)
    finally:
        os.umask(before)
    directory = tmp_path / "a" / "state"
    assert (mode(directory), mode(directory / "locks")) == (0o700, 0o700)
    assert {path.name: mode(path) for path in directory.iterdir() if path.is_file()} == {"state.db": 0o600, "state.lock": 0o600}


def test_a_directory_that_others_may_read_is_closed(tmp_path: Path) -> None:
    """A directory of this user that others can read is set to 0700."""
    (tmp_path / "state").mkdir(mode=0o755)
    prepare_state_dir(tmp_path / "state")
    assert mode(tmp_path / "state") == 0o700


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o702], ids=oct)
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path, bits: int) -> None:
    """A directory that others can write to is refused with the command that fixes it."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(bits)
    with pytest.raises(ConfigError, match="is writable by other users") as refused:
        prepare_state_dir(tmp_path / "state")
    assert f"chmod 0700 {tmp_path / 'state'}" in refused.value.problems[0].hint
    assert mode(tmp_path / "state") == bits


def test_a_volume_of_a_group_gets_a_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The volume itself belongs to another user; the step names a folder inside it, which is 0700 as everywhere."""
    volume, me = tmp_path / "volume", os.geteuid()
    volume.mkdir()
    volume.chmod(0o2775)
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(ConfigError, match="is a volume of a group") as refused:
        prepare_state_dir(volume)
    assert str(volume / "state") in refused.value.problems[0].hint
    monkeypatch.setattr(os, "geteuid", lambda: me)
    prepare_state_dir(volume / "state")
    assert mode(volume / "state") & 0o777 == 0o700


def test_a_folder_that_kubernetes_opened_to_the_group_is_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet may do so at every start of a pod; what is open to everybody is refused, with a step that can be taken there."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o2770)
    prepare_state_dir(state)
    assert mode(state) & 0o777 == 0o700
    state.chmod(0o777)
    with pytest.raises(ConfigError, match="is writable by other users") as refused:
        prepare_state_dir(state)
    assert ("config/kubernetes/" in refused.value.problems[0].hint, "chmod" in refused.value.problems[0].hint) == (True, False)


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    """A path that cannot be a directory is a mistake of the configuration."""
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        prepare_state_dir(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    """Another user's directory is refused with the command that runs as its owner."""
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 65534, -1)
    with pytest.raises(ConfigError, match="belongs to user") as refused:
        prepare_state_dir(tmp_path / "state")
    assert refused.value.problems[0].hint == "run the command as that user: $licsync …"  # the placeholder brings `sudo -u OWNER`


def test_preparing_twice_changes_nothing(directory: Path) -> None:
    """A prepared directory is accepted as it is."""
    prepare_state_dir(directory)
    assert [path.name for path in directory.iterdir()] == ["locks"]


# ---------------------------------------------------------------- the file


def test_a_new_file_knows_nothing_and_nothing_was_set_aside(directory: Path) -> None:
    """The first start creates the file."""
    with opened(directory) as state:
        assert state.set_aside is None
        assert state.store.runs() == ()


def test_what_was_recorded_is_there_again(directory: Path) -> None:
    """A later start finds all records, without waiting."""
    fill(directory)
    with opened(directory) as state:
        assert state.set_aside is None
        assert state.store.runs(limit=99) == tuple(reversed(RUNS))


def test_an_empty_file_is_a_new_one(directory: Path) -> None:
    """A start that was killed before it wrote anything left an empty file: that is no damage."""
    (directory / files.FILE).touch()
    with opened(directory) as state:
        assert (state.set_aside, state.store.runs()) == (None, ())


def test_durability_is_set_explicitly(directory: Path) -> None:
    """Rollback journal and `synchronous=EXTRA` on the connection that writes."""
    with opened(directory) as state:
        for name, value in (("journal_mode", "delete"), ("synchronous", 3), ("foreign_keys", 1), ("busy_timeout", 5000)):
            assert tuple(state.store._db.execute(f"PRAGMA {name}").fetchone()) == (value,)


def test_a_newer_file_is_refused_and_left_byte_for_byte(directory: Path) -> None:
    """What a newer version wrote is neither read nor touched, whoever opens it."""
    fill(directory)
    db = sqlite3.connect(directory / files.FILE)
    db.execute(f"PRAGMA user_version = {migration.VERSION + 1}")
    db.close()
    before, stamp = (directory / files.FILE).read_bytes(), (directory / files.FILE).stat().st_mtime_ns
    for attempt in (lambda: open_state(directory, T0, sleep=no_sleep), lambda: open_for_reading(directory)):
        with pytest.raises(StateNewerError, match=f"version {migration.VERSION + 1}"):
            attempt()
    assert (directory / files.FILE).read_bytes() == before
    assert (directory / files.FILE).stat().st_mtime_ns == stamp
    assert sorted(path.name for path in directory.iterdir()) == ["locks", "state.db", "state.lock"]


def without_the_page_of(name: str, data: bytes) -> bytes:
    """Return a file in which the first page of a table or an index is lost; its header, its length and its schema are intact."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(data)
        (size,) = db.execute("PRAGMA page_size").fetchone()
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    return data[: (page - 1) * size] + b"\0" * size + data[page * size :]


DAMAGES = {
    "other bytes": lambda data: b"this is no database" * 100,
    "a short file": lambda data: b"x",
    "a long gap": lambda data: data[:4096] + b"\0" * (len(data) - 4096),
    "cut in half": lambda data: data[: len(data) // 2],
    "its last page lost": lambda data: data[:-4096],
    "its last byte lost": lambda data: data[:-1],
    "its header lost": lambda data: b"\0" * 100 + data[100:],
    "a table lost": lambda data: without_the_page_of("delivery", data),
    "an index lost": lambda data: without_the_page_of("one_open_run", data),
}
IN_THE_SCHEMA = {
    "a column renamed": (b"    next_step         TEXT", b"    ne8t_step         TEXT"),
    "a column's name not UTF-8": (b"    next_step         TEXT", b"    ne\xf8t_step         TEXT"),
    "a column of another type": (b"    hostname  TEXT NOT NULL", b"    hostname  TEXT NUT NULL"),
    "a table renamed": (b"TABLE confirmed_usage (", b"TABLE confirmed_usafe ("),
    "a reference to another table": (b"REFERENCES run (run_id)", b"REFERENCES ruf (run_id)"),
    "an index of other rows": (b"WHERE state IN ('running', 'delivered')", b"WHERE state IN ('2unning', 'delivered')"),
    "an index not UTF-8": (b"WHERE state IN ('running', 'delivered')", b"WHERE state IN ('\xf2unning', 'delivered')"),
}


def in_the_schema(name: str) -> Callable[[bytes], bytes]:
    """Return a damage that turns one bit in the text of a table or of an index."""
    before, after = IN_THE_SCHEMA[name]

    def damage(data: bytes) -> bytes:
        assert data.count(before) >= 1
        return data.replace(before, after)

    return damage


DAMAGES |= {name: in_the_schema(name) for name in IN_THE_SCHEMA}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_set_aside(directory: Path, damage: Callable[[bytes], bytes]) -> None:
    """A damaged file is kept for analysis, and the daemon continues with an empty state rather than a wrong one."""
    broken = damage(fill(directory))
    (directory / files.FILE).write_bytes(broken)
    with opened(directory) as state:
        assert state.set_aside == directory / "state.db.corrupt-20261124T020000.000000Z"
        assert state.set_aside.read_bytes() == broken
        assert state.store.runs() == ()
        state.store.save_run(a_run(), T0)
    with opened(directory) as state:
        assert state.set_aside is None
        assert state.store.runs() == (a_run(),)


def test_the_newest_three_damaged_files_are_kept(directory: Path) -> None:
    """A journal moves with its file, and only the latest three are kept."""
    for number in range(5):
        (directory / files.FILE).write_bytes(b"damage")
        (directory / f"{files.FILE}-journal").write_bytes(b"journal")
        files._set_aside(directory / files.FILE, T0 + timedelta(seconds=number))
    kept = sorted(path.name.removeprefix("state.db.corrupt-20261124T0200") for path in directory.glob("state.db*"))
    assert kept == [f"0{number}.000000Z{end}" for number in (2, 3, 4) for end in ("", "-journal")]


def test_a_status_reports_damage_and_leaves_it_alone(directory: Path) -> None:
    """Reading never sets anything aside."""
    (directory / files.FILE).write_bytes(b"damage" * 100)
    with pytest.raises(StateError, match="is damaged; the daemon sets it aside"):
        open_for_reading(directory)
    assert sorted(path.name for path in directory.iterdir()) == ["locks", "state.db"]


@pytest.mark.parametrize("name", IN_THE_SCHEMA)
def test_a_status_reports_a_damaged_schema(directory: Path, name: str) -> None:
    """A name in the schema that a bit changed is damage, not an error of the disk or of the program."""
    (directory / files.FILE).write_bytes(in_the_schema(name)(fill(directory)))
    with pytest.raises(StateError, match="is damaged; the daemon sets it aside"):
        open_for_reading(directory)


def outcome(directory: Path, *, read_only: bool = False) -> tuple[Run, ...] | None:
    """Open a file that may be damaged and read everything; None where that was refused, or the file or a run in it was set aside."""
    try:
        if read_only:
            store = open_for_reading(directory)
            assert store is not None
            set_aside = None
        else:
            state = open_state(directory, T0, sleep=no_sleep)
            store, set_aside = state.store, state.set_aside
    except LicsyncError:
        return None
    try:
        runs = store.runs(limit=99)
        for run in runs:
            store.transitions(run.run_id)
        store.open_run("emea")
        store.deliveries("emea")
        store.seats()
        if not read_only:
            store.save_run(an_ended_run("new", RunState.FAILED), T0)
        if rows_set_aside(store):
            return None
    except LicsyncError:
        return None
    finally:
        store.close()
    return None if set_aside else runs


def rows_set_aside(store: SqliteStore) -> list[str]:
    """Return the tables from which rows were set aside."""
    if not store._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'set_aside'").fetchall():
        return []
    return [row["origin"] for row in store._db.execute("SELECT origin FROM set_aside ORDER BY number")]


def reset(directory: Path, data: bytes) -> None:
    for path in directory.glob("state.db*"):
        path.unlink()
    (directory / files.FILE).write_bytes(data)


@pytest.mark.parametrize("read_only", [False, True], ids=["daemon", "status"])
def test_no_cut_is_taken_for_a_shorter_history(directory: Path, read_only: bool) -> None:
    """A file truncated anywhere is refused or set aside; no part of it is ever taken for the whole."""
    data = fill(directory)
    for end in [*range(1, 600, 97), *range(1024, len(data), 3072), len(data) - 1]:
        reset(directory, data[:end])
        assert outcome(directory, read_only=read_only) is None, end


@pytest.mark.parametrize("read_only", [False, True], ids=["daemon", "status"])
def test_flipped_bits_raise_nothing_but_our_errors(directory: Path, read_only: bool) -> None:
    """Whatever bits turn, nothing but our own errors comes out, and no run is lost: its text at most reads differently."""
    data = fill(directory)
    dice = random.Random(7)
    places = [*range(0, 100, 3), *(dice.randrange(len(data)) for _ in range(60))]
    for place in places:
        broken = bytearray(data)
        broken[place] ^= 1 << dice.randrange(8)
        reset(directory, bytes(broken))
        runs = outcome(directory, read_only=read_only)
        assert runs is None or len(runs) == len(RUNS), place


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("run", "state", "confused"),
        ("run", "trigger", "nobody"),
        ("run", "started_at", "soon"),
        ("run", "notices", "{"),
        ("run", "notices", '[["x"]]'),
        ("run", "holder", "[1]"),
        ("run", "code", "no_such_code"),
        ("delivery", "outcome", "lost"),
        ("delivery", "opened_at", "soon"),
        ("transition", "state", "confused"),
        ("seats", "read_at", ""),
        ("run", "started_at", "1-01-01T00:00:00.000000Z"),
        ("run", "started_at", "2026-11-24T02:00:00.000000"),
        ("run", "notices", '[["late", 5]]'),
        ("run", "tripped", '[["shrunk_usage", "fewer", "5", 1, ""]]'),
        ("run", "changes", '{"added": "many"}'),
        ("run", "cause", b"\xff\xfe"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True], ids=["daemon", "status"])
def test_an_unreadable_row_is_set_aside(directory: Path, read_only: bool, table: str, column: str, value: str | bytes) -> None:
    """One damaged row is moved away with an error in the log; every other row is read, and the state can be written."""
    fill(directory)
    db = sqlite3.connect(directory / files.FILE)
    numbers = [number for (number,) in db.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
    db.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = ?", (value, numbers[-1]))
    db.commit()
    db.close()
    before = (directory / files.FILE).read_bytes()
    store = open_for_reading(directory) if read_only else open_state(directory, T0, sleep=no_sleep).store
    assert store is not None
    with structlog.testing.capture_logs() as logged:
        found = (store.runs(limit=99), store.deliveries("emea"), store.transitions("run39"), store.seats())
        found = (store.runs(limit=99), store.deliveries("emea"), store.transitions("run39"), store.seats())
    assert rows_set_aside(store) == [table]
    assert [(one["event"], one["table"], one["log_level"]) for one in logged] == [("state.rows_set_aside", table, "critical")]
    assert len(found[0]) == len(RUNS) - (table == "run")
    if not read_only:
        store.save_run(an_ended_run("new", RunState.FAILED), T0)
    store.close()
    assert not read_only or (directory / files.FILE).read_bytes() == before


def test_an_older_run_takes_the_place_of_an_unreadable_one(directory: Path) -> None:
    """The guards compare with the newest good run that can be read: damage must not look like "no earlier run"."""
    store = open_state(directory, T0, sleep=no_sleep).store
    for number in (1, 2):
        run = replace(an_ended_run(f"run{number}", RunState.CONFIRMED), collected_at=T0, counts=UsageCounts(rows=60, sent=60))
        store.save_run(run, T0)
    store._db.execute("UPDATE run SET started_at = '1-01-01T00:00:00.000000Z' WHERE run_id = 'run2'")
    last = store.last_run("emea", good=True, counted=True)
    assert last is not None
    assert last.run_id == "run1"
    store.close()


def test_a_symbolic_link_is_not_followed(directory: Path, tmp_path: Path) -> None:
    """A link at the file's path is refused, and its target is not changed."""
    fill(directory)
    elsewhere = tmp_path / "elsewhere.db"
    (directory / files.FILE).rename(elsewhere)
    before = elsewhere.read_bytes()
    (directory / files.FILE).symlink_to(elsewhere)
    for attempt in (lambda: open_state(directory, T0, sleep=no_sleep), lambda: open_for_reading(directory)):
        with pytest.raises(StateUnwritableError, match="symbolic link"):
            attempt()
    assert elsewhere.read_bytes() == before


def test_a_link_in_the_locks_place_is_not_followed(directory: Path, tmp_path: Path) -> None:
    """The lock file is no way to write elsewhere either."""
    (directory / "state.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateUnwritableError):
        open_state(directory, T0, sleep=no_sleep)
    assert not (tmp_path / "elsewhere").exists()


# ---------------------------------------------------------------- together with others


def test_several_processes_may_have_a_good_file_open(directory: Path) -> None:
    """A sound file is opened beside others without waiting."""
    with opened(directory) as one, opened(directory) as other:
        one.store.save_run(a_run(), T0)
        assert other.store.run("run1") == a_run()


@pytest.mark.parametrize("kind", ["missing", "damaged"])
def test_making_the_file_waits_5_seconds_for_the_others(directory: Path, kind: str) -> None:
    """Creating and setting aside require exclusive access; after five seconds the holder is named."""
    if kind == "damaged":
        (directory / files.FILE).write_bytes(b"damage" * 100)
    slept: list[float] = []
    lock = FileLock.take(directory / "state.lock", holder=this_process(T0))
    assert lock is not None
    lock.share()
    with lock, pytest.raises(LockedError) as refused:
        open_state(directory, T0, sleep=slept.append)
    assert sum(slept) == pytest.approx(files.LOCK_WAIT_S)
    assert refused.value.holder == "this process"
    assert not list(directory.glob("*.corrupt-*"))


def test_a_daemon_that_keeps_the_file_open_is_named_and_to_be_restarted(directory: Path) -> None:
    """An older daemon beside a newer command: the living holder is named, and what to do about it."""
    sqlite3.connect(directory / files.FILE).execute("PRAGMA user_version=1").connection.close()
    daemon = FileLeases(directory, SystemClock()).daemon()
    with daemon, FileLock.take(directory / "state.lock", shared=True) or pytest.fail("it is free"), pytest.raises(LockedError) as refused:
        open_state(directory, T0, sleep=lambda seconds: None)
    assert "is held by this process" in str(refused.value)
    assert "restart the daemon" in str(refused.value)


def swapped(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(path.with_name("elsewhere").read_bytes())


def other_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=1")


CHANGES: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "nothing": (lambda path: None, None),
    "touched": (lambda path: path.touch(), None),
    "deleted": (lambda path: path.unlink(), "was deleted or moved"),
    "moved": (lambda path: path.rename(path.with_name("elsewhere")), "was deleted or moved"),
    "replaced by a copy": (swapped, "was replaced by another file"),
    "overwritten by an earlier version": (other_version, "was replaced by one of another version"),
    "overwritten by junk": (lambda path: path.write_bytes(b"junk" * 5000), "is damaged"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_not_the_open_one_any_more_is_noticed(directory: Path, change: str) -> None:
    """Whatever was done to it: what is written into the open one would be lost."""
    do, told = CHANGES[change]
    with opened(directory) as state:
        state.store.save_run(a_run(), T0)
        state.store.check_file()
        do(directory / files.FILE)
        if told is None:
            state.store.check_file()
        else:
            with pytest.raises(StateReplacedError, match=told):
                state.store.check_file()


@pytest.mark.parametrize("change", ["deleted", "moved", "replaced by a copy"])
def test_nothing_is_written_to_a_file_that_is_not_at_its_path_any_more(directory: Path, change: str) -> None:
    """What is sent is recorded durably before, so a write that nobody could read again is an error, and stays one."""
    do, told = CHANGES[change]
    with opened(directory) as state:
        state.store.save_run(a_run(), T0)
        do(directory / files.FILE)
        for _ in range(3):
            with pytest.raises(StateReplacedError, match=told):
                state.store.save_run(a_run(), T0)
            fault = state.store.write_fault(try_it=True)
            assert fault is not None
            assert told is not None
            assert told in fault


def test_making_the_file_goes_on_when_the_others_leave(directory: Path) -> None:
    """A waiting process gets the lock as soon as it is free."""
    lock = FileLock.take(directory / "state.lock", shared=True)
    assert lock is not None
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            lock.release()

    open_state(directory, T0, sleep=sleep).store.close()
    assert len(slept) == 3


def test_an_open_store_keeps_others_from_setting_it_aside(directory: Path) -> None:
    """While the file is open, another process that finds it damaged waits and leaves it in place."""
    with opened(directory) as state:
        state.store.save_run(a_run(), T0)
        damage = (directory / files.FILE).read_bytes()[:5000]
        saved = (directory / files.FILE).read_bytes()
        (directory / files.FILE).write_bytes(damage)
        with pytest.raises(LockedError):
            open_state(directory, T0, sleep=lambda seconds: None)
        (directory / files.FILE).write_bytes(saved)
        assert state.store.run("run1") == a_run()


def test_closing_gives_the_lock_back(directory: Path) -> None:
    """After closing, others may create or set aside."""
    with opened(directory):
        assert FileLock.take(directory / "state.lock") is None
    lock = FileLock.take(directory / "state.lock")
    assert lock is not None
    lock.release()


# ---------------------------------------------------------------- reading only


def test_reading_creates_nothing(directory: Path) -> None:
    """Where there is no file, there is none afterwards either."""
    assert open_for_reading(directory) is None
    assert [path.name for path in directory.iterdir()] == ["locks"]
    assert open_for_reading(directory / "nowhere") is None


def test_a_state_file_that_is_just_being_created_is_no_damage(directory: Path) -> None:
    """Between the creation of the file and its first transaction it is empty: nothing is known yet, and nothing is wrong."""
    (directory / "state.db").touch(mode=0o600)

    assert open_for_reading(directory) is None


def test_reading_changes_nothing(directory: Path) -> None:
    """A reader sees everything, writes nothing, takes no lock, and cannot write by mistake."""
    before = fill(directory)
    listing = sorted((path.name, path.stat().st_mtime_ns) for path in directory.iterdir())
    lock = FileLock.take(directory / "state.lock")
    assert lock is not None
    with lock:
        store = open_for_reading(directory)
        assert store is not None
        assert store.runs(limit=99) == tuple(reversed(RUNS))
        with pytest.raises(StateUnwritableError):
            store.save_run(a_run("another"), T0)
        store.close()
    assert (directory / files.FILE).read_bytes() == before
    assert sorted((path.name, path.stat().st_mtime_ns) for path in directory.iterdir() if path.name != "state.lock") == [
        one for one in listing if one[0] != "state.lock"
    ]


# ---------------------------------------------------------------- disks that refuse


FULL_DISK = """
import json, resource, sys
from datetime import datetime
from pathlib import Path
from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.state.files import open_state
from tests.fakes import T0, a_run, an_ended_run

directory = Path(sys.argv[1])
store = open_state(directory, T0).store
limit = (directory / "state.db").stat().st_size + 1024
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
saved = 0
try:
    for number in range(1000):
        store.save_run(an_ended_run(f"more{number}", cause="x" * 500), T0)
        saved += 1
except StateUnwritableError as error:
    print(json.dumps([saved, len(store.runs(limit=9999)), store.run(f"more{saved}") is None]))
store.close()
"""


def test_a_full_disk_keeps_what_was_there(directory: Path) -> None:
    """A write that finds no room changes nothing, and everything before it stays readable, then and later."""
    fill(directory)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(directory)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    saved, there, gone = json.loads(done.stdout)
    assert done.stderr == ""
    assert there == len(RUNS) + saved
    assert gone
    with opened(directory) as state:
        assert state.set_aside is None
        assert len(state.store.runs(limit=9999)) == there


READ_ONLY = """
import os, sys
from pathlib import Path
from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.state import migration
from licsync_daemon.state.files import open_for_reading, open_state
from tests.fakes import T0

migration._expected(migration.VERSION)  # reads files of the program, which the other user may not
os.setuid(65534)
directory = Path(sys.argv[1])
try:
    open_state(directory, T0)
except StateUnwritableError as error:
    print("refused")
print(len(open_for_reading(directory).runs(limit=99)))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_one_cannot_write_is_our_error(directory: Path) -> None:
    """Another user can read a shared state but not write it, and gets this program's own error."""
    fill(directory)
    for parent in [directory, *directory.parents]:
        if parent == Path(gettempdir()):
            break
        parent.chmod(mode(parent) | 0o055)
    (directory / files.FILE).chmod(0o644)
    done = subprocess.run([sys.executable, "-c", READ_ONLY, str(directory)], capture_output=True, text=True, check=False, cwd=ROOT)
    if "Permission" in done.stderr and "licsync_daemon" not in done.stdout + done.stderr:
        skip("other users cannot read the program's own folder")
    assert done.stdout.split() == ["refused", str(len(RUNS))], done.stderr
