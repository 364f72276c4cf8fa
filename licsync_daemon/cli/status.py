"""`status`: the last sync and the next run of every instance. It reads and never locks."""

import argparse
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load_running
from licsync_daemon.cli.results import show_remarks
from licsync_daemon.cli.terminal import moment, number, span
from licsync_daemon.deliveries.outbox_folder import fault
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import AWAITING, Decided, RunState
from licsync_daemon.monitoring.heartbeat import DaemonView, daemon_view
from licsync_daemon.monitoring.status import FleetView, InstanceView, fleet_view
from licsync_daemon.monitoring.status_json import as_json
from licsync_daemon.monitoring.troubles import Trouble, troubles
from licsync_daemon.rules.seats import totals_in_words
from licsync_daemon.rules.servers import in_short, shortened
from licsync_daemon.state.files import reading
from licsync_daemon.sync.decisions import AFTERWARDS
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import in_words, is_alive

SENT = 4  # the column


def read_fleet(arguments: argparse.Namespace) -> FleetView:
    """Read the state of the fleet now, under the configuration of the running daemon if the file is refused."""
    config, older = load_running(arguments)
    now = SystemClock().now()
    with reading(config.state_dir) as store:
        view = fleet_view(config, store, now, daemon_view(config.state_dir, now), is_alive, outbox_fault=fault)
    return replace(view, older=older)


def status(arguments: argparse.Namespace) -> int:
    """Show the last sync and the next run of every instance, with the reason."""
    view = read_fleet(arguments)
    if getattr(arguments, "json", False):
        terminal.print_json(as_json(view))
    else:
        show_fleet(view)
    return Exit.OK


def show_fleet(view: FleetView) -> None:
    """Print the table of instances, every problem once, remarks on instances, seats and the daemon."""
    rows = [_row(one, view.at) for one in view.instances]
    headers: tuple[str, ...] = ("instance", "state", "last sync", "age", "sent", "next", "why")
    if all(not one.instance.has_slots for one in view.instances):  # GitHub Connect syncs them all: there is nothing to count
        headers, rows = _without(headers, SENT), [_without(row, SENT) for row in rows]
    terminal.print_table(headers, rows)
    found = troubles(view)
    for trouble in found:
        _show_trouble(trouble, view.at)
    for one in view.instances:
        _show_remarks(one, view.at, {trouble.code for trouble in found if trouble.instance == one.instance.name})
    for known in view.retired:
        since = f"{known.retired_at:%Y-%m-%d}" if known.retired_at else ""
        terminal.say(f"{known.name}: retired since {since}: no longer configured; its history is kept")
    for words, servers in (("synced elsewhere", view.listed.elsewhere), ("retired", view.listed.retired)) if view.listed else ():
        if servers:
            terminal.say(f"{words}, as configured: {shortened([in_short(one) for one in servers])}", hang=2)
    if view.seats is not None:
        terminal.say(f"seats: {totals_in_words(view.seats)}, read {span(view.at - view.seats.read_at)} ago", hang=2)
    terminal.say(f"daemon: {_daemon_in_words(view.daemon, view.at)}; all times are UTC")


def _without(cells: tuple[str, ...], column: int) -> tuple[str, ...]:
    return (*cells[:column], *cells[column + 1 :])


def _show_trouble(trouble: Trouble, now: datetime) -> None:
    """Print a problem with its next step."""
    where = [trouble.instance or "the fleet"] if trouble.code is not None or trouble.instance else []
    text = ": ".join([trouble.severity, *where, *([trouble.code] if trouble.code is not None else []), trouble.text])
    if (alert := trouble.alert) is not None:
        notified = f"notified {span(now - alert.notified_at)} ago" if alert.notified_at is not None else "no notification sent"
        text += f" (since {moment(alert.opened_at, now)}, {notified})"
    terminal.say(text, style="red" if trouble.severity is Severity.ALERT else "yellow", hang=2)
    terminal.say(f"  next step: {trouble.next_step}", hang=2)


def _daemon_in_words(daemon: DaemonView, now: datetime) -> str:
    if daemon.alive:
        return in_words(daemon.holder) if daemon.holder is not None else "running"
    if daemon.exists and daemon.heartbeat_at is not None:
        return f"{in_words(daemon.holder)} exists, but its last heartbeat was {span(now - daemon.heartbeat_at)} ago"
    if daemon.state_fault is not None:
        return "unknown: while the state cannot be written, no heartbeat is recorded"
    return "not running; scheduled runs will not start"


def _row(view: InstanceView, now: datetime) -> tuple[str, ...]:
    state = view.shown_state or "never run"
    if not view.instance.enabled:
        state = "disabled"
    elif view.instance.unsynced_because is not None:
        state = "excluded"
    elif view.held is not None:
        state = "held"
    elif view.pause is not None:
        state = "paused"
    elif view.overdue and view.state not in {None, RunState.RUNNING, RunState.FAILED}:  # why it failed follows below
        state = f"{state}, overdue"
    planned = view.planned
    return (
        view.instance.name,
        state,
        moment(view.last_sync, now),
        span(view.age),
        number(view.counted.counts.sent if view.counted else None),
        moment(planned.at, now) if planned else "-",
        planned.reason if planned else "in progress" if view.state is RunState.RUNNING else "-",
    )


def _show_remarks(view: InstanceView, now: datetime, known: Collection[Code | None]) -> None:
    """Print what is not a problem, or not one that a person can act on now. `known` are the codes of the problems already shown."""
    name = view.instance.name
    if view.instance.unsynced_because is not None:
        terminal.about(name, f"excluded from sync: {view.instance.unsynced_because}")
        return
    if view.pause is not None:
        until = f"{view.pause.until:%Y-%m-%d %H:%M}" if view.pause.until else ""
        ticket = f" ({view.pause.ticket})" if view.pause.ticket else ""
        terminal.about(name, f"paused by {view.pause.actor} until {until}: {view.pause.reason}{ticket}", style="yellow")
    if view.held is not None and view.held.code not in known:
        show_remarks(view.held, approved=view.approval is not None)
    if view.approval is not None and view.approval.until is not None:
        ticket = f" ({view.approval.ticket})" if view.approval.ticket else ""
        until = f"{view.approval.until:%Y-%m-%d %H:%M}"
        terminal.about(name, f"approved by {view.approval.actor} until {until}: {view.approval.reason}{ticket}")
        terminal.more(name, f"next step: {AFTERWARDS[Decided.APPROVED].format(instance=name)}")
    run = view.run
    if run is None:
        return
    if view.state is RunState.RUNNING:
        until = f", waiting until {run.waiting_until:%H:%M:%S} for: {run.waiting_for}" if run.waiting_until else ""
        terminal.about(name, f"{run.phase} since {run.started_at:%H:%M:%S} ({in_words(run.holder)}){until}")
    elif view.state is RunState.INTERRUPTED and run.state is RunState.RUNNING:
        terminal.about(name, f"its process is gone ({in_words(run.holder)}); the next run continues it")
    elif view.word_until is not None:
        what = "the upload is expected" if run.state in AWAITING else "waiting for the cloud to confirm"
        terminal.about(name, f"{what} until {moment(view.word_until, now)} at the latest")
        if run.waiting_for is not None and Code.NOT_UPLOADED not in known:
            terminal.about(name, f"waiting: {run.waiting_for}")
    for guard in run.tripped if run.state.is_final else ():
        terminal.about(name, f"note: was held, then {run.state}: {guard.code}: {guard.text}")
    for notice in run.notices:
        if notice.code not in known:
            terminal.about(name, f"note: {notice.code}: {notice.text}")
