"""The daemon in this process: its alarms, its runs, and what it detects of other processes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from licsync_daemon.daemon.daemon import Daemon
from licsync_daemon.daemon.wiring import Parts
from licsync_daemon.model.errors import StateReplacedError
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.practice.sandbox import Fault, Processing, Sandbox, generate_fleet
from licsync_daemon.practice.sandbox.cloud import Mode
from licsync_daemon.rules.next_run import retry_wait
from licsync_daemon.state.files import open_state, prepare_state_dir
from licsync_daemon.system.filelock import FileLock
from licsync_daemon.system.systemd import ServiceManager
from tests.fakes import FakeClock, FakeWorld, a_config, a_context, an_instance
from tests.integration.daemons import a_daemon
from tests.integration.support import META, SYNC_STATUS, UPLOADS, Practice


class ShiftedClock:
    """The machine's clock, shifted; its sleeps last 20 ms at most."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


def on_machine_time(practice: Practice) -> ShiftedClock:
    """APScheduler reads the machine's clock, so the sandbox and the daemon do as well here."""
    practice.box.clock.set(datetime.now(UTC))
    clock = ShiftedClock()
    practice.clock = clock  # type: ignore[assignment]
    return clock


def plan_for(practice: Practice, at: datetime) -> None:
    practice.override(schedule__cron=f"{at.minute} {at.hour} * * {at.isoweekday() % 7}")


