"""The sandbox clock: it ticks, in whole seconds, and can be moved."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from licsync_daemon.practice.sandbox.clock import SandboxClock, iso

START = datetime(2026, 11, 24, 2, 0, 0, 400_000, tzinfo=UTC)


def test_it_shows_whole_seconds_and_ticks():
    clock = SandboxClock(START)
    before = clock.precise

    assert clock.now.microsecond == 0
    assert START <= before < START + timedelta(seconds=5)
    assert clock.precise >= before


def test_it_can_be_advanced():
    clock = SandboxClock(START)

    clock.advance(7 * 86400)

    assert timedelta(0) <= clock.precise - (START + timedelta(days=7)) < timedelta(seconds=5)


def test_it_can_be_set_to_stand_still():
    clock = SandboxClock()

    clock.set(START, ticks=False)

    assert clock.precise == clock.precise == START
    clock.advance(60)
    assert clock.precise == START + timedelta(seconds=60)


def test_it_can_be_set_in_any_zone():
    clock = SandboxClock()

    clock.set(datetime(2030, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=1))))

    assert iso(clock.now).startswith("2030-01-01T00:00:0")


def test_it_needs_a_zone():
    with pytest.raises(ValueError, match="zone"):
        SandboxClock().set(datetime(2030, 1, 1))  # noqa: DTZ001


def test_dates_look_as_published():
    assert iso(START) == "2026-11-24T02:00:00Z"
