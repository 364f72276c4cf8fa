"""What happens next for an instance, and why: every branch of `next_run` at its boundaries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.model.blackout import parse_window
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance, Schedule
from licsync_daemon.model.run import Decided, Decision, Run, RunState
from licsync_daemon.model.text import words
from licsync_daemon.model.usage import CLOCK_SLACK
from licsync_daemon.rules.next_run import (
    APPROVAL_ENDS,
    CATCH_UP,
    CHANGED,
    CONFIRM,
    DAILY_RETRY,
    FIRST,
    HELD_FOR,
    INTERRUPTED,
    MAINTENANCE_CAP,
    RETRY_CAP,
    STARTUP_DELAY,
    STARTUP_JITTER_S,
    Planned,
    Recorded,
    next_run,
    retry_wait,
    satisfies,
    startup_jitter,
)
from licsync_daemon.rules.schedule import slot_after, slot_at
from tests.fakes import T0, a_decision, a_run, an_ended_run, an_instance

WEEKLY = Schedule(cron="0 2 * * 2", timezone="UTC")  # T0 is one of its slots
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = T0 + HOUR
INSTANCE = an_instance()
SETTLED = STARTUP_DELAY + startup_jitter("emea")


def failed(run_id: str = "run1", **changes: object) -> Run:
    """A failed run; it ended a minute after it started."""
    return an_ended_run(run_id, RunState.FAILED, **{"code": Code.RATE_LIMITED, "failures": 1, **changes})


def plan(
    *runs: Run,
    now: datetime = T0 + timedelta(hours=1),
    up_since: datetime = T0 - timedelta(hours=1),
    changed_at: datetime | None = None,
    approval: Decision | None = None,
    pause: Decision | None = None,
    instance: Instance | None = None,
) -> Planned:
    """Return what is planned, runs newest first; something must be."""
    recorded = Recorded(runs=runs, approval=approval, pause=pause)
    found = next_run(instance or INSTANCE, recorded, now, up_since=up_since, changed_at=changed_at or up_since)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("now", "newest", "following"),
    [
        (T0 - SECOND, T0 - WEEK, T0),
        (T0, T0, T0 + WEEK),
        (T0 + SECOND, T0, T0 + WEEK),
        (T0 + WEEK - timedelta(microseconds=1), T0, T0 + WEEK),
        (T0 + WEEK, T0 + WEEK, T0 + 2 * WEEK),
    ],
    ids=["just before", "at", "just after", "a week minus nothing", "a week"],
)
def test_slots_at_their_boundaries(now: datetime, newest: datetime, following: datetime) -> None:
    """A slot begins at its instant exactly."""
    assert slot_at(WEEKLY, now) == newest
    assert slot_after(WEEKLY, now) == following


@pytest.mark.parametrize(
    ("cron", "zone", "now", "newest"),
    [
        ("0 2 * * 2", "Europe/Berlin", T0, datetime(2026, 11, 24, 1, tzinfo=UTC)),
        ("*/5 * * * *", "UTC", T0 + MINUTE, T0),
        ("* * * * *", "UTC", T0 + timedelta(seconds=59), T0),
        ("0 0 29 2 *", "UTC", T0, datetime(2024, 2, 29, tzinfo=UTC)),
        ("0 0 1 1 *", "UTC", T0, datetime(2026, 1, 1, tzinfo=UTC)),
        ("30 2 * * 0", "Europe/Berlin", datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("30 2 * * 0", "Europe/Berlin", datetime(2026, 10, 25, 12, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
    ids=[
        "in its zone",
        "every five minutes",
        "every minute",
        "leap day",
        "yearly",
        "a time that does not exist",
        "a time that exists twice",
    ],
)
def test_slots_of_other_schedules(cron: str, zone: str, now: datetime, newest: datetime) -> None:
    """Slots follow the wall clock of the schedule's zone: a skipped time comes at the next that exists, a repeated one comes once."""
    assert slot_at(Schedule(cron=cron, timezone=zone), now) == newest


