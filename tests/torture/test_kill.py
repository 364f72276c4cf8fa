"""SIGKILL at random moments of a run: nothing that was acknowledged is lost, nothing is delivered twice, and the week goes on."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.daemon.wiring import recording
from licsync_daemon.model.run import RunState
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.system.clock import SystemClock
from tests.acceptance.support import Site


@pytest.mark.timeout(900)
def test_a_thousand_forked_processes(programs: Callable[..., Counter[str]], rounds: Callable[[int], int]) -> None:
    """Forked from one that has imported everything; each checked alone, in `killing.py`: the first violation ends it there."""
    count = rounds(1000)

    seen = programs("killing", count)

    print(dict(seen))
    assert seen["lives"] == count
    between = sum(number for moment, number in seen.items() if moment.startswith("between"))
    assert between >= 0.1 * count
    assert seen["sent twice with one key"] >= 1 or count < 500  # the case that the key is for did occur


@pytest.mark.timeout(600)
def test_thirty_of_the_installed_command(site: Site, rounds: Callable[[int], int]) -> None:
    """The installed command over real sockets: a killed `--run-now` is carried on by the next, and the endpoint has it once."""
    rng, clock = random.Random(5), SystemClock()
    began = time.monotonic()
    assert site.run("--run-now", "emea").code == 0
    usual_s = time.monotonic() - began
    where: Counter[str] = Counter()
    for _ in range(rounds(30)):
        since = datetime.now(UTC)
        uploads, asked = site.uploads("emea"), len(site.asked("cloud", "/licsync/uploads"))
        running = site.start("--run-now", "emea")
        time.sleep(rng.uniform(0.4, 0.9) * usual_s)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        with recording(site.settings, clock, {}) as parts:
            instance = site.settings.instance("emea")
            assert instance is not None
            left = next((run for run in parts.store.runs("emea") if run.started_at > since), None)
            where[str(left.state) if left else "not begun"] += 1
            again = run_now((instance,), parts.context, max_concurrent_runs=1, wait=timedelta(minutes=1))
            (result,) = asyncio.run(again)
            assert result.run is not None, "the lock of a killed process is still held"
            assert result.run.state is RunState.CONFIRMED, result.run
            records = [one for one in parts.store.deliveries("emea") if one.opened_at > since]
        wanted = 2 if left is not None and left.state is RunState.CONFIRMED else 1  # a second --run-now of what is confirmed sends anew
        assert len(records) == wanted
        assert site.uploads("emea") - uploads == wanted, "delivered twice"
        assert len(site.asked("cloud", "/licsync/uploads")) > asked
    print(dict(where))
    assert where["running"] + where["delivered"] >= 0.3 * sum(where.values())
