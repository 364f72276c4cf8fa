"""APScheduler as our alarm clock, with the wall clock under freezegun: it rings once a week, whatever daylight saving does."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import freezegun
import pytest

from licsync_daemon.model.instance import Schedule
from licsync_daemon.model.run import RunState
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.system.clock import SystemClock
from tests.fakes import FakeWorld, a_config, a_context, an_instance
from tests.integration.daemons import a_daemon

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = timedelta(weeks=1)


async def turns() -> None:
    """Let everything that can happen now happen."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize("cron", ["30 2 * * 0", "0 0 * * 1", "30 1 * * 0"], ids=["in the gap", "midnight after the change", "before it"])
def test_the_alarm_rings_once_a_week_over_the_change_of_the_clock(tmp_path: Path, cron: str) -> None:
    """From before the spring change of 2027 in Berlin until after it, each weekly slot starts exactly one run, at its local time."""
    (tmp_path / "locks").mkdir()
    start = datetime(2027, 3, 16, 12, tzinfo=UTC)  # the change is on Sunday, 28 March
    with freezegun.freeze_time(start, real_asyncio=True) as frozen:
        store, clock = MemoryStore(), SystemClock()
        world = FakeWorld(clock)  # type: ignore[arg-type] # reads the time only
        context = a_context(world, tmp_path, store, clock=clock)
        instance = an_instance(schedule=Schedule(cron=cron, timezone="Europe/Berlin"))
        config = a_config(instance, state_dir=tmp_path)

        async def live() -> None:
            with a_daemon(config, context) as daemon:
                stop = asyncio.Event()
                serving = asyncio.create_task(daemon.serve(stop))
                await turns()
                for _ in range(30):  # alarms: a run and its look for confirmation, week by week
                    at = daemon.alarms.planned().get(instance.name)
                    assert at is not None
                    if at >= start + 5 * WEEK:
                        break
                    frozen.move_to(at + timedelta(seconds=1))
                    daemon.alarms.check()
                    await turns()
                stop.set()
                await serving

        asyncio.run(live())

    runs = store.runs(limit=50)
    assert {run.state for run in runs} == {RunState.CONFIRMED}
    caught_up, *weekly = reversed(runs)
    assert caught_up.reason == "first sync"
    assert [
        run.slot.astimezone(BERLIN).date() - caught_up.slot.astimezone(BERLIN).date() for run in weekly if run.slot and caught_up.slot
    ] == [WEEK * number for number in range(1, len(weekly) + 1)]
    assert len(weekly) == 5
    assert {run.reason for run in weekly} == {"weekly slot"}
