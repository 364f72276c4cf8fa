"""Simulated time: weeks pass in milliseconds, for the program and for the sandbox it talks to at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from licsync_daemon.sandbox import Sandbox

NAP_S = 0.002  # the real time that a simulated sleep takes at least, so that the sandbox's threads get their turn


class SimulatedClock:
    """The `Clock` port over a sandbox's own clock, so that both sides always agree.

    A sleep is over as soon as everybody who is at work sleeps and nobody has to wake up earlier: then time moves on by itself.
    """

    def __init__(self, box: Sandbox, start: datetime) -> None:
        box.clock.set(start)
        self._box = box
        self._start = start
        self._at_work = 1
        self._wake_at: list[float] = []

    def now(self) -> datetime:
        return self._box.clock.precise

    def monotonic(self) -> float:
        return (self.now() - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        wake_at = self.monotonic() + seconds
        self._wake_at.append(wake_at)
        try:
            await asyncio.sleep(NAP_S if seconds > 0 else 0)
            while (left := wake_at - self.monotonic()) > 0:
                if len(self._wake_at) >= self._at_work and wake_at <= min(self._wake_at):
                    self._box.clock.advance(left)
                else:
                    await asyncio.sleep(NAP_S)
        finally:
            self._wake_at.remove(wake_at)

    def move_to(self, moment: datetime) -> None:
        """Let the time until `moment` pass; what lies in the past changes nothing."""
        self._box.clock.advance(max(0.0, (moment - self.now()).total_seconds()))

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Say how many are at work inside: time stands still until all of them sleep."""
        before, self._at_work = self._at_work, count
        try:
            yield
        finally:
            self._at_work = before

    def one_done(self) -> None:
        """Tell that one of those at work has come to its end."""
        self._at_work = max(1, self._at_work - 1)
