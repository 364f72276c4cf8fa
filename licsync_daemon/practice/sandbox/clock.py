"""The clock of a sandbox: it ticks, and can be moved or stopped."""

import threading
import time
from datetime import UTC, datetime, timedelta


class SandboxClock:
    """A UTC clock that starts at the machine's time and can be advanced or set.

    It runs on the monotonic clock, so that a step of the machine's clock does not affect the sandbox.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._base = start if start is not None else datetime.now(UTC)
        self._since_s: float | None = time.monotonic()  # None while stopped

    @property
    def precise(self) -> datetime:
        """The current time with its fraction of a second; it decides when an upload is processed."""
        with self._lock:
            return self._precise()

    @property
    def now(self) -> datetime:
        """The current time in whole seconds, as in every date that the sandbox sends."""
        return self.precise.replace(microsecond=0)

    def advance(self, seconds: float) -> None:
        """Move the clock forward, or back with a negative number."""
        with self._lock:
            self._base += timedelta(seconds=seconds)

    def set(self, now: datetime, *, ticks: bool = True) -> None:
        """Set the clock to `now`, which must have a time zone. Without `ticks` it stops there, and only `advance` moves it."""
        if now.tzinfo is None:
            raise ValueError("the time has no time zone")
        with self._lock:
            self._base, self._since_s = now.astimezone(UTC), time.monotonic() if ticks else None

    def _precise(self) -> datetime:
        return self._base + timedelta(seconds=time.monotonic() - self._since_s if self._since_s is not None else 0.0)


def iso(at: datetime) -> str:
    """Format a time as in the published examples, such as `2026-11-24T02:00:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
