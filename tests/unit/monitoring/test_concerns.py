"""What is wrong with an instance, as far as a person has to know of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import ConnectDelivery, Instance, ManualDelivery, NoSource
from licsync_daemon.model.run import Decided, InstanceRecord, Run, RunState, Tripped
from licsync_daemon.model.usage import Notice
from licsync_daemon.monitoring.concerns import Concern, acknowledgment, concerns, same_meaning
from licsync_daemon.monitoring.status import InstanceView, instance_view
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, a_config, a_decision, a_holder, a_run, an_ended_run, an_instance

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
CLOUD = a_config().cloud
CONNECT = {"delivery": ConnectDelivery(), "source": NoSource()}
MANUAL = {"delivery": ManualDelivery(outbox=Path("/srv/outbox"))}
HOST = "ghes-emea.example.com"


def a_store(*runs: Run, age: timedelta | None = DAY) -> MemoryStore:
    """Return a state with runs, the oldest first, and the age of the last sync."""
    store = MemoryStore()
    for run in runs:
        store.save_run(run, T0)
    store.save_instance(InstanceRecord(name="emea", identity=None, last_sync=T0 - age if age is not None else None))
    return store


def viewed(store: MemoryStore, instance: Instance | None = None, now: datetime = T0, *, can_confirm: bool = True) -> InstanceView:
    return instance_view(instance or an_instance(), store, now, T0, lambda _: True, can_confirm=can_confirm)


def wrong(store: MemoryStore, instance: Instance | None = None, now: datetime = T0, *, can_confirm: bool = True) -> dict[Code, Concern]:
    return {one.code: one for one in concerns(viewed(store, instance, now, can_confirm=can_confirm), CLOUD, now)}


def opened(store: MemoryStore, instance: Instance | None = None, **more: bool) -> list[Code]:
    return [code for code, one in wrong(store, instance, **more).items() if one.opens]


def failed(code: Code = Code.UNREACHABLE, run_id: str = "bad", **changes: object) -> Run:
    return an_ended_run(run_id, RunState.FAILED, **{"code": code, "cause": "it broke", "next_step": "mend it", "failures": 1, **changes})


# ---------------------------------------------------------------- overdue


@pytest.mark.parametrize(("age", "codes"), [(8 * DAY, []), (8 * DAY + SECOND, [Code.OVERDUE])], ids=["at max_age", "just past"])
def test_an_instance_is_overdue_past_its_max_age(age: timedelta, codes: list[Code]) -> None:
    """The text names the cloud's date and not the days since, which would be other words every day."""
    found = wrong(a_store(an_ended_run(), age=age))
    assert list(found) == codes
    if codes:
        assert found[Code.OVERDUE] == Concern(
            code=Code.OVERDUE,
            severity=Severity.ALERT,
            text="the last sync that the cloud reports is from 2026-11-16 01:59 UTC, older than `max_age`",
            next_step="sync the instance now and check the result: $licsync --run-now emea",
        )


@pytest.mark.parametrize(
    "changes",
    [{"enabled": False}, {"unsynced_because": "data stays on site"}],
    ids=["disabled", "never synced on purpose"],
)
def test_what_is_off_is_never_told(changes: dict[str, object]) -> None:
    """Whatever its last run was and however old its sync is."""
    assert wrong(a_store(failed(Code.UNAUTHORIZED, permanent=True), age=99 * DAY), an_instance(**changes)) == {}


def test_what_is_paused_is_never_told() -> None:
    """As long as the pause lasts."""
    store = a_store(failed(Code.UNAUTHORIZED, permanent=True), age=99 * DAY)
    store.save_decision(a_decision(what=Decided.PAUSED, run_id=None, until=T0 + DAY))
    assert wrong(store) == {}
    assert wrong(store, now=T0 + DAY) != {}


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.DELIVERED])
def test_nothing_is_opened_while_a_run_may_mend_it(state: RunState) -> None:
    """After downtime the first thing is a run, and not an alarm; an alert that is open already stays."""
    (one,) = wrong(a_store(a_run(state=state, holder=a_holder()), age=9 * DAY)).values()
    assert (one.code, one.opens) == (Code.OVERDUE, False)


