"""Throw an arbitrary exception at every await of a run, a check, a Connect check and an alert round, in the daemon and in `--run-now`.

Every task of the event loop is driven by `_Driven`, which throws at the chosen suspension. A suspension is an await that really waited.
"""

import asyncio
import contextlib
import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from licsync_daemon.daemon.planner import Planner
from licsync_daemon.daemon.worker import Worker
from licsync_daemon.model.instance import Config, ConnectDelivery, NoSource
from licsync_daemon.model.run import RunState
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.fleet import run_now
from tests.fakes import FakeChannel, FakeClock, FakeWorld, MemoryLeases, a_config, a_context, an_instance, transient

ELSEWHERE = "the caller"
MOST = 500  # suspensions of one scenario


class Injected(Exception):  # noqa: N818 - any exception
    """An exception that nothing expects."""


@dataclass
class Plan:
    """Throw at suspension number `at`; remember the place."""

    at: int
    seen: int = 0
    place: str = ""

    def is_now(self, coroutine: Any) -> bool:
        self.seen += 1
        if self.seen != self.at:
            return False
        self.place = _place(coroutine)
        return True


def _place(coroutine: Any) -> str:
    """Return the innermost function of the program that waits."""
    place = ELSEWHERE
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and "licsync_daemon" in (name := frame.f_code.co_filename):
            place = f"{name.rpartition('licsync_daemon/')[2]}: {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "cr_await", None)
    return place


class _Driven:
    """Run a coroutine, and throw into it where the plan says so."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], plan: Plan) -> None:
        self._coroutine, self._plan = coroutine, plan

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._coroutine.send
        given: Any = None
        while True:
            try:
                waiting = step(given)
            except StopIteration as end:
                return end.value
            try:
                step, given = self._coroutine.send, (yield waiting)
            except BaseException as error:  # noqa: BLE001 - a cancellation
                step, given = self._coroutine.throw, error
            else:
                if self._plan.is_now(self._coroutine):
                    step, given = self._coroutine.throw, Injected("this must not happen")


@dataclass
class Stage:
    """What a scenario acts on."""

    config: Config
    context: RunContext
    world: FakeWorld
    store: MemoryStore
    channel: FakeChannel
    reported: list[str] = field(default_factory=list)

    @property
    def alerting(self) -> Alerting:
        return Alerting(self.config, self.store, self.world.clock, self.context.leases, (self.channel,))

    def worker(self) -> Worker:
        return Worker(self.config, Planner(self.context), lambda _: False)


async def now(stage: Stage) -> None:
    """`--run-now` of two instances, up to the confirmation."""
    results = await run_now(stage.config.instances, stage.context, max_concurrent_runs=2, wait=timedelta(minutes=2))
    stage.reported += [f"{one.run.state}" for one in results if one.run is not None and one.run.state is not RunState.CONFIRMED]


async def daemon(stage: Stage) -> None:
    """The daemon's work for both instances: their runs, then the checks of their deliveries."""
    worker = stage.worker()
    for pause in (20.0, 20.0, 86400.0):
        await asyncio.gather(*(worker.work(one.name) for one in stage.config.instances))
        stage.world.clock.advance(pause)
    await asyncio.gather(*(worker.work(one.name) for one in stage.config.instances))


async def alert_round(stage: Stage) -> None:
    """A failed run, and then a round of alerts with a message."""
    stage.world.fail["collect"] = [transient()] * 4
    await run_now(stage.config.instances, stage.context, max_concurrent_runs=2, wait=timedelta(0))
    await stage.alerting.evaluate_at_last()
    await stage.alerting.evaluate_at_last()


SCENARIOS: dict[str, tuple[Callable[[Stage], Awaitable[None]], bool]] = {  # with whether GitHub Connect syncs the instances
    "--run-now": (now, False),
    "--run-now, GitHub Connect": (now, True),
    "daemon": (daemon, False),
    "daemon, GitHub Connect": (daemon, True),
    "alert round": (alert_round, False),
}


@dataclass(frozen=True)
class Injection:
    """What followed an exception at one suspension."""

    scenario: str
    place: str
    recorded: str
    reported: str
    wrong: str


