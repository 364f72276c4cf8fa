"""Whether a daemon is running on a state directory, from its lock file alone."""

import os
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from licsync_daemon.model.decode import moment_of
from licsync_daemon.model.errors import Problem
from licsync_daemon.model.run import Holder
from licsync_daemon.system.filelock import is_alive, read_holder

ALIVE_FOR = timedelta(seconds=90)  # three heartbeats


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonView:
    """Whether a daemon runs on this state directory."""

    alive: bool
    holder: Holder | None
    heartbeat_at: datetime | None
    exists: bool = False  # its process does, whatever its heartbeat
    state_fault: str | None = None  # why nothing can be written to the state directory


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderConfig:
    """The running daemon does not have the configuration file as it is now.

    Attributes:
        path: The file.
        accepted_at: When the daemon accepted what it runs with.
        problems: Why the file is refused; empty if it is valid, and only not loaded yet.
    """

    path: Path
    accepted_at: datetime
    problems: tuple[Problem, ...] = ()


def daemon_view(state_dir: Path, now: datetime) -> DaemonView:
    """Return whether a daemon is alive, from its lock file alone: its age, and whether its process still exists."""
    path = state_dir / "daemon.lock"
    holder = read_holder(path)
    fault = write_fault(state_dir)
    try:
        found = path.stat()
    except OSError:
        return DaemonView(alive=False, holder=None, heartbeat_at=None, state_fault=fault)
    touched = moment_of(found.st_mtime_ns)
    fresh = abs(now - touched) <= ALIVE_FOR
    exists = is_alive(holder) if holder is not None else fresh and found.st_size == 0  # it had no room for its name
    return DaemonView(alive=fresh and exists, holder=holder, heartbeat_at=touched, exists=exists, state_fault=fault)


def write_fault(state_dir: Path) -> str | None:
    """Return why nothing can be written to the state directory, as far as that shows without trying; else None."""
    try:
        system, found = os.statvfs(state_dir), state_dir.stat()
    except OSError:
        return None
    if system.f_flag & os.ST_RDONLY:
        return f"{state_dir} is on a read-only file system"
    if system.f_blocks and system.f_bavail == 0:
        return f"no space is left on the file system of {state_dir}"
    if system.f_files and system.f_favail == 0:
        return f"no inodes are left on the file system of {state_dir}"
    if not found.st_mode & stat.S_IWUSR:
        return f"{state_dir} is not writable by its owner"
    return None
