"""The effective settings as rows for `config show`: path, value, and where the value came from. Secrets are never shown."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from licsync_daemon.configured import Config, Destination, HttpDelivery, Instance, ReportSource
from licsync_daemon.settings.durations import format_duration
from licsync_daemon.settings.layers import lay, lay_schedule, table

MASK = "********"
NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
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


def describe_settings(rows: Sequence[Row], locate: Callable[[Sequence[str]], str | None] | None = None) -> tuple[Row, ...]:
    """Return the rows with every secret's place filled in by `locate`, which answers with a place in words, or None for "nowhere"."""
    if locate is None:
        return tuple(rows)
    return tuple(_located(row, locate(row.credential)) if row.credential else row for row in rows)


def rows_for(config: Config, merged: dict[str, Any], origins: Origins) -> tuple[Row, ...]:
    """Return a row for every effective setting, in the order of the file's tables."""
    rows = [
        Row(path=key, value=value, origin=origins.of((key,)))
        for key, value in (
            ("state_dir", str(config.state_dir)),
            ("credentials_dir", str(config.credentials_dir)),
            ("max_concurrent_runs", str(config.max_concurrent_runs)),
            ("log_level", config.log_level),
        )
    ]
    cloud = config.cloud
    plain = (("enterprise", cloud.enterprise or ""), ("api_url", cloud.at.url), ("api_version", cloud.api_version))
    rows += [Row(path=f"cloud.{key}", value=value, origin=origins.of(("cloud", key))) for key, value in plain]
    rows += _destination(cloud.at, ("cloud",), [("cloud",)], ("cloud", "token"), origins)
    for instance in config.instances:
        rows += _instance(instance, merged, origins)
    return tuple(rows)


def _instance(instance: Instance, merged: dict[str, Any], origins: Origins) -> list[Row]:
    here, defaults = ("instances", instance.name), ("defaults",)
    source, delivery = instance.source, instance.delivery
    assert isinstance(source, ReportSource)
    assert isinstance(delivery, HttpDelivery)
    rows = [
        Row(path=_dotted(*here, "hostname"), value=instance.hostname, origin=origins.of((*here, "hostname"))),
        Row(path=_dotted(*here, "url"), value=source.at.url, origin=origins.of((*here, "url"))),
        Row(path=_dotted(*here, "server_id"), value=instance.server_id or "(from the cloud)", origin=origins.of((*here, "server_id"))),
        Row(path=_dotted(*here, "enabled"), value=str(instance.enabled).lower(), origin=origins.of((*here, "enabled"))),
        *_destination(source.at, here, [here, defaults], None, origins),
        *_schedule(instance, merged, origins),
        *_guards(instance, origins),
    ]
    values = {
        "source": {
            "kind": "report",
            "username": source.username,
            "report_timeout": format_duration(source.report_timeout),
            "api_version": source.api_version or '""',
        },
        "delivery": {"kind": "http", "url": delivery.at.url, "confirm_timeout": format_duration(delivery.confirm_timeout)},
    }
    for part, keys in values.items():
        laid_whole = lay(table(merged, *here, part), table(merged, *defaults, part)).keys() - table(merged, *here, part).keys()
        for key, value in keys.items():
            paths = [(*here, part, key)] + ([(*defaults, part, key)] if key in laid_whole else [])
            rows.append(Row(path=_dotted(*here, part, key), value=value, origin=origins.of(*paths)))
    own, general = (*here, "delivery"), (*defaults, "delivery")
    at_source = Row(path=_dotted(*here, "source", "token"), value=MASK, origin="", credential=source.at.token)
    return [*rows, _unlocated(at_source), *_destination(delivery.at, own, [own, general, defaults], (*own, "token"), origins)]


def _schedule(instance: Instance, merged: dict[str, Any], origins: Origins) -> list[Row]:
    here = ("instances", instance.name, "schedule")
    laid = lay_schedule(table(merged, *here), table(merged, "schedule"))
    chosen = "cron" if "cron" in laid else "day"
    values = {"timezone": instance.schedule.timezone, chosen: instance.schedule.cron, "max_age": format_duration(instance.max_age)}
    values["avoid"] = ", ".join(laid.get("avoid", [])) or "(nothing)"
    return [
        Row(path=_dotted(*here, "cron" if key == "day" else key), value=value, origin=origins.of((*here, key), ("schedule", key)))
        for key, value in values.items()
    ]


def _guards(instance: Instance, origins: Origins) -> list[Row]:
    here = ("instances", instance.name, "guards")
    values = asdict(instance.guards)
    texts = {key: format_duration(value) if isinstance(value, timedelta) else str(value) for key, value in values.items()}
    return [Row(path=_dotted(*here, key), value=text, origin=origins.of((*here, key), ("guards", key))) for key, text in texts.items()]


def _destination(
    at: Destination, here: tuple[str, ...], levels: list[tuple[str, ...]], token: tuple[str, ...] | None, origins: Origins
) -> list[Row]:
    values = {"proxy": at.proxy or "(none)", "ca_file": str(at.ca_file or "(the system's)")}
    rows = [
        Row(path=_dotted(*here, key), value=value, origin=origins.of(*((*one, key) for one in levels))) for key, value in values.items()
    ]
    if at.proxy_auth:
        rows.append(_unlocated(Row(path=_dotted(*here, "proxy_auth"), value=MASK, origin="", credential=at.proxy_auth)))
    if token is not None:
        rows.append(_unlocated(Row(path=_dotted(*token), value=MASK, origin="", credential=at.token)))
    return rows


def _unlocated(row: Row) -> Row:
    return replace(row, origin=f"credential {row.credential[0]}")


def _located(row: Row, place: str | None) -> Row:
    return replace(row, value=MASK if place else "", origin=place or f"{NOT_FOUND}: {row.credential[0]}")


def _dotted(*path: str) -> str:
    return ".".join(path)
