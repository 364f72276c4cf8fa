"""Close abandoned runs: of processes that are gone, of deliveries and instances that are no longer configured.

The caller holds the lease of the instance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import structlog

from licsync_daemon.model.errors import StateUnwritableError, failure_of
from licsync_daemon.model.instance import ConnectDelivery, Instance, ManualDelivery
from licsync_daemon.model.run import AWAITING, KEEP, DeliveryOutcome, DeliveryRecord, Run, RunState, Trigger
from licsync_daemon.model.usage import CLOCK_SLACK
from licsync_daemon.rules.handover import folder_of
from licsync_daemon.rules.next_run import HELD_FOR
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.journal import FAILURES_READ, new_run

log = structlog.get_logger()

OTHER_DELIVERY = "another delivery is configured now"


def close_stale(context: RunContext, instance: Instance) -> None:
    """Close the open runs of an instance that no process works on.

    A run that is still `running` becomes `interrupted`: its process is gone. A run whose delivery is no longer configured becomes
    `superseded`: GitHub Connect syncs automatically, and no one should be asked to upload from another outbox.
    """
    store, name = context.store, instance.name
    _interrupt(context, name)
    awaiting = store.awaiting_run(name)
    if isinstance(instance.delivery, ManualDelivery):
        if awaiting is not None and _is_in_another_outbox(context, instance, awaiting):
            _supersede(context, [awaiting], "another outbox is configured now")
        _supersede(context, [store.open_run(name)], OTHER_DELIVERY)
        return
    left = [awaiting]
    if isinstance(instance.delivery, ConnectDelivery):
        left += [store.open_run(name), store.held_run(name)]
        context.exports.sweep(name)
    _supersede(context, left, OTHER_DELIVERY)


def release_instance(context: RunContext, name: str) -> None:
    """Close all open runs of an instance that is no longer synced, and delete its exports."""
    store = context.store
    _interrupt(context, name)
    left = (store.awaiting_run(name), store.open_run(name), store.held_run(name))
    _supersede(context, left, "the instance is no longer configured or is excluded from sync")
    context.exports.sweep(name)


def release_unconfigured(context: RunContext, instances: Sequence[Instance]) -> None:
    """Release every recorded instance that is not in `instances` or is excluded from sync, unless another process works on it."""
    wanted = {one.name for one in instances if one.unsynced_because is None}
    for name in (known.name for known in context.store.instances() if known.name not in wanted):
        try:
            lease = context.leases.instance(name)
            if lease is not None:
                with lease:
                    release_instance(context, name)
        except StateUnwritableError:
            raise
        except BaseException as error:  # of any kind: a fault of one instance does not keep the others
            failure = failure_of(error)
            log.critical("instance.not_released", instance=name, code=failure.code, exc_info=error)


def expire(context: RunContext, name: str) -> None:
    """End a held run without a decision within `HELD_FOR`."""
    held, now = context.store.held_run(name), context.clock.now()
    if held is not None and now - held.started_at >= HELD_FOR and context.approval_of(held) is None:
        context.store.save_run(held.ended(RunState.EXPIRED, now), now)
        log.warning("run.expired", run_id=held.run_id, instance=name)


def record_clock_set_back(context: RunContext, instance: Instance) -> None:
    """If the clock was set back, record that: then no run dated in the future satisfies a later slot."""
    now = context.clock.now()
    runs = context.store.runs(instance.name, limit=FAILURES_READ)
    newest = next((run for run in runs if run.started_at > now - KEEP), None)  # older runs are deleted with the next run
    if newest is not None and newest.started_at > now + CLOCK_SLACK:
        mark = new_run(context, instance, trigger=Trigger.SCHEDULE, reason="the clock was set back", slot=None)
        context.store.save_run(mark.ended(RunState.SKIPPED, now, phase="done"), now)
        log.warning("run.clock_set_back", instance=instance.name, newest=newest.started_at.isoformat())


def take_back(context: RunContext, record: DeliveryRecord) -> None:
    """Remove what no longer waits for a person from the outbox."""
    context.adapters.take_back(record)
    context.prepared.sweep(record.instance)


def _is_in_another_outbox(context: RunContext, instance: Instance, awaiting: Run) -> bool:
    record = context.store.delivery_of(awaiting.run_id)
    return record is not None and record.upload_id not in {None, record.key, str(folder_of(instance))}


def _interrupt(context: RunContext, name: str) -> None:
    stale, now = context.store.open_run(name), context.clock.now()
    if stale is not None and stale.state is RunState.RUNNING:
        context.store.save_run(stale.ended(RunState.INTERRUPTED, now), now)
        log.warning("run.interrupted", run_id=stale.run_id, instance=name)


def _supersede(context: RunContext, runs: Iterable[Run | None], cause: str) -> None:
    """End runs that are no longer needed, and remove their exports from the outbox."""
    now = context.clock.now()
    for run in runs:
        if run is None:
            continue
        record = context.store.delivery_of(run.run_id)
        if record is not None and run.state in AWAITING:
            take_back(context, record)
        if record is not None and record.closed_at is None:
            record = replace(record, closed_at=now, outcome=DeliveryOutcome.NOT_CONFIRMED)
        context.store.save_run(run.ended(RunState.SUPERSEDED, now), now, delivery=record)
        log.warning("run.superseded", run_id=run.run_id, instance=run.instance, cause=cause)
