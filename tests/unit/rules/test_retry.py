"""Whether a failed request is repeated: the decision at its boundaries."""

from datetime import timedelta

import pytest

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.rules.retry import MAX_ELAPSED_S, GiveUp, RetryChoice, Wait, decide, poll_until, quiet_period_s
from tests.fakes import permanent, transient

LIMITED = Code.RATE_LIMITED


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def same(found: RetryChoice, expected: RetryChoice) -> bool:
    if isinstance(found, Wait) and isinstance(expected, Wait):
        return found.seconds == pytest.approx(expected.seconds)
    return found == expected


# error, attempt, elapsed seconds, jitter, choice
DECISIONS: dict[str, tuple[RemoteError, int, float, float, RetryChoice]] = {
    "permanent": (permanent(), 1, 0, 0, GiveUp()),
    "permanent with a wait": (permanent(retry_after=after(1)), 1, 0, 0, GiveUp()),
    "first": (transient(), 1, 0, 0, Wait(0.5)),
    "most jitter": (transient(), 1, 0, 0.999, Wait(0.9995)),
    "second": (transient(), 2, 0, 0, Wait(1.0)),
    "fourth": (transient(), 4, 0, 0, Wait(4.0)),
    "fifth is the last": (transient(), 5, 0, 0, GiveUp()),
    "past the last": (transient(), 6, 0, 0, GiveUp()),
    "just inside the budget": (transient(), 1, MAX_ELAPSED_S - 0.51, 0, Wait(0.5)),
    "at the budget": (transient(), 1, MAX_ELAPSED_S - 0.5, 0, Wait(0.5)),
    "just past the budget": (transient(), 1, MAX_ELAPSED_S - 0.49, 0, GiveUp()),
    "stated: no wait": (transient(retry_after=after(0)), 1, 0, 0.9, Wait(0.5)),
    "stated: nonsense": (transient(retry_after=after(-3)), 1, 0, 0.9, Wait(0.5)),
    "stated: 30 s": (transient(retry_after=after(30)), 1, 0, 0.9, Wait(30.5)),
    "stated: all of the budget": (transient(retry_after=after(MAX_ELAPSED_S - 0.5)), 1, 0, 0, Wait(MAX_ELAPSED_S)),
    "stated: more than the budget": (transient(retry_after=after(MAX_ELAPSED_S - 0.4)), 1, 0, 0, GiveUp()),
    "stated: years": (transient(retry_after=timedelta(days=9999)), 1, 0, 0, GiveUp()),
    "limit: a minute": (transient(LIMITED), 1, 0, 0, Wait(60.0)),
    "limit: doubling": (transient(LIMITED), 2, 0, 0, Wait(120.0)),
    "limit: jitter only adds": (transient(LIMITED), 3, 0, 0.5, Wait(252.0)),
    "limit: at the budget": (transient(LIMITED), 4, 420, 0, Wait(480.0)),
    "limit: past the budget": (transient(LIMITED), 4, 420.1, 0, GiveUp()),
    "limit: the stated wait wins": (transient(LIMITED, retry_after=after(5)), 3, 0, 0, Wait(5.5)),
}


def test_decide(subtests: pytest.Subtests) -> None:
    """A permanent error ends the run; a stated wait is kept; five attempts and fifteen minutes are the maximum."""
    for name, (error, attempt, elapsed_s, jitter, choice) in DECISIONS.items():
        with subtests.test(name):
            assert same(decide(error, attempt, elapsed_s, jitter), choice)


# code, attempt, elapsed seconds, choice
POLLS: dict[str, tuple[Code, int, float, RetryChoice]] = {
    "another error": (Code.SERVER_ERROR, 1, 0, GiveUp()),
    "first": (Code.REPORT_TIMEOUT, 1, 0, Wait(0.45)),
    "second": (Code.REPORT_TIMEOUT, 2, 0, Wait(0.765)),
    "maximum": (Code.REPORT_TIMEOUT, 20, 0, Wait(27.0)),
    "any number of times": (Code.REPORT_TIMEOUT, 10_000, 0, Wait(27.0)),
    "at the limit": (Code.REPORT_TIMEOUT, 20, 600 - 27.0, Wait(27.0)),
    "past the limit": (Code.REPORT_TIMEOUT, 20, 600 - 26.9, GiveUp()),
    "long past": (Code.REPORT_TIMEOUT, 1, 601, GiveUp()),
}


def test_poll_until(subtests: pytest.Subtests) -> None:
    """A report that is being built is polled until the limit, at growing intervals; no other error is waited for."""
    for name, (code, attempt, elapsed_s, choice) in POLLS.items():
        with subtests.test(name):
            assert same(poll_until(timedelta(minutes=10))(permanent(code), attempt, elapsed_s, 0.0), choice)


def test_quiet_period() -> None:
    """A rate-limited host is left alone for the stated wait and a margin, or for a minute."""
    assert quiet_period_s(transient(LIMITED, retry_after=after(30))) == 30.5
    assert quiet_period_s(transient(LIMITED)) == 60.0
