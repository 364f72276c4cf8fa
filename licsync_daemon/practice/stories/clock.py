"""Simulated time: weeks pass in milliseconds, for the program and for the sandbox it talks to at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from licsync_daemon.practice.sandbox import Sandbox

TOGETHER_S = 0.5  # who wakes up within this of another is called by name: a story is the same every time, whatever the machine is doing
LEAST_S = 1e-6  # what a sleep moves the time at least: a remainder that is rounded away would be slept for ever
NAP_S = 0.002  # the real time that a simulated sleep takes at least, so that the sandbox's threads get their turn


class SimulatedClock:
    """The `Clock` port over a sandbox's own clock, so that both sides always agree. It does not tick: work takes no time, only sleep does.

    Of those who are at work only one is awake at a time. When everybody sleeps, time moves on to whoever has to wake up first.
    """

    def __init__(self, box: Sandbox, start: datetime) -> None:
        box.clock.set(start, ticks=False)
        self._box = box
        self._start = start
        self._at_work = 1
        self._asleep: list[tuple[float, str]] = []  # when somebody wakes up, and the name of the task

    def now(self) -> datetime:
        return self._box.clock.precise

    def monotonic(self) -> float:
        return (self.now() - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        me = (self.monotonic() + seconds, task.get_name() if task is not None else "")
        self._asleep.append(me)
        try:
            await asyncio.sleep(NAP_S if seconds > 0 else 0)
            while len(self._asleep) < self._at_work or self._first() != me:  # noqa: ASYNC110 - who is awake waits for sockets
                await asyncio.sleep(NAP_S)
            self._box.clock.advance(max(LEAST_S if seconds > 0 else 0.0, me[0] - self.monotonic()))
        finally:
            self._asleep.remove(me)

    def _first(self) -> tuple[float, str]:
        earliest, _ = min(self._asleep)
        return min((one for one in self._asleep if one[0] <= earliest + TOGETHER_S), key=lambda one: one[1])

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
