"""The watchdog settings of the service manager."""

import os

import pytest

from licsync_daemon.system.systemd import ServiceManager


def test_the_watchdog(subtests: pytest.Subtests) -> None:
    """The interval is in microseconds, and applies if it names this process or none."""
    for name, (environ, watchdog_s) in {
        "none": ({}, None),
        "a minute": ({"WATCHDOG_USEC": "60000000"}, 60.0),
        "a microsecond": ({"WATCHDOG_USEC": "1"}, 0.000001),
        "zero": ({"WATCHDOG_USEC": "0"}, None),
        "negative": ({"WATCHDOG_USEC": "-1"}, None),
        "words": ({"WATCHDOG_USEC": "soon"}, None),
        "other digits": ({"WATCHDOG_USEC": "٣"}, None),
        "empty": ({"WATCHDOG_USEC": ""}, None),
        "for us": ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        "for another process": ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
    }.items():
        with subtests.test(name):
            assert ServiceManager(environ).watchdog_s == watchdog_s
