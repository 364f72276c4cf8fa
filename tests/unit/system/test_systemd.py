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


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1234", "/nowhere/at/all", "@nobody-listens"])
def test_a_deaf_manager_stops_nothing(address: str | None) -> None:
    """Without a manager, or with one that does not listen, nothing happens."""
    ServiceManager({} if address is None else {"NOTIFY_SOCKET": address}).send("READY=1")


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "1"}, 0.000001),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
    ],
    ids=["none", "a minute", "a microsecond", "zero", "negative", "words", "other digits", "empty", "for us", "for another process"],
)
def test_the_watchdog(environ: dict[str, str], watchdog_s: float | None) -> None:
    """The watchdog's interval is in microseconds, and only ours if it names us or nobody."""
    assert ServiceManager(environ).watchdog_s == watchdog_s
