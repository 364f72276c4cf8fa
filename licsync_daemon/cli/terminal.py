"""Output for people: tables and progress in color on a terminal, plain aligned lines in a pipe. The only module that imports rich."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from licsync_daemon.cli.layout import Fit, fit, paragraphs, wrapped
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.model.text import PLAIN, Invocation, command, commands

STATE_STYLE = {
    "confirmed": "green",
    "delivered": "yellow",
    "running": "cyan",
    "failed": "bold red",
    "interrupted": "yellow",
    "late": "yellow",
    "overdue": "bold red",
    "warning": "yellow",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
}


_invocation = PLAIN


def type_commands_as(invocation: Invocation) -> None:
    """Print the commands in messages as `invocation` says, from now on."""
    global _invocation  # noqa: PLW0603 - holds for the whole process, as stdout does
    _invocation = invocation


def typed(text: str) -> str:
    """Return a message with its commands as a person types them."""
    return command(text, _invocation)


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str = "", style: str = "", hang: int = 0) -> None:
    """Print a line; on a terminal in color, wrapped between words and indented by `hang` from the second line on."""
    text = command(text, _invocation)
    if not (text and is_terminal()):
        print(text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(width=_columns())
    for paragraph in text.splitlines():
        for line in wrapped(paragraph, console.width, hang):
            console.print(Text(line, style=style), soft_wrap=True)  # a path longer than the terminal is for the terminal to break


def _columns() -> int:
    """Return the width of the terminal; 80 if it does not know, which some report as 0."""
    return max(1, shutil.get_terminal_size().columns)


def about(name: str, text: str, style: str = "") -> None:
    """Print a line about an instance; on a terminal, further lines align with its text."""
    say(f"{name}: {text}", style=style, hang=len(name) + 2)


def more(name: str, text: str) -> None:
    """Print another line about an instance, aligned with the text of `about`."""
    say(f"{' ' * (len(name) + 2)}{text}", hang=len(name) + 2)


def complain(text: str) -> None:
    """Print a line about a failure, to stderr; on a terminal wrapped between words."""
    text = command(text, _invocation)
    hang = len(text) - len(text.lstrip()) + 2
    lines = wrapped(text, shutil.get_terminal_size().columns, hang) if sys.stderr.isatty() else [text]
    print(*lines, sep="\n", file=sys.stderr)


def print_json(value: Any) -> None:
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"  # elsewhere, JSON's own escapes
    print(json.dumps(commands(value, _invocation), ensure_ascii=not is_unicode, indent=2))


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, totals: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> None:
    """Print rows under headers; numbers are aligned to the right, states are in color, and `totals` follow at the end.

    On a terminal, cells wrap between words as needed; then `optional` columns are left out. If the table still does not fit, each row is
    printed as a paragraph.
    """
    rows = [[" ".join(command(cell, _invocation).splitlines()) for cell in row] for row in rows]
    everything = [headers, *rows, *([totals] if totals else [])]
    numeric = [all(_is_number(row[column]) for row in rows) for column in range(len(headers))]
    if not is_terminal():
        _plain_table(everything, numeric)
        return
    width = _columns()
    fitted = fit(everything, width, optional)
    if fitted is None:
        print(*paragraphs(headers, everything[1:], width), sep="\n")
        return
    _rich_table(everything, numeric, fitted, has_totals=totals is not None)
    left_out = [header for column, header in enumerate(headers) if column not in fitted.columns]
    if left_out:
        say(f"not shown at {width} columns: {', '.join(left_out)}", style="dim")


def _plain_table(rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric, strict=True)]
        print("  ".join(cells).rstrip())


def _rich_table(rows: Sequence[Sequence[str]], numeric: Sequence[bool], fitted: Fit, *, has_totals: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, header_style="bold", show_footer=has_totals, pad_edge=False, collapse_padding=True)
    for column, width in zip(fitted.columns, fitted.widths, strict=True):
        table.add_column(
            rows[0][column],
            footer=Text(rows[-1][column], style="bold") if has_totals else "",
            justify="right" if numeric[column] else "left",
            width=width,
            overflow="fold",
        )
    for row in rows[1:-1] if has_totals else rows[1:]:
        cells = [row[column] for column in fitted.columns]
        table.add_row(*(Text(cell, style=STATE_STYLE.get(cell.rpartition(", ")[2], "")) for cell in cells))
    Console(width=_columns()).print(table)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdigit() or cell == "-"


@contextmanager
def progress(names: Sequence[str]) -> "Iterator[Progress]":
    """Show a line for each instance while it runs, on a terminal only: elsewhere the log on stderr reports it."""
    if not (sys.stderr.isatty() and names):
        yield Progress(None, {})
        return
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="•"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(bar, {name: bar.add_task(name, total=1, phase="queued") for name in names})


@contextmanager
def counting(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many of something are done; yield the function that updates it."""
    if not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


class Progress:
    """Observes every change of a run."""

    def __init__(self, bar: Any, tasks: dict[str, Any]) -> None:
        self._bar = bar
        self._tasks = tasks

    def __call__(self, run: Run) -> None:
        if self._bar is None or run.instance not in self._tasks:
            return
        done = run.state not in {RunState.RUNNING, RunState.DELIVERED}
        phase = run.state if done else run.phase
        if run.waiting_until is not None:
            phase = f"{run.phase}: waiting until {run.waiting_until:%H:%M:%S} UTC ({run.waiting_for})"
        self._bar.update(self._tasks[run.instance], phase=phase, completed=int(done))


def number(value: int | None) -> str:
    return f"{value:,}" if value is not None else "-"


def moment(value: datetime | None, now: datetime) -> str:
    """Format an instant in UTC: only the time if it is today, else with the date."""
    if value is None:
        return "-"
    return f"{value:%H:%M:%S}" if value.date() == now.date() else f"{value:%Y-%m-%d %H:%M}"


def span(value: timedelta | None) -> str:
    """Format a duration in its two largest units: "3d 4h", "12m 5s"."""
    if value is None:
        return "-"
    seconds = max(0, int(value.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count or unit == parts[0][1])
