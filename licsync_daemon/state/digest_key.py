"""The key of this installation's digests, in a file of the state directory."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import structlog

from licsync_daemon.model.errors import Code, StateUnwritableError
from licsync_daemon.system.files import read_bounded

log = structlog.get_logger()

FILE = "digest.key"
BYTES = 32
MAX_BYTES = 4096


def own_digest_key(directory: Path, *, create: bool = True) -> bytes:
    """Return the key; it is made once, mode 0600. Without the right to make it, return one that matches nothing.

    A file that is empty, too short or no file at all is replaced, with an entry in the log: its digests could be reversed by guessing.

    Raises:
        StateUnwritableError: It can be neither read nor made.
    """
    path = directory / FILE
    try:
        key = _read(path)
        if key is None and create:
            _make(path)
            key = _read(path)
        return key if key is not None else secrets.token_bytes(BYTES)
    except OSError as error:
        raise StateUnwritableError(f"the digest key in {directory} cannot be used: {error}") from error


def _read(path: Path) -> bytes | None:
    """Return the key; None if there is none that can be used."""
    try:
        key = read_bounded(path, MAX_BYTES)
    except PermissionError:
        raise
    except OSError:
        return None
    return key if len(key) >= BYTES else None


def _make(path: Path) -> None:
    """Make the key, unless another process has just made it."""
    fresh = path.with_name(f".{FILE}-{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            file.flush()
            os.fsync(descriptor)
        if os.path.lexists(path) and _read(path) is None:
            _set_aside(path)
        with suppress(FileExistsError):
            os.link(fresh, path)  # unlike a rename, it never replaces a key
    finally:
        fresh.unlink()


def _set_aside(path: Path) -> None:
    aside = path.with_name(f"{FILE}.unusable")
    path.replace(aside)
    log.critical(
        "state.digest_key_replaced",
        code=Code.STATE_DAMAGED,
        set_aside=str(aside),
        cause=f"{path} held no usable key of at least {BYTES} bytes",
        next_step="no action needed: the next comparison of each instance reports every account as changed; check who wrote to that file",
    )
