"""The arguments of the command line. `--help` is the first documentation that people read, so it teaches."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from licsync_daemon import __version__
from licsync_daemon.cli.layout import wrapped
from licsync_daemon.cli.misplaced import misplaced
from licsync_daemon.cli.report.arguments import add_report
from licsync_daemon.cli.terminal import complain

DEFAULT_CONFIG = "/etc/licsync/config.toml"
INVENTED = {"instances": None, "people": 2000, "seed": 1}  # the fleet that `demo` and `sandbox` generate
SCENARIOS = ("shrink", "rebuilt", "clone", "outage")  # the stories that `demo` plays; named here so that parsing loads no practice fleet
WORDS = ("instances", "runs")  # what the completion scripts ask this program for
HELP_WIDTH = 78
MOST = 10_000_000  # instances, people or runs; more is a typing error
DESCRIPTION = """\
Syncs the license usage of your GitHub Enterprise Server instances to one
GitHub Enterprise Cloud account and confirms every sync by reading it back.
Without a command, it runs as the daemon in the foreground."""
EPILOG = """\
exit codes:
  0    confirmed, or nothing to do
  1    internal error
  2    invalid usage or configuration
  3    some instances failed
  4    all instances failed
  5    held by a guard: a person has to approve or reject the run
  6    delivered, or waiting for a person; not confirmed yet
  11   locked by another process
  130  interrupted by Ctrl-C; 143 by SIGTERM

examples:
  licsync-daemon demo                      try a practice fleet; no setup needed
  licsync-daemon config init -o FILE      write a commented sample
  licsync-daemon check                     test everything that a sync needs
  licsync-daemon --run-now emea --dry-run  show what would be sent
  licsync-daemon --run-now                 sync now; wait for the confirmation
  licsync-daemon status                    last sync and next run, with reasons
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps between words only: argparse would also break `--run-now` at its hyphens."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(" ".join(text.split()), width)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the usage and the mistake, wrapped between words and with the word that was probably meant, and exit."""
        self.print_usage(sys.stderr)
        wrong = re.search(r"invalid choice: '(\S+)' \(choose from (.+)\)$", message)
        if wrong is not None:
            from licsync_daemon.settings.mistakes import did_you_mean

            hint = did_you_mean(wrong[1], re.findall(r"[\w-]+", wrong[2]))
            message += f"; {hint}" if hint else ""
        complain(f"{self.prog}: error: {message}")
        self.exit(2)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. Instances may follow any option of `--run-now`; argparse alone would read such a name as a command."""
    parser = build_parser()
    for number, word in enumerate([*argv, os.environ.get("LICSYNC_CONFIG", "")], start=1):
        if not _is_text(word):  # no file of ours can store it
            name = f"argument {number}" if number <= len(argv) else "LICSYNC_CONFIG"
            parser.error(f"{name} is not valid UTF-8 text: {word!a}")
    if "--run-now" in argv:
        here = list(argv).index("--run-now") + 1
        arguments = parser.parse_args(argv[:here])
        names = _Parser(prog=f"{parser.prog} --run-now")
        names.add_argument("names", nargs="*", metavar="INSTANCE", help="instances to sync (default: all enabled ones)")
        _add_config(names)
        _add_run_now(names)
        arguments = names.parse_intermixed_args(argv[here:], arguments)
        arguments.run_now = arguments.names
    else:
        arguments = parser.parse_args(argv)
    mistake = misplaced(arguments, INVENTED)
    if mistake is not None:
        parser.error(mistake)
    return arguments


def _is_text(word: str) -> bool:
    """Say whether an argument had only bytes that decode; Python passes on others as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in word)


def default_config() -> Path:
    """Return the configuration of a command that names none."""
    return Path(os.environ.get("LICSYNC_CONFIG", DEFAULT_CONFIG))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = _Parser(prog="licsync-daemon", description=DESCRIPTION, epilog=EPILOG, formatter_class=_Help)
    parser.add_argument("--version", action="version", version=f"licsync-daemon {__version__}")
    _add_config(parser, default=default_config())
    now = parser.add_argument_group("run now")
    named = now.add_argument("--run-now", nargs="*", metavar="INSTANCE", help="sync all enabled instances now, or only those named")
    _completed(named, "instances")
    _add_run_now(now)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_status(commands)
    add_report(_add(commands, "report", "who is counted twice, from downloaded reports; needs no configuration"))
    _add_decisions(commands)
    _add_settings(commands)
    _add_notify(commands)
    _add_practice(commands)
    _add_completion(commands)
    return parser


