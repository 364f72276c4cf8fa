"""Checks that look at more than one option: names, duplicates, files that must exist. They read raw values.

They run beside pydantic's checks of single values, not after them, so that one message holds every mistake.
"""

import grp
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licsync_daemon.model import github_labels as github
from licsync_daemon.settings.addresses import is_loopback, normal_hostname, without_port
from licsync_daemon.settings.layers import OPAQUE, WEEKLY, Raw, at, is_off, kind_of, lay_parts, lay_schedule, table
from licsync_daemon.settings.mistakes import Finding, Mistake
from licsync_daemon.settings.platform import rights_step
from licsync_daemon.settings.values import unix_name

_CONTACTS = frozenset({"report", "command", "ssh"})
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_PEM = "name a PEM file that the daemon's user can read"
_READABLE = {  # options that name a file, and what to write there
    "ca_file": _PEM,
    "client_cert": _PEM,
    "client_key": _PEM,
    "identity": "name the file of a private key, or omit it to use a credential",
}
_SECRET = frozenset({"client_key", "identity"})  # only the daemon's user can read them, and other users run commands too


def check_all(raw: Raw) -> list[Finding]:
    """Return every mistake that takes more than one option to see."""
    instances = {name: one for name, one in table(raw, "instances").items() if isinstance(one, dict)}
    findings = [
        *_names(table(raw, "instances")),
        *_duplicates(instances),
        *_general(raw),
        *_other_servers(raw, instances),
    ]
    for name, own in instances.items():
        findings += [*_reason(name, own), *_schedule(name, own, table(raw, "schedule")), *_combination(name, own, raw)]
    return [*findings, *_files(raw, ())]


def _general(raw: Raw) -> Iterator[Finding]:
    """Find what is missing outside of the instances, or contradicts itself."""
    if raw.get("instances", {}) == {}:
        hint = 'add a table, for example [instances.emea] with hostname = "ghes.example.com"'
        yield Finding(("instances",), "no instance is configured", hint)
    cloud, mail = table(raw, "cloud"), table(raw, "notify", "mail")
    if "enterprise" in cloud and "organization" in cloud:
        yield Finding(("cloud", "organization"), "use either an enterprise or an organization, not both", "remove one of them")
    elif isinstance(raw.get("cloud"), dict) and not {"enterprise", "organization"} & cloud.keys():
        yield Finding(("cloud", "enterprise"), "missing", 'for example enterprise = "octo-enterprise"')
    if mail.get("security") == "none" and isinstance(mail.get("host"), str) and not is_loopback(mail["host"].strip().lower()):
        what = "unencrypted mail is allowed on this machine only (127.0.0.1, ::1, localhost)"
        yield Finding(("notify", "mail", "security"), what, 'use "starttls" or "tls"')
    yield from _two_ways(("schedule",), table(raw, "schedule"))


