"""Checks of syncs by GitHub Connect: one request for the whole fleet, and nothing is ever sent."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import ConnectDelivery, NoSource
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.model.usage import Installation
from licsync_daemon.rules.next_run import next_run
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.history import recorded
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.run import run_instance
from licsync_daemon.sync.supervise import check_connect
from licsync_daemon.sync.waiting import Result
from tests.fakes import T0, FakeClock, FakeWorld, FlakyStore, a_context, a_delivery, a_run, an_account, an_instance, transient

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
LABS, EMEA, APAC = (an_instance(name, source=NoSource(), delivery=ConnectDelivery(), server_id=None) for name in ("labs", "emea", "apac"))
READ = an_instance("labs", delivery=ConnectDelivery())


def cancel_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


class Stage:
    def __init__(self, directory: Path) -> None:
        prepare_state_dir(directory)
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock)
        self.store = FlakyStore()
        self.locks = FileLeases(directory, self.clock)
        self.context = a_context(self.world, directory, self.store)

    def watch(self, *instances: object) -> list[Run]:
        return asyncio.run(check_connect(self.context, instances or (LABS,), trigger=Trigger.SCHEDULE, reason="look"))  # type: ignore[arg-type]

    def now(self, *instances: object, wait_sync: timedelta = timedelta(0)) -> list[Result]:
        return asyncio.run(
            run_now(
                instances,  # type: ignore[arg-type]
                self.context, max_concurrent_runs=4, wait=2 * HOUR, wait_sync=wait_sync,
            )
        )  # fmt: skip

    def planned(self, instance: object = LABS) -> object:
        return next_run(instance, recorded(self.store, "labs"), self.clock.now(), up_since=T0, changed_at=T0)  # type: ignore[arg-type]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "state")


def test_one_request_checks_every_instance(stage: Stage) -> None:
    """Three instances, three results, one response; each run is recorded before it, and only the cloud is opened."""
    stage.world.sync("server-labs")
    stage.world.sync("server-emea", status="failure", error="quota")
    stage.clock.advance(3600)
    labs, emea, apac = stage.watch(LABS, EMEA, APAC)
    assert (labs.state, labs.last_sync, labs.slot) == (RunState.CURRENT, T0, None)
    assert (emea.state, emea.code, apac.code) == (RunState.FAILED, Code.SYNC_FAILED, Code.NEVER_SYNCED)
    assert stage.world.calls == ["open cloud", "sync_status", "installations", "seats"]
    assert [one.state for one in stage.store.transitions(labs.run_id)] == [RunState.RUNNING, RunState.CURRENT]
    known = stage.store.instance("labs")
    assert known is not None
    assert known.last_sync == T0
    listing = stage.store.listing()
    assert listing is not None
    assert {one.server_id for one in listing.entries} == {"server-labs", "server-emea"}


def test_a_cloud_that_cannot_be_read_fails_all_runs_and_is_retried_soon(stage: Stage) -> None:
    """The known dates stay, and the next check is a retry, before six hours."""
    stage.world.sync("server-labs")
    stage.watch()
    stage.clock.advance(6 * 3600)
    stage.world.fail["sync_status"] = [transient(Code.UNREACHABLE)]
    (run,) = stage.watch()
    assert (run.state, run.code) == (RunState.FAILED, Code.UNREACHABLE)
    planned = stage.planned()
    assert planned is not None
    assert (planned.at - stage.clock.now() < timedelta(minutes=17), planned.reason) == (True, "retry 1 after unreachable")  # type: ignore[attr-defined]
    assert stage.store.instance("labs").last_sync == T0  # type: ignore[union-attr]


def test_a_canceled_check_is_interrupted(stage: Stage) -> None:
    """The process is stopped during a check: the runs are closed, and the next process checks again."""
    stage.world.interfere = lambda step, _: cancel_task() if step == "sync_status" else None
    with pytest.raises(asyncio.CancelledError):
        stage.watch(LABS, EMEA)
    assert {run.state for run in stage.store.runs()} == {RunState.INTERRUPTED}


def test_an_unexpected_error_ends_only_the_check(stage: Stage) -> None:
    """Each run says so; nothing stays `running`."""
    stage.world.fail["sync_status"] = [ZeroDivisionError()]
    runs = stage.watch(LABS, EMEA)
    assert {(run.state, run.code) for run in runs} == {(RunState.FAILED, Code.INTERNAL)}


def test_checks_come_every_six_hours(stage: Stage) -> None:
    """A result, good or bad, is not retried: the next check comes on schedule. Without a source there are no slots."""
    first = stage.planned()
    assert (first.reason, first.is_connect_check, first.slot) == ("first Connect check", True, None)  # type: ignore[attr-defined]
    for sync in (False, True):
        if sync:
            stage.world.sync("server-labs")
        stage.watch()
        planned = stage.planned()
        assert (planned.at, planned.is_connect_check) == (stage.clock.now() + 6 * HOUR, True)  # type: ignore[attr-defined]


def test_graphql_shows_disconnected_servers_and_accounts(stage: Stage) -> None:
    """If the token may query it; the number is recorded with the run."""
    stage.world.sync("server-labs")
    stage.world.installs = (Installation(hostname="ghes-labs.example.com", is_connected=False, accounts=41),)
    (run,) = stage.watch()
    assert (run.state, run.accounts_in_cloud, [one.code for one in run.notices]) == (RunState.CURRENT, 41, [Code.NOT_CONNECTED])


def test_a_check_without_graphql_does_not_call_a_server_connected_again(stage: Stage) -> None:
    """The earlier result stays until GraphQL says otherwise or a newer sync arrives: no alert is closed without evidence."""
    stage.world.sync("server-labs")
    stage.world.installs = (Installation(hostname="ghes-labs.example.com", is_connected=False),)
    stage.watch()
    stage.world.fail["installations"] = [transient()] * 3
    for _ in range(2):
        (run,) = stage.watch()
        assert (run.state, [one.code for one in run.notices]) == (RunState.CURRENT, [Code.NOT_CONNECTED])
    stage.clock.advance(3600)
    stage.world.sync("server-labs")
    (run,) = stage.watch()
    assert (run.state, run.notices) == (RunState.CURRENT, ())


def test_graphql_says_that_a_server_is_connected_again(stage: Stage) -> None:
    """It counts before the next sync."""
    stage.world.sync("server-labs")
    for is_connected in (False, True):
        stage.world.installs = (Installation(hostname="ghes-labs.example.com", is_connected=is_connected),)
        (run,) = stage.watch()
    assert run.notices == ()


def test_with_a_source_the_guards_warn_and_drift_is_seen(stage: Stage) -> None:
    """Syncs by GitHub Connect cannot be held: the guards warn, and the run satisfies the slot."""
    stage.world.sync("server-labs")
    stage.world.accounts["labs"] = [an_account(number) for number in range(1, 101)]
    first = asyncio.run(run_instance(stage.context, READ, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=T0))
    assert (first.state, first.counts.sent, first.notices[0].code) == (RunState.CURRENT, 100, Code.AGE_UNKNOWN)
    stage.clock.advance(WEEK.total_seconds())
    stage.world.sync("server-labs")
    stage.world.installs = (Installation(hostname="ghes-labs.example.com", is_connected=True, accounts=9),)
    stage.world.accounts["labs"] = stage.world.accounts["labs"][:10]
    second = asyncio.run(run_instance(stage.context, READ, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=T0 + WEEK))
    told = {one.code: one.text for one in second.notices}
    assert second.state is RunState.CURRENT
    assert "GitHub Connect sends this automatically" in told[Code.SHRUNK_USAGE]
    assert "9 of the 10 accounts" in told[Code.COUNT_DRIFT]
    assert "send" not in stage.world.calls
    planned = stage.planned(READ)
    assert planned.is_connect_check  # type: ignore[attr-defined]


def test_a_connect_check_does_not_satisfy_a_slot(stage: Stage) -> None:
    """If the instance has a source too, a Connect check alone does not satisfy its slot."""
    stage.world.sync("server-labs")
    stage.watch(READ)
    planned = stage.planned(READ)
    assert (planned.slot, planned.is_connect_check) == (T0, False)  # type: ignore[attr-defined]


def test_run_now_checks_once(stage: Stage) -> None:
    """One check, no waiting, and in the requested order."""
    stage.world.sync("server-labs")
    results = stage.now(APAC, LABS)
    assert [(one.instance.name, one.run.state) for one in results if one.run] == [("apac", RunState.FAILED), ("labs", RunState.CURRENT)]
    assert stage.world.calls.count("sync_status") == 1
    assert stage.clock.slept == []


def test_run_now_with_wait_checks_until_a_newer_sync_appears(stage: Stage) -> None:
    """Someone clicks *Sync now* during the wait; without that it ends at the time limit."""
    stage.world.sync("server-labs")
    stage.clock.advance(60)

    def press(step: str, number: int) -> None:
        if step == "sync_status" and stage.world.calls.count("sync_status") == 3:
            stage.world.sync("server-labs")

    stage.world.interfere = press
    (result,) = stage.now(LABS, wait_sync=HOUR)
    assert result.run is not None
    assert result.run.last_sync is not None
    assert result.run.last_sync > T0
    assert stage.world.calls.count("sync_status") == 3
    (result,) = stage.now(LABS, wait_sync=timedelta(minutes=2))
    assert stage.world.calls.count("sync_status") == 3 + 7  # at once, after 5, 10, 20, 40, 80 s, and at the end


def test_an_instance_in_use_by_another_process_is_skipped(stage: Stage) -> None:
    """Its result names the holder; the others are checked."""
    lock = stage.locks.instance("labs")
    assert lock is not None
    with lock:
        labs, emea = stage.now(LABS, EMEA)
    assert (labs.run, emea.run is not None) == (None, True)
    assert labs.locked_by is not None


@pytest.mark.parametrize("left", [RunState.RUNNING, RunState.DELIVERED, RunState.AWAITING_UPLOAD, RunState.HELD])
def test_runs_of_an_earlier_delivery_are_closed_and_stop_no_other(stage: Stage, left: RunState) -> None:
    """Runs of an earlier delivery or a dead process: the whole fleet is still checked, and they are not."""
    stage.store.save_run(a_run("left", instance="emea", state=left), T0, delivery=a_delivery(instance="emea", run_id="left"))
    for name in ("labs", "emea"):
        stage.world.sync(f"server-{name}")
    assert [run.state for run in stage.watch(LABS, EMEA)] == [RunState.CURRENT, RunState.CURRENT]
    found = stage.store.run("left")
    assert found is not None
    assert found.state is (RunState.INTERRUPTED if left is RunState.RUNNING else RunState.SUPERSEDED)
    assert asyncio.run(check_open_deliveries(stage.context, (EMEA,))) == []
    assert (stage.store.open_delivery("emea") is None) == (left is not RunState.RUNNING)


def test_a_date_later_than_the_clouds_own_clock_is_not_remembered(stage: Stage) -> None:
    """The check fails, and the earlier date stays: otherwise the instance could not be overdue for months."""
    stage.world.sync("server-labs")
    stage.watch()
    stage.world.entries["server-labs"] = replace(stage.world.entries["server-labs"], date=T0 + 100 * DAY)
    (run,) = stage.watch()
    assert (run.state, run.code) == (RunState.FAILED, Code.BAD_RESPONSE)
    known = stage.store.instance("labs")
    assert known is not None
    assert known.last_sync == T0
