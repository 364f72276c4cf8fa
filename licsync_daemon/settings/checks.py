"""Checks that look at more than one value: names, doubles, what no layer gives, files that must exist. They read raw values.

They run beside pydantic's checks of single values, not after them, so that one message holds every mistake.
"""

import grp
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from licsync_daemon.settings.addresses import is_loopback, normal_hostname, without_port
from licsync_daemon.settings.kinds import check_kinds
from licsync_daemon.settings.layers import WEEKLY, Raw, is_off, lay_schedule, table
from licsync_daemon.settings.mistakes import Finding, Mistake
from licsync_daemon.settings.values import unix_name

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_READABLE = {  # keys that name a file, and what is wanted there
    "ca_file": "name a PEM file that the daemon's user may read",
    "client_cert": "name a PEM file that the daemon's user may read",
    "client_key": "name a PEM file that the daemon's user may read",
    "identity": "name the file of a private key, or leave it out: then it is a credential",
}
_SECRET = frozenset({"client_key", "identity"})  # only the daemon's user may read them, and commands are run by others too


def check_all(raw: Raw) -> list[Finding]:
    """Return every mistake that takes more than one value to see."""
    instances = {name: one for name, one in table(raw, "instances").items() if isinstance(one, dict)}
    return [
        *_fleet(raw, instances),
        *_names(table(raw, "instances")),
        *_doubles(instances),
        *_account(raw),
        *_others(raw, instances),
        *_reasons(instances),
        *check_kinds(raw, instances),
        *_mail(table(raw, "notify", "mail")),
        *_schedules(raw, instances),
        *_files(raw, ()),
    ]


def _fleet(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    if not instances and isinstance(raw.get("instances", {}), dict) and not raw.get("instances"):
        yield Finding(
            ("instances",), "no instance is configured", 'add a table such as [instances.emea] with hostname = "ghes.example.com"'
        )


def _account(raw: Raw) -> Iterator[Finding]:
    cloud = table(raw, "cloud")
    if "enterprise" in cloud and "organization" in cloud:
        yield Finding(("cloud", "organization"), "either an enterprise or an organization, not both", "remove one of them")
    elif isinstance(raw.get("cloud"), dict) and not {"enterprise", "organization"} & cloud.keys():
        yield Finding(("cloud", "enterprise"), "missing", 'for example enterprise = "octo-enterprise"')


def _others(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    """Find servers of others, or gone ones, that are said to be something else too."""
    cloud = table(raw, "cloud")
    seen: dict[str, str] = {}
    for name, one in instances.items():
        seen |= dict.fromkeys(filter(None, (_server(one.get("hostname")), _server(one.get("server_id")))), f"instance {name}")
    for key in ("elsewhere", "retired"):
        entries = cloud.get(key)
        for place, entry in enumerate(entries if isinstance(entries, list) else ()):
            server = _server(entry)
            if server is not None and seen.setdefault(server, f"`{key}`") != f"`{key}`":
                yield Finding(("cloud", key, str(place)), f"this server is {seen[server]} as well", "remove one of them")


def _server(value: object) -> str | None:
    """Return a host name, or a server id, in the form in which it is compared."""
    return _host(value) or (value.strip() if isinstance(value, str) else None)


def _reasons(instances: dict[str, Any]) -> Iterator[Finding]:
    for name, one in instances.items():
        if is_off(one.get("sync")) and "reason" not in one:
            hint = 'for example reason = "data must stay on site, ticket SEC-12"'
            yield Finding(("instances", name, "reason"), "missing: an instance is never synced without a reason", hint)
        if "reason" in one and not is_off(one.get("sync")):
            yield Finding(
                ("instances", name, "reason"), "a reason says why an instance is never synced, and this one is", "set sync = false"
            )


def _mail(mail: Raw) -> Iterator[Finding]:
    if mail.get("security") == "none" and isinstance(mail.get("host"), str) and not is_loopback(mail["host"].strip().lower()):
        what = "mail goes unencrypted to this machine only (127.0.0.1, ::1, localhost)"
        yield Finding(("notify", "mail", "security"), what, 'write "starttls" or "tls"')


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


def _schedules(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    general = table(raw, "schedule")
    yield from _two_ways(("schedule",), general)
    reported = False
    for name, one in instances.items():
        own = table(one, "schedule")
        path = ("instances", name, "schedule") if {*WEEKLY, "cron"} & own.keys() else ("schedule",)
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
    if "cron" in schedule and WEEKLY & schedule.keys():
        other = "`every`, which counts weeks" if "every" in schedule else "day and time"
        yield Finding((*path, "cron"), f"a schedule has either cron or {other}, not both", "remove one of them")


def _files(raw: Raw, path: tuple[str, ...]) -> Iterator[Finding]:
    """Find files, programs and groups that do not exist here."""
    for key, value in raw.items():
        here = (*path, key)
        if isinstance(value, dict):
            yield from _files(value, here)
        elif key in _READABLE and isinstance(value, str) and value.startswith("/"):
            fault = _unreadable(Path(value), is_secret=key in _SECRET)
            if fault is not None:
                yield Finding(here, f"this file cannot be read: {fault}", _READABLE[key])
        elif here[-2:] == ("outbox", "group") and isinstance(value, str) and not _is_group(value):
            yield Finding(here, "this machine has no such group", "create it with: groupadd --system NAME")


def _unreadable(path: Path, *, is_secret: bool) -> str | None:
    try:
        with path.open("rb"):
            return None
    except PermissionError:
        return None if is_secret else "permission denied"
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", None) or "not a valid path").lower()


def _is_group(text: str) -> bool:
    try:
        return bool(grp.getgrnam(unix_name(text)))
    except Mistake:
        return True  # what is no name at all is said elsewhere
    except KeyError:
        return False
