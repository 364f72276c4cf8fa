"""What most commands start with: the configuration, its warnings, and the log."""

import argparse
import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from licsync_daemon.cli import terminal
from licsync_daemon.cli.parser import DEFAULT_CONFIG
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.text import Invocation
from licsync_daemon.settings import Loaded, load_config
from licsync_daemon.system import log

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


def read_config(path: Path) -> Loaded:
    """Load the configuration at `path`; from now on, messages name it in their commands."""
    terminal.type_commands_as(invocation(path))
    loaded = load_config(path, os.environ)
    typed = invocation(path, loaded.config.state_dir)
    terminal.type_commands_as(typed)
    return replace(loaded, config=replace(loaded.config, invocation=typed))


def invocation(config: Path, state_dir: Path | None = None) -> Invocation:
    """Return how a person starts this program for a configuration, as the owner of its state directory."""
    return Invocation(
        program=_program(),
        config=config.absolute() if config != Path(DEFAULT_CONFIG) else None,
        owner=_owner(state_dir) if state_dir is not None else None,
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
    return None if owner.pw_uid == os.geteuid() and (has_login or shutil.which("sudo") is None) else owner.pw_name


def chosen(config: Config, names: Sequence[str]) -> tuple[Instance, ...]:
    """Return the named instances, or all that are enabled and not excluded from sync.

    Raises:
        ConfigError: A name is not configured, or that instance is disabled or excluded from sync.
    """
    if not names:
        return tuple(instance for instance in config.instances if instance.is_active)
    known = ", ".join(instance.name for instance in config.instances)
    problems, found = [], []
    for name in dict.fromkeys(names):
        instance = config.instance(name)
        if instance is None:
            problems.append(Problem(name, "no such instance is configured", f"configured: {known}"))
        elif not instance.enabled:
            problems.append(Problem(name, "this instance is disabled", f"set instances.{name}.enabled = true"))
        elif instance.unsynced_because is not None:
            problems.append(Problem(name, "this instance is excluded from sync", instance.unsynced_because))
        else:
            found.append(instance)
    if problems:
        raise ConfigError(tuple(problems), "invalid argument")
    return tuple(found)
