"""How a request is repeated: the loop that carries out the decision."""

import asyncio
from datetime import timedelta

import pytest

from licsync_daemon.http.retrier import Gate, Retrier
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.rules.retry import MAX_ATTEMPTS, MAX_ELAPSED_S, GiveUp, RetryChoice, decide, poll_until
from tests.fakes import T0, FakeClock, Waits, permanent, transient


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


LIMITED = Code.RATE_LIMITED


class Requests:
    """A request that fails with the given errors, then succeeds."""

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
    """Each wait is exact, and reported with its end and its cause before it begins."""
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
    """A permanent error is raised unchanged, at once."""
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
    """Elapsed time comes from the monotonic clock."""
    clock = FakeClock()

    async def request() -> str:
        clock.jump(timedelta(days=-300))
        if len(clock.slept) < 3:
            raise transient()
        return "answer"

    assert asyncio.run(Retrier(clock, Waits()).call(request)) == "answer"


def test_a_report_is_polled_up_to_its_limit() -> None:
    """Polling continues for any number of attempts and stops within the limit."""
    clock = FakeClock()
    request = Requests(clock, *[permanent(Code.REPORT_TIMEOUT) for _ in range(1000)])
    with pytest.raises(RemoteError) as raised:
        asyncio.run(Retrier(clock, Waits()).call(request, policy=poll_until(timedelta(minutes=30))))
    assert raised.value.code is Code.REPORT_TIMEOUT
    assert 1800 - 31 <= sum(clock.slept) <= 1800
    assert max(clock.slept) <= 30
    assert request.made > 50


def test_cancelling_a_wait_is_no_answer() -> None:
    """A canceled wait ends the call without another request."""

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


def test_a_rate_limit_holds_back_every_run() -> None:
    """A request of another run waits until the host's stated wait is over, and reports why."""

    async def main() -> tuple[FakeClock, Waits]:
        clock, waits, gate = FakeClock(), Waits(), Gate()
        with pytest.raises(RemoteError):
            await Retrier(clock, Waits(), gate=gate, policy=lambda *_: GiveUp()).call(
                Requests(clock, transient(LIMITED, retry_after=after(30)))
            )
        await Retrier(clock, waits, gate=gate).call(Requests(clock))
        return clock, waits

    clock, waits = asyncio.run(main())
    assert clock.slept == [30.5]
    assert waits.told == [(T0 + after(30.5), "the server's rate limit, hit by another run", 30.5)]


def test_a_rate_limit_longer_than_a_run_sends_nothing() -> None:
    """The run ends at once with the wait that is left; its delivery stays open."""

    async def main() -> tuple[int, RemoteError]:
        clock, gate = FakeClock(), Gate()
        gate.close(clock.monotonic() + MAX_ELAPSED_S + 1)
        request = Requests(clock)
        with pytest.raises(RemoteError) as raised:
            await Retrier(clock, Waits(), gate=gate, policy=lambda *_: GiveUp()).call(request)
        return request.made, raised.value

    made, error = asyncio.run(main())
    assert (made, error.code, error.transient, error.retry_after) == (0, Code.RATE_LIMITED, True, after(MAX_ELAPSED_S + 1))


def test_another_error_closes_no_gate() -> None:
    """Only a rate limit concerns the whole host; after any other error, the next run sends its request at once."""

    async def main() -> list[float]:
        clock, gate = FakeClock(), Gate()
        with pytest.raises(RemoteError):
            await Retrier(clock, Waits(), gate=gate, policy=lambda *_: GiveUp()).call(Requests(clock, transient(retry_after=after(30))))
        await Retrier(clock, Waits(), gate=gate).call(Requests(clock))
        return clock.slept

    assert asyncio.run(main()) == []
