"""The effective settings as rows for `config show`: path, value, and where the value came from. Secrets are never shown."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from licsync_daemon.model import instance as plain
from licsync_daemon.settings.convert import WEEK
from licsync_daemon.settings.layers import lay_schedule, replaces, table
from licsync_daemon.settings.options import CloudTable, GuardsTable, MailTable, Settings, WebhookTable
from licsync_daemon.settings.parts import is_secret, is_table, kinds
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


def describe_settings(rows: Sequence[SettingRow], locate: Callable[[Sequence[str]], str | None]) -> tuple[SettingRow, ...]:
    """Return the rows with every secret's place filled in by `locate`, which returns None if there is no such credential."""
    return tuple(_located(row, locate(row.credential)) if row.credential else row for row in rows)


class Rows:
    """Makes the rows of a configuration.

    Args:
        file: The raw tables of the file.
        environment: The raw tables of the environment.
        merged: Both, the environment over the file.
    """

    def __init__(self, file: dict[str, Any], environment: dict[str, Any], merged: dict[str, Any]) -> None:
        self._file = file
        self._environment = environment
        self._merged = merged

    def of(self, config: plain.Config) -> tuple[SettingRow, ...]:
        """Return a row for every effective setting, in the order of the file's tables."""
        rows = self._table((), Settings, config)
        no_account = "cloud.organization" if config.cloud.enterprise else "cloud.enterprise"
        rows += [row for row in self._table(("cloud",), CloudTable, config.cloud) if row.path != no_account]
        for one in config.notify:
            name, options = ("mail", MailTable) if isinstance(one, plain.MailNotifier) else ("webhook", WebhookTable)
            rows += self._table(("notify", name), options, one)
        for instance in config.instances:
            rows += self._instance(("instances", instance.name), instance)
        return tuple(rows)

    def _origin(self, *paths: Path) -> str:
        """Return the layer that sets the first of `paths`, or else a later one; built-in if none is set."""
        for place, (*parents, key) in enumerate(paths):
            if key in table(self._environment, *parents):
                return "environment" if place == 0 else "defaults table"
            if key in table(self._file, *parents):
                return "file" if place == 0 else "defaults table"
        return "built-in"

    def _values(self, here: Path, values: Mapping[str, object], *inherited: Path) -> list[SettingRow]:
        """Return a row for each value of the table at `here`, which inherits from the tables at `inherited`."""
        return [
            SettingRow(
                path=".".join((*here, key)),
                value=_text(key, value),
                origin=self._origin(*((*one, *key.split(".")) for one in (here, *inherited))),
            )
            for key, value in values.items()
        ]

    def _table(self, here: Path, options: type[BaseModel], built: Any, *inherited: Path, route: Sequence[Path] = ()) -> list[SettingRow]:
        """Return the rows of the options of a table, its secrets last. A proxy and CA certificates are inherited from `route`."""
        rows: list[SettingRow] = []
        secrets: list[SettingRow] = []
        for name, field in options.model_fields.items():
            key, attribute = field.alias or name, "url" if name == "api_url" else name
            if is_table(field):
                continue
            value = getattr(built if hasattr(built, attribute) else built.at, attribute)
            if is_secret(field):
                secrets += _secret((*here, key), value)
            elif name == "private_key" and value is None:
                secrets += _secret((*here, key), built.private_key_credential)
            else:
                rows += self._values(here, {key: value}, *(route if name in {"proxy", "ca_file"} else inherited))
        return rows + secrets

    def _instance(self, here: Path, instance: plain.Instance) -> list[SettingRow]:
        rows = self._values(here, {key: getattr(instance, key) for key in ("hostname", "server_id", "enabled")})
        if instance.unsynced_because is not None:
            return rows + self._values(here, {"sync": False, "reason": instance.unsynced_because})
        rows += self._values(here, {"reachable": instance.reachable})
        report = next((one for one in (instance.source, instance.counts) if isinstance(one, plain.ReportSource)), None)
        if report is not None:
            route = {"proxy": report.at.proxy, "ca_file": report.at.ca_file}
            rows += self._values(here, {"url": report.at.url}) + self._values(here, route, ("defaults",))
            rows += _secret((*here, "proxy_auth"), report.at.proxy_auth)
        rows += self._schedule(here, instance) + self._table((*here, "guards"), GuardsTable, instance.guards, ("guards",))
        for part in ("source", "counts", "delivery"):
            if getattr(instance, part) is not None:
                rows += self._part((*here, part), getattr(instance, part))
        return rows

    def _part(self, here: Path, built: plain.Source | plain.DeliveryTo) -> list[SettingRow]:
        """Return the rows of an instance's source, counts or delivery: the options of its kind."""
        default = ("defaults", here[-1])
        is_alone = replaces(table(self._merged, *here), table(self._merged, *default))
        inherited = () if is_alone else (default,)
        rows = self._table(here, kinds(here[-1])[built.kind], built, *inherited, route=(default, ("defaults",)))
        if isinstance(built, plain.ManualDelivery):
            rows += self._values(here, {"outbox.path": built.outbox, "outbox.group": built.group}, *inherited)
        return rows

    def _schedule(self, instance_path: Path, instance: plain.Instance) -> list[SettingRow]:
        here, schedule = (*instance_path, "schedule"), instance.schedule
        laid = lay_schedule(table(self._merged, *here), table(self._merged, "schedule"))
        by_cron = "cron" in laid
        values = {
            **({} if by_cron else {"every": schedule.every_weeks * WEEK}),
            "max_age": instance.max_age,
            "avoid": ", ".join(laid.get("avoid", [])) or "(none)",
        }
        origin = self._origin(*((*one, "cron" if by_cron else "day") for one in (here, ("schedule",))))
        return [
            *self._values(here, {"timezone": schedule.timezone}, ("schedule",)),
            SettingRow(path=".".join((*here, "cron")), value=schedule.cron, origin=origin),
            *self._values(here, values, ("schedule",)),
        ]


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


def _secret(path: Path, names: Path) -> list[SettingRow]:
    """Return the row of a secret; none if no credential is used."""
    return [SettingRow(path=".".join(path), value=MASK, origin=f"credential {names[0]}", credential=names)] if names else []


def _located(row: SettingRow, place: str | None) -> SettingRow:
    return replace(row, value=MASK if place else "", origin=place or f"not found: {row.credential[0]}")
