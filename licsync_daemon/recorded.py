"""Read from the state what decides what comes next for an instance. One place, so that the daemon and `status` never disagree."""

from licsync_daemon.model import Decided
from licsync_daemon.ports import StateStore
from licsync_daemon.schedule import Recorded

RUNS_READ = 60  # of an instance, newest first: more than one slot can hold on the retry ladder
DECISIONS_READ = 500


def recorded(store: StateStore, name: str) -> Recorded:
    """Answer the record of an instance as `next_run` wants it."""
    held = store.held_run(name)
    runs = store.runs(name, limit=RUNS_READ)
    confirmed = store.last_run(name, good=True)
    if confirmed is not None and confirmed not in runs:  # pushed out by very many runs by hand
        runs = (*runs, confirmed)
    pauses = (Decided.PAUSED, Decided.RESUMED)
    return Recorded(
        runs=runs,
        approval=store.approval(held.run_id) if held is not None else None,
        pause=next((one for one in store.decisions(name, limit=DECISIONS_READ) if one.what in pauses), None),
    )
