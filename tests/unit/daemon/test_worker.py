"""What an alarm leads to: only what is due, and no check of a paused instance."""

import asyncio
from datetime import timedelta
from pathlib import Path

from licsync_daemon.daemon.planner import Planner
from licsync_daemon.daemon.worker import Done, Worker
from licsync_daemon.model.instance import ConnectDelivery, Instance, NoSource
from licsync_daemon.model.run import Run
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.decisions import Author, pause
from tests.fakes import T0, FakeClock, FakeWorld, a_config, a_context, an_instance

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_worker(context: RunContext, *instances: Instance) -> Worker:
    return Worker(a_config(*instances), Planner(context), lambda _: False)


def a_world(directory: Path, clock: FakeClock) -> tuple[FakeWorld, RunContext]:
    (directory / "locks").mkdir()
    world = FakeWorld(clock)
    return world, a_context(world, directory)


def test_an_alarm_that_rings_early_starts_nothing(tmp_path: Path) -> None:
    """An alarm may be older than the current plan: the state decides what is due, and nothing else is done."""
    clock = FakeClock(T0 + HOUR)
    world, context = a_world(tmp_path, clock)

    async def main() -> list[int]:
        worker, runs = a_worker(context, an_instance()), []
        for later_s in (0, 600):  # a first sync waits until the daemon has settled
            clock.advance(later_s)
            await worker.work("emea")
            runs.append(len(context.store.runs("emea")))
        return runs

    assert asyncio.run(main()) == [0, 1]
    assert world.calls.count("collect") == 1


def test_a_paused_instance_is_left_out_of_a_check(tmp_path: Path) -> None:
    """The alarm of one instance that GitHub Connect syncs serves the whole fleet, except instances that are paused at that moment."""
    clock = FakeClock()
    _, context = a_world(tmp_path, clock)
    labs, emea = (an_instance(name, source=NoSource(), delivery=ConnectDelivery()) for name in ("labs", "emea"))
    pause(context.store, "emea", clock.now() + DAY, Author(actor="mona", at=clock.now(), reason="it moves"))

    async def main() -> list[Done]:
        worker, done = a_worker(context, labs, emea), []
        for later in (HOUR, DAY):
            clock.advance(later.total_seconds())
            done.append(await worker.work("labs"))
        return done

    assert [one.served for one in asyncio.run(main())] == [(labs,), (labs, emea)]


class Unread(MemoryStore):
    """A store whose runs nothing may read."""

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        raise AssertionError("the runs were read")


def test_whether_an_instance_is_paused_costs_one_small_query(tmp_path: Path) -> None:
    """A check of a thousand instances asks for each whether it is paused: the record of its runs is not read for that."""
    clock = FakeClock()
    (tmp_path / "locks").mkdir()
    context = a_context(FakeWorld(clock), tmp_path, Unread())
    pause(context.store, "emea", clock.now() + DAY, Author(actor="mona", at=clock.now(), reason="it moves"))
    planner = Planner(context)
    assert [planner.is_paused(an_instance(name)) for name in ("emea", "apac")] == [True, False]
