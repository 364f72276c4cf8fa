"""Two hundred instances that are all overdue when the machine comes up, and what a reload changes about limits: nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import freezegun

from licsync_daemon.daemon.wiring import with_config
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import UsageSource, WaitReporter
from licsync_daemon.model.run import RunState, Trigger
from licsync_daemon.practice.sandbox import Fault
from licsync_daemon.rules.next_run import CATCH_UP, FIRST, STARTUP_DELAY
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.run import run_instance
from licsync_daemon.system.clock import SystemClock
from tests.fakes import FakeClock, FakeWorld, a_config, a_context, a_run, an_ended_run, an_instance
from tests.integration.daemons import a_daemon
from tests.integration.support import SYNC_STATUS, Practice

MANY, AT_ONCE = 200, 4
TAKES, TICK = timedelta(seconds=10), timedelta(seconds=5)
BOOT = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)  # two days after everybody's slot


@dataclass
class Crowd(FakeWorld):
    """Servers that take 10 seconds for a report and count concurrent requests."""

    inside: int = 0
    most: int = 0

    @asynccontextmanager
    async def source(self, instance: Instance, waits: WaitReporter, **more: Any) -> AsyncIterator[UsageSource]:  # type: ignore[override]
        self.inside += 1
        self.most = max(self.most, self.inside)
        began = self.clock.now()
        while self.clock.now() < began + TAKES:  # noqa: ASYNC110 - the time is moved by the test
            await asyncio.sleep(0)
        self.inside -= 1
        async with super().source(instance, waits, **more) as source:
            yield source


def test_two_hundred_overdue_instances_after_a_boot(tmp_path: Path) -> None:
    """None starts before the startup delay; starts are spread, at most four at once, and each once, with or without a reload."""
    (tmp_path / "locks").mkdir()
    with freezegun.freeze_time(BOOT, real_asyncio=True) as frozen:
        store, clock = MemoryStore(), SystemClock()
        world = Crowd(clock)  # type: ignore[arg-type] # reads the time only
        instances = [an_instance(f"i{number}") for number in range(MANY)]
        for one in instances[1:]:
            earlier = BOOT - timedelta(days=9)
            store.save_run(an_ended_run(f"old-{one.name}", instance=one.name, started_at=earlier, slot=earlier), earlier)
        config = a_config(*instances, state_dir=tmp_path, max_concurrent_runs=AT_ONCE)
        context = a_context(world, tmp_path, store, clock=clock)

        async def live() -> None:
            with a_daemon(config, context) as daemon:
                stop = asyncio.Event()
                serving = asyncio.create_task(daemon.serve(stop))
                for tick in range(MANY * TAKES // AT_ONCE // TICK + 20):
                    for _ in range(40):
                        await asyncio.sleep(0)
                    if tick == 40:  # some are at it, some wait for their turn, and most are still to come
                        daemon.reload(config, context)
                    frozen.tick(TICK)
                    daemon.alarms.check()
                stop.set()
                await serving

        asyncio.run(live())

    runs = [run for run in store.runs(limit=3 * MANY) if not run.run_id.startswith("old-")]
    assert len(runs) == MANY
    assert {run.state for run in runs} == {RunState.CONFIRMED}
    assert sorted({run.reason for run in runs}) == [CATCH_UP, FIRST]
    assert min(run.started_at for run in runs) >= BOOT + STARTUP_DELAY
    assert world.most == AT_ONCE
    assert world.calls.count("collect") == MANY


def test_a_reload_ends_the_wait_for_a_rate_limit(practice: Practice) -> None:
    """Before a reload, no run asks a host that stated a wait of an hour; after it, the person who reloaded gets an attempt."""
    practice.box.faults.add(Fault("cloud", SYNC_STATUS, "status", times=1, status=429, headers={"Retry-After": "3600"}))

    async def work() -> dict[str, Any]:
        with practice.recording() as parts:
            first = await practice.run_with(parts, "emea")
            second = await practice.run_with(parts, "amer")
            asked = list(practice.asked("cloud", SYNC_STATUS))
            parts.context.adapters = with_config(parts.context, practice.config, {}).adapters
            third = await practice.run_with(parts, "amer")
            return {"first": first["emea"].code, "second": second["amer"].code, "asked": asked, "third": third["amer"].code}

    assert asyncio.run(work()) == {"first": Code.RATE_LIMITED, "second": Code.RATE_LIMITED, "asked": [429], "third": None}


def test_a_check_locks_only_delivered_instances(tmp_path: Path) -> None:
    """While the daemon queries the cloud, however long, `--run-now` finds every instance free that has no open delivery."""
    (tmp_path / "locks").mkdir()
    clock = FakeClock()
    world, locks = FakeWorld(clock), FileLeases(tmp_path, clock)
    emea, apac = an_instance("emea"), an_instance("apac")
    context = a_context(world, tmp_path)
    free: dict[str, bool] = {}

    def ask(step: str, _: int) -> None:
        for name in ("emea", "apac"):
            lock = locks.instance(name)
            free[name] = lock is not None
            if lock is not None:
                lock.release()

    async def work() -> list[Instance]:
        await run_instance(context, emea, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=None)
        context.store.save_run(a_run("apac-run", instance="apac"), clock.now())  # in progress, not delivered
        with a_daemon(a_config(emea, apac, state_dir=tmp_path), context) as daemon:
            world.interfere = ask
            return list((await daemon._worker._check_deliveries()).served)

    assert asyncio.run(work()) == [emea]
    assert free == {"emea": False, "apac": True}
