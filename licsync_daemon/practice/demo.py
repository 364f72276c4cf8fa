"""The commands `demo` and `sandbox`: sync, supervise or serve a practice fleet on loopback."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import invocation
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.practice.demo_connect import connect_demo
from licsync_daemon.practice.demo_manual import manual_demo
from licsync_daemon.practice.demo_sync import sync_demo
from licsync_daemon.practice.sandbox import Fleet, FleetError, Sandbox, generate_fleet, load_fleet
from licsync_daemon.practice.stories.events import Event
from licsync_daemon.practice.stories.playbill import perform
from licsync_daemon.practice.stories.show import show_event
from licsync_daemon.system import log
from licsync_daemon.system.process import run_until_signal


def sandbox(arguments: argparse.Namespace) -> int:
    """Serve a practice fleet until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    fleet = _fleet(arguments, 4)
    try:
        box = Sandbox(fleet, quirks=arguments.quirks)
    except ValueError as error:
        raise ConfigError((Problem("--quirks", str(error)),)) from error
    with box:
        if arguments.write_config is not None:
            _write_config(box, arguments)
        if arguments.write_config is not None:
            _say_what_to_type(arguments.write_config / "config.toml")
        else:
            terminal.complain("for a configuration that fits, add: --write-config practice. Ctrl-C ends the sandbox")
        # These tokens open nothing but this sandbox, and are invalid when it ends.
        sys.stdout.write(json.dumps(box.ready_line(), ensure_ascii=False) + "\n")
        sys.stdout.flush()
        stop.wait()
    return Exit.OK


def _say_what_to_type(config: Path) -> None:
    """Print on stderr what to type in another terminal; stdout has the ready line, which programs read."""
    terminal.type_commands_as(invocation(config))
    terminal.complain("the practice fleet is up; Ctrl-C ends it. In another terminal:")
    for words in ("--run-now", "status", "check"):
        terminal.complain(f"  $licsync {words}")


def _write_config(box: Sandbox, arguments: argparse.Namespace) -> None:
    try:
        box.write_config(arguments.write_config)
    except OSError as error:
        raise ConfigError((Problem("--write-config", f"{error.filename or arguments.write_config}: {error.strerror}"),)) from error


def demo(arguments: argparse.Namespace) -> int:
    """Sync a practice fleet twice, supervise one, or play a story."""
    as_json = getattr(arguments, "json", False)
    log.set_up("critical")
    if arguments.scenario is not None:
        return _story(arguments.scenario, as_json=as_json)
    if arguments.delivery == "connect":
        return run_until_signal(connect_demo(_fleet(arguments, 6), as_json=as_json))
    if arguments.delivery == "manual":
        return run_until_signal(manual_demo(_fleet(arguments, 3), as_json=as_json))
    return run_until_signal(sync_demo(_fleet(arguments, 4), as_json=as_json))


def _fleet(arguments: argparse.Namespace, instances: int) -> Fleet:
    try:
        return (
            load_fleet(arguments.fleet)
            if arguments.fleet
            else generate_fleet(arguments.seed, arguments.instances or instances, arguments.people)
        )
    except FleetError as error:
        raise ConfigError((Problem("--fleet", str(error)),)) from error


def _story(name: str, *, as_json: bool) -> int:
    """Play a story: print each event as it happens, or all of them as JSON at the end."""
    events: list[Event] = []

    def tell(event: Event) -> None:
        if not as_json:
            show_event(event, events[-1] if events else None)
        events.append(event)

    code = run_until_signal(perform(name, tell))
    if as_json:
        terminal.print_json({"scenario": name, "events": [event.as_json() for event in events], "exit": code})
    return code
