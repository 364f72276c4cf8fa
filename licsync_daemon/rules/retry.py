"""Decide whether and when to retry a failed request.

The order is GitHub's: `Retry-After`, else `x-ratelimit-reset`, else at least one minute, doubling each time. `http/wire.py` reads the
server's wait; here it is an attribute of the error.
Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api (checked 2026-11-24).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from licsync_daemon.model.errors import Code, RemoteError

MAX_ATTEMPTS = 5
MAX_ELAPSED_S = 15 * 60.0  # a run does not wait longer; the schedule retries it later
BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0
RATE_LIMIT_MIN_S = 60.0  # GitHub: without a stated wait, at least one minute
HONORED_S = 24 * 3600.0  # of the wait that a rate-limited host states
MARGIN_S = 0.5  # added to a stated wait, so that a small clock difference never causes an early request


@dataclass(frozen=True, slots=True)
class Wait:
    """Repeat the request after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not repeat the request in this run."""


RetryChoice = Wait | GiveUp
Policy = Callable[[RemoteError, int, float, float], RetryChoice]


def decide(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
    """Decide whether to retry a failed request.

    Args:
        error: What went wrong.
        attempt: How many times the request was made, 1 after the first failure.
        elapsed_s: Seconds since the first attempt began.
        jitter: A random number in [0, 1), passed in so that the decision is deterministic.
    """
    if not error.transient or attempt >= MAX_ATTEMPTS:
        return GiveUp()
    if error.retry_after is not None:
        seconds = max(0.0, error.retry_after.total_seconds()) + MARGIN_S
    elif error.code is Code.RATE_LIMITED:
        seconds = RATE_LIMIT_MIN_S * 2 ** (attempt - 1) * (1 + jitter / 10)
    else:
        seconds = min(BACKOFF_CAP_S, BACKOFF_S * 2 ** (attempt - 1)) * (0.5 + jitter / 2)
    return GiveUp() if elapsed_s + seconds > MAX_ELAPSED_S else Wait(seconds)


def poll_until(limit: timedelta, *, first_s: float = 0.5, cap_s: float = 30.0) -> Policy:
    """Return a policy that polls for a report the server is still building: every 0.5 s, growing to 30 s, for at most `limit`."""

    def policy(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
        if error.code is not Code.REPORT_TIMEOUT:
            return GiveUp()
        seconds = min(cap_s, first_s * 1.7 ** min(attempt - 1, 20)) * (0.9 + jitter / 10)
        return GiveUp() if elapsed_s + seconds > limit.total_seconds() else Wait(seconds)

    return policy


def quiet_period_s(error: RemoteError) -> float:
    """Return for how many seconds a rate-limited host accepts no request from any run."""
    return min(error.retry_after.total_seconds(), HONORED_S) + MARGIN_S if error.retry_after is not None else RATE_LIMIT_MIN_S
