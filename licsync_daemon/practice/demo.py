"""`demo` and `sandbox`: a practice fleet on loopback, synced and shown, or served."""

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.decide import effect_of
from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.cli.results import show_results
from licsync_daemon.cli.status import show_fleet
from licsync_daemon.cli.terminal import number
from licsync_daemon.daemon.wiring import Parts, recording
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.run import Run
from licsync_daemon.model.usage import SeatTotals
from licsync_daemon.monitoring.status import run_json
from licsync_daemon.practice.demo_connect import WHAT_IS_REAL as CONNECT_IS_REAL
from licsync_daemon.practice.demo_connect import connect_demo
from licsync_daemon.practice.sandbox import Fleet, FleetError, Sandbox, generate_fleet, load_fleet, serve
from licsync_daemon.practice.stories.events import Decided, Ended, Event, Happened, Ran, Shown, Told
from licsync_daemon.practice.stories.playbill import perform
from licsync_daemon.rules.verdict import bare_host, drift
from licsync_daemon.settings import load_config
from licsync_daemon.sync.fleet import Result, run_now
from licsync_daemon.sync.journal import Journal
from licsync_daemon.system import log
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.process import run_until_signal

WHAT_IS_REAL = (
    "What of this is real against github.com today: reading the instances and reading back the cloud use interfaces that GitHub documents; "
    "the upload does not, because GitHub publishes no upload endpoint. Here the bundled sandbox plays all three, on loopback."
)


def sandbox(arguments: argparse.Namespace) -> int:
    """Serve a practice fleet until Ctrl-C."""
    stop = threading.Event()
    for number_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number_, lambda *_: stop.set())
    try:
        return serve(
            arguments.fleet,
            arguments.seed,
            arguments.instances or 4,
            arguments.people,
            arguments.quirks,
            arguments.write_config,
            sys.stdout,
            stop,
        )
    except FleetError as error:
        raise ConfigError((Problem("--fleet", str(error)),)) from error
    except ValueError as error:
        raise ConfigError((Problem("--quirks", str(error)),)) from error
    except OSError as error:
        raise ConfigError((Problem("--write-config", f"{error.filename or arguments.write_config}: {error.strerror}"),)) from error


def demo(arguments: argparse.Namespace) -> int:
    """Sync a practice fleet twice and show it."""
    as_json = getattr(arguments, "json", False)
    log.set_up("critical")
    if arguments.scenario is not None:
        return _story(arguments.scenario, as_json=as_json)
    by_connect = arguments.delivery == "connect"
    if not as_json:
        terminal.say(CONNECT_IS_REAL if by_connect else WHAT_IS_REAL)
    instances = arguments.instances or (6 if by_connect else 4)
    try:
        fleet = load_fleet(arguments.fleet) if arguments.fleet else generate_fleet(arguments.seed, instances, arguments.people)
    except FleetError as error:
        raise ConfigError((Problem("--fleet", str(error)),)) from error
    if by_connect:
        return run_until_signal(connect_demo(fleet, as_json_only=as_json))
    rounds: list[Round] = []
    code = run_until_signal(_rounds(fleet, rounds, as_json=as_json))
    if as_json:
        terminal.print_json({"what_is_real": WHAT_IS_REAL, "rounds": [one.as_json() for one in rounds]})
    return code


def _story(name: str, *, as_json: bool) -> int:
    """Play a story and print it while it happens; as JSON, all of it at its end."""
    events: list[Event] = []

    def tell(event: Event) -> None:
        if not as_json:
            _show_event(event, events[-1] if events else None)
        events.append(event)

    code = run_until_signal(perform(name, tell))
    if as_json:
        terminal.print_json({"scenario": name, "events": [event.as_json() for event in events], "exit": code})
    return code


def _show_event(event: Event, before: Event | None) -> None:
    """Print an event; what belongs together stands together, with an empty line before the next thing."""
    goes_on = (isinstance(event, Happened) and isinstance(before, Happened | Told)) or (isinstance(event, Told) and event.goes_on)
    if before is not None and not goes_on:
        terminal.say()
    match event:
        case Told(text=text):
            terminal.say(text, style="bold")
        case Happened(at=at, instance=instance, text=text, local=local):
            begin = f"{at:%Y-%m-%d %H:%M} UTC  {f'{local:<16}' if local else ''}{instance}  "
            terminal.say(f"{begin}{text}", hang=len(begin))
        case Decided(command=command, decision=decision):
            terminal.say(f"$ {command}")
            terminal.say(effect_of(decision))
        case Shown(view=view):
            terminal.say(f"$ licsync-daemon status        # {view.at:%Y-%m-%d %H:%M} UTC")
            show_fleet(view)
        case Ran(at=at, command=command, results=results, exit=code):
            terminal.say(f"$ {command}        # {at:%Y-%m-%d %H:%M} UTC")
            show_results(results, at)
            terminal.say(f"exit {code}")
        case Ended(moral=moral, exit=code):
            terminal.say(moral, style="bold")
            terminal.say(f"exit {code}")


