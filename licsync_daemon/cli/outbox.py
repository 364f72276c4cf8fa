"""`outbox`: what waits for a person to upload it, since when, and where."""

import argparse
from datetime import datetime

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load
from licsync_daemon.cli.terminal import moment, span
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.model.text import iso
from licsync_daemon.rules.handover import folder_of
from licsync_daemon.state.files import reading
from licsync_daemon.system.clock import SystemClock

TO_DO = {RunState.AWAITING_UPLOAD: "upload the export", RunState.AWAITING_EXPORT: "export the usage and upload it"}


def outbox(arguments: argparse.Namespace) -> int:
    """Show what waits, oldest first."""
    config = load(arguments)
    now = SystemClock().now()
    with reading(config.state_dir) as store:
        every = [(one, store.awaiting_run(one.name)) for one in config.instances] if store is not None else []
    waiting = sorted(((one, run) for one, run in every if run is not None), key=lambda pair: _since(pair[1]))
    if getattr(arguments, "json", False):
        terminal.print_json({"waiting": [_json(one, run) for one, run in waiting]})
    elif not waiting:
        terminal.say("nothing to upload")
    else:
        headers = ("instance", "to do", "since", "age", "until", "where")
        terminal.print_table(headers, [_row(one, run, now) for one, run in waiting])
        terminal.say("For the steps, see README.txt in each folder, else `$licsync status`. Uploaded entries disappear automatically.")
    return Exit.OK


def _since(run: Run) -> datetime:
    return run.delivered_at or run.started_at


def _row(instance: Instance, run: Run, now: datetime) -> tuple[str, ...]:
    since = _since(run)
    return (
        instance.name,
        TO_DO[run.state],
        moment(since, now),
        span(now - since),
        moment(since + instance.confirm_within, now),
        str(folder_of(instance) or ""),
    )


def _json(instance: Instance, run: Run) -> dict[str, object]:
    since = _since(run)
    return {
        "instance": instance.name,
        "hostname": instance.hostname,
        "state": run.state,
        "run_id": run.run_id,
        "since": iso(since),
        "until": iso(since + instance.confirm_within),
        "folder": str(folder) if (folder := folder_of(instance)) else None,
        "content_hash": run.content_hash,
    }
