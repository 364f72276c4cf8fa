"""Temporary storage of a run on the state directory's file system: unnamed files, so that no email address outlives the process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.model.ports import Accounts, UsageDocument
from licsync_daemon.model.usage import Collected, Export, ServerIdentity
from licsync_daemon.state.chunks import KeptChunks
from licsync_daemon.state.document import wrap_export, write_document
from licsync_daemon.state.spool import AccountSpool


@dataclass(frozen=True, slots=True)
class DiskWorkspace:
    """The `Workspace` port in a directory."""

    directory: Path

    def accounts(self) -> Accounts:
        return AccountSpool(self.directory)

    def kept(self, chunks: Iterator[bytes]) -> KeptChunks:
        return KeptChunks(chunks, self.directory)

    def document(self, accounts: Accounts, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        return write_document(
            accounts,
            directory=self.directory,
            identity=identity,
            collected_at=collected.collected_at,
            version=collected.version,
            http_only=collected.http_only,
            counts=collected.counts,
        )

    def export_document(self, export: Export, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        return wrap_export(
            export.content, directory=self.directory, identity=identity, collected_at=collected.collected_at, counts=collected.counts
        )