def test_a_schedule_may_leave_out_weeks() -> None:
    """With `every_weeks = 2` the slots are two weeks apart, and the newest slot stays the same in the week between them."""
    schedule = Schedule(cron="0 2 * * 2", timezone="UTC", every_weeks=2)
    first = slot_after(schedule, T0)
    assert first in {T0 + WEEK, T0 + 2 * WEEK}
    assert slot_after(schedule, first) == first + 2 * WEEK
    for later in (timedelta(0), WEEK, 2 * WEEK - SECOND):
        assert slot_at(schedule, first + later) == first


def test_the_next_slot_is_never_in_the_past(subtests: pytest.Subtests) -> None:
    """In the second pass of a repeated hour, the slot of the first pass is over; the next one is tomorrow's."""
    for cron, zone, now, following in [
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 25, 1, 10, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
        ("30 1 * * *", "America/New_York", datetime(2026, 11, 1, 6, 10, tzinfo=UTC), datetime(2026, 11, 2, 6, 30, tzinfo=UTC)),
        ("0 2 * * *", "Antarctica/Troll", datetime(2020, 10, 25, 1, 0, tzinfo=UTC), datetime(2020, 10, 26, 2, 0, tzinfo=UTC)),
    ]:
        with subtests.test(zone=zone):
            assert slot_after(Schedule(cron=cron, timezone=zone), now) == following


@pytest.mark.parametrize(
    ("run", "satisfied"),
    [
        (an_ended_run(), True),
        (an_ended_run(slot=T0 - WEEK, started_at=T0 - SECOND), False),
        (an_ended_run(slot=T0 - WEEK, started_at=T0), True),
        (an_ended_run(slot=None, started_at=NOW), True),
        (an_ended_run(slot=T0 - WEEK, started_at=NOW + SECOND), False),
        (an_ended_run(slot=T0, started_at=T0 - WEEK), True),
        (an_ended_run(state=RunState.FAILED), False),
        (an_ended_run(state=RunState.INTERRUPTED), False),
        (a_run(state=RunState.DELIVERED), False),
    ],
    ids=["its own", "before", "at its instant", "by hand", "in the future", "its own, clock set", "failed", "interrupted", "delivered"],
)
def test_what_satisfies_a_slot(run: Run, satisfied: bool) -> None:
    """A confirmed run that recorded the slot, or started between it and now."""
    assert satisfies(run, T0, NOW) is satisfied


UP_BEFORE, UP_AFTER = T0 - HOUR, NOW - MINUTE
FIRST_RETRY_AT = T0 + MINUTE + retry_wait(1, "run1")  # of the run that failed at T0 + 1 minute


@pytest.mark.parametrize(
    ("runs", "up_since", "at", "reason", "slot"),
    [
        ([], UP_AFTER, UP_AFTER + SETTLED, FIRST, T0),
        ([], UP_BEFORE, NOW, "weekly slot", T0),
        ([], T0, NOW, "weekly slot", T0),
        ([], T0 + SECOND, NOW, FIRST, T0),
        ([an_ended_run(slot=T0 - WEEK, started_at=T0 - WEEK)], UP_AFTER, UP_AFTER + SETTLED, CATCH_UP, T0),
        ([an_ended_run()], UP_AFTER, T0 + WEEK, "weekly slot", T0 + WEEK),
        ([failed("run2", started_at=NOW - MINUTE), an_ended_run()], UP_BEFORE, T0 + WEEK, "weekly slot", T0 + WEEK),
        ([failed("run2", started_at=NOW - 2 * MINUTE)], UP_BEFORE, NOW - MINUTE + retry_wait(1, "run2"), "retry 1 after rate limited", T0),
        ([failed()], UP_BEFORE, NOW, "retry 1 after rate limited", T0),
        ([failed()], UP_AFTER, NOW, "retry 1 after rate limited", T0),
        (
            [failed("run2", started_at=NOW - 2 * MINUTE, code=Code.SERVER_ERROR, failures=5), failed()],
            UP_BEFORE,
            NOW - MINUTE + retry_wait(5, "run2"),
            "retry 5 after server error",
            T0,
        ),
        ([failed(started_at=NOW - 2 * MINUTE, code=None)], UP_BEFORE, NOW - MINUTE + retry_wait(1, "run1"), "retry 1 after internal", T0),
        ([failed(slot=T0 - WEEK)], UP_BEFORE, NOW, "weekly slot", T0),
        ([an_ended_run(state=RunState.INTERRUPTED)], UP_BEFORE, NOW, INTERRUPTED, T0),
        ([an_ended_run(state=RunState.INTERRUPTED)], UP_AFTER, UP_AFTER + SETTLED, INTERRUPTED, T0),
        ([an_ended_run(state=RunState.INTERRUPTED, slot=T0 - WEEK)], UP_AFTER, UP_AFTER + SETTLED, CATCH_UP, T0),
        (
            [an_ended_run("run2", RunState.INTERRUPTED, started_at=NOW - MINUTE), failed(started_at=NOW - 2 * MINUTE)],
            UP_BEFORE,
            NOW - MINUTE + retry_wait(1, "run1"),
            "retry 1 after rate limited",
            T0,
        ),
    ],
    ids=[
        "new instance",
        "its first slot came",
        "up exactly at the slot",
        "up just after the slot, long ago",
        "missed while down",
        "satisfied",
        "satisfied, then a failure by hand",
        "failed just now",
        "failed an hour ago",
        "failed an hour ago, then restarted",
        "failed five times",
        "failed without a code",
        "failed an earlier slot",
        "interrupted",
        "interrupted, then restarted",
        "interrupted an earlier slot",
        "failed, then interrupted",
    ],
)
def test_next_run(runs: Sequence[Run], up_since: datetime, at: datetime, reason: str, slot: datetime) -> None:
    """Slots, retries, catch-ups and interruptions each have their instant, never in the past, their words and their slot."""
    assert plan(*runs, up_since=up_since) == Planned(at, reason, slot)


