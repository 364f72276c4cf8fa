"""Checks of how source, counts and delivery of an instance combine. They read raw values."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licsync_daemon.settings.layers import OPAQUE, Raw, at, is_off, kind_of, lay_parts, table
from licsync_daemon.settings.mistakes import Finding

_CONTACTS = frozenset({"report", "command", "ssh"})


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


def check_combinations(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    """Find sources, counts and deliveries that do not work together. Instances that are never synced are not checked."""
    for name, own in instances.items():
        if is_off(own.get("sync")):
            continue
        one = _Combined(name, own, {part: laid or {} for part, laid in lay_parts(own, table(raw, "defaults")).items()})
        yield from (*_delivery(one), *_counts(one), *_reachable(one), *_command(one), *_certificate(one))
        if "organization" in table(raw, "cloud") and one.kind("delivery") in {"connect", "manual"}:
            what = f"GitHub reports no sync status for an organization, so `{one.kind('delivery')}` could never be confirmed"
            yield Finding(one.place(("delivery", "kind")), what, 'use kind = "http", or set the enterprise in [cloud]')


def _delivery(one: _Combined) -> Iterator[Finding]:
    source, delivery = one.kind("source"), one.kind("delivery")
    place = one.place(("source", "kind"), ("delivery", "kind"))
    if delivery == "manual" and source == "report":
        what = "`manual` delivers GitHub's own export only; use the report as `counts`"
        yield Finding(place, what, 'use source = { kind = "none" }, or a kind that has the export: "ssh", "command", "file"')
    if delivery == "http" and source == "none":
        what = "`http` sends what a source collects, and `none` collects nothing"
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
