"""Several processes want the same instance: one has it, the others say who, at once."""

import signal
from collections import Counter
from collections.abc import Callable

import pytest

from licsync_daemon.practice.sandbox import Fault
from tests.acceptance.support import REPORT, Site, wait_for


@pytest.mark.timeout(900)
def test_two_hundred_rounds_of_four(programs: Callable[..., Counter[str]], rounds: Callable[[int], int]) -> None:
    """Each round is judged alone, in `racing.py`: exactly one run, three losers that name its process and exit 11."""
    count = rounds(200)

    seen = programs("racing", count)

    print(dict(seen))
    assert (seen["rounds"], seen["won"], seen["lost"]) == (count, count, 3 * count)


def test_the_installed_command_says_who_has_it(site: Site) -> None:
    """Four commands at once: three end with 11 and name the first; SIGKILL of that one frees the instance at once."""
    site.box.faults.add(Fault("emea", REPORT, "hang"))
    first = site.start("--run-now", "emea")
    wait_for(lambda: site.asked("emea", "/api/v3/enterprise/settings/license"))

    losers = [site.start("--run-now", "emea") for _ in range(3)]

    assert [loser.wait() for loser in losers] == [11, 11, 11]
    assert all(f"process {first.process.pid} on " in loser.out for loser in losers)
    site.box.faults.clear()
    first.end(signal.SIGKILL)
    done = site.run("--run-now", "emea")
    assert done.code == 0, done.all
    assert site.uploads("emea") == 1
