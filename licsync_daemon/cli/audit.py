"""`history --since DATE`: every instance, week and run with its four times, for an audit. A week without a run has a row too."""

import csv
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from licsync_daemon.cli import terminal
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.run import Run
from licsync_daemon.model.store import StateReader
from licsync_daemon.model.text import iso
from licsync_daemon.settings.values import parse_duration

WEEK = timedelta(days=7)
COLUMNS = (
    "instance", "week", "run_id", "state", "code", "reason", "slot", "started_at",
    "collected_at", "delivered_at", "confirmed_at", "last_sync", "sent", "content_hash",
)  # fmt: skip
Row = Mapping[str, object]


def since(text: str, now: datetime) -> datetime:
    """Return the beginning of a date in UTC, or the moment a duration ago.

    Raises:
        ConfigError: It is neither, or lies in the future.
    """
    try:
        found = now - parse_duration(text)
    except (ValueError, OverflowError):
        try:
            found = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        except ValueError:
            raise _refused(f'"{text}" is not a date') from None
    if found > now:
        raise _refused(f"{text} lies in the future")
    return found


def _refused(what: str) -> ConfigError:
    return ConfigError((Problem("--since", what, 'examples: "2026-01-01", "90d"'),), "invalid argument")


def rows(
    store: StateReader | None, names: Sequence[str], *, complete: Collection[str], start: datetime, now: datetime, most: int
) -> Iterator[Row]:
    """Yield a row for each run since `start`, oldest first, one instance after the other.

    Args:
        store: The state; None if nothing is recorded.
        names: The instances.
        complete: Those of them for which a week without a run has a row too, with nothing but the instance and the week.
        start: The beginning.
        now: The time.
        most: How many runs of an instance are read.
    """
    for name in names:
        runs = [run for run in reversed(store.runs(name, limit=most)) if _at(run) >= start] if store is not None else []
        by_week: dict[str, list[Run]] = {week: [] for week in _weeks(start, now)} if name in complete else {}
        for run in runs:
            by_week.setdefault(_week(_at(run)), []).append(run)
        for week in sorted(by_week):
            yield from [_row(name, week, run) for run in by_week[week]] or [{**dict.fromkeys(COLUMNS), "instance": name, "week": week}]


def _at(run: Run) -> datetime:
    return run.slot or run.started_at


def _weeks(start: datetime, now: datetime) -> Iterator[str]:
    at = start - timedelta(days=start.weekday())
    while at.date() <= now.date():
        yield _week(at)
        at += WEEK


def _week(at: datetime) -> str:
    """Return an ISO week, for example 2026-W48."""
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02}"


def _row(name: str, week: str, run: Run) -> Row:
    return {
        "instance": name,
        "week": week,
        "run_id": run.run_id,
        "state": run.state,
        "code": run.code,
        "reason": run.reason,
        "slot": iso(run.slot),
        "started_at": iso(run.started_at),
        "collected_at": iso(run.collected_at),
        "delivered_at": iso(run.sent_at),
        "confirmed_at": iso(run.confirmed_at),
        "last_sync": iso(run.last_sync),
        "sent": run.counted.sent if run.counted is not None else None,
        "content_hash": run.content_hash,
    }


def print_rows(found: Iterator[Row], kind: str) -> None:
    """Print rows as CSV with a header, or as one JSON value."""
    if kind == "json":
        terminal.print_json({"weeks": list(found)})
        return
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
