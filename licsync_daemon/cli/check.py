"""`check`: test everything a sync needs, and show it in one table."""

import argparse
import os
from collections.abc import Sequence

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import read_config
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, worst
from licsync_daemon.monitoring.preflight.run import preflight
from licsync_daemon.system import log
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.process import run_until_signal


def check(arguments: argparse.Namespace) -> int:
    """Test the configuration, the credentials, this machine and, unless `--offline`, every server; return 2 if a test fails."""
    loaded = read_config(arguments.config)
    log.set_up("critical")  # everything is in the table
    found: list[CheckRow] = []

    async def test() -> int:
        with terminal.counting("places tested") as report:
            rows = await preflight(
                loaded.config, os.environ, SystemClock(), warnings=loaded.warnings, offline=arguments.offline, report=report
            )
        found.extend(rows)
        return Exit.OK

    run_until_signal(test())
    if getattr(arguments, "json", False):
        terminal.print_json({"ok": worst(found) is not Outcome.FAIL, "tests": [row.as_json() for row in found]})
    else:
        show(found, every=arguments.all)
    return Exit.USAGE if worst(found) is Outcome.FAIL else Exit.OK


def show(rows: Sequence[CheckRow], *, every: bool = False) -> None:
    """Print a line for each place, or with `every` for each test; then what needs attention, and the number of each result."""
    if every:
        terminal.print_table(("place", "test", "result", "details"), [(row.place, row.test, row.outcome, row.seen) for row in rows])
    else:
        places = {row.place: [one for one in rows if one.place == row.place] for row in rows}
        terminal.print_table(("place", "result", "tests"), [(name, worst(found), _counted(found)) for name, found in places.items()])
    for row in sorted(rows, key=lambda row: row.outcome is not Outcome.FAIL):
        if row.outcome is not Outcome.OK:
            code = f"{row.code}: " if row.code is not None else ""
            style = terminal.STATE_STYLE[row.outcome]
            terminal.say()
            terminal.about(row.outcome, f"{row.place}, {row.test}: {code}{row.seen}", style=style)
            terminal.more(row.outcome, f"next step: {row.fix}")
    terminal.say()
    if not every:
        terminal.say("every test: $licsync check --all", hang=2)
    terminal.say(_counted(rows, zeros=True))


def _counted(rows: Sequence[CheckRow], *, zeros: bool = False) -> str:
    """Return how many tests had which result; without `zeros` only those that any had."""
    counts = {outcome: sum(row.outcome is outcome for row in rows) for outcome in Outcome}
    warnings = counts[Outcome.WARN]
    parts = (
        (counts[Outcome.OK], f"{counts[Outcome.OK]} ok"),
        (warnings, f"{warnings} warning{'s' if warnings != 1 else ''}"),
        (counts[Outcome.FAIL], f"{counts[Outcome.FAIL]} failed"),
    )
    return ", ".join(words for count, words in parts if count or zeros)
