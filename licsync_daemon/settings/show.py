"""The effective settings as rows for `config show`: path, value, and where the value came from. Secrets are never shown."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from licsync_daemon.model.instance import (
    Config,
    DeliveryTo,
    Destination,
    HttpDelivery,
    Instance,
    ManualDelivery,
    NotifierTo,
    ReportSource,
    Source,
    SshSource,
    WebhookNotifier,
)
from licsync_daemon.settings.convert import WEEK
from licsync_daemon.settings.layers import lay_schedule, replaces, table
from licsync_daemon.settings.options import KEYS
from licsync_daemon.settings.values import format_duration

MASK = "********"
NOT_FOUND = "not found"
SYSTEMS = "(the system's)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One effective setting.

    Attributes:
        path: Dotted, as in the file.
        value: As text; a secret is masked.
        origin: `file`, `environment`, `defaults table` ([defaults] or [schedule]) or `built-in`; of a secret the place it was found in.
        credential: Names under which a secret is sought, most specific first; empty for a row that is no secret.
    """

    path: str
    value: str
    origin: str
    credential: tuple[str, ...] = ()


class Origins:
    """Knows which layer each setting was read from."""

    def __init__(self, file: dict[str, Any], environment: dict[str, Any]) -> None:
        self._file = file
        self._environment = environment

    def of(self, *paths: tuple[str, ...]) -> str:
        """Return the origin of a value that the first of `paths` gives, or else a later one, or else nobody."""
        for place, path in enumerate(paths):
            *parents, key = path
            if key in table(self._environment, *parents):
                return "environment" if place == 0 else "defaults table"
            if key in table(self._file, *parents):
                return "file" if place == 0 else "defaults table"
        return "built-in"


def describe_settings(rows: Sequence[SettingRow], locate: Callable[[Sequence[str]], str | None] | None = None) -> tuple[SettingRow, ...]:
    """Return the rows with every secret's place filled in by `locate`, which answers with a place in words, or None for "nowhere"."""
    if locate is None:
        return tuple(rows)
    return tuple(_located(row, locate(row.credential)) if row.credential else row for row in rows)


def rows_for(config: Config, merged: dict[str, Any], origins: Origins) -> tuple[SettingRow, ...]:
    """Return a row for every effective setting, in the order of the file's tables."""
    rows = [
        SettingRow(path=key, value=value, origin=origins.of((key,)))
        for key, value in (
            ("state_dir", str(config.state_dir)),
            ("credentials_dir", str(config.credentials_dir)),
            ("max_concurrent_runs", str(config.max_concurrent_runs)),
            ("log_level", config.log_level),
        )
    ]
    cloud = config.cloud
    account = "enterprise" if cloud.enterprise else "organization"
    plain = {account: cloud.enterprise or cloud.organization, "api_url": cloud.at.url, "api_version": cloud.api_version}
    lists = {"elsewhere": cloud.elsewhere, "retired": cloud.retired, "verified_domains": cloud.verified_domains}
    rows += _rows(("cloud",), {**plain, "watch_every": cloud.watch_every, **lists}, origins)
    rows += _destination(cloud.at, ("cloud",), [("cloud",)], ("cloud", "token"), origins)
    for notifier in config.notify:
        rows += _notifier(notifier, origins)
    for instance in config.instances:
        rows += _instance(instance, merged, origins)
    return tuple(rows)


def _rows(table_path: tuple[str, ...], values: Mapping[str, object], origins: Origins) -> list[SettingRow]:
    return [
        SettingRow(path=_dotted(*table_path, key), value=_said(value), origin=origins.of((*table_path, key)))
        for key, value in values.items()
    ]


def _said(value: object) -> str:
    """Return a value as it is shown: durations and lists as in the file."""
    match value:
        case None:
            return "(none)"
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case tuple():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _notifier(notifier: NotifierTo, origins: Origins) -> list[SettingRow]:
    if isinstance(notifier, WebhookNotifier):
        here: tuple[str, ...] = ("notify", "webhook")
        return [
            *_rows(here, {"url": notifier.at.url}, origins),
            *_destination(notifier.at, here, [here], (*here, "token"), origins),
            _unlocated(SettingRow(path=_dotted(*here, "secret_path"), value=MASK, origin="", credential=notifier.secret_path)),
        ]
    here = ("notify", "mail")
    values = {"host": notifier.host, "port": notifier.port, "security": notifier.security, "username": notifier.username}
    rows = _rows(here, {**values, "from": notifier.sender, "to": notifier.to, "ca_file": notifier.ca_file or SYSTEMS}, origins)
    if notifier.password:
        rows.append(_unlocated(SettingRow(path=_dotted(*here, "password"), value=MASK, origin="", credential=notifier.password)))
    return rows