@pytest.mark.parametrize(("changed_at", "reason"), [(T0, "weekly slot"), (T0 + SECOND, FIRST)], ids=["for its slot", "after its slot"])
def test_an_instance_that_was_added_by_a_reload(changed_at: datetime, reason: str) -> None:
    """It is due once, immediately; a slot that passed before it was added is not called its slot."""
    assert plan(up_since=UP_BEFORE, changed_at=changed_at) == Planned(NOW, reason, T0)


@pytest.mark.parametrize(
    ("now", "due"),
    [(T0 + SETTLED - SECOND, False), (T0 + SETTLED, True), (T0 + SETTLED + SECOND, True)],
    ids=["just before", "at", "just after"],
)
def test_the_settling_delay_passes(now: datetime, due: bool) -> None:
    """A missed slot is caught up exactly when the delay since the start is over."""
    found = plan(now=now + SECOND, up_since=T0 + SECOND)
    assert (found.at <= now + SECOND) is due


# ---------------------------------------------------------------- the ladder


def test_the_ladder_has_twelve_attempts_in_21_hours_and_then_two_a_day() -> None:
    """The waits are 15 minutes growing by 35 %, up to 12 hours: the first run and eleven retries lie within 21 hours."""
    waits = [min(RETRY_CAP, timedelta(minutes=15) * 1.35**number) for number in range(40)]
    assert sum(waits[:11], timedelta(0)) == pytest.approx(timedelta(hours=18, minutes=40), abs=timedelta(minutes=1))
    assert sum(waits[:11], timedelta(0)) * 1.1 < timedelta(hours=21) < sum(waits[:12], timedelta(0))
    assert waits[12] < RETRY_CAP
    assert set(waits[13:]) == {RETRY_CAP}


def test_a_wait_is_within_a_tenth_of_its_rung(subtests: pytest.Subtests) -> None:
    """Each wait is its rung give or take 10 %, the same for the same run, and spread over different ones."""
    for number in [1, 2, 3, 12, 13, 14, 15, 1000, 10**9]:
        with subtests.test(number=number):
            rung = min(RETRY_CAP, timedelta(minutes=15) * 1.35 ** min(number - 1, 20))
            waits = {retry_wait(number, f"run{key}") for key in range(200)}
            assert all(rung * 0.9 <= wait <= rung * 1.1 for wait in waits)
            assert max(waits) - min(waits) > rung * 0.18
            assert retry_wait(number, "run1") == retry_wait(number, "run1")


