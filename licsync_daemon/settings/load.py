"""Load the configuration: read both sources, check everything, and either hand on values or say every mistake at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath

from pydantic import ValidationError

from licsync_daemon.configured import Config
from licsync_daemon.errors import ConfigError, Problem
from licsync_daemon.settings.checks import check_all
from licsync_daemon.settings.convert import to_config
from licsync_daemon.settings.durations import format_duration
from licsync_daemon.settings.layers import Raw, merge
from licsync_daemon.settings.models import Settings
from licsync_daemon.settings.problems import from_validation, settle
from licsync_daemon.settings.secret_keys import take_out_secrets
from licsync_daemon.settings.show import Origins, Row, rows_for
from licsync_daemon.settings.sources import read_environment, read_file
from licsync_daemon.settings.words import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that can be used, what is odd about it, and where each value came from."""

    config: Config
    warnings: tuple[Problem, ...]
    show: tuple[Row, ...]


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
        raise ConfigError(settle(findings, merged, environment)) from None
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
    if not any(one.enabled for one in config.instances):
        found.append(Problem("instances", "every instance is disabled, so nothing will be synced", "set enabled = true for one"))
    found += [
        Problem(
            f"instances.{one.name}.schedule.max_age",
            f"{format_duration(one.max_age)} is shorter than a week, so a weekly sync is overdue before the next one",
            "the default is 8d",
        )
        for one in config.instances
        if one.max_age < timedelta(days=7) and one.schedule.cron.split()[2:4] == ["*", "*"] and one.schedule.cron.split()[4].isdigit()
    ]
    return tuple(found)
