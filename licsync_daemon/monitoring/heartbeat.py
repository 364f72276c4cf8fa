"""Whether a daemon is running on a state directory, from its lock file alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from licsync_daemon.model.decode import moment_of
from licsync_daemon.model.run import Holder
from licsync_daemon.system.filelock import is_alive, read_holder

ALIVE_FOR = timedelta(seconds=90)  # three heartbeats


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonView:
    """Whether a daemon runs on this state directory."""

    alive: bool
    holder: Holder | None
    heartbeat_at: datetime | None


def daemon_view(state_dir: Path, now: datetime) -> DaemonView:
    """Return whether a daemon is alive, from its lock file alone: its age, and whether its process still exists."""
    path = state_dir / "daemon.lock"
    holder = read_holder(path)
    try:
        touched = moment_of(path.stat().st_mtime_ns)
    except OSError:
        return DaemonView(alive=False, holder=None, heartbeat_at=None)
    fresh = abs(now - touched) <= ALIVE_FOR
    return DaemonView(alive=fresh and holder is not None and is_alive(holder), holder=holder, heartbeat_at=touched)
