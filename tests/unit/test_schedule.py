"""What happens next for an instance, and why: every branch of `next_run` at its boundaries."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.errors import Code
from licsync_daemon.model import Run, RunState, Schedule
from licsync_daemon.schedule import (
    CATCH_UP,
    CONFIRM,
    FIRST,
    INTERRUPTED,
    RETRY_AFTER,
    SETTLE,
    SETTLE_JITTER_S,
    Planned,
    next_run,
    satisfies,
    settle_jitter,
    slot_after,
    slot_at,
    words,
)
from tests.fakes import T0, a_run, an_ended_run, an_instance

WEEKLY = Schedule(cron="0 2 * * 2", timezone="UTC")  # T0 is one of its slots
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOW = T0 + HOUR
INSTANCE = an_instance()
SETTLED = SETTLE + settle_jitter("emea")


def failed(run_id: str = "run1", **changes: object) -> Run:
    return an_ended_run(run_id, RunState.FAILED, **{"code": Code.RATE_LIMITED, **changes})


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


@pytest.mark.parametrize(
    ("runs", "up_since", "at", "reason", "slot"),
    [
        ([], UP_AFTER, UP_AFTER + SETTLED, FIRST, T0),
        ([], UP_BEFORE, T0, "weekly slot", T0),
        ([], T0, T0, "weekly slot", T0),
        ([], T0 + SECOND, T0 + SECOND + SETTLED, FIRST, T0),
        ([an_ended_run(slot=T0 - WEEK, started_at=T0 - WEEK)], UP_AFTER, UP_AFTER + SETTLED, CATCH_UP, T0),
        ([an_ended_run()], UP_AFTER, T0 + WEEK, "weekly slot", T0 + WEEK),
        ([failed("run2", started_at=NOW - MINUTE), an_ended_run()], UP_BEFORE, T0 + WEEK, "weekly slot", T0 + WEEK),
        ([failed()], UP_BEFORE, T0 + MINUTE + RETRY_AFTER, "retry 1 after rate limited", T0),
        ([failed()], UP_AFTER, T0 + MINUTE + RETRY_AFTER, "retry 1 after rate limited", T0),
        (
            [failed("run2", started_at=T0 + 30 * MINUTE, code=Code.NOT_FOUND), failed()],
            UP_BEFORE,
            T0 + 31 * MINUTE + RETRY_AFTER,
            "retry 2 after not found",
            T0,
        ),
        ([failed(code=None)], UP_BEFORE, T0 + MINUTE + RETRY_AFTER, "retry 1 after internal", T0),
        ([failed(slot=T0 - WEEK)], UP_BEFORE, T0, "weekly slot", T0),
        ([an_ended_run(state=RunState.INTERRUPTED)], UP_BEFORE, T0, INTERRUPTED, T0),
        ([an_ended_run(state=RunState.INTERRUPTED)], UP_AFTER, UP_AFTER + SETTLED, INTERRUPTED, T0),
        ([an_ended_run(state=RunState.INTERRUPTED, slot=T0 - WEEK)], UP_AFTER, UP_AFTER + SETTLED, CATCH_UP, T0),
        (
            [an_ended_run("run2", RunState.INTERRUPTED, started_at=T0 + HOUR), failed()],
            UP_BEFORE,
            T0 + MINUTE + RETRY_AFTER,
            "retry 1 after rate limited",
            T0,
        ),
    ],
    ids=[
        "new instance",
        "its first slot came",
        "up exactly at the slot",
        "up just after the slot",
        "missed while down",
        "satisfied",
        "satisfied, then a failure by hand",
        "failed",
        "failed, then restarted",
        "failed twice",
        "failed without a code",
        "failed an earlier slot",
        "interrupted",
        "interrupted, then restarted",
        "interrupted an earlier slot",
        "failed, then interrupted",
    ],
)
def test_next_run(runs: Sequence[Run], up_since: datetime, at: datetime, reason: str, slot: datetime) -> None:
    """Slots, retries, catch-ups and interruptions each have their instant, their words and their slot."""
    assert next_run(INSTANCE, runs, NOW, up_since=up_since) == Planned(at, reason, slot)


@pytest.mark.parametrize(
    ("stated", "at"),
    [
        (T0 + MINUTE, T0 + MINUTE + RETRY_AFTER),
        (T0 + 3 * HOUR, T0 + 3 * HOUR),
        (T0 + MINUTE + timedelta(days=1), T0 + MINUTE + timedelta(days=1)),
        (T0 + timedelta(days=3), T0 + MINUTE + timedelta(days=1)),
        (T0 + timedelta(days=9999), T0 + MINUTE + timedelta(days=1)),
    ],
    ids=["sooner", "later", "a day", "days", "decades"],
)
@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=30)], ids=["soon", "a day later"])
def test_a_stated_wait_is_honored_for_a_day(stated: datetime, at: datetime, later: timedelta) -> None:
    """The far side's own wait counts, up to a day after the failure, however often one asks."""
    found = next_run(INSTANCE, [failed(retry_not_before=stated)], NOW + later, up_since=UP_BEFORE)
    assert found is not None
    assert found.at == at