def test_a_retry_is_due_exactly_at_its_instant(subtests: pytest.Subtests) -> None:
    """Just before its instant a retry lies ahead, and from it on it is due now."""
    for failures in [1, 2, 14, 60]:
        with subtests.test(failures=failures):
            run = failed(failures=failures)
            at = T0 + MINUTE + retry_wait(failures, "run1")
            for now, expected in ((at - SECOND, at), (at, at), (at + SECOND, at + SECOND)):
                assert plan(run, now=now) == Planned(expected, f"retry {failures} after rate limited", T0)


def in_maintenance(count: int, **changes: object) -> list[Run]:
    """Runs of one slot that got a 503, one after the other; the last one ended at `NOW`."""
    return [
        failed(f"run{number}", code=Code.MAINTENANCE, started_at=NOW - (number + 1) * MINUTE, **{"failures": 0, **changes})
        for number in range(count)
    ]


def test_waits_during_maintenance_grow_to_an_hour(subtests: pytest.Subtests) -> None:
    """Maintenance has separate waits, computed from the runs of the slot that met it, and does not count as a failure."""
    for in_a_row, minutes in [(1, 15), (2, 20.25), (3, 27.3375), (5, 49.82), (6, 60), (7, 60), (200, 60)]:
        with subtests.test(in_a_row=in_a_row, minutes=minutes):
            planned = plan(*in_maintenance(in_a_row), now=NOW)
            wait = planned.at - NOW
            assert wait == retry_wait(in_a_row, "run0", cap=MAINTENANCE_CAP)
            assert wait / MINUTE == pytest.approx(minutes, rel=0.101)
            assert (planned.reason, planned.slot) == ("retry after maintenance", T0)


@pytest.mark.parametrize(
    "before",
    [[failed("other", failures=9)], in_maintenance(9, slot=T0 - WEEK), [failed("other", failures=9), *in_maintenance(9)]],
    ids=["after failures that count", "after maintenance in an earlier slot", "after maintenance that was over"],
)
def test_waits_during_maintenance_start_again(before: list[Run]) -> None:
    """Only consecutive maintenance in this slot lengthens the wait; otherwise it starts with 15 minutes."""
    now_in_it = failed(code=Code.MAINTENANCE, started_at=NOW - MINUTE, failures=9)
    assert plan(now_in_it, *before, now=NOW).at == NOW + retry_wait(1, "run1")


def test_an_interruption_does_not_end_maintenance() -> None:
    """A run that was cut short says nothing about the instance."""
    first, *earlier = in_maintenance(6)
    interrupted = an_ended_run("cut", RunState.INTERRUPTED, started_at=NOW - MINUTE)
    assert plan(first, interrupted, *earlier, now=NOW).at == NOW + retry_wait(6, "run0", cap=MAINTENANCE_CAP)


def test_retries_continue_after_maintenance() -> None:
    """The first failure after maintenance continues the growing waits."""
    assert plan(failed(started_at=NOW - MINUTE, failures=3), *in_maintenance(9, failures=2), now=NOW).at == NOW + retry_wait(3, "run1")


@pytest.mark.parametrize(
    ("stated", "at"),
    [
        (T0 + MINUTE, FIRST_RETRY_AT),
        (T0 + 3 * HOUR, T0 + 3 * HOUR),
        (T0 + MINUTE + timedelta(days=1), T0 + MINUTE + timedelta(days=1)),
        (T0 + timedelta(days=3), T0 + MINUTE + timedelta(days=1)),
        (T0 + timedelta(days=9999), T0 + MINUTE + timedelta(days=1)),
    ],
    ids=["sooner", "later", "a day", "days", "decades"],
)
@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=30)], ids=["soon", "a day later"])
def test_a_stated_wait_is_honored_for_a_day(stated: datetime, at: datetime, later: timedelta) -> None:
    """A wait that the server asks for counts up to a day after the failure."""
    now = T0 + 2 * MINUTE + later
    assert plan(failed(retry_not_before=stated), now=now).at == max(at, now)


