"""Whether a collection is a whole read, at the boundaries."""

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import UsageCounts
from licsync_daemon.rules.guard import check_usage


def counts(rows: int, unusable: int) -> UsageCounts:
    return UsageCounts(rows=rows, sent=rows - unusable, unusable=unusable)


@pytest.mark.parametrize(
    ("rows", "unusable", "refused"),
    [
        (0, 0, False),
        (1, 0, False),
        (1, 1, True),
        (99, 1, True),
        (100, 1, False),
        (100, 2, True),
        (1000, 10, False),
        (1000, 11, True),
    ],
    ids=["no rows", "one account", "all unusable", "just over 1 %", "1 %", "2 %", "1 % of many", "just over 1 % of many"],
)
def test_unusable_rows_at_their_limit(rows: int, unusable: int, refused: bool) -> None:
    """One row in a hundred may be unusable, and not one more; everything else is the guards' business."""
    if not refused:
        check_usage(counts(rows, unusable))
        return
    with pytest.raises(RunError) as raised:
        check_usage(counts(rows, unusable))
    assert raised.value.code is Code.REPORT_UNUSABLE_ROWS
    assert raised.value.next_step
