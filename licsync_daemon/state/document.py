"""The usage document: exactly what leaves the machine, and its content hash.

Its format is specified in `docs/delivery-openapi.yaml`. This module is the allow-list: only an account's id and email address are sent.
Equal usage gives an equal hash, regardless of the time of collection.
"""

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Self, cast

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.ports import Accounts
from licsync_daemon.model.usage import Account, ServerIdentity, UsageCounts

FORMAT = "licsync/1"
CONTENT_TYPE = "application/json"
EXPORT_TYPE = "application/vnd.licsync.export+json"
COMPRESSION = 1  # gzip's fastest level: a million users take 6.0 MiB instead of 5.2, and a third of the time
PIECE_BYTES = 64 * 1024
BATCH = 500  # users encoded at once


@dataclass(slots=True)
class FileDocument:
    """A finished document in an unlinked, gzip-compressed file. Leaving `with` frees the space."""

    identity: ServerIdentity
    collected_at: datetime
    content_type: str
    content_hash: str  # "sha256:" and 64 hexadecimal digits
    sent: int | None  # accounts in it; None for an encrypted export
    size_bytes: int  # compressed
    _file: IO[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the compressed document from its start."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def plain(self) -> Iterator[bytes]:
        """Yield the uncompressed document."""
        self._file.seek(0)
        with gzip.GzipFile(fileobj=self._file) as unpacked:
            while piece := unpacked.read(PIECE_BYTES):
                yield piece


def write_document(
    accounts: Accounts,
    *,
    directory: Path,
    identity: ServerIdentity,
    collected_at: datetime,
    version: str | None,
    http_only: bool,
    counts: UsageCounts,
) -> FileDocument:
    """Write a document with every account that is not suspended.

    Args:
        accounts: The accounts.
        directory: The directory of the unlinked file; the state directory, which is on a disk that the operator chose.
        identity: The identity of the instance, with a server ID.
        collected_at: When the source was read.
        version: The instance's GHES version, if known.
        http_only: Whether the instance is served without TLS.
        counts: The totals to include.

    Raises:
        StateUnwritableError: The disk is full or read-only.
    """
    digest = hashlib.sha256()
    sent = 0
    head = {
        "format": FORMAT,
        "collected_at": collected_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "instance": {"server_id": identity.server_id, "host_name": identity.hostname, "version": version, "http_only": http_only},
        "totals": {"accounts": counts.sent, "seats_used": counts.seats_used},
    }
    try:
        with ExitStack() as on_failure:
            file = on_failure.enter_context(tempfile.TemporaryFile(dir=directory))  # unnamed on Linux
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed:
                digest.update(
                    f'{{"host_name":{_canonical(identity.hostname)},"server_id":{_canonical(identity.server_id)},"users":['.encode()
                )
                packed.write(_canonical(head)[:-1].encode() + b',"users":[')
                users = accounts.active()
                while batch := list(islice(users, BATCH)):
                    text = (("," if sent else "") + ",".join(map(_user, batch))).encode()
                    digest.update(text)
                    packed.write(text)
                    sent += len(batch)
                digest.update(b"]}")
                packed.write(b"]}")
            file.flush()
            size = os.fstat(file.fileno()).st_size
            on_failure.pop_all()  # from here on the document owns the file
    except OSError as error:
        raise StateUnwritableError(f"cannot write the usage document to {directory}: {error}") from error
    return FileDocument(identity, collected_at, CONTENT_TYPE, f"sha256:{digest.hexdigest()}", sent, size, cast("IO[bytes]", file))


def wrap_export(content: bytes, *, directory: Path, identity: ServerIdentity, collected_at: datetime, counts: UsageCounts) -> FileDocument:
    """Wrap GitHub's own export in a document, unchanged, and hash all of it. Equal usage may have another hash: encryption may differ.

    Raises:
        StateUnwritableError: The disk is full or read-only.
    """
    try:
        with ExitStack() as on_failure:
            file = on_failure.enter_context(tempfile.TemporaryFile(dir=directory))
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed:
                packed.write(content)
            file.flush()
            size = os.fstat(file.fileno()).st_size
            on_failure.pop_all()
    except OSError as error:
        raise StateUnwritableError(f"cannot write the export to {directory}: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    sent = counts.sent if counts.counted else None
    return FileDocument(identity, collected_at, EXPORT_TYPE, f"sha256:{digest}", sent, size, cast("IO[bytes]", file))


def _user(account: Account) -> str:
    """Return a user as canonical JSON. Spelled out, which takes half the time for a million of them."""
    number, _, email, _ = account
    emails = f'{{"email":{_canonical(email)},"primary":true}}' if email else ""
    return f'{{"emails":[{emails}],"id":{number}}}'


#: Returns the canonical JSON that is hashed: sorted keys, no spaces, UTF-8 instead of escapes.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
