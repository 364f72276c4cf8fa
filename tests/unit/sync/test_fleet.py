"""Several instances for a person who asked: run side by side, joined, waited for."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.sync.context import hold_free
from licsync_daemon.sync.fleet import ASKED, run_now
from licsync_daemon.sync.waiting import Result
from licsync_daemon.system.filelock import FileLock
from tests.fakes import T0, FakeClock, FakeWorld, FlakyStore, a_context, a_run, an_ended_run, an_instance, permanent

EMEA, APAC, LABS = (an_instance(name) for name in ("emea", "apac", "labs"))
FLEET = (EMEA, APAC, LABS)


class Stage:
    def __init__(self, directory: Path) -> None:
        prepare_state_dir(directory)
        self.directory = directory
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock)
        self.store = FlakyStore()
        self.locks = FileLeases(directory, self.clock)
        self.context = a_context(self.world, directory, self.store)

    def now(self, instances: Sequence[Instance] = FLEET, *, wait_s: float = 120, at_once: int = 4, wait_lock: bool = False) -> list[Result]:
        return asyncio.run(
            run_now(
                instances,
                self.context,
                max_concurrent_runs=at_once,
                wait=timedelta(seconds=wait_s),
                wait_lock=wait_lock,
            )
        )


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "state")


def words(results: Sequence[Result]) -> list[tuple[str, str]]:
    return [(result.instance.name, result.run.state.value if result.run else f"locked by {result.locked_by}") for result in results]


def test_a_fleet_is_run_and_confirmed(stage: Stage) -> None:
    """Each instance gets its result in the order asked for, confirmed by one question to the cloud for all of them."""
    results = stage.now()
    assert words(results) == [("emea", "confirmed"), ("apac", "confirmed"), ("labs", "confirmed")]
    assert stage.clock.slept == [0.25]
    assert stage.world.calls.count("sync_status") == 3 + 1
    for result in results:
        assert result.run is not None
        assert (result.run.trigger, result.run.reason, result.run.slot) == (Trigger.PERSON, ASKED, T0)


def test_one_held_run_does_not_stop_the_others(stage: Stage) -> None:
    """The held instance keeps its code, and the others finish."""
    stage.world.accounts["apac"] = []
    results = stage.now()
    assert words(results) == [("emea", "confirmed"), ("apac", "held"), ("labs", "confirmed")]
    assert results[1].run is not None
    assert results[1].run.code is Code.EMPTY_USAGE


def test_no_instances(stage: Stage) -> None:
    """An empty list has an empty result."""
    assert stage.now(()) == []
    assert stage.world.calls == []


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_than_the_limit_run_at_once(stage: Stage, at_once: int) -> None:
    """At most that many instances are between their first and their last request."""
    most = 0

    def count(step: str, number: int) -> None:
        nonlocal most
        most = max(most, sum(stage.store.open_run(one.name) is not None and stage.store.open_delivery(one.name) is None for one in FLEET))

    stage.world.interfere = count
    stage.now(at_once=at_once)
    assert most == at_once


@pytest.mark.parametrize(("wait_s", "slept"), [(0, []), (0.1, [0.1]), (1, [0.25, 0.25, 0.5]), (3, [0.25, 0.25, 0.5, 1.0, 1.0])])
def test_the_wait_ends_in_time(stage: Stage, wait_s: float, slept: list[float]) -> None:
    """Checks come at 0.25, 0.5, 1, 2 s and so on; after exactly the requested wait, open runs stay open."""
    stage.world.processes = False
    assert words(stage.now((EMEA,), wait_s=wait_s)) == [("emea", "delivered")]
    assert stage.clock.slept == pytest.approx(slept)


def test_a_confirmation_during_the_wait_is_in_the_result(stage: Stage) -> None:
    """The checks continue until the cloud confirms, and the result says so."""
    stage.world.processes = False
    stage.world.interfere = lambda step, number: stage.world.process_all() if len(stage.clock.slept) == 4 else None
    assert words(stage.now((EMEA, APAC))) == [("emea", "confirmed"), ("apac", "confirmed")]
    assert stage.clock.slept == [0.25, 0.25, 0.5, 1.0]


def test_a_delivered_instance_is_joined(stage: Stage) -> None:
    """The earlier delivery is waited for, and nothing is sent again."""
    stage.world.processes = False
    (first,) = stage.now((EMEA,), wait_s=0)
    stage.world.process_all()
    stage.clock.advance(10)
    stage.world.calls.clear()
    (joined,) = stage.now((EMEA,))
    assert joined.run is not None
    assert first.run is not None
    assert (joined.run.run_id, joined.run.state) == (first.run.run_id, RunState.CONFIRMED)
    assert "send" not in stage.world.calls


def test_a_second_request_delivers_again(stage: Stage) -> None:
    """A confirmed instance that is requested again is sent again, even unchanged."""
    stage.now((EMEA,))
    stage.clock.advance(10)
    stage.now((EMEA,))
    assert len(stage.world.uploads) == 2
    assert [run.state for run in stage.store.runs("emea")] == [RunState.CONFIRMED, RunState.CONFIRMED]


def test_a_locked_instance_is_left_alone(stage: Stage) -> None:
    """Another process's instance is reported with its holder, and the others run."""
    lock = stage.locks.instance("apac")
    assert lock is not None
    with lock:
        results = stage.now()
    assert [name for name, _ in words(results)] == ["emea", "apac", "labs"]
    assert results[1].run is None
    assert results[1].locked_by == stage.locks.holder("apac")
    assert results[1].locked_by == "this process"
    assert stage.store.runs("apac") == ()


