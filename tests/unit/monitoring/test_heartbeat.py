"""Whether a daemon is running, from the age of its lock file."""

import os
from datetime import timedelta
from pathlib import Path

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