def _add(commands: "argparse._SubParsersAction[_Parser]", name: str, words: str) -> argparse.ArgumentParser:
    description = "\n".join(wrapped(f"{words[0].upper()}{words[1:]}.", HELP_WIDTH))
    return commands.add_parser(name, help=words, description=description, formatter_class=_Help)


def _add_run_now(now: "argparse._ActionsContainer") -> None:
    now.add_argument(
        "--dry-run", action="store_true", help="with --run-now: collect and check usage and show what would be sent; send nothing"
    )
    now.add_argument(
        "--wait", type=_duration, metavar="TIME",
        help="with --run-now: how long to wait for the cloud to confirm (default 2m), or with GitHub Connect for a newer sync (default 0)",
    )  # fmt: skip
    now.add_argument("--wait-lock", action="store_true", help="with --run-now: wait up to an hour for instances locked by another process")
    now.add_argument("--json", action="store_true", help="with --run-now: print the result as JSON")


def _add_status(commands: "argparse._SubParsersAction[_Parser]") -> None:
    status = _add(commands, "status", "last sync and next run of every instance, with the reason")
    _add_config(status)
    _add_json(status)
    short = status.add_mutually_exclusive_group()
    short.add_argument("--alive", action="store_true", help="only report whether the daemon is running (exit code 0 or 1)")
    short.add_argument(
        "--check", action="store_true", help="for a monitor: one line, exit code 0 fine, 1 warning, 2 critical, 3 unreadable"
    )

    history = _add(commands, "history", "recorded runs and decisions, newest first")
    only = history.add_argument("instance", nargs="?", metavar="INSTANCE", help="show only this instance, with details of its newest run")
    _completed(only, "instances")
    history.add_argument("--limit", type=_positive, default=20, metavar="N", help="how many runs and decisions to show (default 20)")
    history.add_argument("--since", metavar="DATE", help='every run since a date ("2026-01-01") or for a time ("90d"), for an audit')
    history.add_argument("--format", choices=["csv", "json"], help="with --since: a row per instance, week and run, with the four times")
    _add_config(history)
    _add_json(history)

    outbox = _add(commands, "outbox", "usage that waits for a person to upload it, and since when")
    _add_config(outbox)
    _add_json(outbox)

    payload = _add(commands, "payload", "print exactly what would be sent for an instance; send nothing")
    _completed(payload.add_argument("instance", metavar="INSTANCE", help="name of the instance"), "instances")
    payload.add_argument("--diff", action="store_true", help="print the changes since the last confirmed usage instead, as counts")
    _add_config(payload)


def _add_decisions(commands: "argparse._SubParsersAction[_Parser]") -> None:
    for name, words in (
        ("approve", "release a held run: valid once, for 7 days, and only for the figures shown"),
        ("reject", "discard a held run; the next scheduled run collects usage again"),
        ("acknowledge", "mark the warnings or the failure of a run as seen"),
    ):
        about_run = _add(commands, name, words)
        _completed(about_run.add_argument("run", metavar="RUN", help="run ID, from status or history"), "runs")
        _add_reason(about_run)
    pause = _add(commands, "pause", "suspend scheduled runs of an instance until a given time")
    _completed(pause.add_argument("instance", metavar="INSTANCE", help="name of the instance"), "instances")
    pause.add_argument("--until", required=True, metavar="TIME", help='"3d", or "2026-12-24 18:00" in the schedule\'s time zone')
    _add_reason(pause)
    resume = _add(commands, "resume", "end a pause")
    _completed(resume.add_argument("instance", metavar="INSTANCE", help="name of the instance"), "instances")
    _add_reason(resume, required=False)


