"""Look at a collection by itself: is it a whole read at all? Pure. What it says is the guards' business (`guard.py`)."""

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.usage import UsageCounts

UNUSABLE_SHARE = 0.01


def check_usage(counts: UsageCounts) -> None:
    """Accept a collection, or say why it must not be sent.

    Raises:
        RunError: `REPORT_UNUSABLE_ROWS`: more than 1 % of the rows cannot be used.
    """
    if counts.unusable > counts.rows * UNUSABLE_SHARE:
        raise RunError(
            Code.REPORT_UNUSABLE_ROWS,
            f"{counts.unusable} of {counts.rows} rows of the report cannot be used (more than 1 %)",
            "look at the rows named in `$licsync history INSTANCE`, then run it again",
        )
