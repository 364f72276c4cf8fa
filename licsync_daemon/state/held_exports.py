"""Exports of held runs, kept until a person decides: GitHub's own files with encrypted users. A readable document is never kept.

Each usage has one file in `held/` of the state directory, which is complete before the run is recorded as held, and kept until the
approved delivery is confirmed. `prepared/` has, in the same way, what waits in an outbox: other people can delete or change it there.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.run import Run
from licsync_daemon.model.usage import Export
from licsync_daemon.system.files import write_whole

HELD = "held"  # the folder in the state directory
PREPARED = "prepared"  # likewise, for what waits in an outbox


@dataclass(frozen=True, slots=True)
class FileHeldExports:
    """The `HeldExports` port as files in a folder, which is created when needed."""

    folder: Path

    def keep(self, run: Run, export: Export) -> None:
        """Write a run's export after a line with its metadata."""
        path = self._path(run)
        about = {field.name: getattr(export, field.name) for field in fields(Export) if field.name != "content"}
        content = json.dumps(about).encode() + b"\n" + export.content
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, lambda file: file.write(content), part=path.with_suffix(".part"), mode=0o600)
        except OSError as error:
            raise StateUnwritableError(f"cannot write the held export to {path.parent}: {error}") from error

    def find(self, run: Run) -> Export | None:
        try:
            about, _, content = self._path(run).read_bytes().partition(b"\n")
            if f"sha256:{hashlib.sha256(content).hexdigest()}" != run.content_hash:
                return None
            return Export(content=content, **json.loads(about))
        except (OSError, ValueError, TypeError):
            return None

    def sweep(self, instance: str, wanted: Iterable[Run | None] = ()) -> None:
        left = {self._path(run) for run in wanted if run is not None}
        for path in self.folder.glob(f"{instance}.*"):
            if path not in left:
                with suppress(OSError):
                    path.unlink()

    def _path(self, run: Run) -> Path:
        return self.folder / f"{run.instance}.{(run.content_hash or '').removeprefix('sha256:')}.json"
