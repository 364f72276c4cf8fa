"""Options that would be ignored where they were typed, which leaves a wish unheard, or starts the daemon. Pure."""

import argparse
from collections.abc import Mapping

NAMES_PEOPLE = frozenset({"duplicates", "fixes"})  # tables of `report`
PRINTS_JSON = frozenset({"status", "history", "outbox", "config", "check", "demo"})


def misplaced(arguments: argparse.Namespace, invented: Mapping[str, object]) -> str | None:
    """Return what is wrong with a parsed command line; None if every option applies. `invented` are the defaults of a practice fleet."""
    return _of_run_now(arguments) or _of_json(arguments) or _of_a_command(arguments, invented)


def _of_run_now(arguments: argparse.Namespace) -> str | None:
    if arguments.run_now is not None:
        return "--run-now cannot be combined with a command" if arguments.command is not None else None
    options = (("--dry-run", arguments.dry_run), ("--wait", arguments.wait is not None), ("--wait-lock", arguments.wait_lock))
    return next((f"{name} requires --run-now" for name, given in options if given), None)


def _of_json(arguments: argparse.Namespace) -> str | None:
    if not arguments.json or arguments.run_now is not None:
        return None
    if arguments.command is None:
        return "--json requires --run-now or a command"
    is_text = arguments.command == "config" and arguments.what == "init"
    if arguments.command not in PRINTS_JSON or is_text:
        return f"{'config init' if is_text else arguments.command} does not print JSON: leave out --json"
    if arguments.command == "status" and (arguments.alive or arguments.check):
        return "--json cannot be combined with --alive or --check, which print one line"
    return None


def _of_a_command(arguments: argparse.Namespace, invented: Mapping[str, object]) -> str | None:
    if arguments.command == "history" and arguments.format is not None and (arguments.since is None or arguments.json):
        return "--format requires --since, and cannot be combined with --json"
    if arguments.command == "report" and arguments.section in NAMES_PEOPLE and not arguments.people:
        return f"--section {arguments.section} names people: add --people"
    if getattr(arguments, "scenario", None) is not None and _chooses_a_fleet(arguments, invented):
        return "--scenario uses its own fleet and cannot be combined with --fleet, --instances, --people or --seed"
    return None


def _chooses_a_fleet(arguments: argparse.Namespace, invented: Mapping[str, object]) -> bool:
    return arguments.fleet is not None or any(getattr(arguments, name) != usual for name, usual in invented.items())
