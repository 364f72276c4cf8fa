"""`outbox`: what waits for a person to upload it, since when, and where."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load_running
from licsync_daemon.cli.terminal import moment, span
from licsync_daemon.deliveries.outbox_folder import fault
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.model.store import StateReader
from licsync_daemon.model.text import iso
from licsync_daemon.rules.handover import folder_of, repair_step
from licsync_daemon.state.files import reading
from licsync_daemon.system.clock import SystemClock

TO_DO = {RunState.AWAITING_UPLOAD: "upload the export", RunState.AWAITING_EXPORT: "export the usage and upload it"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for a person, and how what was put into the outbox differs from it."""

    instance: Instance
    run: Run
    fault: str | None


def outbox(arguments: argparse.Namespace) -> int:
    """Show what waits, oldest first."""
    config, _ = load_running(arguments, tell=True)
    now = SystemClock().now()
    with reading(config.state_dir) as store:
        waiting = what_waits(config, store) if store is not None else []
    if getattr(arguments, "json", False):
        terminal.print_json({"waiting": [_json(one) for one in waiting]})
    else:
        show(waiting, now)
    return Exit.OK


def what_waits(config: Config, store: StateReader) -> list[Waiting]:
    """Return what waits for a person, oldest first."""
    every = [_waiting(store, one) for one in config.instances]
    return sorted((one for one in every if one is not None), key=lambda one: _since(one.run))


def show(waiting: Sequence[Waiting], now: datetime) -> None:
    """Print what waits, where, and what to do if something is wrong with it."""
    if not waiting:
        terminal.say("nothing to upload")
        return
    headers = ("instance", "to do", "since", "age", "until", "where")
    terminal.print_table(headers, [_row(one.instance, one.run, now) for one in waiting])
    for one in waiting:
        if one.fault is not None:
            terminal.about(one.instance.name, f"warning: not ready for upload: {one.fault}", style="yellow")
            terminal.more(one.instance.name, f"next step: {repair_step(one.instance)}")
    terminal.say("For the steps, see README.txt in each folder, else `$licsync status`. Uploaded entries disappear automatically.")


def _waiting(store: StateReader, instance: Instance) -> Waiting | None:
    run = store.awaiting_run(instance.name)
    return Waiting(instance, run, fault(instance, run, store.delivery_of(run.run_id))) if run is not None else None


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


def _json(waiting: Waiting) -> dict[str, object]:
    instance, run = waiting.instance, waiting.run
    since = _since(run)
    return {
        "instance": instance.name,
        "hostname": instance.hostname,
        "state": run.state,
        "run_id": run.run_id,
        "waiting_since": iso(since),
        "expected_until": iso(since + instance.confirm_within),
        "folder": str(folder) if (folder := folder_of(instance)) else None,
        "content_hash": run.content_hash,
        "outbox_fault": waiting.fault,
    }