@pytest.mark.parametrize(
    ("changed_at", "up_since", "at", "reason"),
    [
        (UP_BEFORE, UP_BEFORE, T0 + MINUTE + DAILY_RETRY, "daily retry after not found"),
        (T0 + MINUTE, UP_BEFORE, T0 + MINUTE + DAILY_RETRY, "daily retry after not found"),
        (T0 + MINUTE + SECOND, UP_BEFORE, NOW, CHANGED),
        (NOW - MINUTE, NOW - MINUTE, NOW - MINUTE + SETTLED, CHANGED),
    ],
    ids=["nothing changed", "changed when it ended", "reloaded after it ended", "restarted after it ended"],
)
def test_a_permanent_failure_waits_for_a_change_or_a_day(changed_at: datetime, up_since: datetime, at: datetime, reason: str) -> None:
    """A permanent failure is retried once a day, immediately after a reload, and after the startup delay of a restart."""
    run = failed(code=Code.NOT_FOUND, permanent=True, failures=9)
    assert plan(run, changed_at=changed_at, up_since=up_since) == Planned(at, reason, T0)


def test_the_next_slot_comes_whatever_the_retries() -> None:
    """A failed slot ends with the next one: the count restarts, and a permanent failure does not outlast its slot."""
    for run in (failed(failures=30), failed(permanent=True, code=Code.NOT_FOUND)):
        assert plan(run, now=T0 + WEEK) == Planned(T0 + WEEK, "weekly slot", T0 + WEEK)


@pytest.mark.parametrize(
    ("left", "is_slot"), [(timedelta(0), True), (SECOND, False), (-SECOND, True)], ids=["at it", "just before it", "just after it"]
)
@pytest.mark.parametrize("run", [failed(failures=30), failed(permanent=True), failed(retry_not_before=T0 + 99 * WEEK)])
def test_no_retry_is_planned_past_the_next_slot(run: Run, left: timedelta, is_slot: bool) -> None:
    """What would be tried again at the next slot or later is planned for the slot: else it would come up to a day late."""
    wait = plan(replace(run, ended_at=T0), now=T0 + MINUTE).at - T0
    ended = T0 + WEEK - wait - left
    planned = plan(replace(run, started_at=ended, ended_at=ended), now=ended + SECOND)
    assert planned.slot == (T0 + WEEK if is_slot else T0)
    assert planned.at == T0 + WEEK - max(left, timedelta(0))


# ---------------------------------------------------------------- runs that stop a slot


def test_nothing_for_a_disabled_instance_or_a_run_in_progress() -> None:
    """A disabled instance has no plan, and a running one gets none until it ends."""
    for instance, runs in ((an_instance(enabled=False), ()), (INSTANCE, (a_run(), failed("run0")))):
        assert next_run(instance, Recorded(runs=runs), NOW, up_since=UP_BEFORE, changed_at=UP_BEFORE) is None


def test_a_delivered_run_is_checked() -> None:
    """A delivered run gets its next check instead of a new run, at a fixed time after the delivery."""
    run = a_run(state=RunState.DELIVERED, delivered_at=NOW - timedelta(seconds=3))
    assert plan(run) == Planned(NOW + timedelta(seconds=2), CONFIRM, None, is_confirm_check=True)


def test_a_delivered_run_is_checked_after_the_end_of_its_slot() -> None:
    """An open run prevents another run even when the next slot has come."""
    run = a_run(state=RunState.DELIVERED, delivered_at=T0 + WEEK - SECOND)
    assert plan(run, now=T0 + WEEK).is_confirm_check


def test_a_delivered_run_is_checked_behind_its_superseded_one() -> None:
    """The run it replaced is ignored: the approved run is superseded, and the new one is checked."""
    old = an_ended_run("run0", RunState.SUPERSEDED)
    assert plan(old, a_run(state=RunState.DELIVERED, delivered_at=NOW)).is_confirm_check


def test_a_held_slot_waits_for_a_person_or_the_next_one(subtests: pytest.Subtests) -> None:
    """No run starts automatically in the slot of a held, rejected or expired run; the next slot starts as usual."""
    for state in [RunState.HELD, RunState.REJECTED, RunState.EXPIRED]:
        with subtests.test(state=state):
            run = a_run(state=state, ended_at=None if state is RunState.HELD else T0 + MINUTE)
            assert plan(run) == Planned(T0 + WEEK, "weekly slot", T0 + WEEK)
            assert plan(run, now=T0 + WEEK) == Planned(T0 + WEEK, "weekly slot", T0 + WEEK)


