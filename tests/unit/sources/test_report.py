"""Numbers that are strings."""

import pytest

from licsync_daemon.model.decode import count_of
from licsync_daemon.model.errors import Code
from licsync_daemon.sources.report import unusable_counts


def test_row_21_seats_may_be_text(subtests: pytest.Subtests) -> None:
    """A number in a string is a number; "unlimited" and anything else counts as unknown."""
    for value, number in (
        (0, 0),
        (1316, 1316),
        (2**53, 2**53),
        (2**53 + 1, None),
        (2**70, None),
        (-5, None),
        (7.0, 7),
        ("1316", 1316),
        (" 7 ", 7),
        ("unlimited", None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("9" * 19, None),
        (1.5, None),
        (True, None),
        (None, None),
        ([3], None),
    ):
        with subtests.test(value=value, number=number):
            assert count_of(value) == number


def test_a_total_that_is_no_count_is_a_notice() -> None:
    """It counts as not reported, and is quoted."""
    found = unusable_counts({"total_users": -5, "seats_used": 10**30, "seats": "unlimited", "more": 7})
    assert [(one.code, one.text) for one in found] == [
        (Code.COUNTS_UNKNOWN, "the instance reports `total_users` as -5, which is treated as not reported"),
        (Code.COUNTS_UNKNOWN, "the instance reports `seats_used` as a number of more than 30 digits, which is treated as not reported"),
    ]
