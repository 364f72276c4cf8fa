"""`status --alive`: the health check of a container, which runs every minute, so it loads next to nothing."""

import argparse

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import load_running
from licsync_daemon.monitoring.heartbeat import daemon_view
from licsync_daemon.system.clock import SystemClock


def alive(arguments: argparse.Namespace) -> int:
    """Return 0 if the daemon's heartbeat is recent, else 1."""
    is_alive = daemon_view(load_running(arguments)[0].state_dir, SystemClock().now()).alive
    terminal.say("alive" if is_alive else "not running: no daemon has a recent heartbeat in this state directory")
    return Exit.OK if is_alive else Exit.INTERNAL