def test_the_end_of_the_time_to_decide_is_planned() -> None:
    """Where the next slot is far, the moment at which a held run expires is planned; an expired one waits for the slot."""
    monthly = an_instance(schedule=Schedule(cron="0 2 24 * *", timezone="UTC"))
    end = T0 + HELD_FOR
    held = a_run(state=RunState.HELD)
    assert plan(held, instance=monthly) == Planned(end, APPROVAL_ENDS, T0)
    assert plan(replace(held, state=RunState.EXPIRED), instance=monthly, now=end).at == datetime(2026, 12, 24, 2, tzinfo=UTC)


# ---------------------------------------------------------------- approvals and pauses

HELD = a_run("held", state=RunState.HELD)
APPROVED = a_decision(at=NOW - MINUTE, until=NOW - MINUTE + HELD_FOR)


@pytest.mark.parametrize(
    ("runs", "up_since", "at", "reason"),
    [
        ((HELD,), UP_BEFORE, NOW, "approved by mona"),
        ((HELD,), NOW - SECOND, NOW - SECOND + SETTLED, "approved by mona"),
        ((failed(started_at=NOW - 30 * SECOND, ended_at=NOW - 10 * SECOND), HELD), UP_BEFORE, None, "retry 1 after rate limited"),
        ((failed(started_at=NOW - 9 * MINUTE, ended_at=NOW - 8 * MINUTE), HELD), UP_BEFORE, NOW, "approved by mona"),
        ((HELD, failed(started_at=T0, ended_at=NOW - SECOND)), UP_BEFORE, NOW, "approved by mona"),
        (
            (an_ended_run("run2", RunState.INTERRUPTED, started_at=NOW), failed(started_at=NOW - MINUTE, ended_at=NOW - SECOND), HELD),
            UP_BEFORE,
            None,
            "retry 1 after rate limited",
        ),
    ],
    ids=["approved", "approved, then restarted", "failed since", "failed before it", "failed before it was held", "failed, interrupted"],
)
def test_an_approved_usage_is_sent_at_once(runs: Sequence[Run], up_since: datetime, at: datetime | None, reason: str) -> None:
    """An approval is followed at once; where the fresh collection has failed since, up the ladder and not in a tight loop."""
    found = plan(*runs, up_since=up_since, approval=APPROVED)
    assert (found.reason, found.slot) == (reason, T0)
    assert found.at == (at or runs[-2].ended_at + retry_wait(1, "run1"))  # type: ignore[operator]


def test_an_approved_usage_goes_with_the_next_slot_at_the_latest() -> None:
    """A later retry of it comes with the slot, whose own retries start again."""
    approval = a_decision(at=T0 + 6 * DAY, until=T0 + 13 * DAY)
    late = failed(permanent=True, started_at=T0 + 6 * DAY + HOUR)
    held = replace(HELD, started_at=T0 + 5 * DAY)
    assert plan(late, held, now=T0 + 6 * DAY + 2 * HOUR, approval=approval) == Planned(T0 + WEEK, "approved by mona", T0 + WEEK)
    assert plan(late, held, now=T0 + WEEK, approval=approval) == Planned(T0 + WEEK, "approved by mona", T0 + WEEK)


@pytest.mark.parametrize(
    ("changes", "now", "counts"),
    [
        ({}, APPROVED.until - SECOND, True),  # type: ignore[operator]
        ({}, APPROVED.until, False),
        ({"used_at": NOW}, NOW, False),
        ({"until": None}, NOW, False),
        ({"at": NOW + CLOCK_SLACK, "until": NOW + WEEK}, NOW, True),
        ({"at": NOW + CLOCK_SLACK + SECOND, "until": NOW + WEEK}, NOW, False),
    ],
    ids=["last second", "expired", "used up", "without an end", "our clock was set back a little", "given by a clock far ahead"],
)
def test_what_an_approval_is_worth(changes: dict[str, object], now: datetime, counts: bool) -> None:
    """It holds up to its end, once; one that a clock far ahead has dated does not, or it would hold for years."""
    found = plan(HELD, approval=replace(APPROVED, **changes), now=now)  # type: ignore[arg-type]
    assert found.reason.startswith("approved by") is counts


