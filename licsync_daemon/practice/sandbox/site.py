"""What one port serves."""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from licsync_daemon.practice.sandbox.clock import SandboxClock
from licsync_daemon.practice.sandbox.faults import Faults
from licsync_daemon.practice.sandbox.http import App

DEFAULT_MAX_BODY_BYTES = 256 * 2**20


class Seen(NamedTuple):
    """A request that the sandbox received; the status is 0 if it sent no response."""

    server: str
    method: str
    path: str
    status: int


@dataclass(slots=True)
class Site:
    """The application of one port, and what it shares with the other ports of its sandbox."""

    name: str
    app: App
    clock: SandboxClock
    faults: Faults
    requests: deque[Seen]
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    stopping: threading.Event = field(default_factory=threading.Event)
