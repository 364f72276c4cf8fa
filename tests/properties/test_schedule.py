"""Properties of slots over zones, transitions and years, and of plans over random histories."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance, Schedule
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.rules.next_run import Planned, Recorded, next_run, satisfies
from licsync_daemon.rules.schedule import slot_after, slot_at
from tests.fakes import a_run, an_instance

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/St_Johns",
    "Asia/Tehran",
)
SECOND, MINUTE, DAY, WEEK = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1), timedelta(days=7)
BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)

weekly = st.builds(lambda minute, hour, day: f"{minute} {hour} * * {day}", st.integers(0, 59), st.integers(0, 23), st.integers(0, 6))
crons = (
    weekly
    | st.builds(lambda minute, hour: f"{minute} {hour} * * *", st.integers(0, 59), st.integers(0, 23))
    | st.sampled_from(["*/15 * * * *", "0 * * * *", "30 1-3 * * *", "0 2 1 * *", "0 0 29 2 *", "15 2 * 3,10,11 0"])
)
schedules = st.builds(lambda cron, zone: Schedule(cron=cron, timezone=zone), crons, st.sampled_from(ZONES))
moments = st.datetimes(BEGIN.replace(tzinfo=None), END.replace(tzinfo=None), timezones=st.just(UTC))


@cache
def transitions(zone: str) -> tuple[datetime, ...]:
    """Every change of a zone's offset from 2020 to 2040: the first minute of the new one. No two lie in one week."""
    found, moment = [], BEGIN
    while moment < END:
        if offset(zone, moment) != offset(zone, moment + WEEK):
            before, after = moment, moment + WEEK
            while after - before > MINUTE:
                middle = before + (after - before) // MINUTE // 2 * MINUTE
                before, after = (middle, after) if offset(zone, middle) == offset(zone, moment) else (before, middle)
            found.append(after)
        moment += WEEK
    return tuple(found)


def offset(zone: str, moment: datetime) -> timedelta:
    found = moment.astimezone(ZoneInfo(zone)).utcoffset()
    assert found is not None
    return found


