"""What is in an instance's folder of an outbox, compared with what was put there; and taking it back.

Other people can write to the folder, so nothing in it is trusted: reading is bounded and does not block, and links are not followed.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import AWAITING, DeliveryRecord, Run, RunState
from licsync_daemon.model.store import StateReader
from licsync_daemon.model.text import clean
from licsync_daemon.rules.handover import folder_of
from licsync_daemon.system.files import read_bounded

log = structlog.get_logger()

README, MANIFEST = "README.txt", "manifest.json"
EXPORTS, PARTS = "usage-*.json", ".*.part"
MAX_MANIFEST = 64 * 1024  # bytes; it has fewer than 1,000
MAX_EXPORT = 1024 * 1024 * 1024  # bytes; a larger file is no export, whatever its content
CHUNK = 1024 * 1024
JUST_CLOSED = timedelta(minutes=1)  # what closed a delivery also takes it back


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in a folder.

    Raises:
        OSError: There is none, or it cannot be read: it may be a named pipe, or very large.
        ValueError: It is not a JSON object.
    """
    if folder.is_symlink():  # a user with write access to the outbox must not redirect what is written and deleted
        raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link")
    found = json.loads(read_bounded(folder / MANIFEST, MAX_MANIFEST))
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for whatever is no manifest
    return found


def foreign(folder: Path, instance: Instance, fleet: str, records: Iterable[DeliveryRecord]) -> str | None:
    """Return whose manifest is in a folder, in words, if it is another fleet's; None if the folder can be used.

    A manifest that cannot be read is nobody's.
    """
    try:
        found = read_manifest(folder)
    except (OSError, ValueError, RecursionError):
        return None
    if found.get("key") in {record.key for record in records}:
        return None
    theirs = {"fleet": found.get("fleet", fleet), "host_name": found.get("host_name"), "instance": found.get("instance")}
    if theirs == {"fleet": fleet, "host_name": instance.hostname, "instance": instance.name}:  # the state was lost
        return None
    return f"{clean(str(theirs['host_name']), 100)} of {clean(str(theirs['fleet']), 200)}"


def in_use(instance: Instance, folder: Path, owner: str) -> tuple[str, str]:
    """Return the cause and the next step of a folder that another fleet uses."""
    return (
        f"{folder} is in use by another fleet: its {MANIFEST} is of {owner}",
        f"give each fleet an outbox of its own (`delivery.outbox` of {instance.name}); if no one uses that folder any more, delete it",
    )


def fault(instance: Instance, run: Run, record: DeliveryRecord | None) -> str | None:
    """Return how what waits for a person differs from what was put into the outbox; None if nothing does, or without an outbox."""
    folder = folder_of(instance)
    if folder is None or record is None or run.state not in AWAITING:
        return None
    try:
        found = read_manifest(folder)
    except FileNotFoundError:
        return f"{MANIFEST} is missing in {folder}"
    except (OSError, ValueError, RecursionError) as error:
        return f"{folder / MANIFEST} cannot be read: {getattr(error, 'strerror', None) or 'not a manifest'}"
    if found.get("key") != record.key:
        return f"{folder / MANIFEST} is the manifest of another delivery"
    wanted: list[tuple[str, object]] = [(README, found.get("readme_hash"))]
    if run.state is RunState.AWAITING_UPLOAD:
        name = found.get("file")
        if not isinstance(name, str) or Path(name).name != name or found.get("content_hash") != record.content_hash:
            return f"{folder / MANIFEST} was changed"
        wanted.append((name, record.content_hash))
    return next((one for name, expected in wanted if (one := _difference(folder / name, expected))), None)


def _difference(path: Path, expected: object) -> str | None:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return f"{path} is not a regular file"
        if found.st_size > MAX_EXPORT:
            return f"{path} was changed"
        same = _hash(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) == expected
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except ValueError:  # such a name can be in a manifest only
        return f"{path.parent / MANIFEST} was changed"
    return None if same else f"{path} was changed"


@lru_cache(maxsize=4096)
def _hash(path: Path, *_identity: int) -> str:
    """Return the hash of a file; again only if its inode, size or times have changed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        found, left = hashlib.sha256(), os.fstat(descriptor).st_size
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            found.update(chunk)
            left -= len(chunk)
    return f"sha256:{found.hexdigest()}"


def take_back(record: DeliveryRecord) -> None:
    """Delete the files of a delivery unless a newer one replaced them. A failure is logged, and `left_over` finds what is left."""
    folder = _folder(record)
    if folder is None:
        return
    try:
        files = _files_of(record, folder)
        for path in files:
            path.unlink(missing_ok=True)
        if files:
            folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("outbox.not_cleaned", instance=record.instance, folder=str(folder), cause=error.strerror)


def left_over(store: StateReader, name: str, now: datetime) -> Iterator[tuple[DeliveryRecord, str]]:
    """Yield the deliveries of an instance that are over but still in an outbox, each with the folder and the cause, if known, in words."""
    awaiting = store.awaiting_run(name)
    waits = store.delivery_of(awaiting.run_id) if awaiting is not None else None
    by_folder: dict[Path, list[DeliveryRecord]] = {}
    for record in reversed(store.deliveries(name)):  # newest first
        is_over = record.closed_at is not None and (waits is None or record.key != waits.key) and abs(now - record.closed_at) > JUST_CLOSED
        if is_over and (folder := _folder(record)) is not None:
            by_folder.setdefault(folder, []).append(record)
    for folder, records in by_folder.items():
        try:
            found = next((one for one in records if _files_of(one, folder)), None)
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError) or folder.is_symlink():
                yield records[0], f"{folder} ({error.strerror})"
            continue
        if found is not None:
            yield found, str(folder)


def _files_of(record: DeliveryRecord, folder: Path) -> list[Path]:
    """Return the files of a delivery, the manifest last: as long as something is left, it is found.

    Without a readable manifest, the content of an export shows whose it is.

    Raises:
        OSError: The folder cannot be read.
    """
    try:
        key = read_manifest(folder).get("key")
    except (ValueError, RecursionError):
        key = None
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.EINVAL, errno.EFBIG, errno.EISDIR}:
            raise
        key = None
    exports = list(folder.glob(EXPORTS))
    if key is None:
        exports = [path for path in exports if record.content_hash and _difference(path, record.content_hash) is None]
    elif key != record.key:
        return []
    return [*exports, *folder.glob(PARTS), folder / README, folder / MANIFEST] if exports or key is not None else []


def _folder(record: DeliveryRecord) -> Path | None:
    """Return the folder that a delivery was put into; None if it has none: an endpoint's id has no slash."""
    is_path = record.upload_id is not None and record.upload_id.startswith("/")
    return Path(record.upload_id) if is_path and record.upload_id is not None else None
