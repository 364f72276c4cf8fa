"""The delivery `manual`: write the export to an outbox, with instructions for the person who uploads it in the browser."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from licsync_daemon.deliveries.outbox_folder import EXPORTS, MANIFEST, PARTS, README, foreign, in_use
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import Instance, ManualDelivery
from licsync_daemon.model.ports import UsageDocument
from licsync_daemon.model.run import DeliveryRecord
from licsync_daemon.model.text import PLAIN, Invocation, command, iso
from licsync_daemon.model.usage import Upload
from licsync_daemon.rules.handover import export_name, folder_of, steps
from licsync_daemon.settings.platform import rights_step
from licsync_daemon.system.files import write_together

FILE_MODE, FOLDER_MODE = 0o640, 0o750


class Outbox:
    """One instance's folder (the `Delivery` port). Without a configured outbox, `status` and notifications show the steps.

    Args:
        instance: The instance whose usage it is.
        to: Where the folder is.
        upload_page: The web address for the person.
        now: Since when the usage waits.
        fleet: The fleet in words: no other one may use the folder.
        records: The recorded deliveries of the instance, whose folder it may be even if the fleet changed.
        invocation: How the person starts this program.
    """

    def __init__(
        self,
        instance: Instance,
        to: ManualDelivery,
        *,
        upload_page: str,
        now: datetime,
        fleet: str = "",
        records: Iterable[DeliveryRecord] = (),
        invocation: Invocation = PLAIN,
    ) -> None:
        self._instance = instance
        self._invocation = invocation
        self._to = to
        self._upload_page = upload_page
        self._now = now
        self._fleet = fleet
        self._records = records

    @property
    def _folder(self) -> Path | None:
        return folder_of(self._instance)

    async def send(self, document: UsageDocument | None, key: str) -> str:
        """Write all files, replacing those of an earlier delivery; return the folder, or the key if there is none.

        After a failure, the folder is as it was before.

        Raises:
            RunError: `OUTBOX_UNWRITABLE`.
        """
        folder = self._folder
        if folder is None:
            return key
        name = export_name(self._instance, document.collected_at) if document is not None else None
        text = command(steps(self._instance, name, place="this folder", upload_page=self._upload_page), self._invocation)
        readme = f"{text}\n".encode()
        manifest = json.dumps(self._manifest(document, key, name, readme), indent=2).encode() + b"\n"
        files: dict[Path, Callable[[IO[bytes]], object]] = {}
        if document is not None and name is not None:
            files[folder / name] = lambda file: file.writelines(document.plain())
        files |= {folder / README: lambda file: file.write(readme), folder / MANIFEST: lambda file: file.write(manifest)}
        try:
            self._refuse_foreign(folder)
            self._write(folder, files)
        except (OSError, LookupError) as error:
            cause = f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}"
            is_full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
            step = f"free disk space in the file system of {folder.parent}" if is_full else self._next_step(folder)
            raise RunError(Code.OUTBOX_UNWRITABLE, cause, step) from error
        return str(folder)

    async def ask(self, upload_id: str) -> Upload:  # noqa: ARG002 - the port's signature
        """Return no state: only the read-back shows what became of a person's upload."""
        return Upload(state=None)

    def _manifest(self, document: UsageDocument | None, key: str, name: str | None, readme: bytes) -> dict[str, Any]:
        since = self._now if document is None else document.collected_at
        return {
            "format": "licsync-outbox/1",
            "fleet": self._fleet,
            "instance": self._instance.name,
            "key": key,
            "file": name,
            "host_name": self._instance.hostname,
            "server_id": document.identity.server_id if document is not None else self._instance.server_id,
            "content_hash": document.content_hash if document is not None else None,
            "readme_hash": f"sha256:{hashlib.sha256(readme).hexdigest()}",
            "accounts": document.sent if document is not None else None,
            "since": iso(since),
            "expires": iso(self._now + self._instance.max_age),  # a file brought by hand may be older
        }

    def _refuse_foreign(self, folder: Path) -> None:
        owner = foreign(folder, self._instance, self._fleet, self._records)
        if owner is not None:
            raise RunError(Code.OUTBOX_UNWRITABLE, *in_use(self._instance, folder, owner))

    def _write(self, folder: Path, files: Mapping[Path, Callable[[IO[bytes]], object]]) -> None:
        """Write the files, all or none, then delete the earlier export and what a crash has left."""
        is_new = self._make(folder)
        before = set(folder.glob(EXPORTS))
        try:
            self._give(folder)
            for part in folder.glob(PARTS):
                part.unlink()
            write_together(files, mode=FILE_MODE, group=self._to.group)
            for old in before - files.keys():
                old.unlink()
        except BaseException:  # a stop as well: what is left would keep a full disk full, and might be uploaded
            with suppress(OSError):
                for path in (files.keys() if is_new else set(folder.glob(EXPORTS))) - before:
                    path.unlink(missing_ok=True)
                if is_new:
                    folder.rmdir()
            raise

    def _make(self, folder: Path) -> bool:
        """Make the folder; return False if it was there."""
        if folder.is_symlink():  # a user with write access to the outbox must not redirect it
            raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link")
        is_new = not folder.is_dir()
        folder.mkdir(mode=FOLDER_MODE, parents=False, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        return is_new

    def _give(self, path: Path) -> None:
        if self._to.group is not None:
            shutil.chown(path, group=self._to.group)

    def _next_step(self, folder: Path) -> str:
        group = f" -g {self._to.group}" if self._to.group is not None else ""
        on_host = f"as root: install -d -m 0750 -o licsync{group} {folder.parent}; under systemd see docs/deliveries.md"
        return rights_step(on_host, folder.parent)
