"""Files and folders of credentials: read, and refused if they are not safe. No text repeats a value."""

import contextlib
import os
import stat
from pathlib import Path

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.settings.credential_forms import MAX_BYTES


def read(path: Path, closed: list[str]) -> bytes | None:
    """Return a file's content; None if there is none, or if its folder cannot be entered (recorded in `closed`).

    Raises:
        RunError: `credential_missing`, because the file exists and cannot be read.
    """
    try:
        # Not blocking: a named pipe in place of a file must not stop the daemon.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if isinstance(error, PermissionError) and not os.access(path.parent, os.X_OK):
            closed.append(f"{path.parent} cannot be entered")
            return None
        raise _unreadable(path, error.strerror) from None
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise _unreadable(path, "not a regular file")
        return _content(number)
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    finally:
        os.close(number)


def unsafe(folder: Path) -> tuple[str, str] | None:
    """Return what is wrong with a folder's owner or mode, and the command that fixes it; None if nothing is."""
    try:
        status = folder.stat()
    except OSError:
        return None  # a missing folder is reported with the credential that is not found
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder", "set credentials_dir to a folder"
    if status.st_uid not in {0, os.geteuid()}:
        return f"{folder} is not owned by root or the daemon's user", f"run: chown root:licsync {folder}"
    if status.st_mode & 0o027:
        return f"{folder} is open to other users (mode {stat.S_IMODE(status.st_mode):04o})", f"run: chmod 0750 {folder}"
    return None


def files_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, without hidden ones; none if it cannot be listed."""
    with contextlib.suppress(OSError):
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    return []


def differs(copy: Path, original: Path) -> bool:
    """Say whether a file was replaced after it was copied; if it cannot be read, its date decides."""
    try:
        return copy.read_bytes() != original.read_bytes()
    except PermissionError:
        with contextlib.suppress(OSError):
            return original.stat().st_mtime > copy.stat().st_mtime
    except OSError:  # there is no original: it is kept elsewhere
        pass
    return False


def _content(number: int) -> bytes:
    """Read a regular file to its end, or one byte past the cap."""
    content = b""
    while len(content) <= MAX_BYTES and (part := os.read(number, MAX_BYTES + 1 - len(content))):
        content += part
    return content


def _unreadable(path: Path, reason: str | None) -> RunError:
    cause = f"{path} exists but cannot be read: {(reason or 'unknown reason').lower()}"
    return RunError(Code.CREDENTIAL_MISSING, cause, f"let the daemon's user read it: chgrp licsync {path} && chmod 0640 {path}")
