"""Collect an instance's usage, write it to a document, and apply the guards: all steps of a run before sending.

Uses ports only. The identity of the instance comes from the configuration, the export, or the cloud's list.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import FileSource, HttpDelivery, Instance, ReportSource
from licsync_daemon.model.ports import Accounts, UsageDocument, Workspace
from licsync_daemon.model.run import DeliveryRecord, Run, Tripped
from licsync_daemon.model.usage import Collected, Export, ServerIdentity, SyncStatus
from licsync_daemon.rules.digests import compare, digest_of, pack, unpack
from licsync_daemon.rules.guard import ON_IDENTITY, Neighbor, check_usage, guard_identity, guard_usage, notices, version_change
from licsync_daemon.rules.verdict import server_id_of
from licsync_daemon.sync.confirm import known_identity, read_status, remembered_server_id
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.journal import RunScope

EARLIER_READ = 400  # latest runs of an instance; with GitHub Connect there are four a day


@dataclass(frozen=True, slots=True)
class Prepared:
    """A collection that is ready to be sent if the guards permit it.

    Attributes:
        digests: Of its accounts, packed. None for an encrypted export without a second source, and for a kept export.
        export: The export in the document, if it is one. The export of a held run is kept if its users are encrypted.
    """

    identity: ServerIdentity
    digests: Iterable[bytes] | None
    document: UsageDocument
    status: SyncStatus
    tripped: tuple[Tripped, ...]
    export: Export | None


async def collect(scope: RunScope) -> Prepared:
    """Collect an instance's usage and apply the guards; nothing is sent."""
    context, instance, journal = scope.context, scope.instance, scope.journal
    # A report does not contain the instance's identity; without a known one it is not worth reading.
    identity = await _identity(scope) if isinstance(instance.source, ReportSource) else None
    accounts = scope.stack.enter_context(context.workspace.accounts())
    earlier = context.known.runs(instance.name, limit=EARLIER_READ)
    used = _used_until(earlier) if isinstance(instance.source, FileSource) else None
    source = await scope.stack.enter_async_context(context.adapters.source(instance, journal, newer_than=used))
    collected = await source.collect(accounts)
    journal.collected(collected)
    journal.update(phase="checking")
    check_usage(collected.counts)
    if identity is None:
        identity = _stated(context, instance, collected.export) if collected.export else await _identity(scope)
    document = scope.stack.enter_context(_document(context.workspace, accounts, identity, collected))
    digests, changes = None, None
    if collected.counts.counted:
        packed = pack(digest_of(account, context.digest_key) for account in accounts.everyone())
        digests = scope.stack.enter_context(context.workspace.kept(packed))
        before = context.known.confirmed_digests(instance.name)
        changes = compare(unpack(before), unpack(digests)) if before is not None else None
    journal.update(phase="comparing", content_hash=document.content_hash, changes=changes)
    status = await read_status(context, scope.cloud)
    upgraded = version_change(_version_before(earlier), collected.version)
    journal.update(notices=journal.run.notices + notices(collected.counts, collected.newest_activity) + upgraded)
    tripped = _tripped(context, instance, identity, collected, status)
    return Prepared(identity, digests, document, status, tripped, collected.export)


def _document(workspace: Workspace, accounts: Accounts, identity: ServerIdentity, collected: Collected) -> UsageDocument:
    if collected.export is not None:
        return workspace.export_document(collected.export, identity, collected)
    return workspace.document(accounts, identity, collected)


async def reuse_kept_export(scope: RunScope, held: Run | None) -> Prepared | None:
    """Use the kept export of an approved run, or of one that sent it without success, instead of collecting again, if it is intact."""
    context, instance, journal = scope.context, scope.instance, scope.journal
    if held is None or (export := context.exports.find(held)) is None:
        return None
    identity = _stated(context, instance, export)
    collected_at = held.collected_at or held.started_at
    collected = Collected(
        collected_at=collected_at, version=export.version, http_only=False, counts=held.counts, notices=held.notices, export=export
    )
    journal.collected(collected)
    document = scope.stack.enter_context(context.workspace.export_document(export, identity, collected))
    journal.update(content_hash=document.content_hash, changes=held.changes)
    status = await read_status(context, scope.cloud)
    on_identity = _tripped_by_identity(context, instance, identity, status, stated=True)
    tripped = (*(one for one in held.tripped if one.code not in ON_IDENTITY), *on_identity)
    return Prepared(identity, None, document, status, tripped, export)


def _tripped(
    context: RunContext, instance: Instance, identity: ServerIdentity, collected: Collected, status: SyncStatus
) -> tuple[Tripped, ...]:
    before = context.known.last_run(instance.name, good=True, counted=True)
    counts, export = collected.counts, collected.export
    if export is not None and export.is_empty:
        counts = replace(counts, sent=0, counted=True)
    on_usage = guard_usage(
        counts,
        before.counts.sent if before is not None else None,
        instance.guards,
        newest_activity=collected.newest_activity,
        now=context.clock.now(),
    )
    return on_usage + _tripped_by_identity(context, instance, identity, status, stated=export is not None)


def _tripped_by_identity(
    context: RunContext, instance: Instance, identity: ServerIdentity, status: SyncStatus, *, stated: bool
) -> tuple[Tripped, ...]:
    """Apply the guards on identity. `stated`: the identity is from an export, so it is compared with the configuration too."""
    remembered = context.known.instance(instance.name)
    before = remembered.identity if remembered is not None else None
    if stated:
        before = known_identity(instance, remembered)
    neighbors = [
        Neighbor(name=other.name, identity=known_identity(other, context.known.instance(other.name)))
        for other in context.fleet
        if other.is_active and other.name != instance.name
    ]
    return guard_identity(identity, before, neighbors, status)


async def _identity(scope: RunScope) -> ServerIdentity:
    """Return the identity of the instance in the cloud; query the cloud only if no server ID is configured."""
    context, instance = scope.context, scope.instance
    identity = ServerIdentity(hostname=instance.hostname, server_id=instance.server_id)
    if identity.server_id is None and isinstance(instance.delivery, HttpDelivery):
        status = await read_status(context, scope.cloud)
        try:
            return replace(identity, server_id=server_id_of(identity, status))
        except RunError as error:
            remembered = remembered_server_id(context.known.instance(instance.name))
            if remembered is None or error.code is not Code.SERVER_ID_UNKNOWN:
                raise
            return replace(identity, server_id=remembered)
    return identity


def _stated(context: RunContext, instance: Instance, export: Export) -> ServerIdentity:
    """Return the identity in an export; missing parts are as configured or recorded."""
    known = known_identity(instance, context.known.instance(instance.name))
    return ServerIdentity(hostname=export.hostname or known.hostname, server_id=export.server_id or known.server_id)


def continues(record: DeliveryRecord | None, prepared: Prepared) -> bool:
    """Return whether an open record is for the same usage, which the guards or a person already let pass."""
    return record is not None and (record.content_hash, record.identity) == (prepared.document.content_hash, prepared.identity)


def _used_until(runs: Iterable[Run]) -> datetime | None:
    """Return the time of the latest file that a successful run has used."""
    return next((run.collected_at for run in runs if run.state.is_good and run.collected_at is not None), None)


def _version_before(runs: Iterable[Run]) -> str | None:
    return next((run.version for run in runs if run.version is not None), None)