class Round:
    """One sync of the whole practice fleet, and what the cloud had afterwards."""

    def __init__(self, results: Sequence[Result], people: int, seats: SeatTotals) -> None:
        self.results = results
        self.people = people
        self.seats = seats

    @property
    def sent(self) -> int:
        return sum(result.run.counts.sent for result in self.results if result.run is not None)

    @property
    def is_right(self) -> bool:
        """Whether the cloud has exactly the accounts that were sent, and as many seats as people."""
        runs = [result.run for result in self.results]
        return all(run is not None and run.accounts_in_cloud == run.counts.sent for run in runs) and self.people == self.seats.consumed

    def as_json(self) -> dict[str, object]:
        return {
            "instances": [run_json(result.run) for result in self.results if result.run is not None],
            "accounts_sent": self.sent,
            "people": self.people,
            "seats": {"consumed": self.seats.consumed, "purchased": self.seats.purchased},
            "cloud_has_what_was_sent": self.is_right,
        }


async def _rounds(fleet: Fleet, rounds: list[Round], *, as_json: bool) -> int:
    """Sync twice against a sandbox of its own; everything it starts and writes is gone when it returns, however it ends."""
    with tempfile.TemporaryDirectory(prefix="licsync-demo-") as folder, Sandbox(fleet) as box:
        config = load_config(box.write_config(Path(folder)), {}).config
        code: int = Exit.OK
        for title in ("First sync", "Second sync: delivered anew, nothing doubled"):
            with (
                terminal.progress([] if as_json else [instance.name for instance in config.instances]) as progress,
                recording(config, SystemClock(), os.environ, progress) as parts,
            ):
                one = await _round(parts)
            rounds.append(one)
            if not as_json:
                terminal.say(f"\n{title} (times are UTC)")
                show_results(one.results, parts.clock.now())
                _show_seats(one)
            code = code or exit_code(one.results, named=False) or _complain_about(one)
        first, second = rounds
        if (first.people, first.seats) != (second.people, second.seats):
            terminal.complain("the second sync changed people or seats, though nothing had changed")
            code = code or Exit.SOME_FAILED
        if not as_json and code == Exit.OK:
            terminal.say("\nBoth syncs were confirmed by reading them back; people and seats are the same after the second.")
        return code


def _complain_about(one: Round) -> int:
    """Say what the cloud has that was not sent, or the other way round."""
    for run in (result.run for result in one.results):
        if run is not None and run.accounts_in_cloud != run.counts.sent:
            terminal.complain(f"{run.instance}: the cloud has {run.accounts_in_cloud} accounts, and {run.counts.sent} were sent")
    if one.people != one.seats.consumed:
        terminal.complain(f"the cloud lists {one.people} people and counts {one.seats.consumed} seats")
    return Exit.OK if one.is_right else Exit.SOME_FAILED


async def _round(parts: Parts) -> Round:
    results = await run_now(
        parts.config.instances,
        runner=parts.runner,
        locks=parts.locks,
        clock=parts.clock,
        max_concurrent_runs=parts.config.max_concurrent_runs,
        wait=timedelta(minutes=2),
    )
    people, per_host = 0, Counter[str]()
    first = next(result.run for result in results if result.run is not None)
    async with parts.runner.adapters.cloud(_journal(parts, first)) as cloud:
        seats = await cloud.seats()
        async for person in cloud.people():
            people += 1
            per_host.update(bare_host(host) for host, _ in person.server_accounts)
    counted = [replace(result, run=_counted(parts, result, per_host)) for result in results]
    return Round(counted, people, seats)


def _journal(parts: Parts, run: Run) -> Journal:
    return Journal(parts.store, parts.clock, run, parts.runner.observe)


def _counted(parts: Parts, result: Result, per_host: Counter[str]) -> Run | None:
    """Record how many accounts of an instance the cloud has; fewer than sent is a warning, never hidden."""
    run = result.run
    if run is None or run.confirmed_at is None:
        return run
    held = per_host[bare_host(result.instance.hostname)]
    warning = drift(run.counts.sent, held)
    journal = _journal(parts, run)
    journal.update(accounts_in_cloud=held, notices=run.notices + ((warning,) if warning else ()))
    return journal.run


def _show_seats(one: Round) -> None:
    rows = (
        ("accounts over all instances", number(one.sent)),
        ("people after de-duplication, the cloud's own members included", number(one.people)),
        ("seats consumed", number(one.seats.consumed)),
        ("seats purchased", number(one.seats.purchased)),
    )
    terminal.print_table(("seats", ""), rows)