def test_an_instance_that_never_had_a_sync(subtests: pytest.Subtests) -> None:
    """A new instance is left in peace until its newest run has ended badly; then one alert says so, not two."""
    for name, (runs, codes) in {
        "no run yet": ((), []),
        "the first is at work": ((a_run(),), []),
        "accepted": ((an_ended_run(state=RunState.ACCEPTED),), []),
        "failed": ((failed(),), [Code.UNREACHABLE]),
        "in maintenance": ((failed(Code.MAINTENANCE, failures=0),), [Code.OVERDUE]),
        "rejected": ((an_ended_run(state=RunState.REJECTED, code=Code.SHRUNK_USAGE),), []),
        "failed, and tried again": ((failed(), a_run("new", state=RunState.DELIVERED)), []),
    }.items():
        with subtests.test(name):
            assert opened(a_store(*runs, age=None)) == codes


@pytest.mark.parametrize(("age", "codes"), [(None, []), (99 * DAY, [])])
def test_an_organization_is_never_overdue(age: timedelta | None, codes: list[Code]) -> None:
    """There is no sync that could be too old."""
    assert opened(a_store(an_ended_run(state=RunState.ACCEPTED), age=age), can_confirm=False) == codes


@pytest.mark.parametrize(
    ("looked", "opens"), [(12 * HOUR - SECOND, False), (12 * HOUR, True)], ids=["the next look will say", "no look comes any more"]
)
def test_with_github_connect_the_look_says_it(looked: timedelta, opens: bool) -> None:
    """Between two checks it becomes late, and the next one says so and why; where none comes, it is overdue all the same."""
    run = an_ended_run(state=RunState.CURRENT, started_at=T0 - looked)
    (one,) = wrong(a_store(run, age=9 * DAY), an_instance(**CONNECT)).values()
    assert (one.code, one.opens) == (Code.OVERDUE, opens)
    assert one.next_step.startswith(f"as an enterprise owner, on {HOST}, {github.SYNC_NOW}")


@pytest.mark.parametrize("code", [Code.LATE, Code.NEVER_SYNCED])
def test_one_alert_says_that_it_is_late(code: Code) -> None:
    """What GitHub Connect's look found out is told at once, and not a second time as overdue."""
    assert opened(a_store(failed(code), age=9 * DAY), an_instance(**CONNECT)) == [code]


# ---------------------------------------------------------------- failures


def test_when_a_failure_is_told(subtests: pytest.Subtests) -> None:
    """When trying again will not mend it, or has not for half an hour; with its cause and its next step."""
    for name, (run, opens) in {
        "once": (failed(failures=1), False),
        "twice": (failed(failures=2), False),
        "three times": (failed(failures=3), True),
        "for good": (failed(Code.UNAUTHORIZED, permanent=True), True),
        "the cloud says so": (failed(Code.SYNC_FAILED), True),
        "not connected": (failed(Code.NOT_CONNECTED), True),
    }.items():
        with subtests.test(name):
            (one,) = wrong(a_store(run)).values()
            assert one == Concern(code=run.code, severity=Severity.ALERT, text="it broke", next_step="mend it", opens=opens)


def test_a_failure_is_told_at_once_where_time_is_over() -> None:
    """Of an overdue instance every failure counts."""
    assert opened(a_store(failed(), age=9 * DAY)) == [Code.UNREACHABLE, Code.OVERDUE]


def test_maintenance_is_only_told_as_overdue() -> None:
    """However often it was met."""
    assert wrong(a_store(failed(Code.MAINTENANCE, failures=9))) == {}
    (one,) = wrong(a_store(failed(Code.MAINTENANCE, failures=9), age=9 * DAY)).values()
    assert (one.code, one.next_step, one.opens) == (Code.OVERDUE, "mend it", True)


def test_a_run_that_says_nothing_ends_no_failure(subtests: pytest.Subtests) -> None:
    """Only an end tells whether it is mended. While one is at work nothing is opened, and what is open stays."""
    for newer in (
        a_run("new", holder=a_holder()),
        a_run("new", state=RunState.DELIVERED),
        an_ended_run("new", RunState.INTERRUPTED),
        an_ended_run("new", RunState.SKIPPED),
    ):
        with subtests.test(newer=newer):
            (one,) = wrong(a_store(failed(failures=3), newer)).values()
            assert (one.code, one.opens) == (Code.UNREACHABLE, newer.state not in {RunState.RUNNING, RunState.DELIVERED})


