"""When a request is tried again: one pure decision, and the one place that builds a tenacity retrier.

GitHub's order for a refusal is kept: `Retry-After`, else `x-ratelimit-reset`, else at least a minute and doubling. The far side's own wait
is read in `transport/wire.py`; here it is a number on the error.
Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api (checked 2026-11-24).
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import tenacity

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.ports import Clock, WaitReporter

T = TypeVar("T")

MAX_ATTEMPTS = 5
MAX_ELAPSED_S = 15 * 60.0  # a run that would wait longer ends; the schedule tries again later
BACKOFF_S = 1.0
BACKOFF_CAP_S = 60.0
RATE_LIMIT_MIN_S = 60.0  # GitHub: without a stated wait, at least one minute
MARGIN_S = 0.5  # a stated moment is never anticipated by clocks that differ a little


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again within this run."""


RetryChoice = Wait | GiveUp
Policy = Callable[[RemoteError, int, float, float], RetryChoice]


def decide(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
    """Decide what follows a failed request.

    Args:
        error: What went wrong.
        attempt: How many times the request was made, 1 after the first failure.
        elapsed_s: Seconds since the first attempt began.
        jitter: A random number in [0, 1), so that the decision itself is repeatable.
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
    """Return a policy for something that is being built on the far side: wait 0.5 s growing to 30 s, up to `limit` in all."""

    def policy(error: RemoteError, attempt: int, elapsed_s: float, jitter: float) -> RetryChoice:
        if error.code is not Code.REPORT_TIMEOUT:
            return GiveUp()
        seconds = min(cap_s, first_s * 1.7 ** min(attempt - 1, 20)) * (0.9 + jitter / 10)
        return GiveUp() if elapsed_s + seconds > limit.total_seconds() else Wait(seconds)

    return policy


class Gate:
    """The request budget of one host: when it asks one run to be left alone, every run of this process leaves it alone."""

    def __init__(self) -> None:
        self._closed_until_s = float("-inf")  # on the monotonic clock

    def close(self, until_s: float) -> None:
        self._closed_until_s = max(self._closed_until_s, until_s)

    def pause_s(self, now_s: float) -> float:
        """Return how many seconds are left until the host may be asked again."""
        return max(0.0, self._closed_until_s - now_s)


class Retrier:
    """Makes a request again as a policy decides, within the host's budget, and tells somebody about every wait."""

    def __init__(self, clock: Clock, waits: WaitReporter, *, gate: Gate | None = None, policy: Policy = decide) -> None:
        self._clock = clock
        self._waits = waits
        self._gate = gate if gate is not None else Gate()
        self._policy = policy

    async def call(self, request: Callable[[], Awaitable[T]], *, policy: Policy | None = None) -> T:
        """Await `request()` until it succeeds or the policy gives up; then its last `RemoteError` is raised."""
        chosen = policy or self._policy
        began = self._clock.monotonic()
        decisions: dict[int, RetryChoice] = {}

        def decision(state: tenacity.RetryCallState) -> RetryChoice:
            """Return the one decision about this attempt; tenacity asks for its two halves separately."""
            if state.attempt_number not in decisions:
                error = state.outcome.exception() if state.outcome else None
                decisions[state.attempt_number] = (
                    chosen(error, state.attempt_number, self._clock.monotonic() - began, random.random())  # noqa: S311 - jitter
                    if isinstance(error, RemoteError)
                    else GiveUp()
                )
            return decisions[state.attempt_number]

        def wait(state: tenacity.RetryCallState) -> float:
            answer = decision(state)
            return answer.seconds if isinstance(answer, Wait) else 0.0

        def announce(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, RemoteError):
                until: datetime = self._clock.now() + timedelta(seconds=wait(state))
                self._waits.waiting(until, error.cause, wait(state))

        async def attempt() -> T:  # tenacity awaits coroutine functions only, not whatever answers an awaitable
            await self._pass_gate()
            self._waits.resumed()
            try:
                return await request()
            except RemoteError as error:
                if error.code is Code.RATE_LIMITED:
                    stated = error.retry_after.total_seconds() + MARGIN_S if error.retry_after is not None else RATE_LIMIT_MIN_S
                    self._gate.close(self._clock.monotonic() + stated)
                raise

        retrying = tenacity.AsyncRetrying(
            retry=lambda state: state.outcome is not None and state.outcome.failed and isinstance(decision(state), Wait),
            wait=wait,
            stop=tenacity.stop_never,
            sleep=self._clock.sleep,
            before_sleep=announce,
            reraise=True,
        )
        result: T = await retrying(attempt)
        return result

    async def _pass_gate(self) -> None:
        """Wait while the host wants to be left alone; give up at once where that takes longer than a run may wait."""
        while (pause := self._gate.pause_s(self._clock.monotonic())) > 0:
            if pause > MAX_ELAPSED_S:
                raise RemoteError(
                    Code.RATE_LIMITED,
                    "the far side asked another run to be left alone for a while",
                    "nothing to do: it is tried again when the limit allows",
                    transient=True,  # nobody was asked: an open delivery stays open
                    retry_after=timedelta(seconds=pause),
                )
            self._waits.waiting(self._clock.now() + timedelta(seconds=pause), "the far side's rate limit, met by another run", pause)
            await self._clock.sleep(pause)
