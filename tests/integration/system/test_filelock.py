"""Locks between processes, and who holds them."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from licsync_daemon.model.run import Holder
from licsync_daemon.system.filelock import FileLock, holder_from_json, holder_to_json, in_words, is_alive, read_holder, this_process
from tests.fakes import T0, a_holder

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from licsync_daemon.system.filelock import FileLock, this_process
from tests.fakes import T0

lock = FileLock.take(Path(sys.argv[1]), holder=this_process(T0))
print("held" if lock else "refused", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.lock"


def taken(path: Path, holder: Holder | None = None) -> FileLock:
    lock = FileLock.take(path, holder=holder)
    assert lock is not None
    return lock


def hold(path: Path) -> "subprocess.Popen[str]":
    """Start another process that tries to take the lock and says whether it could."""
    return subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_processes(path: Path) -> None:
    """One holds it, the other is refused and can say who has it; when the holder is killed it is free at once."""
    with hold(path) as holder:
        assert said(holder) == "held"
        assert FileLock.take(path) is None
        found = read_holder(path)
        assert found is not None
        assert (found.pid, found.host, found.since_at) == (holder.pid, socket.gethostname(), T0)
        assert is_alive(found)
        with hold(path) as other:
            assert said(other) == "refused"
            other.kill()
        holder.kill()
        holder.wait()
        assert not is_alive(found)
        lock = FileLock.take(path)
        assert lock is not None
        lock.release()


def test_a_lock_is_held_until_released(path: Path) -> None:
    """Within one process, too, a lock is taken once; after release it is free, and releasing again is harmless."""
    with taken(path) as lock:
        assert FileLock.take(path) is None
        assert FileLock.take(path, shared=True) is None
    lock.release()
    again = FileLock.take(path)
    assert again is not None
    again.release()


def test_a_shared_lock(path: Path) -> None:
    """Several may share it; alone one may have it exclusively, and then share it."""
    one, other = FileLock.take(path, shared=True), FileLock.take(path, shared=True)
    assert one is not None
    assert other is not None
    assert FileLock.take(path) is None
    one.release()
    other.release()
    lock = FileLock.take(path)
    assert lock is not None
    lock.share()
    third = FileLock.take(path, shared=True)
    assert third is not None
    third.release()
    lock.release()


def test_the_file_stays_and_is_ours_alone(path: Path) -> None:
    """A lock file is never deleted, and no other user may read or write it."""
    lock = FileLock.take(path)
    assert lock is not None
    lock.release()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_refused_try_changes_nothing(path: Path) -> None:
    """Whoever does not get the lock does not overwrite the holder."""
    with taken(path, a_holder(1)):
        assert FileLock.take(path, holder=a_holder(2)) is None
        assert read_holder(path) == a_holder(1)


def test_a_shorter_holder_replaces_a_longer_one(path: Path) -> None:
    """Nothing of an earlier holder is left behind the new one."""
    for holder in (a_holder(host="h" * 200), a_holder(host="x")):
        with taken(path, holder):
            assert read_holder(path) == holder


def test_touching_is_the_heartbeat(path: Path) -> None:
    """Touching sets the file's time to now."""
    with taken(path) as lock:
        os.utime(path, (0, 0))
        lock.touch()
        assert path.stat().st_mtime > 1_000_000_000


def test_a_symbolic_link_is_not_followed(path: Path) -> None:
    """A link at the file's path is an error, and its target is not created."""
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        FileLock.take(path)
    assert not (path.parent / "elsewhere").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}', '{"pid": 1, "since_at": "x"}', "\udcff", '"x"', "7"], ids=repr)
def test_a_holder_that_cannot_be_read(path: Path, text: str) -> None:
    """An empty or broken file names no holder."""
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_holder(path) is None


def test_no_file_holds_nobody(path: Path) -> None:
    """Reading creates nothing."""
    assert read_holder(path) is None
    assert not path.exists()


def test_a_holder_survives_json() -> None:
    """Every field comes back, also where there is no /proc."""
    for holder in (a_holder(), a_holder(boot_id=None, start_ticks=None)):
        assert holder_from_json(json.loads(json.dumps(holder_to_json(holder)))) == holder


US = this_process(T0)


@pytest.mark.parametrize(
    ("holder", "alive"),
    [
        (US, True),
        (replace(US, start_ticks=(US.start_ticks or 0) + 1), False),
        (replace(US, boot_id="another boot"), False),
        (replace(US, boot_id=None), True),
        (replace(US, boot_id=None, start_ticks=(US.start_ticks or 0) + 1), False),
        (replace(US, host="another host"), False),
        (replace(US, pid=2**22 + 1), False),
        (replace(US, start_ticks=None), True),
        (replace(US, start_ticks=None, pid=2**22 + 1), False),
        (replace(US, start_ticks=None, pid=1), True),
    ],
    ids=[
        "we",
        "pid used again",
        "another boot",
        "a confined service",
        "confined, pid used again",
        "another host",
        "gone",
        "no /proc",
        "no /proc, gone",
        "no /proc, not ours",
    ],
)
def test_who_is_alive(holder: object, alive: bool) -> None:
    """A process id alone proves nothing where more is known: its start, its boot and its host go with it."""
    assert is_alive(holder) is alive  # type: ignore[arg-type]


def test_holders_in_words() -> None:
    """A person reads who holds a lock, and since when."""
    assert in_words(a_holder(4711)) == "process 4711 on host-a since 2026-11-24 02:00:00 UTC"
    assert in_words(None) == "another process"