def _other_servers(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    """Find servers that are listed in two ways: as an instance, as another daemon's, as retired."""
    seen: dict[str, str] = {}
    for name, one in instances.items():
        seen |= dict.fromkeys(filter(None, (_server(one.get("hostname")), _server(one.get("server_id")))), f"instance {name}")
    for key in ("elsewhere", "retired"):
        entries = table(raw, "cloud").get(key)
        for place, entry in enumerate(entries if isinstance(entries, list) else ()):
            server = _server(entry)
            if server is not None and seen.setdefault(server, f"`{key}`") != f"`{key}`":
                yield Finding(("cloud", key, str(place)), f"this server is listed as {seen[server]} as well", "remove one of them")


def _server(value: object) -> str | None:
    """Return a hostname, or a server ID, in the form in which it is compared."""
    return _host(value) or (value.strip() if isinstance(value, str) else None)


def _host(value: object) -> str | None:
    try:
        return without_port(normal_hostname(value)) if isinstance(value, str) else None
    except Mistake:
        return None


def _reason(name: str, own: Raw) -> Iterator[Finding]:
    path = ("instances", name, "reason")
    if is_off(own.get("sync")) and "reason" not in own:
        yield Finding(path, "missing: sync = false requires a reason", 'for example reason = "data must stay on site, ticket SEC-12"')
    if "reason" in own and not is_off(own.get("sync")):
        yield Finding(path, "a reason requires sync = false, and this instance is synced", "set sync = false")


def _names(names: Iterable[str]) -> Iterator[Finding]:
    for name in names:
        if not _NAME.fullmatch(name):
            better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
            hint = f"for example [instances.{better}]" if _NAME.fullmatch(better) else "for example [instances.emea]"
            yield Finding(
                ("instances", name), "a name has lowercase letters, digits and single underscores, and begins with a letter", hint
            )


def _duplicates(instances: dict[str, Any]) -> Iterator[Finding]:
    hosts: dict[str, str] = {}
    ids: dict[str, str] = {}
    for name, one in instances.items():
        host, server_id = _host(one.get("hostname")), one.get("server_id")
        if host and hosts.setdefault(host, name) != name:
            what = f"instances {hosts[host]} and {name} have the same hostname {host}"
            yield Finding(("instances", name, "hostname"), what, "remove one of them")
        if isinstance(server_id, str) and server_id.strip() and ids.setdefault(server_id.strip(), name) != name:
            what = f"instances {ids[server_id.strip()]} and {name} have the same server_id"
            yield Finding(("instances", name, "server_id"), what, "each instance has its own server ID; correct one of them")


def _schedule(name: str, own: Raw, general: Raw) -> Iterator[Finding]:
    """Find a schedule that is incomplete or contradicts itself. What an instance inherits unchanged is reported in [schedule]."""
    given = table(own, "schedule")
    path = ("instances", name, "schedule") if {*WEEKLY, "cron"} & given.keys() else ("schedule",)
    yield from _two_ways(path, given)
    laid = lay_schedule(given, general)
    missing = {"day", "time"} - laid.keys()
    if "cron" not in laid and missing == {"time"}:
        yield Finding((*path, "time"), "missing: `day` requires `time`", 'for example time = "02:30"')
    elif "cron" not in laid and missing == {"day"}:
        yield Finding((*path, "day"), "missing: `time` requires `day`", 'for example day = "sunday"')


def _two_ways(path: tuple[str, ...], schedule: dict[str, Any]) -> Iterator[Finding]:
    if "cron" in schedule and WEEKLY & schedule.keys():
        other = "`every`, which counts weeks" if "every" in schedule else "`day` and `time`"
        yield Finding((*path, "cron"), f"use either `cron` or {other}, not both", "remove one of them")


def _files(raw: Raw, path: tuple[str, ...]) -> Iterator[Finding]:
    """Find files and groups that do not exist on this machine."""
    for key, value in raw.items():
        here = (*path, key)
        if isinstance(value, dict):
            yield from _files(value, here)
        elif key in _READABLE and isinstance(value, str) and value.startswith("/"):
            fault = _unreadable(Path(value), is_secret=key in _SECRET)
            if fault is not None:
                yield Finding(here, f"cannot read this file: {fault}", _READABLE[key])
        elif here[-2:] == ("outbox", "group") and isinstance(value, str) and not _is_group(value):
            yield Finding(here, "no such group on this machine", rights_step("create it with: groupadd --system NAME", Path("/etc/group")))


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
        return True  # an invalid name is reported as one
    except KeyError:
        return False


@dataclass(frozen=True, slots=True)
class _Combined:
    """The source, counts and delivery of one instance, and its own tables."""

    name: str
    own: Raw
    parts: dict[str, dict[str, Any]]

    def kind(self, part: str) -> str | None:
        """Return the kind of a part; None if it has none."""
        return kind_of(self.parts[part])

    def place(self, *choices: tuple[str, str]) -> tuple[str, ...]:
        """Return the first of several keys that the instance itself has, or else the first one of the defaults."""
        own = (("instances", self.name, part, key) for part, key in choices if key in table(self.own, part))
        return next(own, ("defaults", *choices[0]))


def _combination(name: str, own: Raw, raw: Raw) -> Iterator[Finding]:
    """Find a source, counts and a delivery that do not work together. An instance that is never synced is not checked."""
    if is_off(own.get("sync")):
        return
    one = _Combined(name, own, {part: laid or {} for part, laid in lay_parts(own, table(raw, "defaults")).items()})
    yield from (*_delivery(one), *_counts(one), *_reachable(one), *_command(one), *_certificate(one))
    if "organization" in table(raw, "cloud") and one.kind("delivery") in {"connect", "manual"}:
        what = f"`{one.kind('delivery')}` could never be confirmed: {github.NO_STATUS_OF_ORGANIZATIONS}"
        yield Finding(one.place(("delivery", "kind")), what, 'use kind = "http", or set the enterprise in [cloud]')


def _delivery(one: _Combined) -> Iterator[Finding]:
    source, delivery = one.kind("source"), one.kind("delivery")
    place = one.place(("source", "kind"), ("delivery", "kind"))
    if delivery == "manual" and source == "report":
        what = "`manual` delivers GitHub's own export only; use the report as `counts`"
        yield Finding(place, what, 'use source = { kind = "none" }, or a kind that has the export: "ssh", "command", "file"')
    if delivery == "http" and source == "none":
        what = "`http` sends what the source collects, and the source `none` collects nothing"
        yield Finding(place, what, 'for example source = { kind = "report", … }')
    if delivery == "manual" and source in OPAQUE and at(one.parts, "delivery", "outbox", "path") is None:
        yield Finding(("instances", one.name, "delivery", "outbox", "path"), "missing")


def _counts(one: _Combined) -> Iterator[Finding]:
    source, counts = one.kind("source"), one.kind("counts")
    if table(one.own, "counts") and source in {"none", "report"}:
        what = f"`counts` require a source with an encrypted export; the source here is `{source}`"
        of_report = "remove it: a report has its own numbers"
        hint = of_report if source == "report" else "use it as the `source`, or set a source that has the export"
        yield Finding(("instances", one.name, "counts"), what, hint)
    if source == counts == "file" and one.parts["source"].get("path") == one.parts["counts"].get("path"):
        what = "the export and the report need different paths, because the newest file of a folder is read"
        yield Finding(one.place(("counts", "path")), what, "name the file, or another folder")


def _reachable(one: _Combined) -> Iterator[Finding]:
    for part in ("source", "counts") if is_off(one.own.get("reachable")) else ():
        if one.kind(part) in _CONTACTS:
            what = f'`reachable = false` does not allow the {part} kind "{one.kind(part)}", which contacts the instance'
            yield Finding(("instances", one.name, "reachable"), what, f'use {part} = {{ kind = "file", path = "…" }}, or none')


def _command(one: _Combined) -> Iterator[Finding]:
    words = one.parts["source"].get("command")
    if not isinstance(words, list) or not words or not isinstance(words[0], str):
        return
    kind, program, place = one.kind("source"), words[0], one.place(("source", "command"))
    if kind == "command" and not program.startswith("/"):
        yield Finding(place, "the program must be an absolute path", 'for example ["/usr/local/bin/print-export", "--quiet"]')
    elif kind == "command" and not Path(program).is_file():
        yield Finding(place, "no such program on this machine", "the first word is the program's absolute path, its arguments follow")
    if kind == "ssh" and " " in program.strip():
        yield Finding(place, "the first word must be the program alone", 'for example ["ghe-license", "usage"]')


def _certificate(one: _Combined) -> Iterator[Finding]:
    given = [key for key in ("client_cert", "client_key") if key in one.parts["delivery"]]
    if one.kind("delivery") == "http" and len(given) == 1:
        yield Finding(one.place(("delivery", given[0])), "client_cert and client_key require each other", "set both")
