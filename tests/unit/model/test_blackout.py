"""Blackout windows: read, and the first instant after them, on the wall clocks of zones that change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from licsync_daemon.model.blackout import DAYS, Dated, Weekly, next_free, parse_window

SECOND = timedelta(seconds=1)
BERLIN = ZoneInfo("Europe/Berlin")


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


def free(at: datetime, *windows: str, zone: str = "Europe/Berlin") -> datetime:
    return next_free(at, [parse_window(one) for one in windows], zone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon 08:00-18:00", Weekly(frozenset({0}), 480, 1080)),
        ("  MON   08:00-18:00 ", Weekly(frozenset({0}), 480, 1080)),
        ("mon-fri 00:00-24:00", Weekly(frozenset(range(5)), 0, 1440)),
        ("sat-mon 22:00-04:00", Weekly(frozenset({5, 6, 0}), 1320, 240)),
        ("tue-tue 01:00-02:00", Weekly(frozenset({1}), 60, 120)),
        ("daily 23:59-00:00", Weekly(frozenset(range(7)), 1439, 0)),
        ("2026-12-24/2026-12-27", Dated(wall("2026-12-24T00:00"), wall("2026-12-28T00:00"))),
        ("2026-12-24/2026-12-24", Dated(wall("2026-12-24T00:00"), wall("2026-12-25T00:00"))),
        ("2026-12-24 18:00/2026-12-27 06:00", Dated(wall("2026-12-24T18:00"), wall("2026-12-27T06:00"))),
        ("2026-12-24 18:00/2026-12-27", Dated(wall("2026-12-24T18:00"), wall("2026-12-28T00:00"))),
        ("2026-12-31 24:00/2027-01-01 00:01", Dated(wall("2027-01-01T00:00"), wall("2027-01-01T00:01"))),
    ],
    ids=["weekly", "blanks and capitals", "whole days", "over the week's end", "one day", "last minute", "days", "one date", "times", "half", "24:00"],
)  # fmt: skip
def test_a_window_is_read(text: str, expected: object) -> None:
    """Weekly ones by weekday, dated ones by their ends; a last day without a time is whole."""
    assert parse_window(text) == expected


def test_what_is_no_window_is_refused(subtests: pytest.Subtests) -> None:
    """With words for people, and nothing but a ValueError."""
    for text in [
        "",
        "mon",
        "mon 8-18",
        "mon 08:00",
        "mon 08:00-08:00",
        "mon 24:00-06:00",
        "mon 08:60-09:00",
        "mon 08:00-24:01",
        "mond 08:00-09:00",
        "xyz 08:00-09:00",
        "mon-xyz 08:00-09:00",
        "daily-fri 08:00-09:00",
        "mon,tue 08:00-09:00",
        "mon 08:00-18:00 UTC",
        "2026-12-24",
        "2026-13-01/2026-13-02",
        "9999-12-31/9999-12-31",
        "0001-01-01/2026-01-01",
        "2026-02-29/2026-03-01",
        "2026-12-27/2026-12-24",
        "2026-12-24 18:00/2026-12-24 18:00",
        "2026-12-24 25:00/2026-12-25",
        "٠٨:٠٠",
        "mon ٠٨:٠٠-١٨:٠٠",
        "\x00",
        "mon 08:00-18:00\n# and more",
    ]:
        with subtests.test(text=text), pytest.raises(ValueError, match=r"\w+ \w+"):
            parse_window(text)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23T07:59:59", None),
        ("2026-11-23T08:00", "2026-11-23T18:00"),
        ("2026-11-23T17:59:59", "2026-11-23T18:00"),
        ("2026-11-23T18:00", None),
        ("2026-11-24T09:00", None),
    ],
    ids=["just before", "at its start", "last second", "at its end", "another day"],
)
def test_a_weekly_window_at_its_boundaries(at: str, expected: str | None) -> None:
    """From its start up to its end, which is free again."""
    assert free(berlin(at), "mon 08:00-18:00") == berlin(expected or at)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-27T21:59:59", None),
        ("2026-11-27T22:00", "2026-11-28T04:00"),
        ("2026-11-28T00:00", "2026-11-28T04:00"),
        ("2026-11-28T03:59:59", "2026-11-28T04:00"),
        ("2026-11-28T04:00", None),
        ("2026-11-27T03:00", None),
        ("2026-11-28T22:00", None),
    ],
    ids=["just before", "begins", "midnight", "last second", "ended", "the night before", "the night after"],
)
def test_a_window_over_midnight_belongs_to_the_day_it_begins_on(at: str, expected: str | None) -> None:
    """Friday's night ends on Saturday, and Friday's early hours are Thursday's."""
    assert free(berlin(at), "fri 22:00-04:00") == berlin(expected or at)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-12-23T23:59:59", None),
        ("2026-12-24T00:00", "2026-12-28T00:00"),
        ("2026-12-27T23:59:59", "2026-12-28T00:00"),
        ("2026-12-28T00:00", None),
        ("2027-12-25T12:00", None),
    ],
    ids=["just before", "begins", "last second", "ended", "a year later"],
)
def test_a_dated_window_holds_once(at: str, expected: str | None) -> None:
    """Both days are whole, in the schedule's zone, and it does not come again."""
    assert free(berlin(at), "2026-12-24/2026-12-27") == berlin(expected or at)