def test_a_run_that_did_its_part_ends_a_failure(subtests: pytest.Subtests) -> None:
    """Of the two the newer counts."""
    for state in (RunState.CONFIRMED, RunState.CURRENT, RunState.ACCEPTED, RunState.AWAITING_UPLOAD):
        with subtests.test(state=state):
            newer = an_ended_run("new", state) if state.is_final else a_run("new", state=state)
            assert Code.UNREACHABLE not in wrong(a_store(failed(failures=3), newer), an_instance(**MANUAL))


def test_a_first_failure_in_a_new_slot_keeps_the_alert_open() -> None:
    """The count begins anew with the slot; the failure does not end with it."""
    (one,) = wrong(a_store(failed(failures=9), failed(run_id="new", failures=1, slot=T0 + 7 * DAY))).values()
    assert (one.code, one.opens) == (Code.UNREACHABLE, False)


# ---------------------------------------------------------------- guards


HELD = a_run(
    "held",
    state=RunState.HELD,
    code=Code.SHRUNK_USAGE,
    cause="700 accounts, 300 fewer than before (1,000)",
    next_step='if this is correct: $licsync approve held --reason "…"',
    tripped=(Tripped(Code.SHRUNK_USAGE, "700 accounts, 300 fewer than before (1,000)", before=1000, after=700),),
)


def test_a_held_run_asks_for_a_decision() -> None:
    """With what tripped, and the command that lets it pass."""
    (one,) = wrong(a_store(HELD)).values()
    assert one == Concern(
        code=Code.SHRUNK_USAGE,
        severity=Severity.ALERT,
        text="held, and nothing was sent: 700 accounts, 300 fewer than before (1,000)",
        next_step='if this is correct: $licsync approve held --reason "…"',
        since=T0,
    )


def test_an_approval_answers_it_while_it_is_in_force() -> None:
    """Nobody is asked twice; an approval that has expired is none."""
    store = a_store(HELD)
    store.save_decision(a_decision())
    assert wrong(store) == {}
    assert list(wrong(store, now=T0 + 7 * DAY)) == [Code.SHRUNK_USAGE]
    never_synced = a_store(HELD, age=None)
    never_synced.save_decision(a_decision())
    assert opened(never_synced) == []


def test_a_held_run_that_nobody_decided_on_is_still_told() -> None:
    """Its time is over, and nothing was sent; a rejected one is decided."""
    (one,) = wrong(a_store(an_ended_run("held", RunState.EXPIRED, code=Code.SHRUNK_USAGE, cause="300 fewer"))).values()
    assert (one.code, one.text) == (Code.SHRUNK_USAGE, "nothing was sent, because no decision was made within 7 days: 300 fewer")
    assert one.next_step == "collect usage again: $licsync --run-now emea"
    assert wrong(a_store(an_ended_run("held", RunState.REJECTED, code=Code.SHRUNK_USAGE, cause="300 fewer"))) == {}


# ---------------------------------------------------------------- what waits for a person


def awaiting(state: RunState = RunState.AWAITING_UPLOAD, **changes: object) -> Run:
    return a_run("waits", state=state, collected_at=T0 - HOUR, delivered_at=T0 - HOUR, **changes)


def test_an_export_waits_for_a_person() -> None:
    """It says which file, where and since when, and which page it goes to; it is told again every two days."""
    (one,) = wrong(a_store(awaiting()), an_instance(**MANUAL)).values()
    assert one == Concern(
        code=Code.NOT_UPLOADED,
        severity=Severity.WARNING,
        text="the export usage-emea-20261124T010000Z.json in /srv/outbox/emea has been waiting for someone to upload it since 2026-11-24 01:00 UTC",
        next_step=f"as an enterprise owner, on https://github.com/enterprises/octo, {github.UPLOAD}",
        since=T0 - HOUR,
        remind=2 * DAY,
    )


