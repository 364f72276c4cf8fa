"""An exception of any kind at any step of a run, a check, a Connect check and an alert round, in the daemon and in `--run-now`.

A step is a call on a far side (`FakeWorld.at`), a write to the state, a lease, or a message. Whatever is thrown there: no run is left
open without a process, every instance recovers, and what comes next is planned. `tests/faults` does the same at every await.
"""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from licsync_daemon.daemon.planner import Planner
from licsync_daemon.daemon.worker import Worker
from licsync_daemon.model.errors import Code, StateUnwritableError
from licsync_daemon.model.instance import ConnectDelivery, NoSource
from licsync_daemon.model.run import RunState
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.sync.fleet import run_now
from tests.fakes import T0, FakeChannel, FakeClock, FakeWorld, FlakyStore, MemoryLeases, a_config, a_context, an_instance, transient


class StrangeError(BaseException):
    """What a library in another language may throw: no `Exception`, and no end of the process."""


class SilentError(Exception):
    """One that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


KINDS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("boom"),
    "MemoryError": MemoryError,
    "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("a"), OSError("b")]),
    "stray cancellation": asyncio.CancelledError,
    "TimeoutError": TimeoutError,
    "EMFILE": lambda: OSError(errno.EMFILE, "Too many open files"),
    "surrogates": lambda: ValueError("\udcff\ud800"),
    "no text": SilentError,
    "no Exception": StrangeError,
    "server error": lambda: transient(Code.UNREACHABLE),
    "full disk": lambda: StateUnwritableError("database or disk is full"),
}
PLACES = ("far side", "state", "lease", "message")


@dataclass
class Bomb:
    """Throws at the `at`-th step of one place, and counts the steps of all."""

    place: str = ""
    at: int = 0
    error: Callable[[], BaseException] = StrangeError
    steps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))

    def step(self, place: str) -> None:
        self.steps[place] += 1
        if place == self.place and self.steps[place] == self.at:
            raise self.error()


class Fleet:
    """Two instances with an endpoint, two that GitHub Connect syncs, their daemon, and the alerts."""

    def __init__(self, folder: Path) -> None:
        prepare_state_dir(folder)
        self.bomb, self.clock, self.store, leases = Bomb(), FakeClock(T0), FlakyStore(), MemoryLeases()
        self.world, self.channel = FakeWorld(self.clock), FakeChannel()
        connect: dict[str, Any] = {"source": NoSource(), "delivery": ConnectDelivery(), "server_id": None}
        self.instances = [an_instance("emea"), an_instance("apac"), an_instance("labs", **connect), an_instance("gov", **connect)]
        self.world.sync("server-labs")
        self.world.sync("server-gov")
        self.context = a_context(self.world, folder, self.store, leases=leases, fleet=tuple(self.instances))
        config = a_config(*self.instances, state_dir=folder)
        self.alerting = Alerting(config, self.store, self.clock, leases, [self.channel])
        self.planner = Planner(self.context)
        self.worker = Worker(config, self.planner, lambda _: False)
        self.world.interfere = lambda *_: self.bomb.step("far side")
        for place, owner, name in (
            *(
                ("state", self.store, name)
                for name in ("save_run", "save_delivery", "save_alert", "save_seats", "save_listing", "stage_digests")
            ),
            ("lease", leases, "instance"),
            ("message", self.channel, "send"),
        ):
            self._arm(place, owner, name)

    def _arm(self, place: str, owner: Any, name: str) -> None:
        act = getattr(owner, name)

        def wrapped(*args: Any, **more: Any) -> Any:
            self.bomb.step(place)
            return act(*args, **more)

        setattr(owner, name, wrapped)

    def work(self) -> None:
        """Do what is due for each instance, as the daemon does."""

        async def main() -> None:
            for one in self.instances:
                await self.worker.work(one.name)

        asyncio.run(main())

    def alerts(self) -> None:
        with suppress(StateUnwritableError, OSError):  # the daemon logs it, and tries again after 30 s
            asyncio.run(self.alerting.evaluate())


def slot(fleet: Fleet) -> None:
    fleet.clock.advance(400)
    fleet.work()


def to_check(fleet: Fleet) -> None:
    slot(fleet)
    fleet.clock.advance(30)


def to_check_late(fleet: Fleet) -> None:
    fleet.world.processes = False
    slot(fleet)
    fleet.clock.advance(3 * 3600)


def to_check_connect(fleet: Fleet) -> None:
    slot(fleet)
    fleet.world.sync("server-labs")
    fleet.clock.advance(7 * 3600)


def to_alert(fleet: Fleet) -> None:
    for name in ("labs", "gov"):
        fleet.world.sync(f"server-{name}", status="failure")
    slot(fleet)


def by_hand(fleet: Fleet) -> None:
    async def main() -> None:
        await run_now(fleet.instances, fleet.context, max_concurrent_runs=2, wait=timedelta(seconds=30))
        await fleet.alerting.evaluate_at_last()

    asyncio.run(main())


#: What comes before a round, and the round.
ROUNDS: dict[str, tuple[Callable[[Fleet], None], Callable[[Fleet], None]]] = {
    "run": (lambda _: None, slot),
    "check": (to_check, Fleet.work),
    "check after the time limit": (to_check_late, Fleet.work),
    "Connect check": (to_check_connect, Fleet.work),
    "alert round": (to_alert, Fleet.alerts),
    "run-now": (lambda _: None, by_hand),
}


def play(folder: Path, name: str, bomb: Bomb) -> Fleet:
    fleet = Fleet(folder)
    before, act = ROUNDS[name]
    before(fleet)
    fleet.bomb = bomb
    act(fleet)
    return fleet


def problems(fleet: Fleet) -> list[str]:
    """Return what is left behind after a round, and a day later."""
    runs = fleet.store.runs(limit=1000)
    found = [f"{one.instance} is left running" for one in runs if one.state is RunState.RUNNING]
    found += [f"{one.instance} failed without a code" for one in runs if one.state is RunState.FAILED and one.code is None]
    found += [f"nothing is planned for {one.name}" for one in fleet.instances if fleet.planner.planned(one) is None]
    fleet.bomb = Bomb()
    fleet.alerts()
    for name in ("labs", "gov"):
        fleet.world.sync(f"server-{name}")
    for seconds in (26 * 3600, 60, 3600):  # longer than anything waits, and the checks
        fleet.world.process_all()
        fleet.clock.advance(seconds)
        fleet.work()
    fleet.clock.advance(700)
    fleet.alerts()
    for one in fleet.instances:
        last = fleet.store.last_run(one.name)
        if last is None or not last.state.is_good:
            found.append(f"{one.name} does not recover: {last and last.state} {last and last.code}")
    return found + [f"the alert {one.code} of {one.instance} is left open" for one in fleet.store.open_alerts()]


@pytest.mark.parametrize("name", ROUNDS)
def test_whatever_is_thrown_every_run_ends_and_everything_goes_on(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Each kind at every third step of each place, beginning with another one for each kind."""
    with capture_logs():
        usual = play(tmp_path / "usual", name, Bomb())
        steps = dict(usual.bomb.steps)
        assert not problems(usual)
        assert sum(steps.values()) > 3
    for number, (kind, error) in enumerate(KINDS.items()):
        for place, count in steps.items():
            for at in range(1 + number % 3, count + 1, 3):
                with subtests.test(f"{kind} at {place} {at}"), capture_logs():
                    fleet = play(tmp_path / f"{kind} {place} {at}", name, Bomb(place, at, error))
                    assert not problems(fleet)
