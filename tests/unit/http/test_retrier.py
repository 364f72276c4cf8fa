"""When a request is made again: the decision at its boundaries, and the loop that obeys it."""

import asyncio
from datetime import timedelta

import pytest

from licsync_daemon.http.retrier import MAX_ATTEMPTS, MAX_ELAPSED_S, GiveUp, Retrier, RetryChoice, Wait, decide, poll_until
from licsync_daemon.model.errors import Code, RemoteError, RunError
from tests.fakes import T0, FakeClock, Waits, permanent, transient


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


LIMITED = Code.RATE_LIMITED


@pytest.mark.parametrize(
    ("error", "attempt", "elapsed_s", "jitter", "decision"),
    [
        (permanent(), 1, 0, 0, GiveUp()),
        (permanent(retry_after=after(1)), 1, 0, 0, GiveUp()),
        (transient(), 1, 0, 0, Wait(0.5)),
        (transient(), 1, 0, 0.999, Wait(0.9995)),
        (transient(), 2, 0, 0, Wait(1.0)),
        (transient(), 4, 0, 0, Wait(4.0)),
        (transient(), 5, 0, 0, GiveUp()),
        (transient(), 6, 0, 0, GiveUp()),
        (transient(), 1, MAX_ELAPSED_S - 0.51, 0, Wait(0.5)),
        (transient(), 1, MAX_ELAPSED_S - 0.5, 0, Wait(0.5)),
        (transient(), 1, MAX_ELAPSED_S - 0.49, 0, GiveUp()),
        (transient(retry_after=after(0)), 1, 0, 0.9, Wait(0.5)),
        (transient(retry_after=after(-3)), 1, 0, 0.9, Wait(0.5)),
        (transient(retry_after=after(30)), 1, 0, 0.9, Wait(30.5)),
        (transient(retry_after=after(MAX_ELAPSED_S - 0.5)), 1, 0, 0, Wait(MAX_ELAPSED_S)),
        (transient(retry_after=after(MAX_ELAPSED_S - 0.4)), 1, 0, 0, GiveUp()),
        (transient(retry_after=timedelta(days=9999)), 1, 0, 0, GiveUp()),
        (transient(LIMITED), 1, 0, 0, Wait(60.0)),
        (transient(LIMITED), 2, 0, 0, Wait(120.0)),
        (transient(LIMITED), 3, 0, 0.5, Wait(252.0)),
        (transient(LIMITED), 4, 420, 0, Wait(480.0)),
        (transient(LIMITED), 4, 420.1, 0, GiveUp()),
        (transient(LIMITED, retry_after=after(5)), 3, 0, 0, Wait(5.5)),
    ],
    ids=[
        "permanent",
        "permanent with a wait",
        "first",
        "most jitter",
        "second",
        "fourth",
        "fifth is the last",
        "past the last",
        "just inside the budget",
        "at the budget",
        "just past the budget",
        "told not to wait",
        "told nonsense",
        "told 30 s",
        "told all of the budget",
        "told more than the budget",
        "told years",
        "limit: a minute",
        "limit: doubling",
        "limit: jitter only adds",
        "limit: at the budget",
        "limit: past the budget",
        "limit: the stated wait wins",
    ],
)
def test_decide(error: RemoteError, attempt: int, elapsed_s: float, jitter: float, decision: RetryChoice) -> None:
    """Permanent errors end it; the far side's own wait is honored; five attempts and fifteen minutes are the most."""
    found = decide(error, attempt, elapsed_s, jitter)
    assert isinstance(found, type(decision))
    if isinstance(found, Wait) and isinstance(decision, Wait):
        assert found.seconds == pytest.approx(decision.seconds)


@pytest.mark.parametrize(
    ("code", "attempt", "elapsed_s", "decision"),
    [
        (Code.SERVER_ERROR, 1, 0, GiveUp()),
        (Code.REPORT_TIMEOUT, 1, 0, Wait(0.45)),
        (Code.REPORT_TIMEOUT, 2, 0, Wait(0.765)),
        (Code.REPORT_TIMEOUT, 20, 0, Wait(27.0)),
        (Code.REPORT_TIMEOUT, 10_000, 0, Wait(27.0)),
        (Code.REPORT_TIMEOUT, 20, 600 - 27.0, Wait(27.0)),
        (Code.REPORT_TIMEOUT, 20, 600 - 26.9, GiveUp()),
        (Code.REPORT_TIMEOUT, 1, 601, GiveUp()),
    ],
    ids=["another error", "first", "second", "cap", "any number of times", "at the limit", "past the limit", "long past"],
)
def test_poll_until(code: Code, attempt: int, elapsed_s: float, decision: RetryChoice) -> None:
    """Something that is being built is asked for again until the limit, ever more rarely; any other error is not waited for."""
    found = poll_until(timedelta(minutes=10))(permanent(code), attempt, elapsed_s, 0.0)
    assert isinstance(found, type(decision))
    if isinstance(found, Wait) and isinstance(decision, Wait):
        assert found.seconds == pytest.approx(decision.seconds)


