"""`approve`, `reject`, `acknowledge`, `pause`, `resume`: a person's word, recorded with who, when and why."""

import argparse
import asyncio
import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import chosen, load
from licsync_daemon.daemon.wiring import open_to_write
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import StateStore
from licsync_daemon.model.run import Decision
from licsync_daemon.model.text import clean
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.settings.values import parse_duration
from licsync_daemon.sync import decisions
from licsync_daemon.sync.decisions import AFTERWARDS, Author
from licsync_daemon.system import log
from licsync_daemon.system.clock import SystemClock


def decide(arguments: argparse.Namespace) -> int:
    """Record a decision and say what follows from it."""
    config = load(arguments)
    now = SystemClock().now()
    author = Author(actor=clean(_actor()), at=now, reason=_reason(arguments), ticket=clean(arguments.ticket or "") or None)
    acts: dict[str, Callable[[StateStore], Decision]] = {
        "approve": lambda store: decisions.approve(store, _sendable(config, store, arguments.run), author),
        "reject": lambda store: decisions.reject(store, arguments.run, author),
        "acknowledge": lambda store: decisions.acknowledge(store, arguments.run, author),
        "pause": lambda store: decisions.pause(store, _known(config, arguments.instance), _until(arguments, config, now), author),
        "resume": lambda store: decisions.resume(store, _known(config, arguments.instance), author),
    }
    store = open_to_write(config.state_dir, now)
    try:
        decision = acts[arguments.command](store)
        # What a person has decided needs no alert any more. Whoever has channels tells that: the daemon, or the next --run-now.
        log.set_up("error", config.invocation)  # what was decided is printed, and says enough
        asyncio.run(Alerting(config, store, SystemClock(), ()).evaluate_at_last([decision.instance], within_s=0))
    finally:
        store.close()
    terminal.say(effect_of(decision))
    return Exit.OK


def effect_of(decision: Decision) -> str:
    """Say what was decided and what follows from it."""
    until = f"{decision.until:%Y-%m-%d %H:%M} UTC" if decision.until else ""
    return f"{decision.what} by {decision.actor}: {AFTERWARDS[decision.what].format(instance=decision.instance, until=until)}"


def _actor() -> str:
    """Return who decides: the person behind sudo, else the login user, else the bare user id (containers have no names)."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _reason(arguments: argparse.Namespace) -> str:
    """Return the reason as one printable line without anybody's address: it goes to the state, to tables and to terminals."""
    reason = clean(arguments.reason, 500)
    if not reason and arguments.command != "resume":
        example = 'example: --reason "site closed, accounts suspended"'
        raise ConfigError((Problem("--reason", "a decision needs a reason", example),), "refused")
    return reason


def _sendable(config: Config, store: StateStore, run_id: str) -> str:
    """Refuse to approve what nobody would send: its instance is configured no more, or not to be synced."""
    run = store.run(run_id)
    if run is not None and ((instance := config.instance(run.instance)) is None or not instance.is_active):
        what = f"nothing would send it: {run.instance} is not configured, or not to be synced"
        raise ConfigError((Problem(f"run {run_id}", what, "configure it again first, or reject the run"),), "refused")
    return run_id


def _known(config: Config, name: str) -> str:
    if config.instance(name) is None:
        chosen(config, [name])  # raises, with the names that are configured
    return name


def _until(arguments: argparse.Namespace, config: Config, now: datetime) -> datetime:
    """Read a moment: a duration from now, or a date and time on the wall clock of the instance's zone."""
    text = arguments.until
    try:
        return now + parse_duration(text)
    except (ValueError, OverflowError):
        pass
    instance = config.instance(arguments.instance)
    zone = ZoneInfo(instance.schedule.timezone) if instance is not None else UTC
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):  # the second at both ends of the calendar
        raise ConfigError((Problem("--until", f'"{text}" is no moment', 'examples: "3d", "2026-12-24 18:00"'),), "refused") from None
