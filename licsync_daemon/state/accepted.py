"""`accepted.toml` in the state directory: the configuration file that the running daemon accepted, as it was then."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog

from licsync_daemon.model.decode import moment_of
from licsync_daemon.system.files import read_bounded, write_whole

FILE = "accepted.toml"
MAX_BYTES = 2**20

log = structlog.get_logger()


def keep(content: bytes | None, state_dir: Path) -> None:
    """Keep the file that was accepted. A full disk costs only the copy: it is logged, and the daemon goes on."""
    path = state_dir / FILE
    try:
        if content is None:
            path.unlink(missing_ok=True)
        elif content_of(state_dir) != content:
            write_whole(path, lambda file: file.write(content), part=path.with_name(f"{FILE}.part"), mode=0o600)
        else:
            path.touch()
    except OSError as error:
        log.warning("daemon.accepted_not_kept", cause=str(error))


def content_of(state_dir: Path) -> bytes | None:
    """Return what the daemon accepted; None if nothing is there or it cannot be read."""
    with suppress(OSError):
        return read_bounded(state_dir / FILE, MAX_BYTES)
    return None


def accepted_at(state_dir: Path) -> datetime:
    """Return when the daemon accepted its configuration.

    Raises:
        OSError: None was kept.
    """
    return moment_of((state_dir / FILE).stat().st_mtime_ns)
