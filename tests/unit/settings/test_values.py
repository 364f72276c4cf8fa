"""Durations: what is read, what is refused and how."""

from datetime import timedelta

import pytest

from licsync_daemon.settings.mistakes import Mistake
from licsync_daemon.settings.values import LONGEST, parse_duration

A_DURATION_IS_READ = [
    ("90s", timedelta(seconds=90)),
    ("15m", timedelta(minutes=15)),
    ("12h", timedelta(hours=12)),
    ("8d", timedelta(days=8)),
    ("1d12h", timedelta(hours=36)),
    ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    (" 1h ", timedelta(hours=1)),
    ("3650d", LONGEST),
]


def test_a_duration_is_read(subtests: pytest.Subtests) -> None:
    """Each unit alone and combined is read."""
    for text, expected in A_DURATION_IS_READ:
        with subtests.test(text=text, expected=expected):
            assert expected == parse_duration(text)


A_BAD_DURATION_IS_EXPLAINED = [
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
]


def test_a_bad_duration_is_explained(subtests: pytest.Subtests) -> None:
    """A bad duration is refused with a reason and a valid example."""
    for value, part in A_BAD_DURATION_IS_EXPLAINED:
        with subtests.test(value=value, part=part):
            with pytest.raises(Mistake) as refused:
                parse_duration(value)
            assert part in refused.value.what
            assert '"1d12h"' in refused.value.hint