class Other:
    """Another process that works on an instance: holds its lock and has a run in progress, until it is ended."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage, self.name = stage, name
        self.lock = stage.locks.instance(name)
        self.holder = stage.locks.holder(name)
        stage.store.save_run(a_run("theirs", instance=name), T0)

    def end(self, state: RunState = RunState.CONFIRMED) -> None:
        assert self.lock is not None
        self.stage.store.save_run(an_ended_run("theirs", state, instance=self.name), T0)
        self.lock.release()

    def end_at(self, at: datetime) -> None:
        """End at a moment of the clock."""
        sleep = self.stage.clock.sleep

        async def slept(seconds: float) -> None:
            await sleep(seconds)
            if self.lock is not None and self.stage.clock.now() >= at:
                self.end()
                self.lock = None

        self.stage.clock.sleep = slept  # type: ignore[method-assign]


def test_waiting_for_a_lock_is_shown(stage: Stage) -> None:
    """The observer is notified once of the holder and the time limit; then it runs. The wait is not recorded."""
    other = Other(stage, "emea")
    other.end_at(T0 + timedelta(minutes=10))
    seen: list[Run] = []
    stage.context.observe = seen.append
    with structlog.testing.capture_logs() as logs:
        assert words(stage.now((EMEA,), wait_lock=True)) == [("emea", "confirmed")]
    until = T0 + timedelta(hours=1)
    (told,) = [run for run in seen if run.waiting_until is not None]
    assert (told.phase, told.waiting_for, told.waiting_until) == ("locked", other.holder, until)
    assert [line for line in logs if line["event"] == "run.waiting_for_lock"] == [
        {"event": "run.waiting_for_lock", "log_level": "info", "instance": "emea", "held_by": other.holder, "until": until.isoformat()}
    ]
    assert {run.run_id for run in stage.store.runs("emea")} == {"theirs", seen[-1].run_id}
    assert stage.clock.now() < T0 + timedelta(minutes=11)


def test_waiting_for_a_lock_ends(stage: Stage) -> None:
    """After an hour it is left alone, as without --wait-lock."""
    other = Other(stage, "emea")
    sleep = stage.clock.sleep
    stage.clock.sleep = lambda seconds: sleep(60 * seconds)  # type: ignore[method-assign] - or it checks 7,200 times
    assert words(stage.now((EMEA,), wait_lock=True)) == [("emea", f"locked by {other.holder}")]
    assert timedelta(hours=1) <= stage.clock.now() - T0 < timedelta(hours=1, minutes=1)
    assert stage.world.calls == []


def test_waiting_for_a_lock_delays_no_other_instance(stage: Stage) -> None:
    """An instance that waits does not count toward those that run at once."""
    Other(stage, "emea").end_at(T0 + timedelta(minutes=10))
    done: list[datetime] = []
    stage.context.observe = lambda run: done.append(stage.clock.now()) if run.state is RunState.DELIVERED else None
    assert words(stage.now(FLEET, at_once=1, wait_lock=True)) == [("emea", "confirmed"), ("apac", "confirmed"), ("labs", "confirmed")]
    assert [at < T0 + timedelta(minutes=1) for at in done] == [True, True, False]


def test_a_delivered_instance_is_joined_during_another_check(stage: Stage) -> None:
    """A check by another process holds the lock briefly; the instance is not reported as locked."""
    stage.world.processes = False
    (first,) = stage.now((EMEA,), wait_s=0)
    lock = stage.locks.instance("emea")
    assert lock is not None
    with lock:
        (joined,) = stage.now((EMEA,), wait_s=0)
    assert joined == first


def test_an_instance_that_another_runs_is_locked(stage: Stage) -> None:
    """A run in progress elsewhere is never joined."""
    stage.store.save_run(a_run(), T0)
    lock = stage.locks.instance("emea")
    assert lock is not None
    with lock:
        (result,) = stage.now((EMEA,))
    assert result.run is None
    assert stage.store.runs("emea") == (a_run(),)


def test_an_instance_that_is_locked_while_waiting_is_not_checked(stage: Stage) -> None:
    """A check covers only instances whose lock is free; the result has what the other process records."""
    stage.world.processes = False
    (result,) = stage.now((EMEA,), wait_s=0)
    assert result.run is not None
    lock = stage.locks.instance("emea")
    assert lock is not None
    with hold_free(stage.locks, FLEET) as free:
        assert [one.name for one in free] == ["apac", "labs"]
    lock.release()


def test_a_stale_run_is_closed_first(stage: Stage) -> None:
    """A run whose process is gone becomes `interrupted`, and a new one is made."""
    stage.store.save_run(a_run(), T0)
    assert words(stage.now((EMEA,))) == [("emea", "confirmed")]
    assert [run.state for run in stage.store.runs("emea")] == [RunState.CONFIRMED, RunState.INTERRUPTED]


@pytest.mark.parametrize("stale", [False, True], ids=["nothing open", "a stale run"])
def test_a_full_disk_is_a_result_of_each(stage: Stage, stale: bool) -> None:
    """Where nothing can be recorded each instance fails with that code, before any request; no exception ends the command."""
    if stale:
        stage.store.save_run(a_run(), T0)
    stage.store.full = True
    results = stage.now()
    assert words(results) == [("emea", "failed"), ("apac", "failed"), ("labs", "failed")]
    assert all(result.run is not None and result.run.code is Code.STATE_UNWRITABLE for result in results)
    assert stage.world.calls == []


def test_a_lock_file_that_cannot_be_made_is_a_result_too(stage: Stage) -> None:
    """An instance whose lock file cannot be opened fails with the state's code; the others run."""
    (stage.directory / "locks" / "apac.lock").mkdir()
    results = stage.now()
    assert words(results) == [("emea", "confirmed"), ("apac", "failed"), ("labs", "confirmed")]
    assert results[1].run is not None
    assert results[1].run.code is Code.STATE_UNWRITABLE


