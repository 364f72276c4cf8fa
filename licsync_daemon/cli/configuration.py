"""`config init`, `config show`, `config schema`, `check`, and `completion`."""

import argparse
import os

from licsync_daemon.cli import terminal
from licsync_daemon.credentials import Credentials, expected_credentials
from licsync_daemon.errors import ConfigError, Problem
from licsync_daemon.outcome import Exit
from licsync_daemon.settings import describe_settings, example_text, load_config, settings_schema


def config(arguments: argparse.Namespace) -> int:
    """Print a sample, the effective settings with their origin, or the JSON schema for editors."""
    if arguments.what == "init":
        print(example_text(), end="")
        return Exit.OK
    if arguments.what == "schema":
        terminal.print_json(settings_schema())
        return Exit.OK
    loaded = load_config(arguments.config, os.environ)
    credentials = Credentials(loaded.config.credentials_dir, os.environ)
    rows = describe_settings(loaded.show, credentials.place)
    if getattr(arguments, "json", False):
        terminal.print_json([{"path": row.path, "value": row.value, "origin": row.origin} for row in rows])
    else:
        terminal.print_table(("setting", "value", "from"), [(row.path, row.value, row.origin) for row in rows])
    return Exit.OK


def check(arguments: argparse.Namespace) -> int:
    """Check the configuration and every credential it needs, without asking any server."""
    if not arguments.offline:
        raise ConfigError((Problem("check", "asking the servers is not built yet", "run: licsync-daemon check --offline"),))
    loaded = load_config(arguments.config, os.environ)
    credentials = Credentials(loaded.config.credentials_dir, os.environ)
    expected = expected_credentials(loaded.config)
    problems = credentials.problems(expected)
    warnings = (*loaded.warnings, *credentials.warnings(expected))
    if getattr(arguments, "json", False):
        as_rows = [
            {"result": result, "where": one.where, "what": one.what, "hint": one.hint}
            for result, found in (("fail", problems), ("warn", warnings))
            for one in found
        ]
        terminal.print_json({"ok": not problems, "findings": as_rows})
        return Exit.USAGE if problems else Exit.OK
    for problem in warnings:
        terminal.say(f"warn  {problem}")
    for problem in problems:
        terminal.say(f"fail  {problem}")
    if not problems:
        count = len(loaded.config.instances)
        terminal.say(f"ok    {arguments.config}: {count} instance{'s' if count != 1 else ''}, every credential in place")
    return Exit.USAGE if problems else Exit.OK


def completion(arguments: argparse.Namespace) -> int:
    """Print a completion script, made from the parser itself."""
    import shtab

    from licsync_daemon.cli.parser import build_parser

    print(shtab.complete(build_parser(), shell=arguments.shell), end="")
    return Exit.OK
