"""The check of what is in the outboxes: whose it is, and whether it is what was put there."""

from collections.abc import Iterator
from datetime import datetime

from licsync_daemon.deliveries.outbox_folder import fault, foreign, in_use, left_over
from licsync_daemon.model.errors import Code, LicsyncError
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.store import StateReader
from licsync_daemon.monitoring.outboxes import not_cleaned
from licsync_daemon.monitoring.preflight.rows import MACHINE, CheckRow, Place
from licsync_daemon.rules.handover import fleet_of, folder_of, repair_step
from licsync_daemon.state.files import reading


def content_rows(config: Config, now: datetime) -> Iterator[CheckRow]:
    """Yield a row for each instance whose folder has a problem, and one for what should have been deleted."""
    try:
        with reading(config.state_dir) as store:
            yield from _rows(config, store, now)
    except LicsyncError:
        return  # nothing is known; `status` says why


def _rows(config: Config, store: StateReader | None, now: datetime) -> Iterator[CheckRow]:
    left = [folder for known in store.instances() for _, folder in left_over(store, known.name, now)] if store is not None else []
    for one in not_cleaned(left):
        yield MACHINE.warn("outbox", one.text, one.next_step, one.code)
    for instance in config.instances:
        row = _row(config, store, instance) if instance.is_active else None
        if row is not None:
            yield row


def _row(config: Config, store: StateReader | None, instance: Instance) -> CheckRow | None:
    folder = folder_of(instance)
    if folder is None:
        return None
    place = Place(f"instance {instance.name}", instance.name)
    owner = foreign(folder, instance, fleet_of(config), store.deliveries(instance.name) if store is not None else ())
    if owner is not None:
        return place.fail("outbox", *in_use(instance, folder, owner), Code.OUTBOX_UNWRITABLE)
    awaiting = store.awaiting_run(instance.name) if store is not None else None
    if store is None or awaiting is None:
        return None
    found = fault(instance, awaiting, store.delivery_of(awaiting.run_id))
    if found is not None:
        return place.warn("outbox", f"not ready for upload: {found}", repair_step(instance))
    return place.ok("outbox", f"what waits in {folder} is what was put there")