@dataclass
class Serving:
    """A daemon at work."""

    daemon: Daemon
    parts: Parts
    seen: list[Run] = field(default_factory=list)

    @property
    def alarms(self) -> dict[str, datetime]:
        return self.daemon.alarms.planned()

    def state(self, name: str) -> str | None:
        run = self.parts.store.last_run(name)
        return run.state if run else None

    async def until(self, what: Callable[[], bool], within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not what():
            assert time.monotonic() < deadline, f"not in time; alarms {self.alarms}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(practice: Practice, *, slot_came_while_up: bool = True) -> AsyncIterator[Serving]:
    """Serve on a weekly slot five minutes ago, which came while the daemon was up, or was missed. It beats ten times a second."""
    clock = on_machine_time(practice)
    plan_for(practice, clock.now() - timedelta(minutes=5))
    stop = asyncio.Event()
    seen: list[Run] = []
    with practice.recording(seen.append) as parts:
        lock = FileLock.take(practice.state_dir / "daemon.lock")
        assert lock is not None
        clock.shift = timedelta(minutes=-10) if slot_came_while_up else timedelta(0)
        notifier = ServiceManager({"WATCHDOG_USEC": "200000"})
        with lock:
            daemon = Daemon(parts.config, parts.context, lease=lock, service=notifier, alerting=parts.alerting)
            clock.shift = timedelta(0)
            task = asyncio.create_task(daemon.serve(stop))
            try:
                one = Serving(daemon, parts, seen)
                await one.until(lambda: bool(one.alarms) or task.done())
                yield one
            finally:
                stop.set()
                await asyncio.wait_for(task, 10)


@dataclass
class Week:
    """What a daemon did in its first seconds after a slot."""

    alarms_before: dict[str, datetime]
    alarms_after: dict[str, datetime]
    runs: dict[str, Run | None]
    checks: int
    requests_to_disabled: list[int]
    reasons_in_order: list[str]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    """Three instances, one of them disabled, through one slot until the others are confirmed."""
    with Sandbox(generate_fleet(seed=3, instances=3, people=90), processing_delay=0.0) as box:
        practice = Practice(box, tmp_path_factory.mktemp("week"))
        practice.override(instances__apac__enabled="false")

        async def work() -> Week:
            async with serving(practice) as one:
                before = one.alarms
                await one.until(lambda: {one.state("emea"), one.state("amer")} <= {RunState.DELIVERED, RunState.CONFIRMED})
                asked = len(practice.asked("cloud", SYNC_STATUS))
                await one.until(lambda: {one.state("emea"), one.state("amer")} == {RunState.CONFIRMED} and len(one.alarms) == 2)
                await one.until(lambda: min(one.alarms.values()) > datetime.now(UTC) + timedelta(days=1))
                runs = {name: one.parts.store.last_run(name) for name in ("emea", "amer", "apac")}
                checks = len(practice.asked("cloud", SYNC_STATUS)) - asked
                return Week(before, one.alarms, runs, checks, practice.asked("apac"), [run.reason for run in one.seen])

        return asyncio.run(work())


def test_every_enabled_instance_is_confirmed_after_its_slot(week: Week) -> None:
    """The slot is served: each run was started by the schedule, for that slot, and ended confirmed."""
    for name in ("emea", "amer"):
        run = week.runs[name]
        assert run is not None
        assert (run.state, run.trigger, run.reason) == (RunState.CONFIRMED, "schedule", "weekly slot")
        assert run.slot is not None
        assert timedelta(minutes=4) < run.started_at - run.slot < timedelta(minutes=8)


def test_each_enabled_instance_has_one_alarm(week: Week) -> None:
    """One job per enabled instance before and after; afterwards it is the slot of next week."""
    assert set(week.alarms_before) == set(week.alarms_after) == {"emea", "amer"}
    for name, at in week.alarms_after.items():
        run = week.runs[name]
        assert run is not None
        assert run.slot is not None
        assert at == run.slot + timedelta(days=7)


def test_a_disabled_instance_is_left_alone(week: Week) -> None:
    """No run, no alarm, no request."""
    assert week.runs["apac"] is None
    assert week.requests_to_disabled == []


def test_instances_delivered_together_are_checked_by_one_request(week: Week) -> None:
    """Two instances wait for the cloud; the first check updates both with one request."""
    assert week.checks == 1


@pytest.mark.parametrize(
    ("body", "code", "wait"),
    [("{", "bad_response", lambda run: retry_wait(1, run.run_id)), ("", "unauthorized", lambda _: timedelta(days=1))],
    ids=["passing", "permanent"],
)
def test_a_failed_run_is_retried_automatically(practice: Practice, body: str, code: str, wait: Callable[[Run], timedelta]) -> None:
    """The alarm of a failed instance is at its first retry, or a day later for a permanent failure."""
    practice.box.faults.add(Fault("emea", META, "body", body=body) if body else Fault("emea", META, "status", status=401))

    async def work() -> None:
        async with serving(practice) as one:
            await one.until(lambda: one.state("emea") == RunState.FAILED and one.state("amer") == RunState.DELIVERED)
            failed = one.parts.store.last_run("emea")
            assert failed is not None
            assert failed.ended_at is not None
            assert (failed.code, failed.failures) == (code, 1)
            await one.until(lambda: one.alarms.get("emea", failed.started_at) > failed.started_at + timedelta(minutes=10))
            assert one.alarms["emea"] == failed.ended_at + wait(failed)

    asyncio.run(work())


def test_a_missed_slot_is_caught_up_after_settling(practice: Practice) -> None:
    """A slot from before the start waits for a minute and a stable part of five more, not the same for every instance."""

    async def work() -> None:
        async with serving(practice, slot_came_while_up=False) as one:
            started = datetime.now(UTC)
            delays = [at - started for at in one.alarms.values()]
            assert len(set(delays)) == 2
            assert all(timedelta(seconds=55) < delay < timedelta(seconds=361) for delay in delays)
            assert practice.asked("emea") == []

    asyncio.run(work())


def test_what_another_process_did_is_noticed_at_the_heartbeat(practice: Practice) -> None:
    """While a catch-up is planned, `--run-now` of another process syncs: the alarm moves to next week automatically."""

    async def work() -> None:
        async with serving(practice, slot_came_while_up=False) as one:
            planned = one.alarms
            with practice.recording() as elsewhere:
                outcome = await practice.run_with(elsewhere, "emea")
            assert outcome["emea"].state is RunState.CONFIRMED
            await one.until(lambda: one.alarms["emea"] > planned["emea"] + timedelta(days=6))
            assert abs(one.alarms["amer"] - planned["amer"]) < timedelta(seconds=1)

    asyncio.run(work())


def test_an_instance_at_work_elsewhere_is_not_started(practice: Practice) -> None:
    """A lock that another process holds means: not now, again in a minute; nothing is recorded and nothing is asked."""

    async def work() -> None:
        with contextlib.ExitStack() as stack:
            (practice.state_dir / "locks").mkdir(parents=True, mode=0o700)
            practice.state_dir.chmod(0o700)
            lock = FileLock.take(practice.state_dir / "locks" / "emea.lock")
            assert lock is not None
            stack.enter_context(lock)
            async with serving(practice) as one:
                due = one.alarms["emea"]
                await one.until(lambda: one.alarms.get("emea", due) > due + timedelta(seconds=30))
                assert timedelta(seconds=55) < one.alarms["emea"] - due < timedelta(seconds=70)
                assert one.state("emea") is None
        assert practice.asked("emea") == []

    asyncio.run(work())


def test_a_stop_in_mid_run_interrupts_it(practice: Practice) -> None:
    """A run that hangs when the daemon stops is recorded as interrupted; what was delivered stays delivered; nothing keeps running."""
    practice.override(max_concurrent_runs="2")
    practice.box.cloud.processing = Processing(mode="never")
    practice.box.faults.add(Fault("emea", META, "hang"))

    async def work() -> None:
        async with serving(practice) as one:
            await one.until(lambda: any(run.instance == "emea" and run.phase == "collecting" for run in one.seen))
            await one.until(lambda: one.state("amer") == RunState.DELIVERED)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(work())
    with practice.recording() as parts:
        states = [run.state if run else None for run in (parts.store.last_run("emea"), parts.store.last_run("amer"))]
    assert states == [RunState.INTERRUPTED, RunState.DELIVERED]


@pytest.mark.parametrize(
    ("mode", "expected"), [("success", RunState.CONFIRMED), ("never", RunState.FAILED)], ids=["the_cloud_has_it", "its_time_is_over"]
)
def test_a_delivered_run_is_checked_after_a_restart(practice: Practice, mode: Mode, expected: RunState) -> None:
    """A delivery of an earlier process is checked when due: confirmed or not confirmed, and nothing is sent again."""
    practice.box.cloud.processing = Processing(mode=mode, delay_s=0)
    practice.override(instances__emea__delivery__confirm_timeout="30s")
    clock = on_machine_time(practice)
    clock.shift = timedelta(seconds=-38)  # the checks are 5, 10, 20, 40 seconds after the delivery
    plan_for(practice, datetime.now(UTC) - timedelta(minutes=5))
    assert practice.run("emea", wait=timedelta(0)).states == {"emea": "delivered"}

    async def work() -> None:
        async with serving(practice, slot_came_while_up=False) as one:
            await one.until(lambda: one.state("emea") == expected)

    asyncio.run(work())
    assert practice.asked("cloud", UPLOADS, "POST") == [202]


def test_a_run_whose_process_died_is_closed_and_run_again(practice: Practice) -> None:
    """A row `running` whose lock is free does not block the instance: it is interrupted, and the slot is satisfied."""

    async def work() -> None:
        clock = on_machine_time(practice)
        plan_for(practice, clock.now() - timedelta(minutes=5))
        with practice.recording() as parts:
            stale = Run(run_id="0" * 12, instance="emea", trigger=Trigger.SCHEDULE, reason="weekly slot", slot=None, started_at=clock.now())
            parts.store.save_run(stale, clock.now())
        async with serving(practice) as one:
            await one.until(lambda: one.state("emea") == RunState.DELIVERED)
            old = one.parts.store.run("0" * 12)
            assert old is not None
            assert old.state is RunState.INTERRUPTED

    asyncio.run(work())


@pytest.mark.parametrize(
    ("watchdog_us", "every_s"),
    [("", 30.0), ("200000", 0.1), ("30000000", 15.0), ("600000000", 30.0)],
    ids=["no watchdog", "a short interval", "the interval of the unit", "a long interval"],
)
def test_the_heartbeat_is_as_frequent_as_the_watchdog_requires(tmp_path: Path, watchdog_us: str, every_s: float) -> None:
    """Twice in the interval of the watchdog, so that one late heartbeat does not end the daemon; every 30 seconds otherwise."""
    service = ServiceManager({"WATCHDOG_USEC": watchdog_us})
    with a_daemon(a_config(state_dir=tmp_path), a_context(FakeWorld(FakeClock()), tmp_path), service) as daemon:
        assert daemon._beat_every_s() == every_s


@pytest.mark.parametrize("by", [timedelta(days=-21), timedelta(days=21)], ids=["back", "ahead"])
def test_a_clock_that_was_set_moves_the_alarms(tmp_path: Path, by: timedelta) -> None:
    """The next heartbeat compares the wall clock with the monotonic one and plans again: what is due runs within minutes."""
    (tmp_path / "locks").mkdir()
    clock = FakeClock()

    async def work() -> list[datetime]:
        with a_daemon(a_config(state_dir=tmp_path), a_context(FakeWorld(clock), tmp_path)) as daemon:
            daemon.alarms.start(paused=True)
            await daemon._plan_all()
            planned = [daemon.alarms.planned()["emea"]]
            for jump in (timedelta(0), by):
                clock.jump(jump)
                clock.advance(30)
                await daemon._beat()
                planned.append(daemon.alarms.planned()["emea"])
            daemon.alarms.shut_down()
            return planned

    planned, later, moved = asyncio.run(work())
    assert later == planned  # time that just passes moves nothing
    assert timedelta(0) < moved - clock.now() < timedelta(minutes=10)


def test_a_reload_ends_the_planning_by_the_earlier_configuration(tmp_path: Path) -> None:
    """A reload during the first planning of a fleet: an instance that it removed gets no alarm, and the others get theirs."""
    (tmp_path / "locks").mkdir()
    emea, apac, labs = (an_instance(name) for name in ("emea", "apac", "labs"))
    before, after = a_config(emea, apac, labs, state_dir=tmp_path), a_config(emea, apac, state_dir=tmp_path)
    context = a_context(FakeWorld(FakeClock()), tmp_path)

    async def work() -> set[str]:
        with a_daemon(before, context) as daemon:
            daemon.alarms.start(paused=True)
            daemon._planning = first = asyncio.create_task(daemon._plan_all())
            while not daemon.alarms.is_set("emea"):  # noqa: ASYNC110 - a turn at a time
                await asyncio.sleep(0)
            daemon.reload(after, context)
            assert daemon._planning is not first
            await asyncio.wait([first, daemon._planning])
            planned = set(daemon.alarms.planned())
            daemon.alarms.shut_down()
            return planned

    assert asyncio.run(work()) == {"emea", "apac"}


@pytest.mark.parametrize("name", ["daemon.lock", "state.db"])
def test_a_heartbeat_looks_whether_the_lock_and_the_state_file_are_there(tmp_path: Path, name: str) -> None:
    """A daemon ends when they are not its own any more: the command around it opens what is there."""
    directory, clock = tmp_path / "state", FakeClock()
    prepare_state_dir(directory)
    store = open_state(directory, clock.now()).store

    async def beat_twice() -> None:
        with a_daemon(a_config(state_dir=directory), a_context(FakeWorld(clock), directory, store)) as daemon:
            daemon.alarms.start(paused=True)
            try:
                await daemon._beat()
                (directory / name).unlink()
                await daemon._beat()
            finally:
                daemon.alarms.shut_down()

    with closing(store), pytest.raises(StateReplacedError, match="deleted"):
        asyncio.run(beat_twice())


def test_a_second_reload_ends_the_planning_of_the_first(tmp_path: Path) -> None:
    """Two reloads in quick succession: only the newest configuration is planned, whatever the first one was at."""
    clock = FakeClock()
    (tmp_path / "locks").mkdir()
    config, context = a_config(state_dir=tmp_path), a_context(FakeWorld(clock), tmp_path)

    async def reload_twice() -> tuple[bool, bool]:
        with a_daemon(config, context) as daemon:
            daemon.alarms.start(paused=True)
            daemon.reload(config, context)
            first = daemon._planning
            daemon.reload(config, context)
            second = daemon._planning
            assert first is not None
            assert second is not None
            await asyncio.wait([first, second])
            daemon.alarms.shut_down()
            return first.cancelled(), second.cancelled()

    assert asyncio.run(reload_twice()) == (True, False)
