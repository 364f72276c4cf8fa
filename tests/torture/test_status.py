"""`status` reads the state while others write it, and waits for nobody."""

import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.run import RunState
from licsync_daemon.monitoring.heartbeat import DaemonView
from licsync_daemon.monitoring.status import FleetView, fleet_view
from licsync_daemon.state.files import open_for_reading
from tests.fakes import a_config, a_run, an_ended_run
from tests.torture.desk import EMEA, at_a_desk
from tests.torture.lasting_world import NOON, QuickClock

WAITS_AT_MOST_S = 0.1
HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(f"BEGIN {sys.argv[2]}")
db.execute("UPDATE run SET phase = 'half written'")
print("held", flush=True)
sys.stdin.read()
"""
KEEP = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from licsync_daemon.system.filelock import FileLock, this_process
lock = FileLock.take(Path(sys.argv[1]), holder=this_process(datetime.now(UTC)))
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def writer(state_dir: Path, kind: str) -> Iterator[None]:
    """Let another process be in the middle of a transaction."""
    command = [sys.executable, "-c", HOLD, str(state_dir / "state.db"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 10)
        assert ready
        process.stdout.readline()
        yield
        process.kill()


def look(state_dir: Path) -> FleetView:
    """Do what `status` does, without the start of Python."""
    store = open_for_reading(state_dir)
    assert store is not None
    try:
        daemon = DaemonView(alive=False, holder=None, heartbeat_at=None)
        return fleet_view(a_config(EMEA), store, NOON, daemon, lambda _: True)
    finally:
        store.close()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state with the runs of four hundred weeks, and one that is going on."""
    with at_a_desk(tmp_path, QuickClock(NOON)) as desk:
        store = desk.opened.store
        for number in range(400):
            at = NOON - timedelta(days=number % 390, hours=1)
            store.save_run(an_ended_run(f"run-{number}", started_at=at, ended_at=at), at)
        store.save_run(a_run("now", state=RunState.RUNNING, started_at=NOON), NOON)
    return tmp_path / "state"


def test_it_does_not_wait_for_a_writer(state_dir: Path) -> None:
    """A transaction that is being written (but not yet committed) neither holds it up nor shows."""
    with writer(state_dir, "IMMEDIATE"):
        times = []
        for _ in range(20):
            began = time.perf_counter()
            view = look(state_dir)
            times.append(time.perf_counter() - began)

    print(f"a look at the state: median {statistics.median(times) * 1000:.1f} ms, slowest {max(times) * 1000:.1f} ms")
    assert statistics.median(times) < WAITS_AT_MOST_S
    run = view.instances[0].run
    assert run is not None
    assert run.phase != "half written"


def test_it_does_not_wait_for_a_commit_that_hangs(state_dir: Path) -> None:
    """While the whole file is locked (a commit on a disk that hangs) it says so at once instead of waiting for the end of it."""
    with writer(state_dir, "EXCLUSIVE"):
        began = time.perf_counter()
        with pytest.raises(StateUnwritableError, match="locked"):
            look(state_dir)
        took_s = time.perf_counter() - began

    print(f"the state is locked: told after {took_s * 1000:.0f} ms")
    assert took_s < 2 * WAITS_AT_MOST_S  # one tenth of a second, and room for a busy machine
    assert look(state_dir).instances[0].run is not None  # the killed writer's transaction is rolled back


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """SIGKILL frees the instance and the state at once, in the middle of a transaction as well."""
    with at_a_desk(tmp_path, QuickClock(NOON)) as desk:
        reading, writing = os.pipe()
        lock = str(tmp_path / "state" / "locks" / "emea.lock")
        child = subprocess.Popen([sys.executable, "-c", KEEP, lock], stdout=writing)
        os.close(writing)
        assert os.read(reading, 4) == b"held"
        assert desk.locks.instance("emea") is None
        assert desk.locks.holder("emea").startswith(f"process {child.pid} on ")

        child.kill()
        child.wait()
        os.close(reading)

        taken = desk.locks.instance("emea")
        assert taken is not None
        taken.release()
