"""What `status` prints for people about waits and retired instances."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from licsync_daemon.cli.status import show_fleet
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import CloudAccount, Config, ConnectDelivery, Destination, HttpDelivery, ManualDelivery, NoSource
from licsync_daemon.model.run import InstanceRecord, RunState, SeatRecord
from licsync_daemon.model.usage import Listing, Notice, ServerIdentity
from licsync_daemon.monitoring.heartbeat import DaemonView
from licsync_daemon.monitoring.status import fleet_view
from licsync_daemon.monitoring.status_json import as_json
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, a_config, a_holder, a_run, an_alert, an_ended_run, an_entry, an_instance

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALIVE = DaemonView(alive=True, holder=a_holder(since_at=T0 - HOUR), heartbeat_at=T0)
RELAY = Destination(url="https://relay.example.com/uploads")


def shown(capsys: pytest.CaptureFixture[str], store: MemoryStore, config: Config) -> str:
    show_fleet(fleet_view(config, store, T0, ALIVE, lambda _: True))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("delivery", "state", "line"),
    [
        (HttpDelivery(at=RELAY, confirm_timeout=2 * HOUR), RunState.DELIVERED, "waiting for the cloud to confirm until 03:00:00"),
        (ManualDelivery(), RunState.AWAITING_EXPORT, "the upload is expected until 2026-12-02 01:00"),
        (
            ManualDelivery(outbox=Path("/srv/outbox")),
            RunState.AWAITING_UPLOAD,
            "the upload is expected until 2026-12-02 01:00",
        ),
    ],
    ids=["delivered", "to be exported", "to be uploaded"],
)
def test_a_wait_for_the_clouds_word_has_an_end(
    capsys: pytest.CaptureFixture[str], delivery: HttpDelivery | ManualDelivery, state: RunState, line: str
) -> None:
    """It says what is waited for, and when the wait is over: `confirm_timeout` after the delivery, `max_age` after a person was asked."""
    store = MemoryStore()
    why = "the cloud's latest sync is still the previous one"
    store.save_run(a_run(state=state, started_at=T0 - HOUR, delivered_at=T0 - HOUR, waiting_for=why), T0)
    out = shown(capsys, store, a_config(an_instance(delivery=delivery)))
    assert f"emea: {line} at the latest\n" in out
    assert out.count(why) == 1


@pytest.mark.parametrize(
    ("retired_at", "named"),
    [(T0 - 30 * DAY, True), (T0 - 30 * DAY - timedelta(seconds=1), False), (None, False)],
    ids=["30 days", "longer", "not noticed yet"],
)
def test_a_retired_instance_is_shown_for_a_while(capsys: pytest.CaptureFixture[str], retired_at: object, named: bool) -> None:
    """It is shown for 30 days, and not at all once it is configured again, whether or not a daemon has noticed that."""
    store = MemoryStore()
    identity = ServerIdentity(hostname="ghes-labs.example.com", server_id="server-labs")
    store.save_instance(InstanceRecord(name="labs", identity=identity, retired_at=retired_at))  # type: ignore[arg-type]
    assert ("labs: retired since 2026-10-25" in shown(capsys, store, a_config())) is named
    assert "retired" not in shown(capsys, store, a_config(an_instance("labs")))


def test_a_script_finds_the_end_of_the_wait() -> None:
    """In JSON it stands beside the next look."""
    store = MemoryStore()
    store.save_run(a_run(state=RunState.DELIVERED, delivered_at=T0), T0)
    (one,) = as_json(fleet_view(a_config(), store, T0, ALIVE, lambda _: True))["instances"]
    assert one["expected_until"] == "2026-11-24T03:00:00Z"


def test_servers_beside_the_configured_ones_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A server of nobody is a warning with its next step; one that is named on purpose is only listed."""
    store = MemoryStore()
    listed = (
        an_entry(),
        an_entry(server_id="server-x", hostname="x.example.com"),
        an_entry(server_id="server-o", hostname="o.example.com"),
    )
    store.save_listing(Listing(entries=listed, read_at=T0))
    cloud = CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo", elsewhere=("o.example.com",))
    out = shown(capsys, store, a_config(cloud=cloud))
    assert "warning: the cloud also lists x.example.com (server ID server-x), which is not in the configuration\n  next step: add a" in out
    assert "elsewhere, as configured: o.example.com (server ID server-o)\n" in out
    assert "retired, as configured" not in out