def test_locks_are_released(stage: Stage) -> None:
    """After the command every instance is free, whatever its result."""
    stage.world.fail["collect"] = [permanent(Code.NOT_FOUND)]
    stage.now()
    for instance in FLEET:
        lock = FileLock.take(stage.directory / "locks" / f"{instance.name}.lock")
        assert lock is not None
        lock.release()


def test_stopping_interrupts_every_run(stage: Stage) -> None:
    """A cancelled command leaves every unfinished run `interrupted` and every lock free."""

    async def cut_short() -> None:
        task = asyncio.ensure_future(run_now(FLEET, stage.context, max_concurrent_runs=4, wait=timedelta(0)))
        stage.world.interfere = lambda step, number: task.cancel() and None if stage.world.calls.count("collect") == 3 else None
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut_short())
    assert {run.state for run in stage.store.runs()} == {RunState.INTERRUPTED}
    with hold_free(stage.locks, FLEET) as free:
        assert len(free) == 3


def test_a_run_ended_earlier_is_not_waited_for(stage: Stage) -> None:
    """Only current deliveries are checked."""
    stage.store.save_run(an_ended_run(), T0)
    stage.world.fail["collect"] = [permanent(Code.NOT_FOUND)]
    assert words(stage.now((EMEA,))) == [("emea", "failed")]
    assert stage.clock.slept == []


def test_deliveries_are_confirmed_while_others_still_run(stage: Stage) -> None:
    """One slow report does not delay the confirmation of other instances."""
    confirmed_early: list[bool] = []

    async def slow() -> None:
        for _ in range(400):
            await asyncio.sleep(0)
        run = stage.store.last_run("emea")
        confirmed_early.append(run is not None and run.state is RunState.CONFIRMED)

    collect = stage.world.at

    async def at(step: str) -> None:
        await collect(step)
        if step == "collect" and stage.world.calls.count("collect") == 2:
            await slow()

    stage.world.at = at  # type: ignore[method-assign]
    assert words(stage.now(FLEET[:2], at_once=1)) == [("emea", "confirmed"), ("apac", "confirmed")]
    assert confirmed_early == [True]