@pytest.mark.parametrize("stated", [None, T0 + timedelta(days=400)], ids=["nothing stated", "a wait stated"])
def test_a_failure_in_the_future_is_retried_now(stated: datetime | None) -> None:
    """A clock that was once ahead silences nothing."""
    run = failed(ended_at=T0 + timedelta(days=365), retry_not_before=stated)
    found = next_run(INSTANCE, [run], NOW, up_since=UP_BEFORE)
    assert found == Planned(NOW, "retry 1 after rate limited", T0)


def test_nothing_for_a_disabled_instance_or_a_run_in_progress() -> None:
    """A disabled instance has no plan, and a running one gets none until it ends."""
    assert next_run(an_instance(enabled=False), [], NOW, up_since=UP_BEFORE) is None
    assert next_run(INSTANCE, [a_run(), failed("run0")], NOW, up_since=UP_BEFORE) is None


def test_a_delivered_run_is_looked_at() -> None:
    """A delivered run gets its next look instead of a new start, at a fixed moment after the delivery."""
    run = a_run(state=RunState.DELIVERED, delivered_at=NOW - timedelta(seconds=3))
    assert next_run(INSTANCE, [run], NOW, up_since=UP_BEFORE) == Planned(NOW + timedelta(seconds=2), CONFIRM, None, is_look=True)


def test_a_delivered_run_is_looked_at_over_the_end_of_its_slot() -> None:
    """An open run prevents another start even when the next slot has come."""
    run = a_run(state=RunState.DELIVERED, delivered_at=T0 + WEEK - SECOND)
    found = next_run(INSTANCE, [run], T0 + WEEK, up_since=UP_BEFORE)
    assert found is not None
    assert found.is_look


def test_a_changed_schedule_is_due_once() -> None:
    """A slot nobody has satisfied is due, whatever was confirmed for the old schedule before it."""
    changed = an_instance(schedule=Schedule(cron="30 2 * * 2", timezone="UTC"))
    found = next_run(changed, [an_ended_run()], NOW, up_since=UP_BEFORE)
    assert found == Planned(T0 + timedelta(minutes=30), "weekly slot", T0 + timedelta(minutes=30))


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("0 2 * * 2", "weekly slot"),
        ("0 2 * * sun", "weekly slot"),
        ("0 2 * * *", "planned slot"),
        ("0 2 1 * *", "planned slot"),
        ("0 2 * * 1-5", "planned slot"),
    ],
)
def test_a_slot_is_called_what_it_is(cron: str, reason: str) -> None:
    """Only one day a week is called weekly."""
    instance = an_instance(schedule=Schedule(cron=cron, timezone="UTC"))
    found = next_run(instance, [], NOW, up_since=T0 - 40 * WEEK)
    assert found is not None
    assert found.reason == reason


def test_the_settling_delay_is_stable_and_spread() -> None:
    """Each instance has its own delay, the same at every start, under five minutes."""
    delays = {settle_jitter(f"instance_{number}") for number in range(100)}
    assert settle_jitter("emea") == settle_jitter("emea")
    assert len(delays) > 50
    assert all(timedelta(0) <= delay < timedelta(seconds=SETTLE_JITTER_S) for delay in delays)


def test_words_of_a_code() -> None:
    """A code reads as words; none is an internal error."""
    assert (words(Code.RATE_LIMITED), words(None)) == ("rate limited", "internal")
