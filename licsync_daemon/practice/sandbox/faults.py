"""Faults a test or a rehearsal asks for: which request is hit, and how often."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal[
    "status",  # any status, headers and body; the request is not acted upon
    "redirect",  # the same, 302 unless told; give `Location` in the headers
    "body",  # 200 with another body or content type
    "maintenance",  # 503 for everything: HTML on the web root, JSON below /api
    "hang",  # take the request, never answer
    "reset",  # RST before any byte; the request is not acted upon
    "lost_reply",  # act upon the request, then RST before any byte
    "reset_mid_body",  # act, send half of the true answer, then RST
    "short_body",  # act, announce more bytes than are sent, then close
    "truncated_gzip",  # act, send a true answer's gzip stream cut in the middle
    "slow",  # act, send the body one byte per 0.1 s
    "huge",  # a body without end
]
KINDS: frozenset[str] = frozenset(get_args(FaultKind))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: it hits requests to `server` ("cloud" or an instance's name) whose path starts with `path`.

    `times` is how many requests it hits; None: until the faults are cleared.
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
            raise ValueError(f"unknown kind of fault {self.kind!r}; known: {', '.join(sorted(KINDS))}")
        if self.times is not None and self.times < 1:
            raise ValueError("a fault hits at least once")

    @property
    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body


class Faults:
    """The faults in force, oldest first; the first that matches a request hits it."""

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
        """Return the fault that hits this request and count the hit; None when it is to be answered truly."""
        with self._lock:
            for n, (fault, left) in enumerate(self._left):
                if fault.server == server and path.startswith(fault.path):
                    if left is not None:
                        self._left[n : n + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None
