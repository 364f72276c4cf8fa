"""Dispatch a command. The only place where an error becomes a message and an exit code."""

import argparse
import signal
from collections.abc import Callable, Sequence

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.parser import parse
from licsync_daemon.model.errors import (
    ConfigError,
    InputError,
    LockedError,
    StateDamagedError,
    StateError,
    StateNewerError,
    StateUnwritableError,
)
from licsync_daemon.system.process import Stopped
from licsync_daemon.system.streams import failed_output

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    code = _main(argv)
    failure = failed_output()
    if failure is not None:  # `licsync-daemon check --json > file`
        terminal.complain(f"licsync-daemon: cannot write the output: {failure}")
    return code if failure is None else code or Exit.INTERNAL


def _main(argv: Sequence[str]) -> int:
    try:
        arguments = parse(argv)
    except SystemExit as error:  # argparse has printed its usage or its help
        return int(error.code or 0)
    try:
        command = _command(arguments)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # everything is loaded: from now on, Ctrl-C cleans up
        return command(arguments)
    except ConfigError as error:
        return _config_problems(error, as_json=getattr(arguments, "json", False))
    except InputError as error:
        return _failure(str(error), Exit.USAGE)
    except StateNewerError as error:
        return _failure(str(error), Exit.USAGE)
    except LockedError as error:
        return _failure(str(error), Exit.LOCKED)
    except StateDamagedError as error:
        return _failure(str(error), Exit.INTERNAL)
    except StateUnwritableError as error:
        return _failure(f"{error}; {error.next_step}", Exit.INTERNAL)
    except StateError as error:
        return _failure(str(error), Exit.INTERNAL)
    except Stopped as error:
        terminal.complain(f"licsync-daemon: stopped by {error}")
        return error.exit_code


def _command(arguments: argparse.Namespace) -> Command:
    """Return the function for a command; its modules are loaded only then."""
    match arguments.command:
        case None if arguments.run_now is not None:
            from licsync_daemon.cli.now import run_now

            return run_now
        case None:
            from licsync_daemon.cli.serve import serve

            return serve
        case "status" if arguments.alive:
            from licsync_daemon.cli.alive import alive

            return alive
        case "status" if arguments.check:
            from licsync_daemon.cli.monitor import monitor

            return monitor
        case "status":
            from licsync_daemon.cli.status import status

            return status
        case "history":
            from licsync_daemon.cli.history import history

            return history
        case "outbox":
            from licsync_daemon.cli.outbox import outbox

            return outbox
        case "report":
            from licsync_daemon.cli.report.command import report

            return report
        case "notify":
            from licsync_daemon.cli.notify import notify

            return notify
        case "payload":
            from licsync_daemon.cli.now import payload

            return payload
        case "approve" | "reject" | "acknowledge" | "pause" | "resume":
            from licsync_daemon.cli.decide import decide

            return decide
        case "config":
            from licsync_daemon.cli.configuration import config

            return config
        case "state":
            from licsync_daemon.cli.state import state

            return state
        case "check":
            from licsync_daemon.cli.check import check

            return check
        case "demo":
            from licsync_daemon.practice.demo import demo

            return demo
        case "completion":
            from licsync_daemon.cli.completion import completion

            return completion
        case _:
            from licsync_daemon.practice.demo import sandbox

            return sandbox


def _config_problems(error: ConfigError, *, as_json: bool) -> int:
    if as_json:
        from licsync_daemon.monitoring.status_json import problem_json

        terminal.print_json({"error": "configuration", "problems": [problem_json(one) for one in error.problems]})
        return Exit.USAGE
    count = len(error.problems)
    terminal.complain(f"licsync-daemon: {error.headline} ({count} problem{'s' if count != 1 else ''})")
    for problem in error.problems:
        terminal.complain(f"  {problem}")
    return Exit.USAGE


def _failure(text: str, code: Exit) -> int:
    terminal.complain(f"licsync-daemon: {text}")
    return code