@pytest.mark.parametrize(
    ("state", "to"),
    [(RunState.AWAITING_EXPORT, MANUAL), (RunState.AWAITING_UPLOAD, {"delivery": ManualDelivery()})],
    ids=["source none", "no outbox"],
)
def test_without_a_file_the_person_gets_two_links(state: RunState, to: dict[str, object]) -> None:
    """Where the usage is exported, and where it is uploaded."""
    (one,) = wrong(a_store(awaiting(state)), an_instance(**to)).values()
    assert one.text == f"the usage of {HOST} has been waiting for someone to export and upload it since 2026-11-24 01:00 UTC"
    assert one.next_step == (
        f"as an enterprise owner, on https://{HOST}/, {github.EXPORT}; then on https://github.com/enterprises/octo, {github.UPLOAD}"
    )


def test_what_waits_too_long_becomes_an_alert() -> None:
    """Once the instance is overdue; that is one alert, and not two. A new instance that was never synced is not late yet."""
    found = wrong(a_store(awaiting(), age=9 * DAY), an_instance(**MANUAL))
    assert [(one.code, one.severity) for one in found.values() if one.opens] == [(Code.NOT_UPLOADED, Severity.ALERT)]
    assert found[Code.NOT_UPLOADED].text.endswith("since 2026-11-24 01:00 UTC; the instance is overdue")
    found = wrong(a_store(awaiting(), age=None), an_instance(**MANUAL))
    assert [(one.code, one.severity) for one in found.values()] == [(Code.NOT_UPLOADED, Severity.WARNING)]


def test_what_was_never_uploaded_becomes_an_alert_too() -> None:
    """Week after week a newer export takes the place of one that nobody uploaded: after `max_age` that is no new instance any more."""
    for began, severity in ((7 * DAY, Severity.WARNING), (9 * DAY, Severity.ALERT)):
        first = an_ended_run("first", RunState.SUPERSEDED, started_at=T0 - began)
        found = wrong(a_store(first, awaiting(), age=None), an_instance(**MANUAL))
        assert [(one.code, one.severity) for one in found.values()] == [(Code.NOT_UPLOADED, severity)]


def test_what_nobody_uploaded_stays_an_alert() -> None:
    """Also while it is prepared anew, and when it is laid ready again; it is over when the cloud has it."""
    given_up = failed(Code.NOT_UPLOADED, cause="no one has uploaded it")
    for runs in ((given_up,), (given_up, a_run("new"))):
        (one,) = wrong(a_store(*runs), an_instance(**MANUAL)).values()
        assert (one.code, one.severity, one.text, one.remind) == (Code.NOT_UPLOADED, Severity.ALERT, "no one has uploaded it", 2 * DAY)
    assert list(wrong(a_store(given_up, awaiting()), an_instance(**MANUAL))) == [Code.NOT_UPLOADED]
    assert wrong(a_store(given_up, an_ended_run("good")), an_instance(**MANUAL)) == {}


def test_a_newer_failure_stands_beside_what_waits() -> None:
    """The next slot could not be prepared, and the last one still waits."""
    found = opened(a_store(awaiting(), failed(failures=3)), an_instance(**MANUAL))
    assert found == [Code.UNREACHABLE, Code.NOT_UPLOADED]


# ---------------------------------------------------------------- warnings


LATE = Notice(code=Code.LATE, text="the weekly sync expected at about 2026-11-23 02:00 UTC has not arrived")
DRIFT = Notice(code=Code.COUNT_DRIFT, text="the cloud has 9 of the 10 accounts sent")


def looked(run_id: str = "look", *notices: Notice, **changes: object) -> Run:
    return an_ended_run(run_id, RunState.CURRENT, slot=None, notices=notices, **changes)


def test_a_warning_of_the_newest_run_is_told() -> None:
    """With GitHub's own label, or where to read more, and how to say that it may stay so."""
    found = wrong(a_store(looked("look", LATE, DRIFT, collected_at=T0)), an_instance(**CONNECT))
    assert [(one.code, one.severity, one.text) for one in found.values()] == [
        (Code.LATE, Severity.WARNING, LATE.text),
        (Code.COUNT_DRIFT, Severity.WARNING, DRIFT.text),
    ]
    assert "*Sync now*" in found[Code.LATE].next_step
    assert found[Code.COUNT_DRIFT].next_step == (
        'see docs/runbook.md#count_drift; if this is expected: $licsync acknowledge look --reason "…"'
    )


