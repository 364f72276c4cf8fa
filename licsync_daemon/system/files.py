"""Files that appear whole or not at all, and survive a power failure once written; reading that neither blocks nor fills the memory."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: As `open`; it is a named pipe, a device or a folder; or it is larger than `max_bytes`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe would block
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes")
    return content


def write_whole(path: Path, write: Callable[[IO[bytes]], object], *, part: Path, mode: int, group: str | None = None) -> None:
    """Write a file under the name `part`, then rename it to `path`; durable when this returns. Links are not followed.

    Args:
        path: The file, which replaces an earlier one.
        write: Writes the content to the open file.
        part: The temporary name in the same folder; a leftover of an earlier attempt is replaced.
        mode: The permissions, in effect before the content is written.
        group: The group, likewise; None keeps the process's own.

    Raises:
        OSError: The disk is full or read-only, a permission is missing, or `path` is a device or a pipe, which a file must not replace.
            `path` is unchanged, and `part` is removed.
        LookupError: The group does not exist.
    """
    _refuse_special(path)
    with _removed_if_it_fails([part]):
        _write_part(part, write, mode, group)
        part.replace(path)
    _sync_folder(path.parent)


def write_together(files: Mapping[Path, Callable[[IO[bytes]], object]], *, mode: int, group: str | None = None) -> None:
    """Write several files of one folder as `write_whole` does; none is replaced before all of them are written.

    The temporary names are hidden and end in `.part`.

    Raises:
        OSError, LookupError: As `write_whole`. No temporary file is left.
    """
    parts = {path: path.with_name(f".{path.name}.part") for path in files}
    with _removed_if_it_fails(parts.values()):
        for path, write in files.items():
            _write_part(parts[path], write, mode, group)
        for path, part in parts.items():
            part.replace(path)
    for folder in {path.parent for path in files}:
        _sync_folder(folder)


def _refuse_special(path: Path) -> None:
    """Raise OSError for a device, a pipe or a socket: renaming over `/dev/null` would take it from every process of the machine."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "not a regular file", str(path))


@contextmanager
def _removed_if_it_fails(parts: Iterable[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:  # a stop as well: what is left would keep a full disk full
        for part in parts:
            with suppress(OSError):
                part.unlink()
        raise


def _write_part(part: Path, write: Callable[[IO[bytes]], object], mode: int, group: str | None) -> None:
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


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
