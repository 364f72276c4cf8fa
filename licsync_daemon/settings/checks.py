"""Checks that look at more than one value: names, doubles, what no layer gives, files that must exist. They read raw values.

They run beside pydantic's checks of single values, not after them, so that one message holds every mistake.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from licsync_daemon.settings.addresses import normal_hostname, without_port
from licsync_daemon.settings.layers import Raw, lay, lay_schedule, table
from licsync_daemon.settings.words import Finding, Mistake, listed

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_REQUIRED = {
    "source": (("kind", 'kind = "report"'), ("username", 'username = "license-reader"')),
    "delivery": (("kind", 'kind = "http"'), ("url", 'url = "https://relay.example.com/uploads"')),
}


def check_all(raw: Raw) -> list[Finding]:
    """Return every mistake that takes more than one value to see."""
    instances = {name: one for name, one in table(raw, "instances").items() if isinstance(one, dict)}
    return [
        *_fleet(raw, instances),
        *_names(table(raw, "instances")),
        *_doubles(instances),
        *_incomplete("source", raw, instances),
        *_incomplete("delivery", raw, instances),
        *_schedules(raw, instances),
        *_missing_files(raw, ()),
    ]


def _fleet(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    if not instances and isinstance(raw.get("instances", {}), dict) and not raw.get("instances"):
        yield Finding(
            ("instances",), "no instance is configured", 'add a table such as [instances.emea] with hostname = "ghes.example.com"'
        )


def _names(names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        if not _NAME.fullmatch(name):
            better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
            hint = f"for example [instances.{better}]" if _NAME.fullmatch(better) else "for example [instances.emea]"
            yield Finding(("instances", name), "a name is small letters, digits and single underscores, beginning with a letter", hint)


def _doubles(instances: dict[str, Any]) -> Iterator[Finding]:
    hosts: dict[str, str] = {}
    ids: dict[str, str] = {}
    for name, one in instances.items():
        host = _host(one.get("hostname"))
        if host and hosts.setdefault(host, name) != name:
            yield Finding(
                ("instances", name, "hostname"), f"instances {hosts[host]} and {name} have the same host name {host}", "remove one"
            )
        server_id = one.get("server_id")
        if isinstance(server_id, str) and server_id.strip() and ids.setdefault(server_id.strip(), name) != name:
            what = f"instances {ids[server_id.strip()]} and {name} have the same server_id"
            yield Finding(("instances", name, "server_id"), what, "every instance has its own")


def _host(value: object) -> str | None:
    try:
        return without_port(normal_hostname(value)) if isinstance(value, str) else None
    except Mistake:
        return None


def _incomplete(part: str, raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    defaults = table(raw, "defaults", part)
    without: dict[tuple[str, str], list[str]] = {}
    for name, one in instances.items():
        own = table(one, part)
        laid = lay(own, defaults)
        if laid.get("kind", _REQUIRED[part][0][1].split('"')[1]) not in {"report", "http"}:
            continue  # the kind itself is the mistake
        for key, example in _REQUIRED[part]:
            if key in laid:
                continue
            if own:
                yield Finding(("instances", name, part, key), "missing", f"set it here or under [defaults] {part}: {example}")
            else:
                without.setdefault((key, example), []).append(name)
    if without and not defaults:
        names = next(iter(without.values()))
        examples = ", ".join(example for _, example in _REQUIRED[part])
        yield Finding(("defaults", part), f"missing, and {_have_none(names)}", f"for example {part} = {{ {examples} }}")
        return
    for (key, example), names in without.items():
        yield Finding(("defaults", part, key), f"missing, and {_have_none(names)}", f"for example {example}")


def _have_none(names: list[str]) -> str:
    return f"instance {names[0]} has none of its own" if len(names) == 1 else f"instances {listed(names)} have none of their own"


def _schedules(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    general = table(raw, "schedule")
    yield from _two_ways(("schedule",), general)
    reported = False
    for name, one in instances.items():
        own = table(one, "schedule")
        path = ("instances", name, "schedule") if {"day", "time", "cron"} & own.keys() else ("schedule",)
        if path != ("schedule",):
            yield from _two_ways(path, own)
        laid = lay_schedule(own, general)
        missing = {"day", "time"} - laid.keys()
        if "cron" in laid or len(missing) != 1 or (reported and path == ("schedule",)):
            continue
        reported = reported or path == ("schedule",)
        if missing == {"time"}:
            yield Finding((*path, "time"), "missing: there is a day without a time", 'for example time = "02:30"')
        else:
            yield Finding((*path, "day"), "missing: there is a time without a day", 'for example day = "sunday"')


def _two_ways(path: tuple[str, ...], schedule: dict[str, Any]) -> Iterator[Finding]:
    if "cron" in schedule and ("day" in schedule or "time" in schedule):
        yield Finding((*path, "cron"), "a schedule has either cron or day and time, not both", "remove one of them")


def _missing_files(raw: Raw, path: tuple[str, ...]) -> Iterator[Finding]:
    for key, value in raw.items():
        here = (*path, key)
        if isinstance(value, dict):
            yield from _missing_files(value, here)
        elif key == "ca_file" and isinstance(value, str) and value.startswith("/"):
            try:
                with Path(value).open("rb"):
                    pass
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a valid path"
                yield Finding(here, f"this file cannot be read: {reason.lower()}", "name a PEM file that the daemon's user may read")
