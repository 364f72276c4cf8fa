"""The state of the fleet as `status` shows it."""

import json
from datetime import timedelta

import pytest

from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import Holder, InstanceRecord, Run, RunState, SeatRecord
from licsync_daemon.model.store import StateStore
from licsync_daemon.model.text import iso
from licsync_daemon.model.usage import Listing, ServerIdentity, UsageCounts
from licsync_daemon.monitoring.heartbeat import DaemonView
from licsync_daemon.monitoring.status import FleetView, fleet_view
from licsync_daemon.monitoring.status_json import as_json, run_json
from licsync_daemon.rules.next_run import CONFIRM
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, a_config, a_holder, a_run, an_alert, an_ended_run, an_entry, an_instance

HOUR = timedelta(hours=1)
DEAD = DaemonView(alive=False, holder=None, heartbeat_at=None)
ALIVE = DaemonView(alive=True, holder=a_holder(since_at=T0 - HOUR), heartbeat_at=T0)


def a_store(*runs: Run, last_sync: object = None) -> MemoryStore:
    store = MemoryStore()
    for run in runs:
        store.save_run(run, T0)
    identity = ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea")
    store.save_instance(InstanceRecord(name="emea", identity=identity, last_sync=last_sync))  # type: ignore[arg-type]
    return store


def nobody(holder: Holder) -> bool:
    return False


def everybody(holder: Holder) -> bool:
    return True


def view(store: StateStore | None, daemon: DaemonView = DEAD, **changes: object) -> FleetView:
    return fleet_view(a_config(an_instance(**changes)), store, T0, daemon, everybody)


def test_without_a_state_nothing_is_known() -> None:
    """Before the first run every instance is shown, overdue and planned as its first sync."""
    (one,) = view(None).instances
    assert (one.run, one.state, one.confirmed, one.last_sync, one.age, one.overdue) == (None, None, None, None, None, True)
    assert one.planned is not None
    assert view(None).seats is None


def test_overdue_is_computed_from_the_clouds_date(subtests: pytest.Subtests) -> None:
    """The age is that of the cloud's own date, not of our confirmation."""
    for name, (age, overdue) in {
        "now": (timedelta(0), False),
        "at max_age": (timedelta(days=8), False),
        "just past": (timedelta(days=8, seconds=1), True),
        "in the future": (timedelta(days=-1), False),
    }.items():
        with subtests.test(name):
            (one,) = view(a_store(an_ended_run(confirmed_at=T0), last_sync=T0 - age)).instances
            assert (one.age, one.overdue) == (age, overdue)


def test_a_disabled_instance_is_never_overdue() -> None:
    """What is switched off raises no alarm and has no plan."""
    (one,) = view(a_store(), enabled=False).instances
    assert (one.overdue, one.planned) == (False, None)


def test_a_running_run_whose_process_is_gone_shows_as_interrupted(subtests: pytest.Subtests) -> None:
    """Reading changes nothing in the state, but says what is true."""
    for name, (run, alive, state) in {
        "running": (a_run(holder=a_holder()), everybody, RunState.RUNNING),
        "its process is gone": (a_run(holder=a_holder()), nobody, RunState.INTERRUPTED),
        "nobody's": (a_run(holder=None), everybody, RunState.INTERRUPTED),
        "delivered": (a_run(state=RunState.DELIVERED, delivered_at=T0), nobody, RunState.DELIVERED),
        "confirmed": (an_ended_run(), nobody, RunState.CONFIRMED),
    }.items():
        with subtests.test(name):
            store = a_store(run)
            (one,) = fleet_view(a_config(), store, T0, DEAD, alive).instances  # type: ignore[arg-type]
            assert one.state is state
            assert store.run(run.run_id) == run


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [((), "continued after an interruption"), ((an_ended_run("good", started_at=T0),), "weekly slot")],
    ids=["still due", "satisfied before"],
)
def test_what_follows_a_process_that_is_gone_is_planned(earlier: tuple[Run, ...], reason: str) -> None:
    """It is what the next process will find: the slot again, unless an earlier run has satisfied it."""
    store = a_store(*earlier, a_run(holder=a_holder()))
    (one,) = fleet_view(a_config(), store, T0, DEAD, nobody).instances
    assert one.planned is not None
    assert one.planned.reason == reason


def test_the_last_confirmed_run_stands_beside_the_newest() -> None:
    """A failure does not hide what was confirmed before it."""
    store = a_store(an_ended_run("good"), an_ended_run("bad", RunState.FAILED, code=Code.NOT_FOUND))
    (one,) = view(store).instances
    assert one.run is not None
    assert one.confirmed is not None
    assert (one.run.run_id, one.confirmed.run_id) == ("bad", "good")


def test_the_plan_is_the_daemons() -> None:
    """With a daemon up since before the slot, the slot is its own; without one it is caught up after the next start."""
    with_daemon = view(a_store(), ALIVE).instances[0].planned
    without = view(a_store(), DEAD).instances[0].planned
    assert with_daemon is not None
    assert without is not None
    assert with_daemon.at == T0
    assert with_daemon.reason == "weekly slot"
    assert without.at >= T0


