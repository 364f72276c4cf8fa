"""The slots of a schedule. Pure: the schedule and the time are arguments.

A *slot* is a scheduled instant, in UTC; a run has to satisfy the latest slot at or before now. cronsim computes the times and follows
Debian cron at daylight-saving changes: a skipped time runs at the next existing one, and a repeated time runs once.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from licsync_daemon.model.instance import Schedule

WEEK = timedelta(days=7)


def slot_at(schedule: Schedule, now: datetime) -> datetime:
    """Return the latest slot at or before `now`."""
    # Iterating backward, cronsim returns only instants strictly before its start and treats daylight-saving changes differently.
    # So this only finds a safe starting point, and the forward iteration finds the slots.
    zone = ZoneInfo(schedule.timezone)
    backward = CronSim(schedule.cron, now.astimezone(zone), reverse=True)
    start = next(backward)
    start = next(backward, start) - timedelta(hours=3) - (schedule.every_weeks - 1) * WEEK
    forward = CronSim(schedule.cron, start.astimezone(zone))
    newest = next(forward).astimezone(UTC)
    while (candidate := next(forward).astimezone(UTC)) <= now:
        newest = candidate if _is_kept(schedule, candidate) or not _is_kept(schedule, newest) else newest
    return newest


def slot_after(schedule: Schedule, now: datetime) -> datetime:
    """Return the first slot after `now`."""
    # If `now` is in the second pass of a repeated hour, cronsim returns instants of the first pass: skip them.
    planned = CronSim(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone)))
    return next(at for at in (one.astimezone(UTC) for one in planned) if at > now and _is_kept(schedule, at))


def _is_kept(schedule: Schedule, planned: datetime) -> bool:
    """Return whether an instant is in a week that counts under `every_weeks`; weeks start on Monday, counted from the year 1."""
    week = (planned.astimezone(ZoneInfo(schedule.timezone)).toordinal() - 1) // 7
    return week % schedule.every_weeks == 0


def slot_words(schedule: Schedule) -> str:
    """Return "weekly slot" or "planned slot", the reason of a run that `status` shows."""
    _, _, day, month, weekday = schedule.cron.split()
    weekly = (day, month) == ("*", "*") and re.fullmatch(r"\w+", weekday)
    return "weekly slot" if weekly else "planned slot"
