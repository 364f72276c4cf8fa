"""`state copy`: move a fleet from the state file to PostgreSQL, or back."""

import argparse
import os

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load
from licsync_daemon.model.instance import POSTGRESQL
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.state.moving import move
from licsync_daemon.system.clock import SystemClock


def state(arguments: argparse.Namespace) -> int:
    """Copy the state, and print how many rows of each table were copied and compared."""
    config = load(arguments)
    moved = move(config, credentials_of(config, os.environ), SystemClock(), to=arguments.to)
    terminal.print_table(("table", "rows"), [(table, terminal.number(count)) for table, count in moved.rows.items() if count])
    terminal.say(f"{terminal.number(sum(moved.rows.values()))} rows were copied, counted, and compared one by one.")
    if moved.without_digests:  # another key would report every account as changed
        terminal.say(
            "The digests of accounts were left out: their key belongs to this host. The next run of each instance compares nothing."
        )
    terminal.say(f"The original is kept and marked as no longer in use: {moved.original}")
    if arguments.to == POSTGRESQL:
        terminal.say("next step: set `state` on every host as it is here, and start the daemons", hang=2)
    else:
        terminal.say("next step: remove `state` from the configuration, and start one daemon, on this host", hang=2)
    return Exit.OK