PAUSED = a_decision(what=Decided.PAUSED, run_id=None, at=T0, until=NOW + HOUR, reason="rack moves")


@pytest.mark.parametrize(
    ("pause", "now", "at", "reason"),
    [
        (PAUSED, NOW, NOW + HOUR, "weekly slot, paused until then: rack moves"),
        (PAUSED, NOW + HOUR - SECOND, NOW + HOUR, "weekly slot, paused until then: rack moves"),
        (PAUSED, NOW + HOUR, NOW + HOUR, "weekly slot"),
        (replace(PAUSED, what=Decided.RESUMED, until=None), NOW, NOW, "weekly slot"),
        (replace(PAUSED, until=T0 + WEEK), NOW, T0 + WEEK, "weekly slot, paused until then: rack moves"),
        (replace(PAUSED, at=NOW + CLOCK_SLACK + SECOND, until=NOW + 52 * WEEK), NOW, NOW, "weekly slot"),
    ],
    ids=["paused", "last second", "over", "resumed", "over the next slot", "by a clock far ahead"],
)
def test_a_pause_moves_a_planned_run(pause: Decision, now: datetime, at: datetime, reason: str) -> None:
    """Nothing starts automatically before a pause ends, and the reason says so; then the slot is still due."""
    assert plan(now=now, pause=pause) == Planned(at, reason, T0)


def test_a_pause_that_ends_in_time_changes_nothing() -> None:
    """A plan behind the end of a pause stays as it is."""
    assert plan(an_ended_run(), pause=PAUSED) == Planned(T0 + WEEK, "weekly slot", T0 + WEEK)


def test_a_pause_does_not_stop_checks_of_deliveries() -> None:
    """A delivered run is still checked."""
    assert plan(a_run(state=RunState.DELIVERED, delivered_at=NOW), pause=PAUSED).is_confirm_check


@pytest.mark.parametrize(
    ("avoid", "at", "reason"),
    [
        ("tue 01:00-08:00", T0 + 6 * HOUR, "weekly slot, after a blackout window"),
        ("tue 03:00-08:00", T0 + 6 * HOUR, "weekly slot, after a blackout window"),
        ("tue 03:01-08:00", NOW, "weekly slot"),
        ("tue 02:00-03:00", NOW, "weekly slot"),
        ("daily 00:00-24:00", NOW, "weekly slot"),
    ],
    ids=["in it", "just begun", "about to begin", "just ended", "everything"],
)
def test_a_blackout_window_moves_what_is_planned(avoid: str, at: datetime, reason: str) -> None:
    """What falls into a window starts at its end; windows without an end are no windows."""
    instance = an_instance(schedule=Schedule(cron="0 2 * * 2", timezone="UTC", avoid=(parse_window(avoid),)))
    assert plan(instance=instance) == Planned(at, reason, T0)


def test_a_pause_that_ends_in_a_blackout_window() -> None:
    """Both are passed, and both are said."""
    instance = an_instance(schedule=Schedule(cron="0 2 * * 2", timezone="UTC", avoid=(parse_window("tue 03:00-09:00"),)))
    found = plan(instance=instance, pause=PAUSED)
    assert found == Planned(T0 + 7 * HOUR, "weekly slot, paused until then: rack moves, after a blackout window", T0)


# ---------------------------------------------------------------- clocks that were wrong

AHEAD = T0 + 52 * WEEK  # a slot of the weekly schedule, a year from now


def test_a_run_of_a_clock_that_was_ahead_satisfies_no_later_slot() -> None:
    """Recorded before one that began earlier, it is disbelieved when its slot really comes; while it lies ahead in any case."""
    began = AHEAD + 30 * MINUTE
    wrong = an_ended_run("wrong", slot=AHEAD, started_at=began, last_sync=T0, delivered_at=began + SECOND)
    mark = an_ended_run("mark", RunState.SKIPPED, slot=None, started_at=T0 + MINUTE)
    assert plan(wrong, now=AHEAD) == Planned(AHEAD, "weekly slot", AHEAD)
    for now in (AHEAD, began, AHEAD + HOUR):
        assert plan(mark, wrong, now=now) == Planned(now, "weekly slot", AHEAD)
        assert plan(an_ended_run(started_at=T0), wrong, now=now) == Planned(now, "weekly slot", AHEAD)


