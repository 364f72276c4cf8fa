"""What waits for a person in an outbox is put back if it is gone or changed. Uses ports only."""

import structlog

from licsync_daemon.model.errors import Code, RunError, StateUnwritableError, failure_of
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import DeliveryRecord, Run, RunState
from licsync_daemon.model.usage import Collected, Export
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.journal import Journal

log = structlog.get_logger()


def keep_prepared(context: RunContext, run: Run, export: Export) -> None:
    """Keep a copy of what was put into the outbox. Without one, only another run can put it back."""
    try:
        context.prepared.keep(run, export)
    except StateUnwritableError as error:  # the run itself is recorded, and waits
        log.error("outbox.export_not_kept", cause=str(error))  # noqa: TRY400 - the cause is a sentence
    context.prepared.sweep(run.instance, (run,))


def is_lost(context: RunContext, instance: Instance, run: Run) -> bool:
    """Return whether what waits is gone or changed, and there is no copy to put back."""
    record = context.store.delivery_of(run.run_id)
    if record is None or context.adapters.outbox_fault(instance, run, record) is None:
        return False
    return run.state is RunState.AWAITING_UPLOAD and context.prepared.find(run) is None


async def put_back(context: RunContext, instance: Instance, journal: Journal, record: DeliveryRecord) -> None:
    """Compare what waits with its manifest, and put it back if it differs. If that fails, the run says so until it works."""
    found = context.adapters.outbox_fault(instance, journal.run, record)
    if found is None:
        journal.note_wait(None)
        return
    log.warning("outbox.changed", cause=found)
    try:
        await _put_back(context, instance, journal.run, record)
    except BaseException as error:  # noqa: BLE001 - of any kind: the run keeps waiting
        failure = failure_of(error)
        log.error("outbox.not_put_back", code=failure.code, cause=failure.cause, next_step=failure.next_step)  # noqa: TRY400
        journal.note_wait(f"{found}, and it could not be put back: {failure.cause}; {failure.next_step}")
        return
    journal.note_wait(None)
    log.info("outbox.put_back")


async def _put_back(context: RunContext, instance: Instance, run: Run, record: DeliveryRecord) -> None:
    if run.state is RunState.AWAITING_EXPORT:
        await context.adapters.put_back(instance, run, record, None)
        return
    export = context.prepared.find(run)
    if export is None:
        raise RunError(Code.OUTBOX_UNWRITABLE, "no copy was kept", f"prepare it again: $licsync --run-now {instance.name}")
    collected = Collected(
        collected_at=run.collected_at or run.started_at, version=export.version, http_only=False, counts=run.counts, export=export
    )
    with context.workspace.export_document(export, record.identity, collected) as document:
        await context.adapters.put_back(instance, run, record, document)
