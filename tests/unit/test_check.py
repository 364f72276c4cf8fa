"""Whether a collection may be sent, at the boundaries."""

import pytest

from licsync_daemon.check import check_usage
from licsync_daemon.errors import Code, RunError
from licsync_daemon.model import UsageCounts


def counts(rows: int, *, unusable: int = 0, suspended: int = 0, total_users: int | None = None) -> UsageCounts:
    return UsageCounts(rows=rows, sent=rows - unusable - suspended, suspended=suspended, unusable=unusable, total_users=total_users)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (counts(1), None),
        (counts(0), Code.EMPTY_USAGE),
        (counts(5, suspended=5), Code.EMPTY_USAGE),
        (counts(100, unusable=1), None),
        (counts(100, unusable=2), Code.REPORT_UNUSABLE_ROWS),
        (counts(99, unusable=1), Code.REPORT_UNUSABLE_ROWS),
        (counts(1000, unusable=10), None),
        (counts(1000, unusable=11), Code.REPORT_UNUSABLE_ROWS),
        (counts(1, unusable=1), Code.REPORT_UNUSABLE_ROWS),
        (counts(1, total_users=None), None),
        (counts(90, total_users=100), None),
        (counts(89, total_users=100), Code.INCOMPLETE_USAGE),
        (counts(9900, total_users=10_000), None),
        (counts(9899, total_users=10_000), Code.INCOMPLETE_USAGE),
        (counts(1010, total_users=1000), None),
        (counts(0, total_users=0), Code.EMPTY_USAGE),
        (counts(0, total_users=500), Code.INCOMPLETE_USAGE),
    ],
    ids=[
        "one account",
        "no rows",
        "only suspended",
        "1 % unusable",
        "2 % unusable",
        "just over 1 %",
        "1 % of many",
        "just over 1 % of many",
        "all unusable",
        "no total known",
        "10 missing of 100",
        "11 missing of 100",
        "1 % missing",
        "just over 1 % missing",
        "more rows than users",
        "nobody there",
        "nobody here",
    ],
)
def test_what_may_be_sent(found: UsageCounts, code: Code | None) -> None:
    """Empty, incomplete and too unusable collections are refused, at exactly their thresholds."""
    if code is None:
        check_usage(found)
    else:
        with pytest.raises(RunError) as refused:
            check_usage(found)
        assert refused.value.code is code
        assert refused.value.next_step
