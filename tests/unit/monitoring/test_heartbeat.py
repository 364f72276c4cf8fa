"""Whether a daemon is running, from the age of its lock file."""

import errno
import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from licsync_daemon.monitoring.heartbeat import ALIVE_FOR, daemon_view
from licsync_daemon.system.filelock import FileLock, this_process
from tests.fakes import T0

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
AGES = {
    "just now": (timedelta(0), True),
    "three heartbeats ago": (ALIVE_FOR, True),
    "longer ago": (ALIVE_FOR + SECOND, False),
    "a day ago": (DAY, False),
    "slightly in the future": (-ALIVE_FOR, True),
    "far in the future": (-ALIVE_FOR - SECOND, False),
}


def test_a_daemon_without_recent_heartbeats_is_not_alive(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Its process may exist and hang, so the age of the lock file counts; a time in the future is as bad as an old one."""
    path = tmp_path / "daemon.lock"
    holder = this_process(T0 - DAY)
    lock = FileLock.take(path, holder=holder)
    assert lock is not None
    with lock:
        for name, (age, alive) in AGES.items():
            with subtests.test(name):
                beat = (T0 - age).timestamp()
                os.utime(path, (beat, beat))
                view = daemon_view(tmp_path, T0)
                assert (view.alive, view.heartbeat_at, view.holder) == (alive, T0 - age, holder)


def test_a_daemon_without_room_for_its_name_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the lock file stays empty; its heartbeat still counts. A named holder that has ended does not."""

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", no_room)
        lock = FileLock.take(tmp_path / "daemon.lock", holder=this_process(T0))
    assert lock is not None
    assert lock.unnamed_because is not None
    with lock:
        os.utime(tmp_path / "daemon.lock", (T0.timestamp(), T0.timestamp()))
        assert daemon_view(tmp_path, T0).alive
        assert not daemon_view(tmp_path, T0 + DAY).alive


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"f_flag": os.ST_RDONLY}, "read-only"),
        ({"f_bavail": 0}, "no space"),
        ({"f_favail": 0}, "no inodes"),
        ({"f_blocks": 0, "f_bavail": 0, "f_files": 0, "f_favail": 0}, None),  # a file system that counts nothing
    ],
)
def test_status_sees_that_the_state_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], fault: str | None
) -> None:
    """Without writing: from what the file system says of itself."""
    usual = {"f_flag": 0, "f_blocks": 100, "f_bavail": 10, "f_files": 100, "f_favail": 10}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**(usual | changes)))
    assert (fault or "") in (daemon_view(tmp_path, T0).state_fault or "")
    assert (fault is None) == (daemon_view(tmp_path, T0).state_fault is None)