def inject(scenario: str, at: int) -> Injection | None:
    """Play a scenario with the exception at one suspension; None if the scenario has fewer of them."""
    plan = Plan(at)
    stage, escaped, events = _play(scenario, plan)
    return _judged(scenario, plan, stage, escaped, events - usual_events(scenario)) if plan.place else None


@cache
def usual_events(scenario: str) -> frozenset[str]:
    """Return what the scenario reports without any exception: none of these is the report of one."""
    return _play(scenario, Plan(at=0))[2]


def _play(scenario: str, plan: Plan) -> tuple[Stage, str, frozenset[str]]:
    """Return the stage, what escaped, and the warnings and errors of the log."""
    act, by_connect = SCENARIOS[scenario]
    escaped = ""
    with tempfile.TemporaryDirectory(prefix="licsync-injected-") as folder, structlog.testing.capture_logs() as events:
        stage = _stage(Path(folder), by_connect=by_connect)
        try:
            asyncio.run(_played(act, stage, plan))
        except Injected:
            escaped = "raised to the caller"
        except BaseExceptionGroup:
            escaped = "raised to the caller, in a group"
    return stage, escaped, frozenset(one["event"] for one in events if one["log_level"] in {"critical", "error", "warning"})


async def _played(act: Callable[[Stage], Awaitable[None]], stage: Stage, plan: Plan) -> None:
    async def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await _Driven(coroutine, plan)

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        return asyncio.Task(driven(coroutine), loop=loop, **more)

    asyncio.get_running_loop().set_task_factory(factory)  # type: ignore[arg-type]
    await asyncio.create_task(act(stage))  # type: ignore[arg-type]


def _stage(folder: Path, *, by_connect: bool) -> Stage:
    world, store = FakeWorld(FakeClock()), MemoryStore()
    more: dict[str, Any] = {"delivery": ConnectDelivery(), "source": NoSource()} if by_connect else {}
    names = ("emea", "apac")
    for name in names if by_connect else ():
        world.sync(f"server-{name}")
    config = a_config(*(an_instance(name, **more) for name in names), state_dir=folder)
    return Stage(config, a_context(world, folder, store, leases=MemoryLeases()), world, store, FakeChannel())


def _judged(scenario: str, plan: Plan, stage: Stage, escaped: str, events: frozenset[str]) -> Injection:
    runs = [run for one in stage.config.instances for run in stage.store.runs(one.name)]
    states = sorted(
        {"/".join(filter(None, (run.state, run.code))) for run in runs if run.state not in {RunState.CONFIRMED, RunState.CURRENT}}
    )
    faults = []
    if any(run.state is RunState.RUNNING for run in runs):
        faults.append("a run is left open")
    if escaped:
        faults.append("what else the command or the task had to do is not done")
    if not events and not escaped:
        faults.append("nothing was reported")
    reported = ", ".join(sorted({*events, *([escaped] if escaped else [])}))
    return Injection(scenario, plan.place, ", ".join(states) or "as without it", reported, "; ".join(faults))


def table() -> bool:
    """Print the table by place; return whether every row is right."""
    logging.disable(logging.CRITICAL)
    found: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
    for scenario in SCENARIOS:
        for at in range(1, MOST):
            with contextlib.redirect_stderr(None):
                one = inject(scenario, at)
            if one is None:
                break
            if one.place == ELSEWHERE:
                continue
            found[one.scenario, one.place, one.recorded, one.reported, one.wrong] += 1
    print(f"{'in':26} {'place of the exception':52} {'times':>5}  {'recorded':30} {'reported':36} right")
    for (scenario, place, recorded, reported, wrong), times in found.items():
        print(f"{scenario:26} {place:52} {times:5}  {recorded:30} {reported:36} {wrong or 'yes'}")
    places = {place for _, place, *_ in found}
    bad = sum(times for row, times in found.items() if row[-1])
    print(f"{sum(found.values())} exceptions at {len(places)} places, {bad} wrong", flush=True)
    return not bad


if __name__ == "__main__":
    sys.exit(not table())
