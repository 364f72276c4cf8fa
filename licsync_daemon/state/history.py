"""Read the data that determines an instance's next run, in one place, so that the daemon and `status` never disagree."""

from licsync_daemon.model.store import StateReader
from licsync_daemon.rules.next_run import Recorded

RUNS_READ = 12  # latest runs of an instance; enough if the latest confirmed run is among them, as almost always
MORE_RUNS_READ = 200  # otherwise: a week has up to 192 runs during maintenance, or 26 retries


def recorded(store: StateReader, name: str) -> Recorded:
    """Return the recorded data of an instance for `next_run`."""
    held = store.held_run(name)
    runs = store.runs(name, limit=RUNS_READ)
    confirmed = store.last_run(name, good=True)
    if len(runs) == RUNS_READ and confirmed not in runs:  # runs since the confirmed one show whether its clock was right
        runs = store.runs(name, limit=MORE_RUNS_READ)
    runs += tuple(
        run for run in (held, confirmed) if run is not None and run not in runs
    )  # older than the runs read; the held run is newer
    return Recorded(
        runs=runs,
        approval=store.approval(held.run_id) if held is not None else None,
        pause=store.pause(name),
    )
