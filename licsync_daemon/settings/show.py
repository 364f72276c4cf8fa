"""The effective settings as rows for `config show`: path, value, and where the value came from. Secrets are never shown."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from licsync_daemon.model import instance as plain
from licsync_daemon.settings.convert import WEEK
from licsync_daemon.settings.layers import lay_schedule, replaces, table
from licsync_daemon.settings.options import CloudTable, MailTable, WebhookTable
from licsync_daemon.settings.parts import kinds
from licsync_daemon.settings.tables import Table, is_secret, is_table
from licsync_daemon.settings.values import format_duration

MASK = "********"
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One effective setting.

    Attributes:
        path: Dotted, as in the file.
        value: As text; a secret is masked.
        origin: `file`, `environment`, `defaults table` ([defaults], [schedule] or [guards]) or `built-in`; for a secret where it was found.
        credential: Names of a secret's credential, most specific first; empty for a row that is no secret.
    """

    path: str
    value: str
    origin: str
    credential: Path = ()


class Origins:
    """Knows which layer each setting was read from."""

    def __init__(self, file: dict[str, Any], environment: dict[str, Any]) -> None:
        self._file = file
        self._environment = environment

    def of(self, *paths: Path) -> str:
        """Return the layer that sets the first of `paths`, or else a later one; built-in if none is set."""
        for place, (*parents, key) in enumerate(paths):
            if key in table(self._environment, *parents):
                return "environment" if place == 0 else "defaults table"
            if key in table(self._file, *parents):
                return "file" if place == 0 else "defaults table"
        return "built-in"

    def rows(self, here: Path, values: dict[str, object], *inherited: Path) -> list[SettingRow]:
        """Return a row for each value of the table at `here`, which inherits from the tables at `inherited`."""
        return [
            SettingRow(
                path=".".join((*here, key)),
                value=_text(key, value),
                origin=self.of(*((*one, *key.split(".")) for one in (here, *inherited))),
            )
            for key, value in values.items()
        ]


def describe_settings(rows: Sequence[SettingRow], locate: Callable[[Sequence[str]], str | None] | None = None) -> tuple[SettingRow, ...]:
    """Return the rows with every secret's place filled in by `locate`, which returns None if there is no such credential."""
    if locate is None:
        return tuple(rows)
    return tuple(_located(row, locate(row.credential)) if row.credential else row for row in rows)


def rows_for(config: plain.Config, merged: dict[str, Any], origins: Origins) -> tuple[SettingRow, ...]:
    """Return a row for every effective setting, in the order of the file's tables."""
    top = ("state_dir", "credentials_dir", "max_concurrent_runs", "log_level")
    rows = origins.rows((), {key: getattr(config, key) for key in top})
    cloud = _values(CloudTable, config.cloud)
    del cloud["organization" if config.cloud.enterprise else "enterprise"]
    rows += (
        origins.rows(("cloud",), cloud)
        + _destination(config.cloud.at, ("cloud",), origins)
        + _secret(("cloud", "token"), config.cloud.at.token)
    )
    for notifier in config.notify:
        rows += _notifier(notifier, origins)
    for instance in config.instances:
        rows += _instance(instance, merged, origins)
    return tuple(rows)


def _values(options: type[Table], built: object) -> dict[str, object]:
    """Return the values that a plain value has for the options of a table; `_destination` shows proxy and CA certificates."""
    at = getattr(built, "at", built)
    found: dict[str, object] = {}
    for name, field in options.model_fields.items():
        if not (is_secret(field) or is_table(field) or (at is not built and name in {"proxy", "ca_file"})):
            attribute = "url" if name == "api_url" else name
            found[field.alias or name] = getattr(built if hasattr(built, attribute) else at, attribute)
    return found


def _text(key: str, value: object) -> str:
    """Return a value as it is shown: durations and lists as in the file."""
    match value:
        case None:
            return {"ca_file": "(the system's)", "server_id": "(from the cloud)", "api_version": '""'}.get(key, "(none)")
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case tuple():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _notifier(notifier: plain.NotifierTo, origins: Origins) -> list[SettingRow]:
    if isinstance(notifier, plain.WebhookNotifier):
        here: Path = ("notify", "webhook")
        rows = origins.rows(here, _values(WebhookTable, notifier)) + _destination(notifier.at, here, origins)
        return rows + _secret((*here, "token"), notifier.at.token) + _secret((*here, "secret_path"), notifier.secret_path)
    here = ("notify", "mail")
    return origins.rows(here, _values(MailTable, notifier)) + _secret((*here, "password"), notifier.password)


