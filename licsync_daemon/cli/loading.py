"""What most commands start with: the configuration, its warnings, and the log."""

import argparse
import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from licsync_daemon.cli import terminal
from licsync_daemon.cli.parser import DEFAULT_CONFIG
from licsync_daemon.cli.right_user import refuse_wrong_user
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.text import Invocation
from licsync_daemon.monitoring.heartbeat import OlderConfig, daemon_view
from licsync_daemon.settings import Loaded, load_config
from licsync_daemon.settings.mistakes import did_you_mean
from licsync_daemon.settings.state_dir import likely_state_dir
from licsync_daemon.state import accepted as accepted_file
from licsync_daemon.system import log
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.files import read_bounded

LISTED = 20  # names in a message

logger = structlog.get_logger()


def load(arguments: argparse.Namespace, *, quiet: bool = False, background: bool = False) -> Config:
    """Load the configuration and set up the log.

    Args:
        arguments: The command line.
        quiet: Whether to keep the log from a terminal, which shows progress instead.
        background: See `set_up`.
    """
    loaded = read_config(arguments.config)
    level = "critical" if quiet and sys.stderr.isatty() else loaded.config.log_level
    log.set_up(level, loaded.config.invocation, background=background)
    for problem in loaded.warnings:
        logger.warning("config.warning", where=problem.where, what=problem.what, hint=problem.hint)
    return loaded.config


def load_running(arguments: argparse.Namespace, *, tell: bool = False) -> tuple[Config, OlderConfig | None]:
    """Load the configuration for a command that only looks; if it is refused, the one that the running daemon accepted.

    Args:
        arguments: The command line.
        tell: Whether to print on stderr that an older configuration is used.

    Raises:
        ConfigError: It is refused, and no daemon runs with an older one.
    """
    path, content = arguments.config.absolute(), content_of(arguments.config)
    problems: tuple[Problem, ...] = ()
    try:
        config = load(arguments)
    except ConfigError as error:
        state_dir = likely_state_dir(content, os.environ)
        accepted = state_dir / accepted_file.FILE
        if not daemon_view(state_dir, SystemClock().now()).alive or accepted_file.content_of(state_dir) is None:
            raise
        config, problems = load_config(accepted, os.environ).config, error.problems
        config = replace(config, invocation=invocation(path, config.state_dir))
        terminal.type_commands_as(config.invocation)
        log.set_up(config.log_level, config.invocation)
        if tell:
            terminal.complain(f"licsync-daemon: {path} is refused, so the configuration of the running daemon is used: {problems[0]}")
    older = accepted_file.content_of(config.state_dir)
    if older in {None, content} or not daemon_view(config.state_dir, SystemClock().now()).alive:
        return config, None
    return config, OlderConfig(path=path, accepted_at=accepted_file.accepted_at(config.state_dir), problems=problems)


def read_config(path: Path) -> Loaded:
    """Load the configuration at `path`; from now on, messages name it in their commands."""
    terminal.type_commands_as(invocation(path))
    refuse_wrong_user(likely_state_dir(content_of(path), os.environ), path.absolute(), _program())
    loaded = load_config(path, os.environ)
    typed = invocation(path, loaded.config.state_dir)
    terminal.type_commands_as(typed)
    return replace(loaded, config=replace(loaded.config, invocation=typed))


def content_of(path: Path) -> bytes | None:
    """Return the configuration file as it is; None if it cannot be read."""
    with suppress(OSError):
        return read_bounded(path, accepted_file.MAX_BYTES)
    return None


def invocation(config: Path, state_dir: Path | None = None) -> Invocation:
    """Return how a person starts this program for a configuration, as the owner of its state directory."""
    return Invocation(
        program=_program(),
        config=config.absolute() if config != Path(DEFAULT_CONFIG) else None,
        owner=_owner(state_dir) if state_dir is not None else None,
        has_sudo=shutil.which("sudo") is not None,
    )


def _program() -> tuple[str, ...]:
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return (sys.executable, "-m", "licsync_daemon")
    return ("licsync-daemon",) if shutil.which("licsync-daemon") or path.name != "licsync-daemon" else (str(path.absolute()),)


def _owner(state_dir: Path) -> str | None:
    """Return the owner of the state directory if a person has to switch to that user: it is another one, or one without a login."""
    try:
        owner = pwd.getpwuid(state_dir.stat().st_uid)
    except (OSError, KeyError):
        return None
    has_login = Path(owner.pw_shell).name not in {"nologin", "false"}
    is_me = owner.pw_uid == os.geteuid()
    can_switch = shutil.which("sudo") is not None or (os.geteuid() == 0 and not is_me and shutil.which("runuser") is not None)
    return None if not can_switch or (is_me and has_login) else owner.pw_name


def chosen(config: Config, names: Sequence[str]) -> tuple[Instance, ...]:
    """Return the named instances, or all that are enabled and not excluded from sync.

    Raises:
        ConfigError: A name is not configured, or that instance is disabled or excluded from sync.
    """
    if not names:
        return tuple(instance for instance in config.instances if instance.is_active)
    problems, found = [], []
    for name in dict.fromkeys(names):
        instance = config.instance(name)
        if instance is None:
            problems.append(unknown_instance(config, name))
        elif not instance.enabled:
            problems.append(Problem(name, "this instance is disabled", f"set instances.{name}.enabled = true"))
        elif instance.unsynced_because is not None:
            problems.append(Problem(name, "this instance is excluded from sync", instance.unsynced_because))
        else:
            found.append(instance)
    if problems:
        raise ConfigError(tuple(problems), "invalid argument")
    return tuple(found)


def unknown_instance(config: Config, name: str, *, recorded: Sequence[str] | None = None) -> Problem:
    """Return the mistake that no instance has this name, with the one that was probably meant, and with all of a small fleet.

    `recorded` are names that would do as well: instances that the state still knows.
    """
    names = [instance.name for instance in config.instances]
    near = did_you_mean(name, [*names, *(recorded or ())])
    known = f"configured: {', '.join(names[:LISTED])}" + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    what = "no such instance is configured or recorded" if recorded is not None else "no such instance is configured"
    return Problem(name, what, f"{near} {known}" if near else known)
