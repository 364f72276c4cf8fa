"""The delivery `manual`: write the export to an outbox, with instructions for the person who uploads it in the browser."""

import errno
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import structlog

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import Instance, ManualDelivery
from licsync_daemon.model.ports import UsageDocument
from licsync_daemon.model.run import DeliveryRecord
from licsync_daemon.model.text import PLAIN, Invocation, command, iso
from licsync_daemon.model.usage import Upload
from licsync_daemon.rules.handover import export_name, folder_of, steps
from licsync_daemon.system.files import write_whole

log = structlog.get_logger()

README, MANIFEST = "README.txt", "manifest.json"
FILE_MODE, FOLDER_MODE = 0o640, 0o750


class Outbox:
    """One instance's folder (the `Delivery` port). Without a configured outbox, `status` and notifications show the steps."""

    def __init__(self, instance: Instance, to: ManualDelivery, *, upload_page: str, now: datetime, invocation: Invocation = PLAIN) -> None:
        self._instance = instance
        self._invocation = invocation
        self._to = to
        self._upload_page = upload_page
        self._now = now

    @property
    def _folder(self) -> Path | None:
        return folder_of(self._instance)

    async def send(self, document: UsageDocument | None, key: str) -> str:
        """Write all files, replacing those of an earlier delivery; return the folder, or the key if there is none.

        Raises:
            RunError: `OUTBOX_UNWRITABLE`.
        """
        folder = self._folder
        name = export_name(self._instance, document.collected_at) if document is not None else None
        if folder is None:
            return key
        manifest = self._manifest(document, key, name)
        try:
            self._make(folder)
            if document is not None and name is not None:
                self._write(folder / name, lambda file: file.writelines(document.plain()))
            text = steps(self._instance, name, place="this folder", upload_page=self._upload_page)
            self._write(folder / README, lambda file: file.write(f"{command(text, self._invocation)}\n".encode()))
            self._write(folder / MANIFEST, lambda file: file.write(json.dumps(manifest, indent=2).encode() + b"\n"))
            for old in folder.glob("usage-*.json"):
                if old.name != name:
                    old.unlink()
        except (OSError, LookupError) as error:
            cause = f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}"
            raise RunError(Code.OUTBOX_UNWRITABLE, cause, self._next_step(folder)) from error
        return str(folder)

    async def ask(self, upload_id: str) -> Upload:  # noqa: ARG002 - the port's signature
        """Return no state: only the read-back shows what became of a person's upload."""
        return Upload(state=None)

    def _manifest(self, document: UsageDocument | None, key: str, name: str | None) -> dict[str, Any]:
        since = self._now if document is None else document.collected_at
        return {
            "format": "licsync-outbox/1",
            "instance": self._instance.name,
            "key": key,
            "file": name,
            "host_name": self._instance.hostname,
            "server_id": document.identity.server_id if document is not None else self._instance.server_id,
            "content_hash": document.content_hash if document is not None else None,
            "accounts": document.sent if document is not None else None,
            "since": iso(since),
            "expires": iso(self._now + self._instance.max_age),  # a file brought by hand may be older
        }

    def _make(self, folder: Path) -> None:
        if folder.is_symlink():  # a user with write access to the outbox must not redirect it
            raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link")
        folder.mkdir(mode=FOLDER_MODE, parents=False, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        self._give(folder)

    def _write(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        """Write one file, under a hidden temporary name first."""
        write_whole(path, write, part=path.with_name(f".{path.name}.part"), mode=FILE_MODE, group=self._to.group)

    def _give(self, path: Path) -> None:
        if self._to.group is not None:
            shutil.chown(path, group=self._to.group)

    def _next_step(self, folder: Path) -> str:
        group = f" -g {self._to.group}" if self._to.group is not None else ""
        return f"as root: install -d -m 0750 -o licsync{group} {folder.parent}; under systemd see docs/deliveries.md"


def take_back(record: DeliveryRecord) -> None:
    """Delete the files of a delivery unless a newer one replaced them. The record's `upload_id` is the folder."""
    if record.upload_id is None or record.upload_id == record.key:
        return
    folder = Path(record.upload_id)
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        if found.get("key") != record.key or folder.is_symlink():
            return
        for path in (*folder.glob("usage-*.json"), folder / README, folder / MANIFEST):
            path.unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        pass
    except (OSError, ValueError, AttributeError) as error:
        log.warning("outbox.not_cleaned", instance=record.instance, folder=str(folder), cause=str(error))
