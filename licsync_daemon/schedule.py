"""When an instance is due, and why. Pure: the schedule, what is recorded, and the time are arguments.

Wall-clock arithmetic is cronsim's, which follows Debian cron at daylight-saving changes: a time that does not exist runs at the next one
that does, a time that exists twice runs once. A *slot* is a planned instant, in UTC; the newest at or before now is the one to satisfy.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from licsync_daemon.errors import Code
from licsync_daemon.model import Instance, Run, RunState, Schedule
from licsync_daemon.readback import next_look

RETRY_AFTER = timedelta(hours=1)
HONORED = timedelta(days=1)  # of what the far side asks for; counted from the failure, so that it passes
SETTLE = timedelta(seconds=60)  # after a start, before what was missed is caught up: networks and clocks come up late
SETTLE_JITTER_S = 300
LOCKED_AGAIN = timedelta(seconds=60)

CATCH_UP = "catch-up after downtime"
FIRST = "first sync"
CONFIRM = "next look for confirmation"
INTERRUPTED = "carried on after an interruption"


@dataclass(frozen=True, slots=True)
class Planned:
    """The next thing to happen for an instance. `slot` is the one a run then satisfies; None for a look."""

    at: datetime
    reason: str
    slot: datetime | None
    is_look: bool = False


def slot_at(schedule: Schedule, now: datetime) -> datetime:
    """Answer the newest planned instant at or before `now`, in UTC."""
    # cronsim's own backward walk answers instants strictly before its start, and treats a daylight-saving change a little differently
    # from its forward walk; so it only gives a safe starting point, and the forward walk gives the slots.
    zone = ZoneInfo(schedule.timezone)
    backward = CronSim(schedule.cron, now.astimezone(zone), reverse=True)
    start = next(backward)
    start = next(backward, start) - timedelta(hours=3)
    forward = CronSim(schedule.cron, start.astimezone(zone))
    newest = next(forward).astimezone(UTC)
    while (candidate := next(forward).astimezone(UTC)) <= now:
        newest = candidate
    return newest


def slot_after(schedule: Schedule, now: datetime) -> datetime:
    """Answer the first planned instant after `now`, in UTC."""
    return next(CronSim(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone)))).astimezone(UTC)


def satisfies(run: Run, slot: datetime, now: datetime) -> bool:
    """Answer whether a run did what `slot` asked for: it was confirmed, and recorded this slot or started between it and now."""
    return run.state is RunState.CONFIRMED and (run.slot == slot or slot <= run.started_at <= now)


def next_run(instance: Instance, runs: Sequence[Run], now: datetime, *, up_since: datetime) -> Planned | None:
    """Answer what happens next for an instance.

    Args:
        instance: With its schedule.
        runs: Its newest recorded runs, newest first; enough to hold every run of the current slot.
        now: The time.
        up_since: Since when the daemon is up; a slot before that was missed and is caught up after a settling delay.

    Returns:
        None for a disabled instance, and while a run is in progress.
    """
    if not instance.enabled:
        return None
    newest = runs[0] if runs else None
    if newest is not None and newest.state is RunState.RUNNING:
        return None
    if newest is not None and newest.state is RunState.DELIVERED:
        return Planned(next_look(newest.delivered_at or newest.started_at, now), CONFIRM, None, is_look=True)
    slot = slot_at(instance.schedule, now)
    if any(satisfies(run, slot, now) for run in runs):
        following = slot_after(instance.schedule, now)
        return Planned(following, _slot_words(instance.schedule), following)
    failures = _failures(runs, slot)
    if failures:
        last = failures[0]
        ended = last.ended_at or last.started_at
        at = ended + RETRY_AFTER
        if last.retry_not_before is not None:
            at = max(at, min(last.retry_not_before, ended + HONORED))
        if ended > now:  # a clock that was once ahead must not silence us
            at = now
        return Planned(at, f"retry {len(failures)} after {words(last.code)}", slot)
    if slot >= up_since:
        return Planned(slot, INTERRUPTED if _interrupted(newest, slot) else _slot_words(instance.schedule), slot)
    settled = up_since + SETTLE + settle_jitter(instance.name)
    return Planned(settled, _missed_reason(newest, slot), slot)


def _slot_words(schedule: Schedule) -> str:
    _, _, day, month, weekday = schedule.cron.split()
    weekly = (day, month) == ("*", "*") and re.fullmatch(r"\w+", weekday)
    return "weekly slot" if weekly else "planned slot"


def _failures(runs: Sequence[Run], slot: datetime) -> list[Run]:
    """Answer the failed runs of a slot, newest first."""
    return [run for run in runs if run.slot == slot and run.state is RunState.FAILED]


def _interrupted(newest: Run | None, slot: datetime) -> bool:
    return newest is not None and newest.state is RunState.INTERRUPTED and newest.slot == slot


def _missed_reason(newest: Run | None, slot: datetime) -> str:
    if newest is None:
        return FIRST
    return INTERRUPTED if _interrupted(newest, slot) else CATCH_UP


def settle_jitter(name: str) -> timedelta:
    """Answer a stable delay of up to 5 minutes, so that a fleet does not start all at once."""
    return timedelta(seconds=int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % SETTLE_JITTER_S)


def words(code: Code | None) -> str:
    """Say a code in words: `rate_limited` is "rate limited"."""
    return (code or Code.INTERNAL).replace("_", " ")
