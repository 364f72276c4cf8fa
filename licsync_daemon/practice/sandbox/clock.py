"""The one clock of a sandbox: it ticks, and it can be moved or stopped."""

import threading
import time
from datetime import UTC, datetime, timedelta


class SandboxClock:
    """A ticking UTC clock that starts at the machine's time and can be advanced or set.

    It counts on the monotonic clock, so that a step of the machine's own clock never reaches the sandbox.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._base = start if start is not None else datetime.now(UTC)
        self._since_s: float | None = time.monotonic()  # None while it stands still

    @property
    def precise(self) -> datetime:
        """The current instant with its fraction of a second: what decides when an upload is processed."""
        with self._lock:
            return self._precise()

    @property
    def now(self) -> datetime:
        """The current instant in whole seconds: what every date that leaves the sandbox is made of."""
        return self.precise.replace(microsecond=0)

    def advance(self, seconds: float) -> None:
        """Move the clock forward (or back, with a negative number)."""
        with self._lock:
            self._base += timedelta(seconds=seconds)

    def set(self, now: datetime, *, ticks: bool = True) -> None:
        """Let the clock tick on from `now`, which must carry a time zone, or stand still there: then it moves only by `advance`."""
        if now.tzinfo is None:
            raise ValueError("the sandbox clock needs a time with a zone")
        with self._lock:
            self._base, self._since_s = now.astimezone(UTC), time.monotonic() if ticks else None

    def _precise(self) -> datetime:
        return self._base + timedelta(seconds=time.monotonic() - self._since_s if self._since_s is not None else 0.0)


def iso(at: datetime) -> str:
    """Write an instant as the published examples do, for instance `2026-11-24T02:00:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
