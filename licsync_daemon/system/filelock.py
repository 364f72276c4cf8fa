"""Locks between processes: `flock` on files that are never deleted, with the holder written inside.

The kernel releases such a lock when the process ends, however it ends. Deleting the file would allow two locks under one name.
"""

import fcntl
import json
import os
import socket
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from licsync_daemon.model.run import Holder

HOLDER_BYTES = 512  # always: the next holder overwrites all of it


def file_at(path: Path) -> tuple[int, int] | None:
    """Return what identifies the file at a path as long as it exists; None without one."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


class FileLock:
    """A lock, held until `release`, the end of `with`, or the end of the process."""

    def __init__(self, path: Path, descriptor: int, *, exclusive: bool = True) -> None:
        self.path = path
        self.exclusive = exclusive
        self._descriptor: int | None = descriptor
        self.unnamed_because: OSError | None = None  # why the holder could not be written into it

    @classmethod
    def take(cls, path: Path, *, shared: bool = False, holder: Holder | None = None) -> Self | None:
        """Take the lock, or return None at once if another process (or another part of this one) holds it.

        Raises:
            OSError: The file cannot be opened, or is a symbolic link.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            lock = cls(path, descriptor, exclusive=not shared)
            if holder is not None:
                lock.unnamed_because = _write_holder(descriptor, holder)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return lock

    def share(self) -> None:
        """Change the lock from exclusive to shared."""
        assert self._descriptor is not None
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        self.exclusive = False

    @property
    def is_findable(self) -> bool:
        """Return whether the file at the path is still the locked one, not deleted or replaced."""
        assert self._descriptor is not None
        return file_at(self.path) == _identity(os.fstat(self._descriptor))

    def touch(self) -> None:
        """Set the file's time to now: the heartbeat that `status --alive` reads."""
        assert self._descriptor is not None
        os.utime(self._descriptor)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _write_holder(descriptor: int, holder: Holder) -> OSError | None:
    """Write the holder in the place of the one before, which needs no free space. Return the error if that fails: the lock holds anyway."""
    try:
        os.pwrite(descriptor, json.dumps(holder_to_json(holder)).encode().ljust(HOLDER_BYTES), 0)
    except OSError as error:
        return error
    return None


def holder_to_json(holder: Holder) -> dict[str, Any]:
    return {**asdict(holder), "since_at": holder.since_at.isoformat()}


def holder_from_json(data: dict[str, Any]) -> Holder:
    return Holder(**{**data, "since_at": datetime.fromisoformat(data["since_at"])})


def this_process(now: datetime) -> Holder:
    """Return this process as a holder, for a lock file and a run's row."""
    return Holder(pid=os.getpid(), host=socket.gethostname(), boot_id=_boot_id(), start_ticks=_start_ticks(os.getpid()), since_at=now)


def read_holder(path: Path) -> Holder | None:
    """Return the last holder in a lock file, without locking; None if it cannot be read."""
    try:
        return holder_from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_alive(holder: Holder) -> bool:
    """Return whether a holder's process still exists. A reused process ID does not count."""
    here = _boot_id()
    # A confined service (`ProcSubset=pid`) cannot read the boot ID; then the start time alone distinguishes processes.
    if holder.host != socket.gethostname() or (None not in {here, holder.boot_id} and here != holder.boot_id):
        return False
    if holder.start_ticks is None:  # no /proc: rely on the process ID
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return holder.start_ticks == _start_ticks(holder.pid)


def in_words(holder: Holder | None) -> str:
    """Describe the holder of a lock: "process 4711 on host-a since 2026-11-24 02:00:00 UTC", or "this process"."""
    if holder is None:
        return "another process"
    if holder.pid == os.getpid() and holder.boot_id == _boot_id() and holder.start_ticks == _start_ticks(holder.pid):
        return "this process"
    return f"process {holder.pid} on {holder.host} since {holder.since_at:%Y-%m-%d %H:%M:%S} UTC"


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _start_ticks(pid: int) -> int | None:
    """Return a process's start in clock ticks since boot: field 22 of /proc/PID/stat, counted after the name in parentheses."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
