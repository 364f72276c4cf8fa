"""When an instance is planned to run. Pure: the schedule and the time are arguments.

Wall-clock arithmetic is cronsim's, which follows Debian cron at daylight-saving changes: a time that does not exist runs at the next one
that does, a time that exists twice runs once. A *slot* is a planned instant, in UTC; the newest at or before now is the one to satisfy.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from licsync_daemon.model.instance import Schedule

WEEK = timedelta(days=7)


def slot_at(schedule: Schedule, now: datetime) -> datetime:
    """Return the newest planned instant at or before `now`, in UTC."""
    # cronsim's own backward walk answers instants strictly before its start, and treats a daylight-saving change a little differently
    # from its forward walk; so it only gives a safe starting point, and the forward walk gives the slots.
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
    """Return the first planned instant after `now`, in UTC."""
    # cronsim that starts in the second pass of a repeated time returns an instant of the first pass: skip what is not after `now`.
    planned = CronSim(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone)))
    return next(at for at in (one.astimezone(UTC) for one in planned) if at > now and _is_kept(schedule, at))


def _is_kept(schedule: Schedule, planned: datetime) -> bool:
    """Return whether a planned instant falls into one of the weeks that count; weeks begin on Monday, and are counted from the year 1."""
    week = (planned.astimezone(ZoneInfo(schedule.timezone)).toordinal() - 1) // 7
    return week % schedule.every_weeks == 0


def slot_words(schedule: Schedule) -> str:
    """Return "weekly slot" or "planned slot", as `status` names the reason of a run."""
    _, _, day, month, weekday = schedule.cron.split()
    weekly = (day, month) == ("*", "*") and re.fullmatch(r"\w+", weekday)
    return "weekly slot" if weekly else "planned slot"
