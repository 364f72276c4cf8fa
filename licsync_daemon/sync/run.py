"""One run of one instance: collect, check, compare, guard, deliver, record.

Uses ports only. A run is recorded as `running` before its first request and always ends in exactly one final or open state. The caller
holds the instance's lease and has closed a stale run. A failure is a value here: `Run.code`, `cause`, `next_step`.
"""

from contextlib import AsyncExitStack
from datetime import datetime

import structlog

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, RunError, StateUnwritableError
from licsync_daemon.model.instance import ConnectDelivery, Instance, ManualDelivery, NoSource
from licsync_daemon.model.ports import Delivery, UsageDocument
from licsync_daemon.model.run import DeliveryRecord, Run, Trigger
from licsync_daemon.model.usage import Notice
from licsync_daemon.rules.guard import may_pass
from licsync_daemon.sync.confirm import check_delivered
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.deliver import ask_person, close_or_resume, open_record, send
from licsync_daemon.sync.drift import installations_of
from licsync_daemon.sync.journal import Journal, RunScope, new_run
from licsync_daemon.sync.prepare import Prepared, collect, continues, reuse_kept_export
from licsync_daemon.sync.put_back import keep_prepared
from licsync_daemon.sync.supervise import PHASE, conclude

log = structlog.get_logger()


async def run_instance(context: RunContext, instance: Instance, *, trigger: Trigger, reason: str, slot: datetime | None) -> Run:
    """Run an instance once. Return the run: `delivered`, `held`, `failed`, or `confirmed` if an earlier delivery had arrived.

    Raises:
        asyncio.CancelledError: The process is stopping; the run is recorded as `interrupted` (a `delivered` one stays so).
    """
    journal = Journal(context, new_run(context, instance, trigger=trigger, reason=reason, slot=slot))
    with structlog.contextvars.bound_contextvars(
        run_id=journal.run.run_id, instance=instance.name, slot=slot.isoformat() if slot is not None else None
    ):
        try:
            return await _recorded(context, instance, journal)
        except BaseException as error:  # noqa: BLE001 - of any kind: it stays with this instance, and the run ends
            return journal.crashed(error)


def not_started(
    context: RunContext, instance: Instance, *, trigger: Trigger, reason: str, slot: datetime | None, error: BaseException
) -> Run:
    """Return a failed run of an instance whose lease or stale run could not be written; no request was made.

    Raises:
        BaseException: `error` itself, if it ends the process or cancels the current task.
    """
    if isinstance(error, OSError):  # of the lease
        error = StateUnwritableError(str(error))
    with structlog.contextvars.bound_contextvars(instance=instance.name):
        return Journal(context, new_run(context, instance, trigger=trigger, reason=reason, slot=slot)).crashed(error)


async def preview(context: RunContext, instance: Instance, journal: Journal, stack: AsyncExitStack) -> UsageDocument:
    """Collect, check, compare and guard without sending or recording anything. `stack` closes the document."""
    cloud = await stack.enter_async_context(context.adapters.cloud(journal))
    prepared = await collect(RunScope(context, instance, journal, stack, cloud))
    journal.update(tripped=prepared.tripped)
    return prepared.document


async def _recorded(context: RunContext, instance: Instance, journal: Journal) -> Run:
    """Perform the steps."""
    journal.update()
    log.info("run.started", reason=journal.run.reason)
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(context.adapters.cloud(journal))
        await _steps(RunScope(context, instance, journal, stack, cloud))
    return journal.run


async def _steps(scope: RunScope) -> None:
    context, instance, journal = scope.context, scope.instance, scope.journal
    if isinstance(instance.delivery, ConnectDelivery):
        await _read_beside_connect(scope)
        return
    if context.store.awaiting_run(instance.name) is not None:
        await check_delivered(context, (instance,))  # a person may have uploaded the earlier export since
    delivery = await scope.stack.enter_async_context(context.adapters.delivery(instance, journal))
    record = context.store.open_delivery(instance.name)
    if record is not None:
        journal.update(phase="checking an earlier delivery")
        record = await close_or_resume(scope, record, delivery)
        if journal.run.state.is_final:
            return
    if isinstance(instance.source, NoSource):
        await ask_person(scope, record, delivery)
    else:
        await _collect_and_send(scope, record, delivery)


async def _collect_and_send(scope: RunScope, record: DeliveryRecord | None, delivery: Delivery) -> None:
    context, journal = scope.context, scope.journal
    held = context.store.held_run(scope.instance.name)
    approved = held if held is not None and context.approval_of(held) is not None else None
    prepared = await _prepare(scope, held, approved, record)
    export = prepared.export
    if export is not None and export.is_clear and isinstance(scope.instance.delivery, ManualDelivery):
        raise _readable(scope.instance)
    passes = may_pass(prepared.tripped, approved, content_hash=prepared.document.content_hash, is_export=export is not None)
    if not passes and not continues(record, prepared):
        if export is not None and not export.is_clear:  # no readable email address is stored on disk
            context.exports.keep(journal.run, export)
        journal.held(prepared.tripped, instead_of=held)
        return
    record = await open_record(scope, record, prepared, held)
    journal.update(phase="delivering")
    await send(scope, record, prepared.document, delivery)
    if export is not None and isinstance(scope.instance.delivery, ManualDelivery):
        keep_prepared(context, journal.run, export)


async def _prepare(scope: RunScope, held: Run | None, approved: Run | None, record: DeliveryRecord | None) -> Prepared:
    """Use the kept export of an approved run, or of one that sent it without success; otherwise collect again."""
    context = scope.context
    sender = context.store.run(record.run_id) if record is not None else None
    context.exports.sweep(scope.instance.name, (held, sender))
    scope.journal.update(phase="collecting")
    return await reuse_kept_export(scope, approved or sender) or await collect(scope)


async def _read_beside_connect(scope: RunScope) -> None:
    """Read an instance that GitHub Connect syncs. Tripped guards are only warnings, since its syncs cannot be held."""
    journal = scope.journal
    journal.update(phase="collecting")
    prepared = await collect(scope)
    warnings = [Notice(code=one.code, text=f"{one.text}; GitHub Connect sends this automatically") for one in prepared.tripped]
    journal.update(phase=PHASE, notices=(*journal.run.notices, *warnings))
    conclude(scope.context, scope.instance, journal, prepared.status, await installations_of(scope.cloud))


def _readable(instance: Instance) -> RunError:
    return RunError(
        Code.EXPORT_READABLE,
        f"the export of {instance.hostname} has unencrypted users; the outbox accepts only encrypted exports",
        f"export with encrypted users, which is GitHub's default: {github.EXPORT}; or run `ghe-license usage` on the instance",
    )
