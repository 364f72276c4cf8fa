"""Exports of held runs, kept until a person decides: GitHub's own file, whose users are encrypted. A clear document is never kept.

One file for each usage in `held/` of the state directory, written whole before the run is recorded as held, and left until the delivery
that an approval lets pass has arrived.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.run import Run
from licsync_daemon.model.usage import Export
from licsync_daemon.system.files import write_whole

FOLDER = "held"


def keep(state_dir: Path, run: Run, export: Export) -> None:
    """Write a run's export, after a line that says whose it is; durable when this returns.

    Raises:
        StateUnwritableError: The disk is full or read-only.
    """
    path = _path(state_dir, run)
    about = {field.name: getattr(export, field.name) for field in fields(Export) if field.name != "content"}
    content = json.dumps(about).encode() + b"\n" + export.content
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(path, lambda file: file.write(content), part=path.with_suffix(".part"), mode=0o600)
    except OSError as error:
        raise StateUnwritableError(f"no room for the held export in {path.parent}: {error}") from error


def kept(state_dir: Path, run: Run) -> Export | None:
    """Return the export that a run held or sent, if it is there and still the same."""
    try:
        about, _, content = _path(state_dir, run).read_bytes().partition(b"\n")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != run.content_hash:
            return None
        return Export(content=content, **json.loads(about))
    except (OSError, ValueError, TypeError):
        return None


def sweep(state_dir: Path, instance: str, wanted: Iterable[Run | None]) -> None:
    """Delete the exports of an instance but those of the `wanted` runs."""
    left = {_path(state_dir, run) for run in wanted if run is not None}
    for path in (state_dir / FOLDER).glob(f"{instance}.*"):
        if path not in left:
            with suppress(OSError):
                path.unlink()


def _path(state_dir: Path, run: Run) -> Path:
    return state_dir / FOLDER / f"{run.instance}.{(run.content_hash or '').removeprefix('sha256:')}.json"
