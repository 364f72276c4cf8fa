"""`status`: the last sync and the next run of every instance. It reads and never locks."""

import argparse
from datetime import datetime

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load
from licsync_daemon.cli.results import show_remarks
from licsync_daemon.cli.terminal import moment, number, span
from licsync_daemon.deliveries.outbox_folder import fault
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import AWAITING, Decided, RunState, SeatRecord
from licsync_daemon.monitoring.heartbeat import DaemonView, daemon_view
from licsync_daemon.monitoring.status import FleetView, InstanceView, fleet_view
from licsync_daemon.monitoring.status_json import as_json
from licsync_daemon.rules.handover import folder_of, repair_step
from licsync_daemon.rules.seats import EXCEEDED_STEP, exceeded, totals_in_words
from licsync_daemon.rules.servers import in_short, problems, shortened
from licsync_daemon.state.files import reading
from licsync_daemon.sync.decisions import AFTERWARDS
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import in_words, is_alive


def status(arguments: argparse.Namespace) -> int:
    """Show the last sync and the next run of every instance, with the reason."""
    config = load(arguments)
    now = SystemClock().now()
    with reading(config.state_dir) as store:
        view = fleet_view(config, store, now, daemon_view(config.state_dir, now), is_alive, outbox_fault=fault)
    if getattr(arguments, "json", False):
        terminal.print_json(as_json(view))
    else:
        show_fleet(view)
    return Exit.OK


def show_fleet(view: FleetView) -> None:
    """Print the table of instances, remarks on each, alerts, seats and the daemon."""
    rows = [_row(one, view.at) for one in view.instances]
    terminal.print_table(("instance", "state", "last sync", "age", "sent", "next", "why"), rows)
    for one in view.instances:
        _show_remarks(one, view.at)
    for known in view.retired:
        since = f"{known.retired_at:%Y-%m-%d}" if known.retired_at else ""
        terminal.say(f"{known.name}: retired since {since}: no longer configured; its history is kept")
    for problem in problems(view.listed):
        terminal.say(f"warning: {problem.what}", style="yellow", hang=2)
        terminal.say(f"  next step: {problem.hint}", hang=2)
    for words, servers in (("synced elsewhere", view.listed.elsewhere), ("retired", view.listed.retired)) if view.listed else ():
        if servers:
            terminal.say(f"{words}, as configured: {shortened([in_short(one) for one in servers])}", hang=2)
    _show_alerts(view)
    if view.seats is not None:
        _show_seats(view.seats, view.at)
    _show_daemon(view.daemon, view.at)


def _show_seats(seats: SeatRecord, now: datetime) -> None:
    terminal.say(f"seats: {totals_in_words(seats)}, read {span(now - seats.read_at)} ago", hang=2)
    if (warning := exceeded(seats)) is not None:
        terminal.say(f"warning: {warning}", style="yellow", hang=2)
        terminal.say(f"  next step: {EXCEEDED_STEP}", hang=2)


def _show_daemon(daemon: DaemonView, now: datetime) -> None:
    """Print whether the daemon runs, and whether it can record anything."""
    if daemon.state_fault is not None:
        terminal.say(
            f"alert: {Code.STATE_UNWRITABLE}: {daemon.state_fault}; nothing can be recorded, so nothing is sent", style="red", hang=2
        )
        terminal.say("  next step: free disk space or fix the permissions of the directory", hang=2)
    if daemon.alive:
        name = in_words(daemon.holder) if daemon.holder is not None else "running"
        terminal.say(f"daemon: {name}; all times are UTC")
    elif daemon.exists and daemon.heartbeat_at is not None:
        age = span(now - daemon.heartbeat_at)
        terminal.say(f"daemon: {in_words(daemon.holder)} exists, but its last heartbeat was {age} ago; all times are UTC")
    elif daemon.state_fault is not None:
        terminal.say("daemon: unknown: while the state cannot be written, no heartbeat is recorded; all times are UTC")
    else:
        terminal.say("daemon: not running; scheduled runs will not start; all times are UTC")


def _show_alerts(view: FleetView) -> None:
    """Print the open alerts."""
    for alert in view.alerts:
        notified = f"notified {span(view.at - alert.notified_at)} ago" if alert.notified_at is not None else "no notification sent"
        since = f"since {moment(alert.opened_at, view.at)}, {notified}"
        where = alert.instance or "the fleet"
        style = "red" if alert.severity is Severity.ALERT else "yellow"
        terminal.say(f"{alert.severity}: {where}: {alert.code}: {alert.text} ({since})", style=style, hang=2)
        terminal.say(f"  next step: {alert.next_step}", hang=2)


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
    elif view.overdue and view.state not in {None, RunState.RUNNING}:
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


def _show_remarks(view: InstanceView, now: datetime) -> None:
    name = view.instance.name
    if view.instance.unsynced_because is not None:
        terminal.about(name, f"excluded from sync: {view.instance.unsynced_because}")
        return
    if view.pause is not None:
        until = f"{view.pause.until:%Y-%m-%d %H:%M}" if view.pause.until else ""
        ticket = f" ({view.pause.ticket})" if view.pause.ticket else ""
        terminal.about(name, f"paused by {view.pause.actor} until {until}: {view.pause.reason}{ticket}", style="yellow")
    if view.held is not None:
        show_remarks(view.held, approved=view.approval is not None)
    if view.approval is not None and view.approval.until is not None:
        ticket = f" ({view.approval.ticket})" if view.approval.ticket else ""
        until = f"{view.approval.until:%Y-%m-%d %H:%M}"
        terminal.about(name, f"approved by {view.approval.actor} until {until}: {view.approval.reason}{ticket}")
        terminal.more(name, f"next step: {AFTERWARDS[Decided.APPROVED].format(instance=name)}")
    if view.outbox_fault is not None:
        terminal.about(name, f"warning: not ready for upload: {view.outbox_fault}", style="yellow")
        terminal.more(name, f"next step: {repair_step(view.instance)}")
    run = view.run
    if run is None or run == view.held:
        return
    if view.state is RunState.RUNNING:
        until = f", waiting until {run.waiting_until:%H:%M:%S} for: {run.waiting_for}" if run.waiting_until else ""
        terminal.about(name, f"{run.phase} since {run.started_at:%H:%M:%S} ({in_words(run.holder)}){until}")
    elif view.state is RunState.INTERRUPTED and run.state is RunState.RUNNING:
        terminal.about(name, f"its process is gone ({in_words(run.holder)}); the next run continues it")
    else:
        if view.word_until is not None:
            what = "waiting for the cloud to confirm"
            if run.state in AWAITING:
                folder = folder_of(view.instance)
                what = f"waiting for someone to upload the export in {folder}" if folder else "waiting for someone to export and upload"
            terminal.about(name, f"{what}, until {moment(view.word_until, now)} at the latest")
        show_remarks(run)
