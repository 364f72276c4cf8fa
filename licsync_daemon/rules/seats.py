"""Seats of the cloud account. Pure."""

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.run import SeatRecord
from licsync_daemon.model.usage import SeatTotals

EXCEEDED_STEP = f"suspend or remove unused accounts, or purchase more seats; to see in the cloud who consumes them, {github.CSV_REPORT}"


def totals_in_words(seats: SeatTotals | SeatRecord) -> str:
    """Return both totals for people. Without purchased seats the account uses usage-based billing, where another count decides."""
    consumed, purchased = (f"{one:,}" if one is not None else "an unknown number" for one in (seats.consumed, seats.purchased))
    if seats.purchased == 0:
        return f"{consumed} consumed, none purchased: usage-based billing; billable licenses can be more"
    return f"{consumed} consumed of {purchased} purchased"


def seats_over(seats: SeatTotals | SeatRecord) -> int:
    """Return how many more seats are consumed than purchased; 0 if unknown, or without purchased seats (usage-based billing)."""
    if seats.consumed is None or not seats.purchased:
        return 0
    return max(0, seats.consumed - seats.purchased)


def exceeded(seats: SeatTotals | SeatRecord) -> str | None:
    """Return a warning if more seats are consumed than purchased."""
    over = seats_over(seats)
    return f"the cloud account consumes {over:,} more seats than were purchased" if over else None