@pytest.mark.parametrize(("age", "shown"), [(0, True), (30, True), (31, False)], ids=["today", "30 days", "longer ago"])
def test_a_retired_instance_is_shown_for_30_days(age: int, shown: bool) -> None:
    """With its name and since when; what is configured is not among them."""
    store = a_store()
    store.save_run(an_ended_run("run9", RunState.FAILED, instance="labs", code=Code.NOT_FOUND), T0)
    retired = InstanceRecord(name="labs", identity=None, retired_at=T0 - timedelta(days=age))
    store.save_instance(retired)
    assert view(store).retired == ((retired,) if shown else ())
    since = iso(retired.retired_at)
    assert as_json(view(store))["retired"] == ([{"instance": "labs", "hostname": None, "retired_at": since}] if shown else [])


def test_what_the_cloud_lists_and_what_is_open_is_shown() -> None:
    """Servers of nobody, missing ones, second ones and those named on purpose; open alerts. Null, and none, where nothing is known."""
    store = a_store()
    assert (as_json(view(store))["listed"], as_json(view(store))["alerts"], as_json(view(None))["alerts"]) == (None, [], [])
    other = an_entry(server_id="server-x", hostname="ghes-x.example.com", date=None)
    store.save_listing(Listing(entries=(an_entry(server_id="server-new"), other), read_at=T0))
    store.save_alert(an_alert(Code.TIMEOUT, notified_at=T0 + HOUR))
    store.save_alert(an_alert(Code.LATE, instance=""))
    store.save_alert(an_alert(Code.FORBIDDEN, closed_at=T0))
    found = json.loads(json.dumps(as_json(view(store))))
    assert found["listed"] == {
        "read_at": "2026-11-24T02:00:00Z",
        "orphans": [{"server_id": "server-x", "hostname": "ghes-x.example.com", "last_sync": None}],
        "missing": ["emea"],
        "second_servers": [{"instance": "emea", "hostname": "ghes-emea.example.com", "server_ids": ["server-new"], "beside": False}],
        "elsewhere": [],
        "retired": [],
    }
    assert [(one["instance"], one["code"], one["notified_at"]) for one in found["alerts"]] == [
        (None, "late", None),
        ("emea", "timeout", "2026-11-24T03:00:00Z"),
    ]
    assert set(found["alerts"][0]) == {"instance", "code", "severity", "text", "next_step", "opened_at", "changed_at", "notified_at"}


def test_json_holds_everything_and_only_json_values() -> None:
    """The view as JSON: instants in UTC with whole seconds, ages in seconds, the four times kept apart."""
    run = a_run(
        state=RunState.DELIVERED,
        collected_at=T0 + timedelta(seconds=1, microseconds=5),
        delivered_at=T0,
        holder=a_holder(),
        waiting_for="x",
    )
    store = a_store(run, last_sync=T0 - HOUR)
    store.save_seats(SeatRecord(read_at=T0, consumed=5, purchased=None))
    found = json.loads(json.dumps(as_json(view(store, ALIVE))))
    assert found["at"] == "2026-11-24T02:00:00Z"
    assert found["daemon"] == {"alive": True, "pid": 4711, "started_at": "2026-11-24T01:00:00Z", "heartbeat_at": "2026-11-24T02:00:00Z"}
    assert found["seats"] == {"read_at": "2026-11-24T02:00:00Z", "consumed": 5, "purchased": None}
    (one,) = found["instances"]
    assert (one["instance"], one["state"], one["age_s"], one["overdue"], one["last_confirmed_run"]) == (
        "emea",
        "delivered",
        3600,
        False,
        None,
    )
    assert one["next"] == {"at": "2026-11-24T02:00:05Z", "reason": CONFIRM}
    last = one["last_run"]
    assert (last["collected_at"], last["delivered_at"], last["confirmed_at"], last["last_sync"]) == (
        "2026-11-24T02:00:01Z",
        "2026-11-24T02:00:00Z",
        None,
        None,
    )
    assert set(last["counts"]) == {"rows", "sent", "suspended", "unusable", "without_address", "total_users", "seats_used"}


def test_what_was_not_counted_is_null() -> None:
    """A look at what GitHub Connect carries counts nothing, and an opaque export cannot be counted: that is not zero."""
    looked = an_ended_run("look", RunState.CURRENT, collected_at=None)
    opaque = an_ended_run("opaque", counts=UsageCounts(counted=False))
    assert [run_json(run)["counts"] for run in (looked, opaque)] == [None, None]


def test_a_dead_daemon_has_no_process_in_json() -> None:
    """Who held the lock last is not shown as who is at work."""
    daemon = DaemonView(alive=False, holder=a_holder(), heartbeat_at=T0 - HOUR)
    assert as_json(view(None, daemon))["daemon"] == {
        "alive": False,
        "pid": None,
        "started_at": None,
        "heartbeat_at": "2026-11-24T01:00:00Z",
    }


def test_instants_for_machines() -> None:
    """ISO 8601 in UTC, or null."""
    assert (iso(T0), iso(None)) == ("2026-11-24T02:00:00Z", None)
