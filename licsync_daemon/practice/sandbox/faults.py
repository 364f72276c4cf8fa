"""Faults: which requests they affect, and how often."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal[
    "status",  # any status, headers and body; the request is not processed
    "redirect",  # the same, 302 by default; set `Location` in the headers
    "body",  # 200 with a different body or content type
    "maintenance",  # 503 for everything: HTML on the web root, JSON below /api
    "hang",  # accept the request, never respond
    "reset",  # RST before any byte; the request is not processed
    "lost_reply",  # process the request, then RST before any byte
    "reset_mid_body",  # process, send half of the response, then RST
    "short_body",  # process, announce more bytes than are sent, then close
    "truncated_gzip",  # process, send half of the response's gzip stream
    "slow",  # process, send one byte of the body every 0.1 s
    "huge",  # an endless body
]
KINDS: frozenset[str] = frozenset(get_args(FaultKind))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. It affects requests to `server` ("cloud" or an instance's name) whose path starts with `path`.

    `times` is how many requests it affects; None: all, until the faults are cleared.
    """

    server: str
    path: str
    kind: FaultKind
    times: int | None = None
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | str = b""
    content_type: str = "text/html; charset=utf-8"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}; valid: {', '.join(sorted(KINDS))}")
        if self.times is not None and self.times < 1:
            raise ValueError("times is less than 1")

    @property
    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body


class Faults:
    """The active faults, oldest first; the first that matches a request affects it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._left.append((fault, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._left.clear()

    def take(self, server: str, path: str) -> Fault | None:
        """Return the fault that affects this request, and count it; None if there is none."""
        with self._lock:
            for n, (fault, left) in enumerate(self._left):
                if fault.server == server and path.startswith(fault.path):
                    if left is not None:
                        self._left[n : n + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None
