"""Messages to the service manager."""

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from licsync_daemon.system.systemd import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket like the service manager's, and its address as it stands in the environment."""
    name = f"licsync-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address if request.param == "path" else f"\0{name}")
        receiver.settimeout(5)
        yield receiver, address


def test_messages_arrive_whole(manager: tuple[socket.socket, str]) -> None:
    """One datagram a message, a `KEY=value` a line, over a path and over an abstract socket."""
    receiver, address = manager
    notifier = ServiceManager({"NOTIFY_SOCKET": address})
    notifier.send("READY=1")
    notifier.send("WATCHDOG=1", "STATUS=next: emea")
    assert receiver.recv(4096) == b"READY=1"
    assert receiver.recv(4096) == b"WATCHDOG=1\nSTATUS=next: emea"


def test_a_deaf_manager_stops_nothing(subtests: pytest.Subtests) -> None:
    """Without a manager, or with one that does not listen, nothing happens."""
    for address in (None, "", "relative", "vsock:2:1234", "/nowhere/at/all", "@nobody-listens"):
        with subtests.test(address=address):
            ServiceManager({} if address is None else {"NOTIFY_SOCKET": address}).send("READY=1")


def test_the_watchdog(subtests: pytest.Subtests) -> None:
    """The watchdog's interval is in microseconds, and only ours if it names us or nobody."""
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