def test_windows_that_touch_are_one() -> None:
    """The end of one that lies in another is not free; a free second between them is."""
    at = berlin("2026-11-23T09:00")
    assert free(at, "mon 08:00-12:00", "mon 12:00-15:00", "2026-11-23 14:00/2026-11-25 06:00") == berlin("2026-11-25T06:00")
    assert free(at, "mon 08:00-12:00", "mon 12:01-15:00") == berlin("2026-11-23T12:00")
    assert free(at) == at


@pytest.mark.parametrize(
    "windows",
    [("daily 00:00-24:00",), ("daily 00:00-12:00", "daily 12:00-00:00"), ("mon-wed 00:00-24:00", "thu-sun 00:00-24:00")],
    ids=["days", "halves", "two parts"],
)
def test_windows_that_cover_everything_are_ignored(windows: tuple[str, ...]) -> None:
    """If no moment is free, the given one is returned: a schedule must never stop."""
    at = berlin("2026-11-23T09:00")
    assert free(at, *windows) == at


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        # 2026-03-29 in Berlin: 02:00 is followed by 03:00, at 01:00 UTC
        ("sun 01:00-02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
        ("sun 02:30-04:00", "2026-03-29T00:59:59Z", "2026-03-29T00:59:59Z"),
        ("sun 02:30-04:00", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ("sun 02:10-02:50", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("sun 01:00-05:00", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z"),
        # 2026-10-25 in Berlin: 03:00 is followed by 02:00, at 01:00 UTC
        ("sun 01:00-02:30", "2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z"),
        ("sun 01:00-02:30", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"),
        ("sun 01:00-02:30", "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"),
        ("sun 02:30-04:00", "2026-10-25T00:29:59Z", "2026-10-25T00:29:59Z"),
        ("sun 02:30-04:00", "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"),
        ("sun 02:30-04:00", "2026-10-25T01:10:00Z", "2026-10-25T03:00:00Z"),
        ("2026-10-25 02:15/2026-10-25 02:45", "2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z"),
    ],
    ids=[
        "ends in the gap", "begins in the gap, before it", "begins in the gap, at it", "lies in the gap", "over the gap",
        "ends in the hour that comes twice", "last second", "ended", "before the first start", "begins in it", "between the two readings", "dated",
    ],
)  # fmt: skip
def test_windows_where_clocks_change(window: str, at: str, expected: str) -> None:
    """A skipped time is the moment of the change; of a repeated one the first start and the last end count."""
    assert free(datetime.fromisoformat(at), window) == datetime.fromisoformat(expected)


def test_a_skipped_day_is_no_window() -> None:
    """Samoa had no 30 December 2011; a window on it covers nothing, and one that begins on it begins with the 31st."""
    before, after = datetime(2011, 12, 30, 9, 59, tzinfo=UTC), datetime(2011, 12, 30, 10, 0, tzinfo=UTC)
    for at in (before, after):
        assert free(at, "2011-12-30/2011-12-30", zone="Pacific/Apia") == at
    assert free(after, "2011-12-30 12:00/2011-12-31 06:00", zone="Pacific/Apia") == after + timedelta(hours=6)


def test_the_days_begin_with_monday() -> None:
    """As `datetime.weekday` counts them."""
    assert [(wall("2026-11-23") + number * timedelta(days=1)).weekday() for number in range(7)] == [DAYS.index(day) for day in DAYS]
