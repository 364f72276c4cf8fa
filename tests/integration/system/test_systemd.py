"""Messages to the service manager."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from licsync_daemon.system.systemd import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket like the service manager's, and its address for the environment."""
    name = f"licsync-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address if request.param == "path" else f"\0{name}")
        receiver.settimeout(5)
        yield receiver, address


def test_messages_arrive_whole(manager: tuple[socket.socket, str]) -> None:
    """One datagram per message, one `KEY=value` per line, over a path and an abstract socket."""
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
