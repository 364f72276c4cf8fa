"""Read from the state what decides what comes next for an instance. One place, so that the daemon and `status` never disagree."""

from licsync_daemon.model.run import Decided
from licsync_daemon.model.store import StateReader
from licsync_daemon.rules.next_run import Recorded

RUNS_READ = 60  # of an instance, newest first: with the newest confirmed one among them, all that decides
MORE_RUNS_READ = 200  # where it is not: a week holds up to 192 runs in maintenance, 26 on the ladder
DECISIONS_READ = 500


def recorded(store: StateReader, name: str) -> Recorded:
    """Return the record of an instance as `next_run` wants it."""
    held = store.held_run(name)
    runs = store.runs(name, limit=RUNS_READ)
    confirmed = store.last_run(name, good=True)
    if len(runs) == RUNS_READ and confirmed not in runs:  # only the runs since then show whether its clock was right
        runs = store.runs(name, limit=MORE_RUNS_READ)
    runs += tuple(run for run in (held, confirmed) if run is not None and run not in runs)  # pushed out; the one held is the newer one
    pauses = (Decided.PAUSED, Decided.RESUMED)
    return Recorded(
        runs=runs,
        approval=store.approval(held.run_id) if held is not None else None,
        pause=next((one for one in store.decisions(name, limit=DECISIONS_READ) if one.what in pauses), None),
    )
