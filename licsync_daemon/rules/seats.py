"""Seats of the cloud account. Pure."""

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.run import SeatRecord
from licsync_daemon.model.usage import SeatTotals

EXCEEDED_STEP = f"suspend or remove unused accounts, or purchase more seats; to see who consumes them, in the cloud, {github.CSV_REPORT}"


def seats_over(seats: SeatTotals | SeatRecord) -> int:
    """Return how many more seats are consumed than purchased; 0 if unknown, or without purchased seats (usage-based billing)."""
    if seats.consumed is None or not seats.purchased:
        return 0
    return max(0, seats.consumed - seats.purchased)


def exceeded(seats: SeatTotals | SeatRecord) -> str | None:
    """Return a warning if more seats are consumed than purchased."""
    over = seats_over(seats)
    return f"the cloud account consumes {over:,} more seats than were purchased" if over else None
