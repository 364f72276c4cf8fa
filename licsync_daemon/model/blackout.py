"""Blackout windows: times in which no scheduled run starts. Pure.

Weekly windows use the wall clock of the schedule's time zone: "mon 08:00-18:00", "mon-fri 08:00-18:00", "daily 22:00-04:00" (past
midnight). Dated windows name both ends: "2026-12-24/2026-12-27" (both days in full) or "2026-12-24 18:00/2026-12-27 06:00".
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"(daily|[a-z]{3})(?:-([a-z]{3}))? +(\d\d:\d\d)-(\d\d:\d\d)", re.ASCII)
_DATED = re.compile(r"(20\d\d-\d\d-\d\d)(?: (\d\d:\d\d))?/(20\d\d-\d\d-\d\d)(?: (\d\d:\d\d))?", re.ASCII)
LAST = "24:00"
EXAMPLES = '"mon-fri 08:00-18:00", "daily 22:00-04:00" or "2026-12-24/2026-12-27"'
MAX_STEPS = 500  # adjoining windows may cover the whole week; a year of steps without a gap proves it


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these weekdays (0 is Monday) from `start` to `end` minutes after midnight; an end before the start is on the next day."""

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Dated:
    """From `start` up to `end`, as wall-clock times without a zone."""

    start: datetime
    end: datetime


Window = Weekly | Dated


def parse_window(text: str) -> Window:
    """Read one window.

    Raises:
        ValueError: The text is not a valid window; the message is for people and has examples.
    """
    words = " ".join(text.strip().lower().split())
    if match := _WEEKLY.fullmatch(words):
        first, last, start, end = match.groups()
        begin, finish = _minutes(start), _minutes(end)
        if begin in {finish, 24 * 60}:
            raise ValueError(f'"{text}" has no length; examples: {EXAMPLES}')
        return Weekly(_days(first, last, text), begin, finish)
    if match := _DATED.fullmatch(words):
        start_day, start, end_day, end = match.groups()
        begin_at = _wall(start_day, start or "00:00")
        end_at = _wall(end_day, end or LAST)
        if end_at <= begin_at:
            raise ValueError(f'"{text}" ends before it begins')
        return Dated(begin_at, end_at)
    raise ValueError(f'"{text}" is not a valid window; examples: {EXAMPLES}')


def _days(first: str, last: str | None, text: str) -> frozenset[int]:
    if first == "daily" and last is None:
        return frozenset(range(7))
    if first not in DAYS or (last is not None and last not in DAYS):
        raise ValueError(f'"{text}" does not start with a weekday ({", ".join(DAYS)}, daily)')
    begin, length = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7
    return frozenset((begin + offset) % 7 for offset in range(length + 1))


def _minutes(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour > 24 or (hour == 24 and minute):
        raise ValueError(f'"{text}" is not a time of day')
    return hour * 60 + minute


def _wall(day: str, clock: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time()) + timedelta(minutes=_minutes(clock))


def next_free(at: datetime, windows: Iterable[Window], timezone: str) -> datetime:
    """Return the first instant at or after `at` that no window covers, in UTC; `at` itself if windows cover everything.

    If a daylight-saving change repeats an hour, a window lasts from the first occurrence of its start to the last occurrence of its end;
    a skipped time counts as the moment of the change.
    """
    every = tuple(windows)
    zone = ZoneInfo(timezone)
    free = at.astimezone(UTC)
    for _ in range(MAX_STEPS):
        ends = [end for window in every for begin, end in _spans(free, window, zone) if begin <= free < end]
        if not ends:
            return free
        free = max(ends)
    return at


def _spans(at: datetime, window: Window, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Yield the occurrences of a window, in UTC, that can cover `at`."""
    if isinstance(window, Dated):
        yield _in_utc(window.start, zone, fold=0), _in_utc(window.end, zone, fold=1)
        return
    length = timedelta(minutes=(window.end - window.start) % (24 * 60) or 24 * 60)
    midnight = datetime.combine(at.astimezone(zone).date(), time())
    for back in (1, 0):  # yesterday's window may extend past midnight
        start = midnight - timedelta(days=back) + timedelta(minutes=window.start)
        if start.weekday() in window.days:
            yield _in_utc(start, zone, fold=0), _in_utc(start + length, zone, fold=1)


def _in_utc(wall: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    """Return the instant at which local clocks read `wall`: the first (fold 0) or second if there are two; if none, the change."""
    found = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    before, after = (wall.replace(tzinfo=zone, fold=one).astimezone(UTC) for one in (1, 0))  # in a gap, fold 1 is the earlier instant
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(minutes=1):
        middle = before + (after - before) // 2
        before, after = (before, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, after)
    return after.replace(second=0, microsecond=0)
