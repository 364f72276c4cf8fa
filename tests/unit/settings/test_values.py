"""Durations: what is read, what is refused and how."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.settings.mistakes import Mistake
from licsync_daemon.settings.values import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("8d", timedelta(days=8)),
        ("1d12h", timedelta(hours=36)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (" 1h ", timedelta(hours=1)),
        ("3650d", LONGEST),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    """Each unit alone and combined is read."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("", "not a valid duration"),
        ("8", "needs a unit"),
        (8, "a string"),
        (True, "a string"),
        ("0s", "longer than zero"),
        ("0d0h", "longer than zero"),
        ("-5m", "negative"),
        ("1.5h", "not a valid duration"),
        ("12h1d", "not a valid duration"),
        ("1w", "not a valid duration"),
        ("8D", "not a valid duration"),
        ("٣d", "not a valid duration"),
        ("3650d1s", "too long"),
        ("999999999d", "too long"),
        ("9" * 5000 + "d", "not a valid duration"),
    ],
)
def test_a_bad_duration_is_explained(value: object, part: str) -> None:
    """A refused duration says why and shows a good one."""
    with pytest.raises(Mistake) as refused:
        parse_duration(value)
    assert part in refused.value.what
    assert '"1d12h"' in refused.value.hint


@given(st.integers(min_value=1, max_value=int(LONGEST.total_seconds())))
def test_every_duration_survives_being_written_and_read(seconds: int) -> None:
    """Writing and reading a duration gives the same one, and the second writing the same text."""
    span = timedelta(seconds=seconds)
    assert span == parse_duration(format_duration(span))
    assert format_duration(span) == format_duration(parse_duration(format_duration(span)))


@given(st.text() | st.text(alphabet="0123456789dhms- .") | st.integers() | st.none() | st.floats())
def test_junk_is_refused_and_nothing_else_happens(value: object) -> None:
    """Whatever is given either is a positive duration or is refused in words."""
    try:
        span = parse_duration(value)
    except Mistake:
        return
    assert timedelta(0) < span <= LONGEST