class Requests:
    """A request that fails as told, then succeeds."""

    def __init__(self, clock: FakeClock, *errors: Exception, takes_s: float = 0) -> None:
        self.clock, self.errors, self.takes_s = clock, list(errors), takes_s
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        self.clock.advance(self.takes_s)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def no_jitter(error: RemoteError, attempt: int, elapsed_s: float, _: float) -> RetryChoice:
    return decide(error, attempt, elapsed_s, 0.0)


def test_success_waits_for_nothing() -> None:
    """A request that works is made once."""
    clock, waits = FakeClock(), Waits()
    request = Requests(clock)
    assert asyncio.run(Retrier(clock, waits).call(request)) == "answer"
    assert (request.made, clock.slept, waits.told) == (1, [], [])


def test_waits_are_exact_and_told_beforehand() -> None:
    """Each wait is slept exactly, and told with its end and its cause before it begins."""
    clock, waits = FakeClock(), Waits()
    request = Requests(clock, transient(retry_after=after(30)), transient(LIMITED), takes_s=1)
    assert asyncio.run(Retrier(clock, waits, policy=no_jitter).call(request)) == "answer"
    assert clock.slept == [30.5, 120.0]
    assert waits.told == [
        (T0 + after(1 + 30.5), "it did not work", 30.5),
        (T0 + after(1 + 30.5 + 1 + 120), "it did not work", 120.0),
    ]
    assert waits.resumes == 3  # before each attempt: a wait that is over is not shown any longer


@pytest.mark.parametrize(
    "error", [permanent(), RunError(Code.EMPTY_USAGE, "x", "y"), ValueError("a mistake of ours")], ids=["permanent", "run", "other"]
)
def test_a_permanent_error_makes_exactly_one_request(error: Exception) -> None:
    """What cannot pass by itself is raised as it came, at once."""
    clock = FakeClock()
    request = Requests(clock, error)
    with pytest.raises(type(error)) as raised:
        asyncio.run(Retrier(clock, Waits()).call(request))
    assert raised.value is error
    assert (request.made, clock.slept) == (1, [])


def test_a_transient_error_makes_exactly_five_requests() -> None:
    """After the fifth failure the last error is raised, with exactly the back-off between."""
    clock = FakeClock()
    errors = [transient() for _ in range(9)]
    request = Requests(clock, *errors)
    with pytest.raises(RemoteError) as raised:
        asyncio.run(Retrier(clock, Waits(), policy=no_jitter).call(request))
    assert raised.value is errors[MAX_ATTEMPTS - 1]
    assert (request.made, clock.slept) == (MAX_ATTEMPTS, [0.5, 1.0, 2.0, 4.0])


def test_the_budget_counts_the_requests_own_time() -> None:
    """A request that hangs for five minutes is made three times: a fourth would pass the fifteen minutes."""
    clock = FakeClock()
    request = Requests(clock, *[transient() for _ in range(9)], takes_s=300)
    with pytest.raises(RemoteError):
        asyncio.run(Retrier(clock, Waits(), policy=no_jitter).call(request))
    assert request.made == 3


def test_a_wall_clock_that_jumps_does_not_end_the_budget() -> None:
    """Elapsed time is taken from the clock that never jumps."""
    clock = FakeClock()

    async def request() -> str:
        clock.jump(timedelta(days=-300))
        if len(clock.slept) < 3:
            raise transient()
        return "answer"

    assert asyncio.run(Retrier(clock, Waits()).call(request)) == "answer"


def test_a_report_is_polled_up_to_its_limit() -> None:
    """Polling goes on through any number of attempts and stops within the limit."""
    clock = FakeClock()
    request = Requests(clock, *[permanent(Code.REPORT_TIMEOUT) for _ in range(1000)])
    with pytest.raises(RemoteError) as raised:
        asyncio.run(Retrier(clock, Waits()).call(request, policy=poll_until(timedelta(minutes=30))))
    assert raised.value.code is Code.REPORT_TIMEOUT
    assert 1800 - 31 <= sum(clock.slept) <= 1800
    assert max(clock.slept) <= 30
    assert request.made > 50


def test_cancelling_a_wait_is_no_answer() -> None:
    """A cancelled wait ends the call: nothing is asked again."""

    async def main() -> int:
        clock = FakeClock()
        request = Requests(clock, *[transient() for _ in range(9)])
        task = asyncio.create_task(Retrier(clock, Waits()).call(request))
        while not clock.slept:  # noqa: ASYNC110 - every turn of the loop counts
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return request.made

    assert asyncio.run(main()) == 1
