"""Collect an instance's usage, put it into a document, and ask the guards: everything of a run before anything is sent.

Talks to ports only. Whose usage it is comes from the configuration, from the export itself, or from what the cloud lists.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import FileSource, HttpDelivery, Instance, ReportSource
from licsync_daemon.model.ports import CloudReader, StateStore
from licsync_daemon.model.run import Changes, DeliveryRecord, Run, Tripped
from licsync_daemon.model.usage import Collected, Export, ServerIdentity, SyncStatus
from licsync_daemon.rules.check import check_usage
from licsync_daemon.rules.digests import compare, digest_of, unpack
from licsync_daemon.rules.guard import ON_IDENTITY, Neighbor, guard_identity, guard_usage, notices, version_change
from licsync_daemon.rules.verdict import server_id_of
from licsync_daemon.state.document import UsageDocument, wrap_export, write_document
from licsync_daemon.state.held_exports import kept
from licsync_daemon.state.spool import AccountSpool
from licsync_daemon.sync.confirm import identity_known, read_status, server_id_known
from licsync_daemon.sync.journal import Journal, RunContext

RUNS_READ = 400  # newest first: what is only watched is looked at four times a day


@dataclass(frozen=True, slots=True)
class Prepared:
    """A collection that is ready to be sent, as far as the guards let it.

    Attributes:
        spool: Its accounts; empty where only an opaque export is known, None where that was kept: the accounts counted beside it were not.
        export: The export that the document holds, where it is one; a held one is kept, if its users are encrypted.
    """

    identity: ServerIdentity
    spool: AccountSpool | None
    document: UsageDocument
    status: SyncStatus
    tripped: tuple[Tripped, ...]
    export: Export | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparer:
    """Prepares the usage of instances.

    Attributes:
        far: The far sides, time, and where what the cloud lists is kept.
        known: Where earlier usage is read from.
        spool_dir: Where unlinked files lie, and kept exports.
        digest_key: Keys the digests of accounts.
        fleet: Every configured instance: the guards look for two with one identity.
    """

    far: RunContext
    known: StateStore
    spool_dir: Path
    digest_key: bytes
    fleet: tuple[Instance, ...]

    async def collect(self, instance: Instance, journal: Journal, stack: AsyncExitStack, cloud: CloudReader) -> Prepared:
        """Collect an instance's usage and say what the guards think of it; nothing is sent. `stack` closes what was opened."""
        # A report cannot say whose it is: without an answer to that it need not be read.
        identity = await self._identity(instance, cloud) if isinstance(instance.source, ReportSource) else None
        spool = stack.enter_context(AccountSpool(self.spool_dir))
        earlier = self.known.runs(instance.name, limit=RUNS_READ)
        used = _used_until(earlier) if isinstance(instance.source, FileSource) else None
        source = await stack.enter_async_context(self.far.adapters.source(instance, journal, newer_than=used))
        collected = await source.collect(spool)
        journal.collected(collected)
        journal.update(phase="checking")
        check_usage(collected.counts)
        if identity is None:
            identity = self._stated(instance, collected.export) if collected.export else await self._identity(instance, cloud)
        document = stack.enter_context(self._document(identity, collected, spool))
        changes = self._changes(instance.name, spool) if collected.counts.counted else None
        journal.update(phase="comparing", content_hash=document.content_hash, changes=changes)
        status = await read_status(self.far, cloud)
        upgraded = version_change(_version_before(earlier), collected.version)
        journal.update(notices=journal.run.notices + notices(collected.counts, collected.newest_activity) + upgraded)
        tripped = self._tripped(instance, identity, collected, status)
        return Prepared(identity, spool, document, status, tripped, collected.export)

    async def take_kept(
        self, instance: Instance, journal: Journal, stack: AsyncExitStack, cloud: CloudReader, held: Run | None
    ) -> Prepared | None:
        """Take the kept export of a run that was approved, or that sent it in vain, instead of collecting anew, if it is still whole."""
        if held is None or (export := kept(self.spool_dir, held)) is None:
            return None
        identity = self._stated(instance, export)
        collected_at = held.collected_at or held.started_at
        collected = Collected(
            collected_at=collected_at, version=export.version, http_only=False, counts=held.counts, notices=held.notices, export=export
        )
        journal.collected(collected)
        document = stack.enter_context(self._wrapped(export, identity, collected))
        journal.update(content_hash=document.content_hash, changes=held.changes)
        status = await read_status(self.far, cloud)
        on_identity = self._tripped_by_identity(instance, identity, status, stated=True)
        tripped = (*(one for one in held.tripped if one.code not in ON_IDENTITY), *on_identity)
        return Prepared(identity, None, document, status, tripped, export)

    def _changes(self, name: str, spool: AccountSpool) -> Changes | None:
        before = self.known.confirmed_digests(name)
        if before is None:
            return None
        return compare(unpack(before), (digest_of(account, self.digest_key) for account in spool.everyone()))

    def _tripped(self, instance: Instance, identity: ServerIdentity, collected: Collected, status: SyncStatus) -> tuple[Tripped, ...]:
        before = self.known.last_run(instance.name, good=True, counted=True)
        counts, export = collected.counts, collected.export
        if export is not None and export.is_empty:
            counts = replace(counts, sent=0, counted=True)
        on_usage = guard_usage(
            counts,
            before.counts.sent if before is not None else None,
            instance.guards,
            newest_activity=collected.newest_activity,
            now=self.far.clock.now(),
        )
        return on_usage + self._tripped_by_identity(instance, identity, status, stated=export is not None)

    def _tripped_by_identity(
        self, instance: Instance, identity: ServerIdentity, status: SyncStatus, *, stated: bool
    ) -> tuple[Tripped, ...]:
        """Compare who an instance is with who it was. `stated`: the export says it, so that the configuration can be wrong as well."""
        remembered = self.known.instance(instance.name)
        before = remembered.identity if remembered is not None else None
        if stated:
            before = identity_known(instance, remembered)
        neighbors = [
            Neighbor(name=other.name, identity=identity_known(other, self.known.instance(other.name)))
            for other in self.fleet
            if other.is_active and other.name != instance.name
        ]
        return guard_identity(identity, before, neighbors, status)

    async def _identity(self, instance: Instance, cloud: CloudReader) -> ServerIdentity:
        """Return who the instance is towards the cloud; ask the cloud only where the configuration does not say its server id."""
        identity = ServerIdentity(hostname=instance.hostname, server_id=instance.server_id)
        if identity.server_id is None and isinstance(instance.delivery, HttpDelivery):
            status = await read_status(self.far, cloud)
            try:
                return replace(identity, server_id=server_id_of(identity, status))
            except RunError as error:
                remembered = server_id_known(self.known.instance(instance.name))
                if remembered is None or error.code is not Code.SERVER_ID_UNKNOWN:
                    raise
                return replace(identity, server_id=remembered)
        return identity

    def _stated(self, instance: Instance, export: Export) -> ServerIdentity:
        """Return who an export says it is of; what it does not say is what was configured or known before."""
        known = identity_known(instance, self.known.instance(instance.name))
        return ServerIdentity(hostname=export.hostname or known.hostname, server_id=export.server_id or known.server_id)

    def _document(self, identity: ServerIdentity, collected: Collected, spool: AccountSpool) -> UsageDocument:
        if collected.export is not None:
            return self._wrapped(collected.export, identity, collected)
        return write_document(
            spool,
            directory=self.spool_dir,
            identity=identity,
            collected_at=collected.collected_at,
            version=collected.version,
            http_only=collected.http_only,
            counts=collected.counts,
        )

    def _wrapped(self, export: Export, identity: ServerIdentity, collected: Collected) -> UsageDocument:
        return wrap_export(
            export.content, directory=self.spool_dir, identity=identity, collected_at=collected.collected_at, counts=collected.counts
        )


def continues(record: DeliveryRecord | None, prepared: Prepared) -> bool:
    """Return whether an open record is of this very usage: then it is the same delivery, which the guards or a person let pass before."""
    return record is not None and (record.content_hash, record.identity) == (prepared.document.content_hash, prepared.identity)


def _used_until(runs: Iterable[Run]) -> datetime | None:
    """Return when the newest file was made that a good run has used."""
    return next((run.collected_at for run in runs if run.state.is_good and run.collected_at is not None), None)


def _version_before(runs: Iterable[Run]) -> str | None:
    return next((run.version for run in runs if run.version is not None), None)
