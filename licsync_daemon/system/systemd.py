"""Report status to systemd, one datagram per message; does nothing without `NOTIFY_SOCKET`.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html (checked 2026-11-24).
"""

import contextlib
import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """Sends `READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`. Never raises: a failed message must not stop a sync."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        text = environ.get("WATCHDOG_USEC", "")
        #: The interval of the watchdog in seconds; None without one.
        self.watchdog_s: float | None = int(text) / 1_000_000 if watched and text.isascii() and text.isdigit() and int(text) > 0 else None

    def send(self, *lines: str) -> None:
        """Send one message, one `KEY=value` per line."""
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(1.0)
            sender.sendto("\n".join(lines).encode(), address)
