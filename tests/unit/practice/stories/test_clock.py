"""Simulated time: one task is awake at a time, and time moves to the next wake-up."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.practice.stories.clock import SimulatedClock

START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(Sandbox(generate_fleet(seed=1, instances=1, people=1)), START)  # never started: only its clock is used


def at(clock: SimulatedClock) -> float:
    """Return the seconds since the start."""
    return round((clock.now() - START).total_seconds(), 3)


async def together(clock: SimulatedClock, **sleeps: list[float]) -> list[tuple[str, float]]:
    """Let tasks with these names sleep these times in sequence; return which woke up when."""
    woken = []

    async def work(name: str) -> None:
        try:
            for seconds in sleeps[name]:
                await clock.sleep(seconds)
                woken.append((name, at(clock)))
                await asyncio.sleep(0.004)  # awake for a while; no other task is
        finally:
            clock.one_done()

    with clock.workers(len(sleeps)):
        async with asyncio.TaskGroup() as group:
            for name in sleeps:
                group.create_task(work(name), name=name)
    return woken


def test_it_stands_still_unless_a_task_sleeps(clock: SimulatedClock) -> None:
    """Work takes no time; a week of sleep passes at once, for the program and the sandbox."""
    assert clock.now() == START == clock.now()
    asyncio.run(clock.sleep(7 * 86400))
    assert clock.now() == START + timedelta(days=7)
    assert clock.monotonic() == 7 * 86400


def test_tasks_wake_up_in_order(clock: SimulatedClock) -> None:
    """Tasks wake up in the order of their times, and none sleeps longer than requested."""
    woken = asyncio.run(together(clock, amer=[10, 10, 10], emea=[15, 1]))
    assert woken == [("amer", 10), ("emea", 15), ("emea", 16), ("amer", 20), ("amer", 30)]


def test_a_tie_goes_by_name(clock: SimulatedClock) -> None:
    """Tasks that wake up at the same time do so in the order of their names."""
    woken = asyncio.run(together(clock, emea=[0, 5], apac=[0, 5], amer=[0, 5]))
    assert woken == [("amer", 0), ("apac", 0), ("emea", 0), ("amer", 5), ("apac", 5), ("emea", 5)]


def test_an_ended_task_is_not_waited_for(clock: SimulatedClock) -> None:
    """Time goes on for the others when a task ends."""
    assert asyncio.run(together(clock, amer=[1], emea=[100, 100])) == [("amer", 1), ("emea", 100), ("emea", 200)]


def test_a_remainder_that_rounding_would_lose_is_slept(clock: SimulatedClock) -> None:
    """A sleep shorter than the clock's resolution still moves it: a loop that sleeps until a time ends."""

    async def until_a_tenth_of_a_microsecond_later() -> None:
        end = clock.monotonic() + 1e-7
        while (left := end - clock.monotonic()) > 0:
            await clock.sleep(left)

    asyncio.run(asyncio.wait_for(until_a_tenth_of_a_microsecond_later(), 2))


def test_it_is_moved_forward_only(clock: SimulatedClock) -> None:
    """Moving to a time in the past changes nothing."""
    clock.move_to(START + timedelta(days=2))
    clock.move_to(START + timedelta(days=1))
    assert clock.now() == START + timedelta(days=2)
