"""A state that is damaged, newer, or cannot be written: nothing wrong is believed, nothing is lost, nothing is sent blindly."""

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from licsync_daemon.model.run import RunState
from tests.acceptance.support import Site, started, wait_for
from tests.tools import unshare

# Starts a command that can make no file larger than so many bytes; its output goes through a pipe, which has no such limit.
LIMITED = """
import os, resource, subprocess, signal, sys
size = int(sys.argv[1])
limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # Python would leave behind compiled files that are cut off
with subprocess.Popen(sys.argv[2:], preexec_fn=limit, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as command:
    signal.signal(signal.SIGTERM, lambda number, _: command.send_signal(number))
    for line in command.stderr:
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
    sys.stdout.buffer.write(command.stdout.read())
sys.exit(command.returncode)
"""


def full_disk(size: int) -> list[str]:
    """Return a program that starts a command on a disk with room for files of `size` bytes."""
    return [sys.executable, "-c", LIMITED, str(size)]


@pytest.fixture
def used(site: Site) -> Site:
    """A site that has synced once."""
    assert site.run("--run-now").code == 0
    site.box.requests.clear()
    return site


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database " * 400)


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _zeros_inside(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))


def _foreign(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (x)")
    db.close()


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = pytest.mark.parametrize(
    "damage", [_garbage, _cut, _zeros_inside, _foreign, _emptied], ids=["garbage", "cut", "zeros_inside", "another_programs", "emptied"]
)


@DAMAGES
def test_a_damaged_file_is_set_aside_loudly(used: Site, damage: Callable[[Path], None]) -> None:
    """The run works on a new state, the old file is kept beside it unchanged, and the log says so at its highest level."""
    path = used.state_dir / "state.db"
    damage(path)
    before = path.read_bytes()

    done = used.run("--run-now", "--json")

    assert done.code == 0, done.err
    (aside,) = used.state_dir.glob("state.db.corrupt-*")
    assert aside.read_bytes() == before
    (event,) = [line for line in map(json.loads, done.err.splitlines()) if line["event"] == "state.set_aside"]
    assert (event["level"], event["code"]) == ("critical", "state_damaged")
    assert event["set_aside"] == str(aside)
    assert len(json.loads(used.run("history", "--json").out)["runs"]) == 2


@DAMAGES
def test_a_look_at_a_damaged_file_leaves_it_alone(used: Site, damage: Callable[[Path], None]) -> None:
    """Status and history report the damage, exit 1, and change nothing."""
    path = used.state_dir / "state.db"
    damage(path)
    before = {one: one.read_bytes() for one in used.state_dir.iterdir() if one.is_file()}

    for arguments in (["status"], ["status", "--json"], ["history"]):
        done = used.run(*arguments)

        assert done.code == 1
        assert f"the state file {path} is damaged" in done.err
        assert "Traceback" not in done.err
    assert {one: one.read_bytes() for one in used.state_dir.iterdir() if one.is_file()} == before


def test_a_decision_sets_a_damaged_file_aside_as_loudly(used: Site) -> None:
    """A person who approves hears as well that everything was forgotten, and with it the run that was held."""
    _garbage(used.state_dir / "state.db")
    done = used.run("approve", "0123456789ab", "--reason", "x")
    assert (done.code, "no such run is recorded" in done.err) == (2, True)
    assert '"state.set_aside"' in done.err


def test_only_the_newest_three_damaged_files_are_kept(used: Site) -> None:
    """Five damages leave three files aside, the newest ones."""
    for number in range(5):
        (used.state_dir / "state.db").write_bytes(f"damage {number}".encode() * 100)
        assert used.run("--run-now", "nowhere").code == 2  # not even opened for a mistake in the command
        assert used.run("--run-now", "emea", "--wait", "0s").code in {0, 6}

    aside = sorted(used.state_dir.glob("state.db.corrupt-*"))
    assert [one.read_bytes()[:8].decode() for one in aside] == ["damage 2", "damage 3", "damage 4"]


@pytest.mark.parametrize("arguments", [["--run-now"], [], ["status"], ["history"]], ids=["run_now", "daemon", "status", "history"])
def test_a_newer_state_is_left_untouched(used: Site, arguments: list[str]) -> None:
    """A file of a newer version stops every command with 2; not a byte of it changes and nothing is asked of anybody."""
    path = used.state_dir / "state.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()

    done = used.run(*arguments)

    assert done.code == 2
    assert "has version 99" in done.err
    assert "Traceback" not in done.err
    assert path.read_bytes() == before
    assert list(used.box.requests) == []


def test_modes(used: Site) -> None:
    """The directory is 0700 and every file in it 0600."""
    assert stat.S_IMODE(used.state_dir.stat().st_mode) == 0o700
    for path in used.state_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_state_directory_others_may_write_is_refused(used: Site) -> None:
    """The line that repairs it is given."""
    used.state_dir.chmod(0o770)

    done = used.run("--run-now")

    assert done.code == 2
    assert f"run: chmod 0700 {used.state_dir}" in done.err


def test_a_link_in_place_of_the_state_is_not_followed(used: Site, tmp_path: Path) -> None:
    """A symbolic link at the file's place is refused, and where it points nothing is written."""
    path, victim = used.state_dir / "state.db", tmp_path / "victim"
    shutil.move(path, victim)
    path.symlink_to(victim)
    before = victim.read_bytes()

    done = used.run("--run-now")

    assert done.code == 4
    assert "state_unwritable" in done.err
    assert victim.read_bytes() == before


@pytest.mark.parametrize("size", [1, 4096], ids=["not_a_byte", "too_little_for_a_transaction"])
def test_a_full_disk(used: Site, size: int) -> None:
    """An instance whose start cannot be recorded fails before its first request; the record of before stands."""
    before = (used.state_dir / "state.db").read_bytes()

    running = used.start("--run-now", before=full_disk(size))

    assert running.wait() == 4
    assert "state_unwritable" in running.out + running.err
    assert "Traceback" not in running.err
    assert list(used.box.requests) == []
    assert (used.state_dir / "state.db").read_bytes() == before
    assert used.run("--run-now").code == 0


def test_a_full_disk_from_the_start(site: Site) -> None:
    """Where not even the state file can be made, nothing is read and nothing is sent."""
    running = site.start("--run-now", before=full_disk(1))

    assert running.wait() == 4
    assert "state_unwritable" in running.err
    assert list(site.box.requests) == []
    assert site.run("--run-now").code == 0


@pytest.fixture
def read_only(used: Site) -> list[str]:
    """A program that starts a command where the state directory is on a read-only file system."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    return [*unshare("-m"), "sh", "-c", script, str(used.state_dir)]


def test_a_read_only_file_system(used: Site, read_only: list[str]) -> None:
    """`--run-now` fails as state_unwritable before any request; status still shows what is known."""
    running = used.start("--run-now", before=read_only)
    assert running.wait() == 4
    assert "state_unwritable" in running.out + running.err
    assert "Traceback" not in running.err
    assert list(used.box.requests) == []

    looking = used.start("status", before=read_only)
    assert looking.wait() == 0
    assert "confirmed" in looking.out


def test_a_daemon_on_a_full_disk_goes_on(site: Site) -> None:
    """A daemon that cannot write stays up, says so, asks nothing of anybody, and ends with 0."""
    site.make_due("emea")
    running = site.start(before=full_disk(4096))
    wait_for(lambda: "state_unwritable" in running.err)
    assert running.process.poll() is None

    code, seconds = running.end()

    assert code == 0, running.err
    assert seconds < 10
    assert "Traceback" not in running.err
    assert list(site.box.requests) == []


def test_a_daemon_that_cannot_even_lock_goes_on(used: Site) -> None:
    """Not a byte of room at the start is no reason to end for good: the daemon stays, and is there when the room is."""
    running = used.start(before=full_disk(0))
    wait_for(lambda: "daemon.state_unusable" in running.err)
    assert running.process.poll() is None

    code, seconds = running.end()

    assert (code, seconds < 10) == (0, True), running.err
    assert "Traceback" not in running.err


def test_a_daemon_on_a_read_only_file_system_goes_on(used: Site, read_only: list[str]) -> None:
    """A state directory that has become read-only is told, not died of."""
    running = used.start(before=read_only)
    wait_for(lambda: "daemon.state_unusable" in running.err)
    assert running.process.poll() is None

    code, _ = running.end()

    assert code == 0, running.err
    assert "Traceback" not in running.err


def test_a_state_directory_that_others_may_write_by_now_does_not_end_the_daemon(used: Site) -> None:
    """It was replaced under the daemon by one with wrong permissions: told, and used again once they are right."""
    running = started(used, WATCHDOG_USEC="1000000")
    shutil.rmtree(used.state_dir)
    used.state_dir.mkdir()
    used.state_dir.chmod(0o777)
    wait_for(lambda: "is writable by other users" in running.err)
    assert running.process.poll() is None
    code, _ = running.end()
    assert code == 0, running.err
    assert "Traceback" not in running.err


@pytest.mark.parametrize("how", ["deleted", "a restored backup", "the lock deleted", "the directory deleted"])
def test_a_state_file_that_is_replaced_under_the_daemon_is_opened_again(used: Site, how: str) -> None:
    """The next heartbeat notices; people are told; the daemon goes on with what is there, and records its runs in it."""
    state = used.state_dir / "state.db"
    running = started(used, WATCHDOG_USEC="1000000")
    if how == "a restored backup":
        shutil.copy(state, backup := state.with_name("backup"))
        backup.rename(state)
    elif how == "the directory deleted":
        shutil.rmtree(used.state_dir)
    else:
        (state if how == "deleted" else used.state_dir / "daemon.lock").unlink()
    wait_for(lambda: running.err.count("daemon.started") == 2)

    assert "state_unwritable" in running.err
    assert "replaced" in running.err or "deleted" in running.err
    assert used.run("--run-now").code == 0
    last = used.last("emea")
    assert last is not None
    assert last.state is RunState.CONFIRMED
    assert used.run("status", "--alive").code == 0
    code, _ = running.end()
    assert code == 0, running.err
    assert "Traceback" not in running.err


def test_a_process_that_died_while_writing_is_told_as_what_it_is(used: Site) -> None:
    """A reader may not undo what a writer left half done: `status` says so, and the next `--run-now` puts it right."""
    state = used.state_dir / "state.db"
    script = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('PRAGMA cache_size=1'); "
        "db.execute('BEGIN IMMEDIATE'); db.execute('CREATE TABLE filler (x)'); "
        "db.executemany('INSERT INTO filler VALUES (?)', [('x' * 900,)] * 2000); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, state], check=False).returncode == 9
    assert state.with_name("state.db-journal").exists()

    looking = used.run("status")

    assert looking.code == 1
    assert "died while writing" in looking.err
    assert used.run("--run-now").code == 0
    assert "confirmed" in used.run("status").out