@st.composite
def near_transitions(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    zone = draw(st.sampled_from([zone for zone in ZONES if transitions(zone)]))
    moment = draw(st.sampled_from(transitions(zone)))
    near = moment + timedelta(minutes=draw(st.integers(-3 * 24 * 60, 3 * 24 * 60)), seconds=draw(st.integers(0, 59)))
    return Schedule(cron=draw(crons), timezone=zone), near


@example((Schedule(cron="0 2 * * *", timezone="Antarctica/Troll"), datetime(2020, 10, 25, 1, tzinfo=UTC)))  # within the repeated two hours
@given(st.tuples(schedules, moments) | near_transitions())
def test_slots_forward_and_backward_agree(case: tuple[Schedule, datetime]) -> None:
    """The slot before and the slot after a moment are neighbors, seen from either side."""
    schedule, now = case
    newest, following = slot_at(schedule, now), slot_after(schedule, now)
    assert newest <= now < following
    assert slot_at(schedule, newest) == newest
    assert slot_at(schedule, following) == following
    assert slot_at(schedule, following - SECOND) == newest
    assert slot_after(schedule, newest) == following


def test_every_change_of_the_clocks_in_every_zone() -> None:
    """A weekly slot in a gap comes when the gap ends, one in a fold comes the first time, those beside come as ever; each comes once.

    Zones that change at the same instants by the same hours are one case.
    """
    cases = {
        tuple((at, offset(zone, at - MINUTE), offset(zone, at)) for at in transitions(zone)): zone for zone in sorted(available_timezones())
    }
    assert sum(map(len, cases)) > 1000, "the zones of this machine have no rules for the future"
    for changes, zone in cases.items():
        for at, before, after in changes:
            first, last = sorted((before, after))  # on the wall clock, what lies between is missing, or comes twice
            local = at.replace(tzinfo=None)
            gap = local + before, local + after
            for wall in {local + first - MINUTE, local + first, local + (first + last) / 2, local + last - MINUTE, local + last}:
                expected = at if gap[0] <= wall < gap[1] else (wall - before if wall < local + before else wall - after).replace(tzinfo=UTC)
                schedule = Schedule(cron=f"{wall.minute} {wall.hour} * * {wall.isoweekday() % 7}", timezone=zone)
                slots = [slot_after(schedule, at - WEEK / 2)]
                while slots[-1] < at + WEEK / 2:
                    slots.append(slot_after(schedule, slots[-1]))
                assert slots[:-1] == [expected], (schedule, at, wall)
                assert slot_at(schedule, expected) == expected, (schedule, at, wall)


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=max(4, settings.default.max_examples // 6))
@given(minute=st.sampled_from([0, 1, 30, 59]), hour=st.integers(0, 4) | st.integers(0, 23))
def test_no_weekly_slot_is_skipped_or_doubled(zone: str, minute: int, hour: int) -> None:
    """Around every change of the clocks, consecutive weekly slots lie a week apart, give or take what the clocks moved."""
    info = ZoneInfo(zone)
    for moment in transitions(zone) or (BEGIN,):
        local = moment.astimezone(info)
        for weekday in {local.isoweekday() % 7, (local.isoweekday() + 1) % 7}:
            schedule = Schedule(cron=f"{minute} {hour} * * {weekday}", timezone=zone)
            slot = slot_at(schedule, moment - DAY)
            for _ in range(3):
                following = slot_after(schedule, slot)
                assert abs(following - slot - WEEK) <= timedelta(hours=3), (schedule, slot, following)
                assert following.astimezone(info).isoweekday() % 7 == weekday
                slot = following


NOW = datetime(2026, 3, 30, 12, 0, tzinfo=UTC)
around = st.integers(-30 * 24 * 60, 5 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes))


@st.composite
def histories(draw: st.DrawFn, schedule: Schedule) -> list[Run]:
    """Runs of an instance, newest first, as clocks that jump may have left them."""
    runs = []
    for number in range(draw(st.integers(0, 5))):
        started = draw(around)
        state = draw(st.sampled_from(list(RunState) if number == 0 else [state for state in RunState if state.is_final]))
        ended = started + timedelta(minutes=draw(st.integers(-600, 600))) if state.is_final else None
        runs.append(
            a_run(
                f"run{number}",
                slot=draw(st.sampled_from([slot_at(schedule, started), slot_at(schedule, NOW), None])),
                started_at=started,
                ended_at=ended,
                state=state,
                delivered_at=started if state is RunState.DELIVERED else None,
                code=draw(st.sampled_from([Code.RATE_LIMITED, None])),
                retry_not_before=draw(st.none() | around),
            )
        )
    return runs


def asked(instance: Instance, runs: list[Run], now: datetime, up_since: datetime) -> Planned | None:
    return next_run(instance, Recorded(runs=runs), now, up_since=up_since, changed_at=up_since)


@given(st.data(), schedules, around)
def test_what_is_planned_makes_progress(data: st.DataObject, schedule: Schedule, up_since: datetime) -> None:
    """A plan that is due now, once carried out, is followed by one that is not: no history makes a tight loop."""
    instance = an_instance(schedule=schedule)
    up_since = min(up_since, NOW)
    runs = data.draw(histories(schedule))
    planned = asked(instance, runs, NOW, up_since)
    if planned is None:
        assert runs
        assert runs[0].state is RunState.RUNNING
        return
    if planned.is_confirm_check:
        assert planned.at > NOW
        return
    if planned.at > NOW:
        return
    for state in (RunState.FAILED, RunState.CONFIRMED, RunState.DELIVERED):
        run = a_run("new", slot=planned.slot, started_at=NOW, ended_at=NOW if state.is_final else None, state=state, delivered_at=NOW)
        after = asked(instance, [run, *runs], NOW, up_since)
        assert after is not None
        assert after.at > NOW


@given(st.data(), schedules, around)
def test_a_satisfied_slot_is_never_planned_again(data: st.DataObject, schedule: Schedule, up_since: datetime) -> None:
    """The planned slot is one that no run has satisfied, and it is the current one or the next."""
    instance = an_instance(schedule=schedule)
    runs = data.draw(histories(schedule))
    planned = asked(instance, runs, NOW, min(up_since, NOW))
    if planned is not None and not planned.is_confirm_check:
        assert planned.slot in {slot_at(schedule, NOW), slot_after(schedule, NOW)}
        assert planned.slot is not None
        # A run that began later than one recorded after it, or than now, was made by a clock that was ahead: it satisfies nothing.
        believed = [run for index, run in enumerate(runs) if run.started_at <= min([NOW, *(newer.started_at for newer in runs[:index])])]
        assert planned.slot > NOW or not any(satisfies(run, planned.slot, NOW) for run in believed)


@given(st.data(), around)
def test_a_clock_that_was_ahead_silences_nothing(data: st.DataObject, up_since: datetime) -> None:
    """Whatever is recorded, even in the future, something is planned within the schedule's own rhythm or a day."""
    schedule = Schedule(cron="0 2 * * 2", timezone="UTC")
    runs = data.draw(histories(schedule))
    planned = asked(an_instance(schedule=schedule), runs, NOW, min(up_since, NOW))
    if planned is not None:
        assert planned.at <= max(slot_after(schedule, NOW), NOW + DAY)


@given(st.data(), st.integers(0, 30 * 24))
def test_waiting_long_enough_makes_it_due(data: st.DataObject, hours: int) -> None:
    """The planned instant does not run away as time passes: at that instant the same thing is due.

    A run that a clock once ahead dated after now may by then count for the slot; that is the design's rule.
    """
    schedule = Schedule(cron="0 2 * * 2", timezone="UTC")
    instance = an_instance(schedule=schedule)
    runs = data.draw(histories(schedule))
    up_since = NOW - timedelta(hours=hours)
    planned = asked(instance, runs, NOW, up_since)
    if planned is not None and not planned.is_confirm_check and planned.at > NOW:
        if planned.slot is not None and any(satisfies(run, planned.slot, planned.at) for run in runs):
            return
        again = asked(instance, runs, planned.at, up_since)
        assert again is not None
        assert again.at <= planned.at
