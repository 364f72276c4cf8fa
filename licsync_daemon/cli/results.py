"""Show the results of runs: one table, then every failure with its cause and next step."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from licsync_daemon.cli import terminal
from licsync_daemon.cli.terminal import moment, number, span
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import AWAITING, Run, RunState
from licsync_daemon.rules.handover import folder_of
from licsync_daemon.sync.waiting import Result

CONNECT_HEADERS = ("instance", "state", "last sync", "age")
HEADERS = ("instance", "accounts", "sent", "suspended", "unusable", "state", "collected", "delivered", "confirmed", "last sync")
TIMES = ("collected", "delivered", "confirmed")  # left out on a narrow terminal


def show_results(results: Sequence[Result], now: datetime) -> None:
    """Print a row for each instance and a row of totals. Times are UTC."""
    if all(not result.instance.has_slots for result in results):  # GitHub Connect syncs them all: there is nothing to count
        terminal.print_table(CONNECT_HEADERS, [_connect_row(result, now) for result in results])
    else:
        rows = [_row(result, now) for result in results]
        totals = _totals(result.run for result in results if result.run is not None)
        terminal.print_table(HEADERS, rows, totals=totals, optional=TIMES)
    for result in results:
        if result.run is None:
            terminal.say(f"{result.instance.name}: {Code.LOCKED}: skipped: in use by {result.locked_by}", style="yellow")
        else:
            show_remarks(result.run)
            _show_manual_step(result.instance, result.run, now)


def _show_manual_step(instance: Instance, run: Run, now: datetime) -> None:
    """Print what only a person can do: click *Sync now*, or upload an export."""
    if run.state is RunState.CURRENT:
        age = f"last sync {span(now - run.last_sync)} ago" if run.last_sync is not None else "no sync on record"
        terminal.about(run.instance, f"nothing sent: GitHub Connect syncs this instance; {age}")
        terminal.more(run.instance, f"to sync now: as an enterprise owner, on https://{instance.hostname}/, {github.SYNC_NOW}")
    elif run.state in AWAITING:
        place = folder_of(instance)
        terminal.about(run.instance, f"{run.phase}{f': {place}' if place else ''}", style="yellow")
        terminal.more(
            run.instance, f"next step: {'follow README.txt in that folder' if place else EXPORT_STEPS.format(host=instance.hostname)}"
        )


EXPORT_STEPS = f"as an enterprise owner, on https://{{host}}/, {github.EXPORT}; then, in the cloud, {github.UPLOAD}"


def show_remarks(run: Run, *, approved: bool = False) -> None:
    """Print why a run failed and the next step, and its warnings."""
    decidable = run.state in {RunState.HELD, RunState.RUNNING} and not approved
    held = {RunState.HELD: "held", RunState.RUNNING: "would be held"}.get(run.state, f"was held, then {run.state}")
    for guard in run.tripped:
        terminal.about(run.instance, f"{held}: {guard.code}: {guard.text}", style="yellow")
    if run.tripped and run.next_step is not None and decidable:
        terminal.more(run.instance, f"next step: {run.next_step}")
    elif run.code is not None and not run.tripped:
        terminal.about(run.instance, f"{run.code}: {run.cause}", style="red")
        terminal.more(run.instance, f"next step: {run.next_step}")
    elif run.waiting_for is not None:
        terminal.about(run.instance, f"waiting: {run.waiting_for}")
    for notice in run.notices:
        terminal.about(run.instance, f"warning: {notice.code}: {notice.text}", style="yellow")


def _row(result: Result, now: datetime) -> tuple[str, ...]:
    run = result.run
    if run is None:
        return (result.instance.name, *("-",) * 4, "locked", *("-",) * 4)
    delivered = f"prepared {moment(run.prepared_at, now)}" if run.prepared_at is not None else moment(run.sent_at, now)
    figures = _figures(run) or (None,) * 4
    return (
        run.instance,
        *map(number, figures),
        str(run.state),
        moment(run.collected_at, now),
        delivered,
        moment(run.confirmed_at, now),
        moment(run.last_sync, now),
    )


def _connect_row(result: Result, now: datetime) -> tuple[str, ...]:
    run = result.run
    if run is None:
        return (result.instance.name, "locked", "-", "-")
    age = now - run.last_sync if run.last_sync is not None else None
    return (run.instance, str(run.state), moment(run.last_sync, now), span(age))


def _figures(run: Run) -> tuple[int, int, int, int] | None:
    counts = run.counted
    return (counts.rows, counts.sent, counts.suspended, counts.unusable) if counts is not None else None


def _totals(runs: Iterable[Run]) -> tuple[str, ...]:
    counted = [figures for run in runs if (figures := _figures(run)) is not None]
    sums = [sum(column) for column in zip(*counted, strict=True)] or (None,) * 4
    return ("total", *map(number, sums), "", "", "", "", "")


def show_changes(run: Run) -> None:
    """Print what changed since the last confirmed usage, as counts: no person is named."""
    changes = run.changes
    if changes is None:
        terminal.say(f"{run.instance}: no previously confirmed usage to compare with")
        return
    parts = (
        (changes.added, "added"),
        (changes.removed, "removed"),
        (changes.address_changed, "with a changed address"),
        (changes.suspended, "suspended"),
        (changes.unsuspended, "unsuspended"),
    )
    said = ", ".join(f"{number(count)} {words}" for count, words in parts if count)
    terminal.say(f"{run.instance}: since the last confirmed usage: {said or 'no changes'}")
