"""`status --check`: one line and an exit code for a monitor."""

import argparse
from collections.abc import Sequence
from enum import IntEnum

from licsync_daemon.cli import terminal
from licsync_daemon.cli.status import read_fleet
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import ConfigError
from licsync_daemon.monitoring.status import FleetView
from licsync_daemon.monitoring.troubles import troubles

NAMED = 5  # problems in the line


class Verdict(IntEnum):
    """Exit codes as Nagios and its successors define them for plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def monitor(arguments: argparse.Namespace) -> int:
    """Print one line about the whole fleet; return 0 if all is well, 1 for a warning, 2 if critical, 3 if nothing can be read."""
    try:
        verdict, text = judge(read_fleet(arguments))
    except ConfigError as error:
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        verdict, text = Verdict.UNKNOWN, f"{error.headline}: {error.problems[0]}{more}"
    except Exception as error:  # noqa: BLE001 - a monitor knows only its own codes
        verdict, text = Verdict.UNKNOWN, str(error) or type(error).__name__
    print(f"{verdict.name}: {' '.join(terminal.typed(text).split())}")
    return verdict


def judge(view: FleetView) -> tuple[Verdict, str]:
    """Return what a monitor should show, and the reason in one line. No running daemon is critical."""
    found = troubles(view)
    critical = [one.in_short for one in found if one.severity is Severity.ALERT]
    if not view.daemon.alive:
        critical.insert(0, "no daemon is running")
    warnings = [one.in_short for one in found if one.severity is not Severity.ALERT]
    if critical:
        return Verdict.CRITICAL, _listed([*critical, *warnings])
    if warnings:
        return Verdict.WARNING, _listed(warnings)
    active = sum(one.instance.is_active for one in view.instances)
    return Verdict.OK, f"{active} instance{'s' if active != 1 else ''}, no problems"


def _listed(problems: Sequence[str]) -> str:
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    return "; ".join(problems[:NAMED]) + more
