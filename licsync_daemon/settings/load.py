"""Load the configuration: read both sources, check everything, and either hand on values or say every mistake at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath

from pydantic import ValidationError

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config, ConnectDelivery, Instance, ManualDelivery, SshSource
from licsync_daemon.settings.checks import check_all
from licsync_daemon.settings.convert import WEEK, to_config
from licsync_daemon.settings.layers import Raw, merge
from licsync_daemon.settings.mistakes import Finding, listed
from licsync_daemon.settings.options import Settings
from licsync_daemon.settings.problems import from_validation, to_problems
from licsync_daemon.settings.secret_keys import take_out_secrets
from licsync_daemon.settings.show import Origins, SettingRow, rows_for
from licsync_daemon.settings.sources import read_environment, read_file
from licsync_daemon.settings.values import format_duration

_KNOWN_HOSTS = "write it with: ssh-keyscan -p 122 HOSTNAME; compare the keys with the instance's own before you trust them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that can be used, what is odd about it, and where each value came from."""

    config: Config
    warnings: tuple[Problem, ...]
    show: tuple[SettingRow, ...]


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the file at `path` and lay the `LICSYNC_` variables of `environ` (the process's own when None) over it.

    Raises:
        ConfigError: With every mistake, in the order of the file's tables; no text in it repeats a secret.
    """
    whole_file = read_file(path)
    environment, findings = read_environment(os.environ if environ is None else environ)
    file, secrets = take_out_secrets(whole_file, _credentials_dir(merge(environment, whole_file)))
    merged = merge(environment, file)
    findings += [*secrets, *_private(merged), *check_all(merged)]
    settings: Settings | None = None
    try:
        settings = Settings(**{key: value for key, value in merged.items() if not key.startswith("_")})
    except ValidationError as error:
        findings += from_validation(error)
    if settings is None or findings:
        raise ConfigError(to_problems(findings, merged, environment)) from None
    config = to_config(settings)
    return Loaded(config=config, warnings=_warnings(config), show=rows_for(config, merged, Origins(file, environment)))


def _private(raw: Raw) -> list[Finding]:
    """Refuse top-level keys with a leading underscore here: pydantic-settings would take some of them as instructions to itself."""
    return [Finding((key,), "unknown key") for key in raw if key.startswith("_")]


def _credentials_dir(raw: Raw) -> PurePath:
    named = raw.get("credentials_dir")
    return PurePath(named if isinstance(named, str) else Settings.model_fields["credentials_dir"].default)


def _warnings(config: Config) -> tuple[Problem, ...]:
    found = []
    if not any(one.is_active for one in config.instances):
        found.append(
            Problem("instances", "every instance is disabled or never synced, so nothing will happen", "set enabled = true for one")
        )
    by_hand = [one.name for one in config.instances if one.is_active and isinstance(one.delivery, ManualDelivery)]
    if by_hand and not config.notify:
        what = f"nobody is told when something of {listed(by_hand)} waits for a person"
        found.append(Problem("notify", what, "add [notify.mail] or [notify.webhook]; without one, look at `status` or `outbox`"))
    known_hosts = {one.source.known_hosts: one.name for one in config.instances if isinstance(one.source, SshSource)}
    found += [
        Problem(f"instances.{name}.source.known_hosts", f"{path} does not exist, so no instance is trusted over SSH", _KNOWN_HOSTS)
        for path, name in known_hosts.items()
        if not os.path.exists(path)  # noqa: PTH110 - pathlib's raises where a folder may not be entered
    ]
    return (*found, *(warning for one in config.instances if (warning := _too_short(one)) is not None))


def _too_short(instance: Instance) -> Problem | None:
    """Warn where an instance is overdue before its next weekly sync. GitHub Connect has one a week, whatever the schedule says."""
    *_, day, month, weekday = instance.schedule.cron.split()
    every = instance.schedule.every_weeks * WEEK
    if isinstance(instance.delivery, ConnectDelivery):
        every = WEEK
    elif not ((day, month) == ("*", "*") and weekday.isdigit()):
        return None
    if instance.max_age >= every or instance.unsynced_because is not None:
        return None
    how = "a week, so a weekly sync" if every == WEEK else f"{format_duration(every)}, so a sync every {format_duration(every)}"
    what = f"{format_duration(instance.max_age)} is shorter than {how} is overdue before the next one"
    return Problem(f"instances.{instance.name}.schedule.max_age", what, f"the default is {format_duration(every + timedelta(days=1))}")
