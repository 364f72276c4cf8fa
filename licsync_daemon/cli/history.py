"""`history`: the recorded runs and decisions. It reads and never locks."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licsync_daemon.cli import audit, terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load_running, unknown_instance
from licsync_daemon.cli.parser import MOST
from licsync_daemon.cli.results import show_changes, show_remarks
from licsync_daemon.cli.terminal import moment, number
from licsync_daemon.model.errors import ConfigError
from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import Decision, Run, Transition
from licsync_daemon.model.store import StateReader
from licsync_daemon.model.text import iso
from licsync_daemon.monitoring.status_json import decision_json, run_json
from licsync_daemon.state.files import reading
from licsync_daemon.system.clock import SystemClock

RUN_HEADERS = ("started", "instance", "state", "code", "sent", "last sync", "why", "run")
DECISION_HEADERS = ("decided", "instance", "what", "by", "run", "ticket", "reason")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the state holds of one instance, or of all of them; newest first."""

    runs: Sequence[Run] = ()
    transitions: Mapping[str, Sequence[Transition]] | None = None  # by run ID
    decisions: Sequence[Decision] = ()


def history(arguments: argparse.Namespace) -> int:
    """Show the recorded runs and decisions, newest first."""
    config, _ = load_running(arguments, tell=True)
    start = audit.since(arguments.since, SystemClock().now()) if arguments.since is not None else None
    limit = MOST if start is not None and arguments.format is None and not arguments.json else arguments.limit
    with reading(config.state_dir) as store:
        found = _read(store, arguments.instance, limit, start) if store is not None else Recorded()
        recorded = [one.name for one in store.instances()] if store is not None else []
    if arguments.instance is not None and not found.runs and config.instance(arguments.instance) is None:
        raise ConfigError((unknown_instance(config, arguments.instance, recorded=recorded),), "unknown instance")
    kind = arguments.format or ("json" if arguments.json and start is not None else None)
    if kind is not None and start is not None:
        _print_audit(config, arguments.instance, recorded, start, kind)
    elif arguments.json:
        terminal.print_json(_json(found))
    elif found.runs or found.decisions:
        _show(found, SystemClock().now(), is_one_instance=arguments.instance is not None)
    else:
        terminal.say("no runs recorded yet")
    return Exit.OK


def _read(store: StateReader, instance: str | None, limit: int, start: datetime | None) -> Recorded:
    runs = [run for run in store.runs(instance, limit=limit) if start is None or run.started_at >= start]
    decisions = [one for one in store.decisions(instance, limit=limit) if start is None or one.at >= start]
    return Recorded(runs, {run.run_id: store.transitions(run.run_id) for run in runs}, decisions)


def _print_audit(config: Config, instance: str | None, recorded: Sequence[str], start: datetime, kind: str) -> None:
    """Print every week of the configured instances, and the runs of those that are only recorded."""
    names = [instance] if instance is not None else list(dict.fromkeys([*(one.name for one in config.instances), *recorded]))
    complete = {one.name for one in config.instances if one.is_active}
    with reading(config.state_dir) as store:
        audit.print_rows(audit.rows(store, names, complete=complete, start=start, now=SystemClock().now(), most=MOST), kind)


def _json(found: Recorded) -> dict[str, Any]:
    steps = found.transitions or {}
    return {
        "runs": [
            {
                **run_json(run),
                "transitions": [{"at": iso(one.at), "state": one.state, "code": one.code} for one in steps.get(run.run_id, ())],
            }
            for run in found.runs
        ],
        "decisions": [decision_json(one) for one in found.decisions],
    }


def _show(found: Recorded, now: datetime, *, is_one_instance: bool) -> None:
    """Print the runs and the decisions; of one instance also what its newest run reported."""
    terminal.print_table(RUN_HEADERS, [_run_row(run, now) for run in found.runs], optional=("last sync",))
    if found.decisions:
        terminal.print_table(DECISION_HEADERS, [_decision_row(one, now) for one in found.decisions])
    for run in found.runs[:1] if is_one_instance else ():
        show_remarks(run)
        if run.changes is not None:
            show_changes(run)


def _run_row(run: Run, now: datetime) -> tuple[str, ...]:
    sent = number(run.counted.sent if run.counted else None)
    started, last_sync = moment(run.started_at, now), moment(run.last_sync, now)
    return (started, run.instance, str(run.state), str(run.code or "-"), sent, last_sync, run.reason, run.run_id)


def _decision_row(one: Decision, now: datetime) -> tuple[str, ...]:
    return (moment(one.at, now), one.instance, str(one.what), one.actor, one.run_id or "-", one.ticket or "-", one.reason)
