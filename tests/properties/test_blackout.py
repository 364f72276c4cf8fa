"""Properties of blackout windows."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.model.blackout import Weekly, next_free, parse_window


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@given(st.text(max_size=60))
def test_any_text_is_a_window_or_a_value_error(text: str) -> None:
    """For any text in the configuration, nothing else is raised."""
    try:
        window = parse_window(text)
    except ValueError:
        return
    next_free(datetime(2026, 11, 24, tzinfo=UTC), [window], "Europe/Berlin")


moments = st.datetimes(wall("2020-01-01T00:00"), wall("2040-01-01T00:00"), timezones=st.just(UTC))

weekly = st.builds(
    lambda day, last, start, end: Weekly(frozenset((day + one) % 7 for one in range(last + 1)), start, end),
    st.integers(0, 6), st.integers(0, 6), st.integers(0, 1439), st.integers(0, 1440),
).filter(lambda one: one.start != one.end)  # fmt: skip


@given(moments, st.lists(weekly, max_size=3), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_the_result_is_free_and_a_fixed_point(at: datetime, windows: list[Weekly], zone: str) -> None:
    """The result is not in the past, is a fixed point, and outside clock changes the wall clock agrees that it is free."""
    found = next_free(at, windows, zone)
    assert found >= at
    assert next_free(found, windows, zone) == found
    local = found.astimezone(ZoneInfo(zone))
    near = {(found + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).utcoffset() for hours in (-27, -3, 0, 3, 27)}
    if found != at and len(near) == 1:
        minute = local.hour * 60 + local.minute
        for one in windows:
            same_day = local.weekday() in one.days and one.start <= minute < (one.end if one.end > one.start else 1440)
            from_yesterday = (local.weekday() - 1) % 7 in one.days and one.end <= one.start and minute < one.end
            assert not same_day
            assert not from_yesterday
