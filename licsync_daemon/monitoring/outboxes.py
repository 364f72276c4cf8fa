"""Exports that are no longer needed and could not be deleted from an outbox: tried again, and told until they are gone."""

from datetime import datetime

from licsync_daemon.deliveries.outbox_folder import left_over, take_back
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.ports import Leases
from licsync_daemon.model.store import StateReader
from licsync_daemon.monitoring.concerns import Concern


def clean_outboxes(store: StateReader, leases: Leases, name: str, now: datetime) -> list[str]:
    """Take back what is left of an instance, unless another process works on it. Return the folders that cannot be cleaned, in words."""
    left = list(left_over(store, name, now))
    lease = leases.instance(name) if left else None
    if lease is not None:
        with lease:
            for record, _ in left_over(store, name, now):
                take_back(record)
        left = list(left_over(store, name, now))
    return [folder for _, folder in left]


def not_cleaned(folders: list[str]) -> list[Concern]:
    """Return the concern about folders with exports that cannot be deleted; none if there are none."""
    if not folders:
        return []
    text = f"exports that are no longer to be uploaded could not be deleted from {', '.join(sorted(set(folders)))}"
    step = "do not upload them; let the daemon's user write to the folder, or delete the folder yourself"
    return [Concern(code=Code.OUTBOX_NOT_CLEANED, severity=Severity.WARNING, text=text, next_step=step)]