@pytest.mark.parametrize("code", [Code.ABOVE_SEATS, Code.AGE_UNKNOWN, Code.COUNTS_UNKNOWN])
def test_what_is_only_for_information_is_not_told(code: Code) -> None:
    """It would be told for ever."""
    assert wrong(a_store(looked("look", Notice(code=code, text="so"), collected_at=T0))) == {}


def test_a_warning_holds_until_a_run_could_have_repeated_it(subtests: pytest.Subtests) -> None:
    """A look at the cloud ends only what checks say; only a collection ends what was said of the usage."""
    for name, (newer, codes) in {
        "a look": (looked("new"), [Code.COUNT_DRIFT]),
        "a collection": (looked("new", collected_at=T0), []),
        "the cloud could not be read": (failed(), [Code.LATE, Code.COUNT_DRIFT, Code.UNREACHABLE]),
        "it could": (failed(Code.SYNC_FAILED), [Code.COUNT_DRIFT, Code.SYNC_FAILED]),
        "still at work": (a_run("new", collected_at=T0), [Code.LATE, Code.COUNT_DRIFT]),
    }.items():
        with subtests.test(name):
            assert list(wrong(a_store(looked("old", LATE, DRIFT, collected_at=T0), newer), an_instance(**CONNECT))) == codes


def test_what_is_late_becomes_an_alert() -> None:
    """The warning and the failure are one thing, first less and then more."""
    (one,) = wrong(a_store(looked("old", LATE), failed(Code.LATE)), an_instance(**CONNECT)).values()
    assert (one.code, one.severity) == (Code.LATE, Severity.ALERT)


def acknowledged(store: MemoryStore, run_id: str) -> MemoryStore:
    store.save_decision(a_decision(what=Decided.ACKNOWLEDGED, run_id=run_id, until=None))
    return store


def test_an_acknowledged_warning_stays_away_while_it_lasts() -> None:
    """Later runs say the same in other numbers, and a failure says nothing; the first run without it ends the acknowledgment."""
    older, newer = looked("old", LATE), looked("new", Notice(code=Code.LATE, text=LATE.text.replace("2026-11-23", "2026-11-30")))
    on_connect = an_instance(**CONNECT)
    assert list(wrong(acknowledged(a_store(older), "other"), on_connect)) == [Code.LATE]
    assert wrong(acknowledged(a_store(older), "old"), on_connect) == {}
    assert wrong(acknowledged(a_store(older, newer), "old"), on_connect) == {}
    assert wrong(acknowledged(a_store(older, failed(), newer), "old"), on_connect) == {}
    assert list(wrong(acknowledged(a_store(older, looked("between"), newer), "old"), on_connect)) == [Code.LATE]
    weeks_of_checks = [replace(newer, run_id=f"check{number}") for number in range(40)]
    assert wrong(acknowledged(a_store(older, *weeks_of_checks), "old"), on_connect) == {}


def test_an_acknowledgment_is_of_what_was_said() -> None:
    """Another warning of the same run is acknowledged with it; another meaning under the same code is not."""
    store = acknowledged(a_store(looked("old", LATE, DRIFT, collected_at=T0), looked("new", LATE, DRIFT, collected_at=T0)), "old")
    view = viewed(store, an_instance(**CONNECT))
    assert concerns(view, CLOUD, T0) == ()
    assert acknowledgment(view, Notice(code=Code.LATE, text="it never came")) is None
    by = acknowledgment(view, DRIFT)
    assert by is not None
    assert by.actor == "mona"


def test_numbers_are_no_news(subtests: pytest.Subtests) -> None:
    """A changed day count says nothing new; another word does."""
    for one, other, same in (
        ("9 days old (2026-11-15 02:00 UTC)", "10 days old (2026-11-15 02:00 UTC)", True),
        ("no credential cloud__token", "no credential emea__token", False),
        ("row 17: 3 cells", "row 18: 5 cells", True),
        ("it failed", "it failed again", False),
        ("it ends within 30 days, on 2026-12-20", "it ends within 30 days, on 2026-12-21", True),
        ("it ends within 30 days, on 2026-12-20", "it ends within 14 days, on 2026-12-20", False),
    ):
        with subtests.test(one=one, other=other):
            assert same_meaning(one, other) is same
