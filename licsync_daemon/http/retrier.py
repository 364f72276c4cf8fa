"""Repeats a request as a policy of `rules/retry.py` decides; the only module that uses tenacity."""

import math
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import tenacity

from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.ports import Clock, WaitReporter
from licsync_daemon.rules.retry import MAX_ELAPSED_S, Policy, Wait, decide, quiet_period_s

T = TypeVar("T")


class Gate:
    """The rate limit of one host, shared by all runs of this process: closed for all of them as soon as one hits the limit."""

    def __init__(self) -> None:
        self._closed_until_s = float("-inf")  # on the monotonic clock

    def close(self, until_s: float) -> None:
        self._closed_until_s = max(self._closed_until_s, until_s)

    def open(self) -> None:
        """Allow requests again."""
        self._closed_until_s = float("-inf")

    def pause_s(self, now_s: float) -> float:
        """Return the seconds until the next request to the host is allowed."""
        return max(0.0, self._closed_until_s - now_s)


class Retrier:
    """Repeats a request as a policy decides, within the host's rate limit, and reports every wait."""

    def __init__(self, clock: Clock, waits: WaitReporter, *, gate: Gate | None = None, policy: Policy = decide) -> None:
        self._clock = clock
        self._waits = waits
        self._gate = gate if gate is not None else Gate()
        self._policy = policy

    async def call(self, request: Callable[[], Awaitable[T]], *, policy: Policy | None = None) -> T:
        """Await `request()` until it succeeds or the policy gives up; then raise its last `RemoteError`."""
        chosen = policy or self._policy
        began = self._clock.monotonic()

        def wait(state: tenacity.RetryCallState) -> float:
            """Return the seconds to wait; tenacity calls this once per failure, and `stop` and `announce` read the result."""
            elapsed_s = self._clock.monotonic() - began
            choice = chosen(_failure(state), state.attempt_number, elapsed_s, random.random())  # noqa: S311 - jitter
            return choice.seconds if isinstance(choice, Wait) else math.inf

        def announce(state: tenacity.RetryCallState) -> None:
            until = self._clock.now() + timedelta(seconds=state.upcoming_sleep)
            self._waits.waiting(until, _failure(state).cause, state.upcoming_sleep)

        async def attempt() -> T:  # tenacity awaits coroutine functions only, not every function that returns an awaitable
            return await self._attempt(request)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(RemoteError),
            wait=wait,
            stop=lambda state: state.upcoming_sleep == math.inf,
            sleep=self._clock.sleep,
            before_sleep=announce,
            reraise=True,
        )
        result: T = await retrying(attempt)
        return result

    async def _attempt(self, request: Callable[[], Awaitable[T]]) -> T:
        """Make the request once the gate is open; close the gate if the host reports its rate limit."""
        await self._pass_gate()
        self._waits.resumed()
        try:
            return await request()
        except RemoteError as error:
            if error.code is Code.RATE_LIMITED:
                self._gate.close(self._clock.monotonic() + quiet_period_s(error))
            raise

    async def _pass_gate(self) -> None:
        """Wait until the gate opens; raise at once if that takes longer than a run may wait."""
        while (pause := self._gate.pause_s(self._clock.monotonic())) > 0:
            if pause > MAX_ELAPSED_S:
                raise RemoteError(
                    Code.RATE_LIMITED,
                    "the server's rate limit was hit by another run, and the wait is longer than a run may take",
                    "usually temporary; retried automatically once the rate limit resets",
                    transient=True,  # no request was sent: an open delivery stays open
                    retry_after=timedelta(seconds=pause),
                )
            self._waits.waiting(self._clock.now() + timedelta(seconds=pause), "the server's rate limit, hit by another run", pause)
            await self._clock.sleep(pause)


def _failure(state: tenacity.RetryCallState) -> RemoteError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RemoteError)
    return error
