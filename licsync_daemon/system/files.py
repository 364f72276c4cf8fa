"""Files that appear whole or not at all, and survive a power failure once written."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO


def write_whole(path: Path, write: Callable[[IO[bytes]], object], *, part: Path, mode: int, group: str | None = None) -> None:
    """Write a file under the name `part`, then rename it to `path`; durable when this returns. Links are not followed.

    Args:
        path: The file, which replaces an earlier one.
        write: Writes the content to the open file.
        part: The temporary name in the same folder; a leftover of an earlier attempt is replaced.
        mode: The permissions, in effect before the content is written.
        group: The group, likewise; None keeps the process's own.

    Raises:
        OSError: The disk is full or read-only, or a permission is missing. `path` is unchanged, and `part` may remain.
        LookupError: The group does not exist.
    """
    with suppress(FileNotFoundError):
        part.unlink()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if group is not None:
            shutil.chown(part, group=group)
        os.fchmod(file.fileno(), mode)
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