def _instance(instance: Instance, merged: dict[str, Any], origins: Origins) -> list[SettingRow]:
    here, defaults = ("instances", instance.name), ("defaults",)
    rows = _rows(
        here, {"hostname": instance.hostname, "server_id": instance.server_id or "(from the cloud)", "enabled": instance.enabled}, origins
    )
    if instance.unsynced_because is not None:
        return [*rows, *_rows(here, {"sync": False, "reason": instance.unsynced_because}, origins)]
    rows += _rows(here, {"reachable": instance.reachable}, origins)
    report = next((one for one in (instance.source, instance.counts) if isinstance(one, ReportSource)), None)
    if report is not None:
        rows += _rows(here, {"url": report.at.url}, origins)
        rows += _destination(report.at, here, [here, defaults], None, origins)
    rows += _schedule(instance, merged, origins) + _guards(instance, origins)
    rows += _part("source", instance.source, here, merged, origins)
    if instance.counts is not None:
        rows += _part("counts", instance.counts, here, merged, origins)
    rows += _part("delivery", instance.delivery, here, merged, origins)
    if isinstance(instance.delivery, HttpDelivery):
        own, general = (*here, "delivery"), (*defaults, "delivery")
        rows += _destination(instance.delivery.at, own, [own, general, defaults], (*own, "token"), origins)
    return rows


def _part(part: str, built: Source | DeliveryTo, here: tuple[str, ...], merged: dict[str, Any], origins: Origins) -> list[SettingRow]:
    """Return the rows of an instance's source, counts or delivery: what its kind can say, and its own secrets."""
    is_alone = replaces(table(merged, *here, part), table(merged, "defaults", part))
    rows = []
    for path, value in {("kind",): built.kind, **_values(part, built)}.items():
        paths = [(*here, part, *path)] + ([] if is_alone else [("defaults", part, *path)])
        rows.append(SettingRow(path=_dotted(*here, part, *path), value=_said(value), origin=origins.of(*paths)))
    if isinstance(built, ReportSource):
        rows.append(_unlocated(SettingRow(path=_dotted(*here, part, "token"), value=MASK, origin="", credential=built.at.token)))
    if isinstance(built, SshSource) and built.private_key is None:
        rows.append(
            _unlocated(SettingRow(path=_dotted(*here, part, "identity"), value=MASK, origin="", credential=built.private_key_credential))
        )
    return rows


def _values(part: str, built: Source | DeliveryTo) -> dict[tuple[str, ...], object]:
    """Return what a source or delivery says, by the path of its key within its table."""
    if isinstance(built, ManualDelivery):
        return {("outbox", "path"): built.outbox, ("outbox", "group"): built.group}
    if isinstance(built, HttpDelivery):
        at = built.at
        return {
            ("url",): at.url,
            ("confirm_timeout",): built.confirm_timeout,
            ("client_cert",): at.client_cert,
            ("client_key",): at.client_key,
        }
    if isinstance(built, ReportSource):
        version = built.api_version or '""'
        return {("username",): built.username, ("report_timeout",): built.report_timeout, ("api_version",): version}
    said: dict[tuple[str, ...], object] = {(key,): getattr(built, key) for key in KEYS[part][built.kind]}
    if isinstance(built, SshSource) and built.private_key is None:
        del said["identity",]
    return said


def _schedule(instance: Instance, merged: dict[str, Any], origins: Origins) -> list[SettingRow]:
    here = ("instances", instance.name, "schedule")
    laid = lay_schedule(table(merged, *here), table(merged, "schedule"))
    chosen = "cron" if "cron" in laid else "day"
    values = {"timezone": instance.schedule.timezone, chosen: instance.schedule.cron}
    if chosen == "day":
        values["every"] = format_duration(instance.schedule.every_weeks * WEEK)
    values["max_age"] = format_duration(instance.max_age)
    values["avoid"] = ", ".join(laid.get("avoid", [])) or "(nothing)"
    return [
        SettingRow(path=_dotted(*here, "cron" if key == "day" else key), value=value, origin=origins.of((*here, key), ("schedule", key)))
        for key, value in values.items()
    ]


def _guards(instance: Instance, origins: Origins) -> list[SettingRow]:
    here = ("instances", instance.name, "guards")
    values = asdict(instance.guards)
    texts = {key: format_duration(value) if isinstance(value, timedelta) else str(value) for key, value in values.items()}
    return [
        SettingRow(path=_dotted(*here, key), value=text, origin=origins.of((*here, key), ("guards", key))) for key, text in texts.items()
    ]


def _destination(
    at: Destination, here: tuple[str, ...], levels: list[tuple[str, ...]], token: tuple[str, ...] | None, origins: Origins
) -> list[SettingRow]:
    values = {"proxy": at.proxy or "(none)", "ca_file": str(at.ca_file or SYSTEMS)}
    rows = [
        SettingRow(path=_dotted(*here, key), value=value, origin=origins.of(*((*one, key) for one in levels)))
        for key, value in values.items()
    ]
    if at.proxy_auth:
        rows.append(_unlocated(SettingRow(path=_dotted(*here, "proxy_auth"), value=MASK, origin="", credential=at.proxy_auth)))
    if token is not None:
        rows.append(_unlocated(SettingRow(path=_dotted(*token), value=MASK, origin="", credential=at.token)))
    return rows


def _unlocated(row: SettingRow) -> SettingRow:
    return replace(row, origin=f"credential {row.credential[0]}")


def _located(row: SettingRow, place: str | None) -> SettingRow:
    return replace(row, value=MASK if place else "", origin=place or f"{NOT_FOUND}: {row.credential[0]}")


def _dotted(*path: str) -> str:
    return ".".join(path)
