"""A primary rate limit as GitHub counts it: a number of requests per hour, reported in `x-ratelimit-*` headers."""

import threading
from datetime import datetime, timedelta

from licsync_daemon.practice.sandbox.clock import SandboxClock
from licsync_daemon.practice.sandbox.http import Reply, github_error

WINDOW = timedelta(hours=1)


class RateLimit:
    """A number of requests per hour of the sandbox clock; requests above it get `status` (403 or 429)."""

    def __init__(self, clock: SandboxClock, limit: int, status: int = 403) -> None:
        self.limit, self.status = limit, status
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._reset_at: datetime = clock.now + WINDOW

    def take(self) -> Reply | None:
        """Count one request; return the error response if the limit is used up."""
        with self._lock:
            self._renew()
            if self._used < self.limit:
                self._used += 1
                return None
        return github_error(self.status, "API rate limit exceeded for user ID 1.", self.headers())

    def give_back(self) -> None:
        """Uncount one request: a 304 does not count."""
        with self._lock:
            self._used = max(0, self._used - 1)

    @property
    def reset_at(self) -> datetime:
        with self._lock:
            self._renew()
            return self._reset_at

    def headers(self, resource: str = "core") -> tuple[tuple[str, str], ...]:
        values = ((f"X-RateLimit-{name.title()}", str(value)) for name, value in self.as_json().items())
        return (*values, ("X-RateLimit-Resource", resource))

    def as_json(self) -> dict[str, int]:
        with self._lock:
            self._renew()
            return {"limit": self.limit, "remaining": self.limit - self._used, "reset": int(self._reset_at.timestamp()), "used": self._used}

    def _renew(self) -> None:
        if self._clock.now >= self._reset_at:
            self._used, self._reset_at = 0, self._clock.now + WINDOW