def test_open_alerts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with since when, when somebody was told, and what to do; also where nobody could be told."""
    store = MemoryStore()
    store.save_alert(an_alert(Code.LATE, instance="", severity=Severity.WARNING))
    store.save_alert(an_alert(opened_at=T0 - 2 * HOUR, notified_at=T0 - HOUR))
    out = shown(capsys, store, a_config())
    assert (
        "warning: the fleet: late: it cannot be reached (since 02:00:00, no notification sent)\n  next step: look at the network\n" in out
    )
    assert "alert: emea: unreachable: it cannot be reached (since 00:00:00, notified 1h ago)\n" in out


WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("last", "notice", "state"),
    [
        (T0 - 2 * DAY, None, "current"),
        (T0 - 6 * DAY, None, "current"),
        (T0 - 2 * DAY, Code.LATE, "late"),
        (T0 - 11 * DAY, None, "late"),
        (T0 - 8 * DAY - timedelta(seconds=1), None, "late"),
        (T0 - 2 * DAY, Code.NOT_CONNECTED, "current"),
    ],
    ids=["fresh", "a week", "its run says so", "too old", "a day after its time", "another warning"],
)
def test_a_late_instance_is_never_called_current(
    capsys: pytest.CaptureFixture[str], last: datetime, notice: Code | None, state: str
) -> None:
    """In the table and in JSON; the run itself stays `current`. What has become late since the newest check counts too."""
    store = MemoryStore()
    notices = (Notice(code=notice, text="x"),) if notice else ()
    for number, at in enumerate((last - WEEK, last), 1):
        run = an_ended_run(f"run{number}", RunState.CURRENT, last_sync=at, notices=notices, started_at=at + HOUR)
        store.save_run(run, T0)
    store.save_instance(InstanceRecord(name="emea", identity=None, last_sync=last))
    config = a_config(an_instance(delivery=ConnectDelivery(), source=NoSource(), max_age=10 * DAY))

    (row,) = [line for line in shown(capsys, store, config).splitlines() if line.startswith("emea  ")]
    (told,) = as_json(fleet_view(config, store, T0, ALIVE, lambda _: True))["instances"]

    assert row.split()[1].rstrip(",") == state
    assert (told["state"], told["last_run"]["state"]) == (state, "current")


def test_more_seats_than_purchased_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    store.save_seats(SeatRecord(read_at=T0, consumed=120, purchased=100))

    out = shown(capsys, store, a_config())

    assert "seats: 120 consumed of 100 purchased, read 0s ago\n" in out
    assert out.count("warning: the fleet: seats_exceeded: the cloud account consumes 20 more seats than were purchased") == 1
    assert out.count("next step: suspend or remove unused accounts") == 1


def test_each_problem_once_and_the_worst_first(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure that also opened an alert, is overdue and stands in the list of runs is one problem; a warning follows it."""
    store = MemoryStore()
    store.save_instance(InstanceRecord(name="emea", identity=None, last_sync=T0 - 20 * DAY))
    store.save_run(an_ended_run("run1", RunState.FAILED, code=Code.UNREACHABLE, cause="it cannot be reached", next_step="look"), T0)
    store.save_alert(an_alert(opened_at=T0 - 2 * HOUR, notified_at=T0 - HOUR))
    notices = (Notice(code=Code.LATE, text="a day late"), Notice(code=Code.COUNTS_UNKNOWN, text="not counted"))
    store.save_run(an_ended_run("run2", RunState.CURRENT, instance="labs", last_sync=T0 - 2 * DAY, notices=notices), T0)
    store.save_instance(InstanceRecord(name="labs", identity=None, last_sync=T0 - 2 * DAY))
    labs = an_instance("labs", delivery=ConnectDelivery(), source=NoSource())

    out = shown(capsys, store, a_config(labs, an_instance("emea")))

    assert [line.split(" ")[:3] for line in out.splitlines() if line.startswith(("alert:", "warning:", "emea: ", "labs: "))] == [
        ["alert:", "emea:", "unreachable:"],
        ["warning:", "labs:", "late:"],
        ["labs:", "note:", "counts_unknown:"],
    ]
    assert out.count("it cannot be reached") == out.count("a day late") == 1
    assert "(since 00:00:00, notified 1h ago)" in out


def test_a_healthy_connect_instance_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Its row in the table, and nothing else: no column of counts, no advice."""
    store = MemoryStore()
    store.save_run(an_ended_run("run1", RunState.CURRENT, last_sync=T0 - 2 * DAY), T0)
    store.save_instance(InstanceRecord(name="emea", identity=None, last_sync=T0 - 2 * DAY))

    header, *rest = shown(capsys, store, a_config(an_instance(delivery=ConnectDelivery(), source=NoSource()))).splitlines()

    assert header.split() == ["instance", "state", "last", "sync", "age", "next", "why"]
    assert [line.split()[0] for line in rest] == ["emea", "daemon:"]
