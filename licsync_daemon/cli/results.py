"""Show what became of runs: one table, then every failure with its cause and next step."""

from collections.abc import Sequence
from datetime import datetime

from licsync_daemon.cli import terminal
from licsync_daemon.cli.terminal import moment, number
from licsync_daemon.errors import Code
from licsync_daemon.fleet import Result
from licsync_daemon.model import Run, RunState, UsageCounts

HEADERS = ("instance", "accounts", "sent", "suspended", "unusable", "state", "collected", "delivered", "confirmed", "last sync")


def show_results(results: Sequence[Result], now: datetime) -> None:
    """Print a row for each instance and a row of totals; times are UTC."""
    rows = [_row(result, now) for result in results]
    terminal.print_table(HEADERS, rows, totals=_totals([result.run.counts for result in results if result.run is not None]))
    for result in results:
        if result.run is None:
            terminal.say(f"{result.instance.name}: {Code.LOCKED}: {result.locked_by} is at it; it was left alone", style="yellow")
        else:
            show_remarks(result.run)


def show_remarks(run: Run) -> None:
    """Print why a run failed and what to do, and what else a person should know about it."""
    decidable = run.state in {RunState.HELD, RunState.RUNNING}
    hang = len(run.instance) + 2
    held = {RunState.HELD: "held", RunState.RUNNING: "would be held"}.get(run.state, f"was held, then {run.state}")
    for guard in run.tripped:
        terminal.say(f"{run.instance}: {held}: {guard.code}: {guard.text}", style="yellow", hang=hang)
    if run.tripped and run.next_step is not None and decidable:
        terminal.say(f"{' ' * hang}next step: {run.next_step}", hang=hang)
    elif run.code is not None and not run.tripped:
        terminal.say(f"{run.instance}: {run.code}: {run.cause}", style="red", hang=hang)
        terminal.say(f"{' ' * hang}next step: {run.next_step}", hang=hang)
    elif run.waiting_for is not None:
        terminal.say(f"{run.instance}: waiting: {run.waiting_for}", hang=hang)
    for notice in run.notices:
        terminal.say(f"{run.instance}: warning: {notice.code}: {notice.text}", style="yellow", hang=hang)


def _row(result: Result, now: datetime) -> tuple[str, ...]:
    run = result.run
    if run is None:
        return (result.instance.name, *("-",) * 4, "locked", *("-",) * 4)
    counts = run.counts
    times = (run.collected_at, run.delivered_at, run.confirmed_at, run.last_sync)
    known = run.collected_at is not None
    figures = (counts.rows, counts.sent, counts.suspended, counts.unusable) if known else (None,) * 4
    return (run.instance, *map(number, figures), str(run.state), *(moment(time, now) for time in times))


def _totals(counts: Sequence[UsageCounts]) -> tuple[str, ...]:
    figures = (
        sum(one.rows for one in counts),
        sum(one.sent for one in counts),
        sum(one.suspended for one in counts),
        sum(one.unusable for one in counts),
    )
    return ("total", *map(number, figures), "", "", "", "", "")


def show_changes(run: Run) -> None:
    """Print what changed since the last confirmed usage, as counts: who it was is nobody's business here."""
    changes = run.changes
    if changes is None:
        terminal.say(f"{run.instance}: no earlier confirmed usage to compare with")
        return
    parts = (
        (changes.added, "added"),
        (changes.removed, "removed"),
        (changes.address_changed, "with another address"),
        (changes.suspended, "suspended"),
        (changes.unsuspended, "unsuspended"),
    )
    said = ", ".join(f"{number(count)} {words}" for count, words in parts if count)
    terminal.say(f"{run.instance}: since the last confirmed usage: {said or 'nothing changed'}")
