"""`report`: read the files, forecast the seats, find likely duplicates, and print or write the result. Nothing else is read or kept."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.report.content import Cell, Report, Section, Source, headline
from licsync_daemon.cli.report.formats import as_csv, as_json, as_markdown
from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.duplicates import find_duplicates, group
from licsync_daemon.insight.forecast import forecast
from licsync_daemon.model.decode import moment_of
from licsync_daemon.model.errors import InputError
from licsync_daemon.sources.downloads.found import find
from licsync_daemon.system.files import write_whole

FIRST = ("causes", "seats", "difference", "instances", "sources")  # the tables after the first screen
SHOWN = 20  # rows of a table on a terminal
NEXT = {
    "people": "who they are, and what to ask of whom: add --people (names of people; see docs/reports.md)",
    "page": "as a page to look at and to print: add --format html -o report.html",
}


def report(arguments: argparse.Namespace) -> int:
    """Print a report on downloaded files.

    Raises:
        InputError: A file cannot be used, or the output cannot be written; nothing was printed.
    """
    made = make(arguments.paths, arguments.server, people=arguments.people, price=arguments.price)
    sections = _chosen(made, arguments)
    if arguments.output is None and arguments.format == "table":
        _show(made, sections, is_whole=bool(arguments.section))
        return Exit.OK
    text = _text(made, sections, arguments.format)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        _write(arguments.output, text, [one.path for one in made.sources])
    return Exit.OK


def make(paths: Sequence[Path], servers: Sequence[tuple[str, Path]] = (), *, people: bool = False, price: float | None = None) -> Report:
    """Read the files and return what they say."""
    found = find(paths, servers)
    known = found.people if found.people is not None else ()
    cloud = Cloud(known, instances=found.instances)
    if found.people is not None and not cloud.logins:
        raise InputError(found.files[0][0], "the report has no rows", "download the report again")
    seats = forecast(cloud, found.every_account(), found.stated)
    duplicates = find_duplicates(cloud, known, found.every_account())
    return Report(
        at=datetime.now(UTC),
        sources=tuple(Source(path=path, what=what, changed_at=moment_of(round(at * 1e9))) for path, what, at in found.files),
        ignored=tuple(found.ignored),
        forecast=seats,
        duplicates=duplicates,
        groups=group(duplicates.suggestions, price),
        people=people,
        price=price,
        has_cloud=found.people is not None,
    )


def show_first(made: Report) -> None:
    """Print how many seats could be saved, and by which changes."""
    for number, line in enumerate(headline(made)):
        terminal.say(line, style="bold" if number == 0 else "")
    for one in made.sections:
        if one.name == "causes" and one.rows:
            _show_table(one, one.rows)


def _chosen(made: Report, arguments: argparse.Namespace) -> Sequence[Section]:
    wanted = arguments.section
    if wanted is None and arguments.format == "csv":
        wanted = "duplicates" if arguments.people else "causes"
    if wanted is None:
        return [one for one in made.sections if one.rows]
    chosen = [one for one in made.sections if one.name == wanted]
    if not chosen:
        cause = f"there is no table `{wanted}` without a consumed-licenses report"
        raise InputError(made.sources[0].path, cause, "name that report as well")
    return chosen


def _text(made: Report, sections: Sequence[Section], form: str) -> str:
    match form:
        case "json":
            return as_json(made)
        case "csv":
            return "".join(as_csv(one) for one in sections)
        case "md":
            return as_markdown(made, sections)
        case "html":
            from licsync_daemon.cli.report.page import as_html

            return as_html(made, sections)
        case _:
            lines = [*headline(made), ""]
            for one in sections:
                lines += [
                    one.title,
                    *("\t".join("" if cell is None else str(cell) for cell in row) for row in (one.columns, *one.rows)),
                    "",
                ]
            return "\n".join(lines)


def _write(path: Path, text: str, inputs: Sequence[Path]) -> None:
    step = "name a file in a folder that you may write to"
    try:
        if os.path.lexists(path):
            if path.is_symlink() or not path.is_file():
                raise InputError(path, "cannot be written: not a regular file", step)
            if any(path.samefile(one) for one in inputs):
                raise InputError(path, "cannot be written: the report is made from this file", "name another file")
        write_whole(path, lambda file: file.write(text.encode()), part=path.with_name(f".{path.name}.part"), mode=0o600)
    except OSError as error:
        raise InputError(path, f"cannot be written: {error.strerror}", step) from error


def _show(made: Report, sections: Sequence[Section], *, is_whole: bool) -> None:
    for number, line in enumerate([] if is_whole else headline(made)):
        terminal.say(line, style="bold" if number == 0 else "")
    for one in sections:
        if not is_whole and one.name not in FIRST and not one.personal:
            continue
        terminal.say()
        terminal.say(one.title, style="bold")
        rows = one.rows if is_whole else one.rows[:SHOWN]
        _show_table(one, rows)
        if len(rows) < len(one.rows):
            terminal.say(f"{len(one.rows) - len(rows):,} more: --section {one.name}")
        if one.note:
            terminal.say(one.note, style="dim")
    if is_whole:
        return
    for path, reason in made.ignored:
        terminal.say(f"ignored: {path}: {reason}", hang=2)
    terminal.say()
    if not made.people and made.duplicates.suggestions:
        terminal.say(NEXT["people"], hang=2)
    terminal.say(NEXT["page"], hang=2)


def _show_table(section: Section, rows: Sequence[tuple[Cell, ...]]) -> None:
    cells = [["-" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    terminal.print_table(section.columns, cells)
