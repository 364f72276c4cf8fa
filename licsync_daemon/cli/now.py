"""`--run-now`, `--run-now --dry-run` and `payload`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.cli.loading import chosen, load
from licsync_daemon.cli.results import show_changes, show_remarks, show_results
from licsync_daemon.daemon.wiring import Parts, recording, unrecorded
from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError, StateUnwritableError
from licsync_daemon.model.instance import Config, Instance, NoSource
from licsync_daemon.model.run import Run, Trigger
from licsync_daemon.monitoring.channels.build import channels
from licsync_daemon.monitoring.outgoing import Outgoing
from licsync_daemon.monitoring.state_fault import StateFault
from licsync_daemon.monitoring.status_json import run_json
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.sync.fleet import ASKED
from licsync_daemon.sync.fleet import run_now as run_fleet
from licsync_daemon.sync.journal import Journal, new_run
from licsync_daemon.sync.run import preview
from licsync_daemon.sync.waiting import Result
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.process import run_until_signal

NOTIFY_S = 30.0
WAIT = timedelta(minutes=2)


def run_now(arguments: argparse.Namespace) -> int:
    """Sync now, wait for the cloud to confirm, and show the result."""
    config = load(arguments, quiet=True)
    instances = chosen(config, arguments.run_now)
    if arguments.dry_run:
        read = tuple(instance for instance in instances if not isinstance(instance.source, NoSource))
        if not read:
            raise ConfigError(tuple(_nothing_read(instance) for instance in instances), "nothing to show")
        instances = read
        with unrecorded(config, SystemClock(), os.environ) as parts:
            return _dry_run(arguments, parts, instances)
    if not instances:
        terminal.complain("licsync-daemon: nothing to do: every instance is disabled or excluded from sync")
    with terminal.progress([instance.name for instance in instances]) as progress:
        try:
            with recording(config, SystemClock(), os.environ, progress) as parts:
                results = _sync(parts, instances, arguments)
        except StateUnwritableError as error:
            _notify_of(error, config)
            return _no_state(error, as_json=arguments.json)
    if arguments.json:
        terminal.print_json({"instances": [_result_json(result) for result in results]})
    else:
        show_results(results, parts.clock.now())
    return exit_code(results, named=bool(arguments.run_now))


def _notify_of(error: StateUnwritableError, config: Config) -> None:
    """Send the alert that the state cannot be written; nothing keeps it."""
    outgoing = [Outgoing(one) for one in channels(config.notify, credentials_of(config, os.environ))]

    async def work() -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTIFY_S):
                await StateFault(SystemClock()).tell(str(error), config, outgoing)
        return Exit.OK

    if outgoing:
        run_until_signal(work())


def _no_state(error: StateUnwritableError, *, as_json: bool) -> int:
    next_step = "free disk space or fix the directory's permissions; nothing was read or sent"
    if as_json:
        problem = {"where": "state_dir", "text": str(error), "next_step": next_step}
        terminal.print_json({"error": Code.STATE_UNWRITABLE, "problems": [problem]})
    else:
        terminal.complain(f"licsync-daemon: {Code.STATE_UNWRITABLE}: {error}")
        terminal.complain(f"  next step: {next_step}")
    return Exit.ALL_FAILED


def _sync(parts: Parts, instances: Sequence[Instance], arguments: argparse.Namespace) -> list[Result]:
    results: list[Result] = []

    async def work() -> int:
        results.extend(
            await run_fleet(
                instances,
                parts.context,
                max_concurrent_runs=parts.config.max_concurrent_runs,
                wait=arguments.wait if arguments.wait is not None else WAIT,
                wait_sync=arguments.wait or timedelta(0),
                wait_lock=arguments.wait_lock,
            )
        )
        await parts.alerting.evaluate_at_last()
        return Exit.OK

    run_until_signal(work())
    return results


def _result_json(result: Result) -> dict[str, object]:
    if result.run is None:
        return {"instance": result.instance.name, "state": "locked", "code": Code.LOCKED, "locked_by": result.locked_by}
    return run_json(result.run)


def _dry_run(arguments: argparse.Namespace, parts: Parts, instances: Sequence[Instance]) -> int:
    """Collect and check the usage of each instance, and show what would be sent."""
    found: list[tuple[Run, int | None]] = []

    async def work() -> int:
        found.extend([await _preview(parts, instance) for instance in instances])
        return Exit.OK

    run_until_signal(work())
    runs = [run for run, _ in found]
    if arguments.json:
        terminal.print_json(
            {"dry_run": True, "instances": [{**run_json(run), "would_send_bytes": size, "state": _state(run)} for run, size in found]}
        )
    else:
        headers = ("instance", "accounts", "would send", "suspended", "unusable", "no email", "compressed bytes", "content hash")
        rows = [_dry_row(run, size) for run, size in found]
        terminal.print_table(headers, rows, optional=("content hash",))
        for run in runs:
            show_remarks(run)
            show_changes(run)
        terminal.say("Nothing was sent and nothing was recorded.")
    failed = [run for run in runs if run.code is not None]
    if failed:
        return Exit.ALL_FAILED if len(failed) == len(runs) else Exit.SOME_FAILED
    return Exit.HELD if any(run.tripped for run in runs) else Exit.OK


def _state(run: Run) -> str:
    return "failed" if run.code else "would_hold" if run.tripped else "would_send"


def _dry_row(run: Run, size: int | None) -> tuple[str, ...]:
    counts = run.counted
    figures = (counts.rows, counts.sent, counts.suspended, counts.unusable, counts.without_address) if counts is not None else (None,) * 5
    return (run.instance, *map(terminal.number, (*figures, size)), (run.content_hash or "-")[:19])


async def _preview(parts: Parts, instance: Instance) -> tuple[Run, int | None]:
    journal = _unrecorded_journal(parts, instance)
    try:
        async with AsyncExitStack() as stack:
            document = await preview(parts.context, instance, journal, stack)
            return journal.run, document.size_bytes
    except RunError as error:
        return journal.failed(error), None
    except StateUnwritableError as error:
        return journal.failed(RunError(Code.STATE_UNWRITABLE, str(error), "free disk space or fix the directory's permissions")), None


def _unrecorded_journal(parts: Parts, instance: Instance) -> Journal:
    slot = slot_at(instance.schedule, parts.clock.now())
    journal = Journal(parts.context, new_run(parts.context, instance, trigger=Trigger.PERSON, reason=ASKED, slot=slot))
    journal.update()
    return journal


def _nothing_read(instance: Instance) -> Problem:
    return Problem(instance.name, "this instance has no source, so nothing is read or sent", 'source = { kind = "none" }')


def payload(arguments: argparse.Namespace) -> int:
    """Print the usage document of an instance, byte for byte as it would be sent, before compression."""
    config = load(arguments, quiet=True)
    (instance,) = chosen(config, [arguments.instance])
    if isinstance(instance.source, NoSource):
        raise ConfigError((_nothing_read(instance),), "nothing to show")

    async def work() -> int:
        async with AsyncExitStack() as stack:
            parts = stack.enter_context(unrecorded(config, SystemClock(), os.environ))
            journal = _unrecorded_journal(parts, instance)
            document = await preview(parts.context, instance, journal, stack)
            if arguments.diff:
                show_changes(journal.run)
                return Exit.OK
            for piece in document.plain():
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.write(b"\n")
            sys.stdout.buffer.flush()
        return Exit.OK

    try:
        return run_until_signal(work())
    except RunError as error:
        terminal.complain(f"licsync-daemon: {instance.name}: {error.code}: {error.cause}")
        terminal.complain(f"  next step: {error.next_step}")
        return Exit.ALL_FAILED
