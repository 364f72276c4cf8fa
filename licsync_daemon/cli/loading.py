"""What most commands begin with: the configuration, its warnings, and the log."""

import argparse
import os
import sys
from collections.abc import Sequence

import structlog

from licsync_daemon.cli import terminal
from licsync_daemon.cli.parser import default_config
from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.settings import load_config
from licsync_daemon.system import log

logger = structlog.get_logger()


def load(arguments: argparse.Namespace, *, quiet: bool = False) -> Config:
    """Load the configuration and set up the log. `quiet` keeps the log from a terminal that shows progress instead."""
    terminal.read_from(arguments.config if arguments.config != default_config() else None)
    loaded = load_config(arguments.config, os.environ)
    log.set_up("critical" if quiet and sys.stderr.isatty() else loaded.config.log_level)
    for problem in loaded.warnings:
        logger.warning("config.warning", where=problem.where, what=problem.what, hint=problem.hint)
    return loaded.config


def chosen(config: Config, names: Sequence[str]) -> tuple[Instance, ...]:
    """Return the named instances, or every one that is enabled and synced.

    Raises:
        ConfigError: A name is not configured, or nothing is done for that instance.
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
            problems.append(Problem(name, "this instance is not synced on purpose", instance.unsynced_because))
        else:
            found.append(instance)
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(found)