def _add_reason(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--reason", required=required, default="", metavar="TEXT", help="why; recorded in the history")
    parser.add_argument("--ticket", metavar="ID", help="ticket number, recorded with the decision")
    _add_config(parser)


def _add_settings(commands: "argparse._SubParsersAction[_Parser]") -> None:
    config = _add(commands, "config", "sample configuration, effective settings, or JSON Schema")
    config.add_argument(
        "what", choices=["init", "show", "schema"],
        help="init: a commented sample; show: effective settings and their origin; schema: JSON Schema for editors",
    )  # fmt: skip
    config.add_argument("--from-cloud", action="store_true", help="with init: write a table for each server that the cloud lists")
    config.add_argument(
        "--token-file", metavar="FILE",
        help="with --from-cloud: read the token from a file, or with - from standard input (default: the credential, else a prompt)",
    )  # fmt: skip
    config.add_argument("-o", "--output", type=Path, metavar="FILE", help="with init: write a new file; an existing one is not replaced")
    config.add_argument("--enterprise", metavar="NAME", help="with --from-cloud: the cloud enterprise, if none is configured yet")
    api = "with --enterprise: API address, for GHE.com https://api.SUBDOMAIN.ghe.com (default https://api.github.com)"
    config.add_argument("--api-url", metavar="URL", help=api)
    _add_config(config)
    _add_json(config)

    check = _add(commands, "check", "test everything a sync needs: configuration, credentials, network, tokens, versions")
    check.add_argument("--all", action="store_true", help="print every test, not only a line for each place and what needs attention")
    check.add_argument("--offline", action="store_true", help="do not contact any server")
    _add_config(check)
    _add_json(check)

    state = _add(commands, "state", "copy what is recorded from the state file to PostgreSQL, or back")
    state.add_argument("what", choices=["copy"], help="copy: every row, compared afterwards; the original is kept and marked")
    state.add_argument("--to", choices=["postgresql", "sqlite"], required=True, help="where to; while no daemon runs")
    _add_config(state)


def _add_notify(commands: "argparse._SubParsersAction[_Parser]") -> None:
    notify = _add(commands, "notify", "test the notification channels")
    notify.add_argument("--test", action="store_true", required=True, help="send a test message over every configured channel")
    _add_config(notify)


def _add_completion(commands: "argparse._SubParsersAction[_Parser]") -> None:
    completion = _add(commands, "completion", "print a shell completion script")
    completion.add_argument(
        "shell",
        choices=["bash", "zsh", *WORDS],
        metavar="{bash,zsh}",
        help="bash: for /etc/bash_completion.d/; zsh: for a directory in $fpath",
    )
    _add_config(completion)


def _add_practice(commands: "argparse._SubParsersAction[_Parser]") -> None:
    for name, words in (
        ("demo", "sync a practice fleet on loopback twice and show the result"),
        ("sandbox", "serve a practice fleet on loopback until Ctrl-C"),
    ):
        practice = _add(commands, name, words)
        practice.add_argument("--fleet", type=Path, metavar="DIR", help="directory with your own reports, instead of generated people")
        practice.add_argument("--instances", type=_positive, metavar="N", help="number of instances to generate (default 4)")
        practice.add_argument("--people", type=_positive, metavar="N", help="number of people to generate (default 2000)")
        practice.add_argument("--seed", type=int, metavar="N", help="random seed for generated people (default 1)")
        practice.set_defaults(**INVENTED)
        if name == "sandbox":
            practice.add_argument("--write-config", type=Path, metavar="DIR", help="write a matching config.toml and credentials into DIR")
            practice.add_argument(
                "--quirks", default="all", metavar="all|off|NAMES", help="deviations from the published schema to simulate"
            )
        else:
            practice.add_argument(
                "--delivery", choices=["http", "connect", "manual"], default="http",
                help="http: sync every instance (default); connect: monitor six instances that GitHub Connect syncs, some with problems; "
                "manual: exports that a person uploads",
            )  # fmt: skip
            practice.add_argument(
                "--scenario", choices=SCENARIOS, metavar="NAME",
                help=f"play a scenario instead, in simulated time: {', '.join(SCENARIOS)}",
            )  # fmt: skip
            _add_json(practice)


def _completed(argument: argparse.Action, words: str) -> None:
    """Let the completion scripts offer names that only the configuration or the state knows."""
    vars(argument)["complete"] = dict.fromkeys(("bash", "zsh"), f"_licsync_{words}")  # shtab reads it


def _add_config(parser: argparse.ArgumentParser, default: Path | str = argparse.SUPPRESS) -> None:
    """Accept `--config` before and after the command; only the outer one has a default, so that the inner does not undo it."""
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help=f"configuration file (default {DEFAULT_CONFIG})")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print only JSON")


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:10]) <= MOST or len(text) > 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST:,}")
    return int(text)


def _duration(text: str) -> timedelta:
    from licsync_daemon.settings.values import parse_duration

    try:
        return timedelta(0) if text in {"0", "0s"} else parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