def _instance(instance: plain.Instance, merged: dict[str, Any], origins: Origins) -> list[SettingRow]:
    here, defaults = ("instances", instance.name), ("defaults",)
    rows = origins.rows(here, {"hostname": instance.hostname, "server_id": instance.server_id, "enabled": instance.enabled})
    if instance.unsynced_because is not None:
        return rows + origins.rows(here, {"sync": False, "reason": instance.unsynced_because})
    rows += origins.rows(here, {"reachable": instance.reachable})
    report = next((one for one in (instance.source, instance.counts) if isinstance(one, plain.ReportSource)), None)
    if report is not None:
        rows += origins.rows(here, {"url": report.at.url}) + _destination(report.at, here, origins, defaults)
    rows += _schedule(instance, merged, origins) + origins.rows((*here, "guards"), asdict(instance.guards), ("guards",))
    rows += _part("source", instance.source, here, merged, origins)
    if instance.counts is not None:
        rows += _part("counts", instance.counts, here, merged, origins)
    rows += _part("delivery", instance.delivery, here, merged, origins)
    if isinstance(instance.delivery, plain.HttpDelivery):
        at, own = instance.delivery.at, (*here, "delivery")
        rows += _destination(at, own, origins, (*defaults, "delivery"), defaults) + _secret((*own, "token"), at.token)
    return rows


def _part(part: str, built: plain.Source | plain.DeliveryTo, here: Path, merged: dict[str, Any], origins: Origins) -> list[SettingRow]:
    """Return the rows of an instance's source, counts or delivery: the options of its kind, and its own secrets."""
    is_alone = replaces(table(merged, *here, part), table(merged, "defaults", part))
    values = _values(kinds(part)[built.kind], built)
    if isinstance(built, plain.ManualDelivery):
        values |= {"outbox.path": built.outbox, "outbox.group": built.group}
    secrets: list[SettingRow] = []
    if isinstance(built, plain.ReportSource):
        secrets = _secret((*here, part, "token"), built.at.token)
    if isinstance(built, plain.SshSource) and built.private_key is None:
        del values["identity"]
        secrets = _secret((*here, part, "identity"), built.private_key_credential)
    return origins.rows((*here, part), values, *(() if is_alone else (("defaults", part),))) + secrets


def _schedule(instance: plain.Instance, merged: dict[str, Any], origins: Origins) -> list[SettingRow]:
    here, schedule = ("instances", instance.name, "schedule"), instance.schedule
    laid = lay_schedule(table(merged, *here), table(merged, "schedule"))
    by_cron = "cron" in laid
    values = {
        "timezone": schedule.timezone,
        "cron" if by_cron else "day": schedule.cron,
        **({} if by_cron else {"every": schedule.every_weeks * WEEK}),
        "max_age": instance.max_age,
        "avoid": ", ".join(laid.get("avoid", [])) or "(none)",
    }
    rows = origins.rows(here, values, ("schedule",))
    return [replace(row, path=".".join((*here, "cron"))) if row.path.endswith(".day") else row for row in rows]


def _destination(at: plain.Destination, here: Path, origins: Origins, *inherited: Path) -> list[SettingRow]:
    rows = origins.rows(here, {"proxy": at.proxy, "ca_file": at.ca_file}, *inherited)
    return rows + _secret((*here, "proxy_auth"), at.proxy_auth)


def _secret(path: Path, names: Path) -> list[SettingRow]:
    """Return the row of a secret; none if no credential is used."""
    return [SettingRow(path=".".join(path), value=MASK, origin=f"credential {names[0]}", credential=names)] if names else []


def _located(row: SettingRow, place: str | None) -> SettingRow:
    return replace(row, value=MASK if place else "", origin=place or f"not found: {row.credential[0]}")
