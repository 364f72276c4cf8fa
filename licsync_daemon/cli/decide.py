"""`approve`, `reject`, `acknowledge`, `pause`, `resume`: a person's decision, recorded with who, when and why."""

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
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import Decision
from licsync_daemon.model.store import StateStore
from licsync_daemon.model.text import clean
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.settings.values import parse_duration
from licsync_daemon.state.opening import opened
from licsync_daemon.sync import decisions
from licsync_daemon.sync.decisions import AFTERWARDS, Author
from licsync_daemon.system import log
from licsync_daemon.system.clock import SystemClock


def decide(arguments: argparse.Namespace) -> int:
    """Record a decision and print what happens next."""
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
    with opened(config, credentials_of(config, os.environ), SystemClock()) as state:
        decision = acts[arguments.command](state.store)
        # A decision closes its alert. The daemon or the next --run-now sends that message; this command has no channels.
        log.set_up("error", config.invocation)  # the decision itself is printed
        alerting = Alerting(config, state.store, SystemClock(), state.leases, ())
        asyncio.run(alerting.evaluate_at_last([decision.instance], within_s=0))
    terminal.say(effect_of(decision))
    return Exit.OK


def effect_of(decision: Decision) -> str:
    """Return what was decided and what happens next."""
    until = f"{decision.until:%Y-%m-%d %H:%M} UTC" if decision.until else ""
    return f"{decision.what} by {decision.actor}: {AFTERWARDS[decision.what].format(instance=decision.instance, until=until)}"


def _actor() -> str:
    """Return who decides: the person behind sudo, else the login user, else the numeric user ID (containers may lack names)."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _reason(arguments: argparse.Namespace) -> str:
    """Return the reason as one printable line without mail addresses: it is stored, and shown in tables."""
    reason = clean(arguments.reason, 500)
    if not reason and arguments.command != "resume":
        example = 'example: --reason "site closed, accounts suspended"'
        raise ConfigError((Problem("--reason", "a reason is required", example),), "invalid argument")
    return reason


def _sendable(config: Config, store: StateStore, run_id: str) -> str:
    """Return the run ID if its instance can still be synced.

    Raises:
        ConfigError: It is no longer configured, or excluded from sync.
    """
    run = store.run(run_id)
    if run is not None and ((instance := config.instance(run.instance)) is None or not instance.is_active):
        what = f"nothing would send it: {run.instance} is not configured or is excluded from sync"
        raise ConfigError((Problem(f"run {run_id}", what, "add it to the configuration first, or reject the run"),), "refused")
    return run_id


def _known(config: Config, name: str) -> str:
    if config.instance(name) is None:
        chosen(config, [name])  # raises, with the names that are configured
    return name


def _until(arguments: argparse.Namespace, config: Config, now: datetime) -> datetime:
    """Read a time: a duration from now, or a date and time in the time zone of the instance's schedule."""
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
    except (ValueError, OverflowError):  # OverflowError: at both ends of the calendar
        raise ConfigError(
            (Problem("--until", f'"{text}" is not a valid time', 'examples: "3d", "2026-12-24 18:00"'),), "invalid argument"
        ) from None
