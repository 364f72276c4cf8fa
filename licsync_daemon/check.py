"""Look at a collection by itself: may it be sent? Pure.

Promise 2 of the design: a failed, partial, empty or suspicious read is never sent. Comparison with earlier usage comes with the guards.
"""

from licsync_daemon.errors import Code, RunError
from licsync_daemon.model import UsageCounts

UNUSABLE_SHARE = 0.01
MISSING_SHARE, MISSING_ACCOUNTS = 0.01, 10


def check_usage(counts: UsageCounts) -> None:
    """Accept a collection, or say why it must not be sent.

    Raises:
        RunError: `REPORT_UNUSABLE_ROWS` over 1 %, `INCOMPLETE_USAGE` when the instance counts more users than the report has rows by more
            than 1 % and 10, `EMPTY_USAGE` when there is no account to send.
    """
    if counts.unusable > counts.rows * UNUSABLE_SHARE:
        raise RunError(
            Code.REPORT_UNUSABLE_ROWS,
            f"{counts.unusable} of {counts.rows} rows of the report cannot be used (more than 1 %)",
            "look at the rows named in `licsync-daemon history INSTANCE`, then run it again",
        )
    if counts.total_users is not None:
        missing = counts.total_users - counts.rows
        if missing > counts.total_users * MISSING_SHARE and missing > MISSING_ACCOUNTS:
            raise RunError(
                Code.INCOMPLETE_USAGE,
                f"the report has {counts.rows} rows, and the instance counts {counts.total_users} users",
                "run it again: the instance may still serve an old report; if it stays, compare both numbers on the instance",
            )
    if counts.sent == 0:
        raise RunError(
            Code.EMPTY_USAGE,
            f"the report has {counts.rows} rows and not one account to send",
            "check the instance: an instance without active users is not synced",
        )
