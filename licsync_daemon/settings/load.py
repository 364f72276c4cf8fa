"""Load the configuration: read file and environment, check everything, and return values or report every mistake at once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.instance import Config, ConnectDelivery, Instance, MailNotifier, ManualDelivery, SshSource
from licsync_daemon.settings.checks import check_all
from licsync_daemon.settings.convert import WEEK, to_config
from licsync_daemon.settings.layers import Raw, merge
from licsync_daemon.settings.mistakes import listed
from licsync_daemon.settings.options import Settings
from licsync_daemon.settings.problems import to_problems
from licsync_daemon.settings.show import Rows, SettingRow
from licsync_daemon.settings.toml_and_env import read_environment, read_file, take_out_secrets
from licsync_daemon.settings.validate import shared, validate
from licsync_daemon.settings.values import format_duration

_KNOWN_HOSTS = "create it with: ssh-keyscan -p 122 HOSTNAME; compare the keys with the instance's own before you trust them"

IMPLICIT_TLS, SUBMISSION = 465, frozenset({25, 587})  # RFC 8314


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A valid configuration, its warnings, and where each value came from."""

    config: Config
    warnings: tuple[Problem, ...]
    show: tuple[SettingRow, ...]


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the file at `path` and lay the `LICSYNC_` variables of `environ` (the process's own if None) over it.

    Raises:
        ConfigError: With every mistake, in the order of the file's tables; no text in it repeats a secret.
    """
    whole_file = read_file(path)
    environment, unknown = read_environment(os.environ if environ is None else environ)
    file, secrets = take_out_secrets(whole_file, _credentials_dir(merge(environment, whole_file)))
    merged = merge(environment, file)
    settings, wrong = validate(merged)
    findings = [*unknown, *secrets, *shared([*check_all(merged), *wrong], merged)]
    if settings is None or findings:
        raise ConfigError(to_problems(findings, merged, environment)) from None
    config = to_config(settings, merged)
    return Loaded(config=config, warnings=tuple(_warnings(config)), show=Rows(file, environment, merged).of(config))


def _credentials_dir(raw: Raw) -> PurePath:
    named = raw.get("credentials_dir")
    return PurePath(named if isinstance(named, str) else Settings.model_fields["credentials_dir"].default)


def _warnings(config: Config) -> Iterator[Problem]:
    if not any(one.is_active for one in config.instances):
        yield Problem("instances", "every instance is disabled or never synced, so nothing runs", "set enabled = true for one")
    by_hand = [one.name for one in config.instances if one.is_active and isinstance(one.delivery, ManualDelivery)]
    if by_hand and not config.notify:
        what = f"no notification is sent when an export of {listed(by_hand)} waits for someone to upload it"
        yield Problem("notify", what, "add [notify.mail] or [notify.webhook]; without one, check `status` or `outbox`")
    for mail in (one for one in config.notify if isinstance(one, MailNotifier)):
        if mail.security == "starttls" and mail.port == IMPLICIT_TLS:
            what = f'port {IMPLICIT_TLS} expects TLS at once, and `security` is "starttls", so both sides would wait for the other to begin'
            yield Problem("notify.mail.security", what, 'set security = "tls", or use port 587')
        if mail.security == "tls" and mail.port in SUBMISSION:
            what = f'port {mail.port} expects STARTTLS, and `security` is "tls"'
            yield Problem("notify.mail.security", what, f'set security = "starttls", or use port {IMPLICIT_TLS}')
    known_hosts = {one.source.known_hosts: one.name for one in config.instances if isinstance(one.source, SshSource)}
    for path, name in known_hosts.items():
        if not os.path.exists(path):  # noqa: PTH110 - pathlib's raises if a folder cannot be entered
            what = f"{path} does not exist, so no SSH host key is trusted"
            yield Problem(f"instances.{name}.source.known_hosts", what, _KNOWN_HOSTS)
    yield from filter(None, map(_too_short, config.instances))


def _too_short(instance: Instance) -> Problem | None:
    """Warn if an instance is overdue before its next weekly sync. GitHub Connect has one a week, whatever the schedule says."""
    *_, day, month, weekday = instance.schedule.cron.split()
    every = instance.schedule.every_weeks * WEEK
    if isinstance(instance.delivery, ConnectDelivery):
        every = WEEK
    elif not ((day, month) == ("*", "*") and weekday.isdigit()):
        return None
    if instance.max_age >= every or instance.unsynced_because is not None:
        return None
    interval = "a week" if every == WEEK else format_duration(every)
    what = f"{format_duration(instance.max_age)} is shorter than {interval}, so the instance is overdue before its next sync"
    return Problem(f"instances.{instance.name}.schedule.max_age", what, f"the default is {format_duration(every + timedelta(days=1))}")