def test_a_clock_that_was_behind_costs_no_earlier_run() -> None:
    """A run that a clock in 1970 dated does not make the ones before it wrong: the cloud's date speaks for them."""
    right = an_ended_run("right", last_sync=T0 + MINUTE, delivered_at=T0 + SECOND)
    behind = an_ended_run("behind", slot=None, started_at=datetime(1970, 1, 1, tzinfo=UTC))
    assert plan(behind, right) == Planned(T0 + WEEK, "weekly slot", T0 + WEEK)


def test_a_clock_corrected_by_seconds_changes_nothing(subtests: pytest.Subtests) -> None:
    """A run that began up to five minutes after now still counts for its slot; further ahead it does not."""
    for by, satisfied in [(CLOCK_SLACK, True), (CLOCK_SLACK + SECOND, False)]:
        with subtests.test(by=by, satisfied=satisfied):
            found = plan(an_ended_run(started_at=NOW + by, ended_at=NOW + by))
            assert (found.slot == T0 + WEEK) is satisfied


@pytest.mark.parametrize("stated", [None, T0 + timedelta(days=400)], ids=["nothing stated", "a wait stated"])
def test_a_failure_that_ended_in_the_future_counts_from_its_start(stated: datetime | None) -> None:
    """A clock that was set forward in mid-run and then back delays its retry by no year."""
    run = failed(ended_at=T0 + timedelta(days=365), retry_not_before=stated)
    found = plan(run, now=T0 + SECOND)
    assert found == Planned(T0 + (timedelta(days=1) if stated else retry_wait(1, "run1")), "retry 1 after rate limited", T0)


def test_a_start_in_the_future_delays_nothing_until_then() -> None:
    """If the daemon started while the clock was a year ahead, the startup delay counts from now."""
    year = timedelta(days=365)
    assert plan(up_since=NOW + year) == Planned(NOW + SETTLED, FIRST, T0)
    permanent = failed(code=Code.NOT_FOUND, permanent=True)
    assert plan(permanent, changed_at=NOW + year, up_since=UP_BEFORE) == Planned(NOW, CHANGED, T0)


# ---------------------------------------------------------------- words and schedules


def test_a_changed_schedule_is_due_once() -> None:
    """An unsatisfied slot is due, whatever was confirmed earlier for the old schedule."""
    changed = an_instance(schedule=Schedule(cron="30 2 * * 2", timezone="UTC"))
    assert plan(an_ended_run(), instance=changed) == Planned(NOW, "weekly slot", T0 + timedelta(minutes=30))


def test_the_name_of_a_slot(subtests: pytest.Subtests) -> None:
    """Only one day a week is called weekly."""
    for cron, reason in [
        ("0 2 * * 2", "weekly slot"),
        ("0 2 * * sun", "weekly slot"),
        ("0 2 * * *", "planned slot"),
        ("0 2 1 * *", "planned slot"),
        ("0 2 * * 1-5", "planned slot"),
    ]:
        with subtests.test(cron=cron, reason=reason):
            instance = an_instance(schedule=Schedule(cron=cron, timezone="UTC"))
            assert plan(instance=instance, up_since=T0 - 40 * WEEK).reason == reason


def test_the_settling_delay_is_stable_and_spread() -> None:
    """Each instance has its own delay, the same at every start, under five minutes."""
    delays = {startup_jitter(f"instance_{number}") for number in range(100)}
    assert startup_jitter("emea") == startup_jitter("emea")
    assert len(delays) > 50
    assert all(timedelta(0) <= delay < timedelta(seconds=STARTUP_JITTER_S) for delay in delays)


def test_words_of_a_code() -> None:
    """A code reads as words; none is an internal error."""
    assert (words(Code.RATE_LIMITED), words(None)) == ("rate limited", "internal")
