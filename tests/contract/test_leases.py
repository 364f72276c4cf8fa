"""The contract of `Leases`, sentence by sentence of its docstrings, over every implementation."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from licsync_daemon.model.errors import LockedError
from licsync_daemon.model.ports import Lease, Leases
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.leases import FileLeases
from tests.fakes import FakeClock, MemoryLeases

Take = Callable[[Leases], Lease | None]


@pytest.fixture(params=["files", "memory"])
def leases(request: pytest.FixtureRequest, tmp_path: Path) -> Leases:
    if request.param == "memory":
        return MemoryLeases()
    prepare_state_dir(tmp_path / "state")
    return FileLeases(tmp_path / "state", FakeClock())


def daemon(leases: Leases) -> Lease | None:
    try:
        return leases.daemon()
    except LockedError:
        return None


RIGHTS: dict[str, Take] = {
    "an instance": lambda leases: leases.instance("emea"),
    "another instance": lambda leases: leases.instance("apac"),
    "the alerts": lambda leases: leases.alerts(),
    "the daemon": daemon,
}


@pytest.mark.parametrize("right", RIGHTS)
def test_only_one_at_a_time(leases: Leases, right: str) -> None:
    """What is held is not given again, to this process or another, until it is released; releasing twice is harmless."""
    take = RIGHTS[right]
    lease = take(leases)
    assert lease is not None
    assert take(leases) is None
    assert lease.is_findable
    lease.touch()
    lease.release()
    lease.release()
    again = take(leases)
    assert again is not None
    with again:
        assert take(leases) is None
    with take(leases) or pytest.fail("leaving the context releases"):
        pass


def test_rights_do_not_touch_each_other(leases: Leases) -> None:
    """Whoever runs one instance keeps nobody from another one, from the alerts, or from being the daemon."""
    taken = [take(leases) for take in RIGHTS.values()]
    assert None not in taken


def test_who_holds_an_instance(leases: Leases) -> None:
    """The holder is named in words, as `status` and `--run-now` print them."""
    with leases.instance("emea") or pytest.fail("it is free"):
        assert "process" in leases.holder("emea")  # "this process", or another with its id
    assert leases.holder("never taken") == "another process"


def test_a_second_daemon_is_told_who_the_first_is(leases: Leases) -> None:
    """Being the daemon is not a question of waiting: the second one ends with the first one's process id in its error."""
    with leases.daemon(), pytest.raises(LockedError, match="is held by .*process"):
        leases.daemon()


def test_a_process_that_dies_holds_nothing(tmp_path: Path) -> None:
    """The kernel frees the files of a killed process; what it wrote into them stays readable."""
    prepare_state_dir(tmp_path)
    program = (
        "import os, sys; from pathlib import Path; from licsync_daemon.state.leases import FileLeases;"
        "from licsync_daemon.system.clock import SystemClock;"
        "lease = FileLeases(Path(sys.argv[1]), SystemClock()).instance('emea'); assert lease; os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    assert died.returncode == -9
    leases = FileLeases(tmp_path, FakeClock())
    assert leases.holder("emea").startswith("process ")
    with leases.instance("emea") or pytest.fail("a dead process holds nothing"):
        pass
