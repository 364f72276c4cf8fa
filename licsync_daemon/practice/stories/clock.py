"""Simulated time for the program and its sandbox at once: weeks pass in milliseconds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from licsync_daemon.practice.sandbox import Sandbox

TOGETHER_S = 0.5  # tasks that wake up within this time do so in the order of their names, so that a story is the same on every machine
LEAST_S = 1e-6  # the least that a sleep moves the time; a remainder lost to rounding would be slept forever
NAP_S = 0.002  # the real time that a simulated sleep takes at least, so that the sandbox's threads can run


class SimulatedClock:
    """The `Clock` port on the sandbox's clock. It does not tick: work takes no time, only sleep does.

    Only one of the tasks at work is awake at a time. When all of them sleep, time moves to the next wake-up.
    """

    def __init__(self, box: Sandbox, start: datetime) -> None:
        box.clock.set(start, ticks=False)
        self._box = box
        self._start = start
        self._at_work = 1
        self._asleep: list[tuple[float, str]] = []  # when a task wakes up, and its name

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
            while len(self._asleep) < self._at_work or self._first() != me:  # noqa: ASYNC110 - the task that is awake waits for sockets
                await asyncio.sleep(NAP_S)
            self._box.clock.advance(max(LEAST_S if seconds > 0 else 0.0, me[0] - self.monotonic()))
        finally:
            self._asleep.remove(me)

    def _first(self) -> tuple[float, str]:
        earliest, _ = min(self._asleep)
        return min((one for one in self._asleep if one[0] <= earliest + TOGETHER_S), key=lambda one: one[1])

    def move_to(self, moment: datetime) -> None:
        """Move the time forward to `moment`; never back."""
        self._box.clock.advance(max(0.0, (moment - self.now()).total_seconds()))

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Set how many tasks are at work inside: time stands still until all of them sleep."""
        before, self._at_work = self._at_work, count
        try:
            yield
        finally:
            self._at_work = before

    def one_done(self) -> None:
        """Record that one of the tasks at work has ended."""
        self._at_work = max(1, self._at_work - 1)
