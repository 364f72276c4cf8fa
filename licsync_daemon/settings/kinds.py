"""Checks of sources, counts and deliveries: what each kind needs, what it cannot say, what does not go together. They read raw values."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licsync_daemon.settings.layers import OPAQUE, Raw, is_off, kind_of, lay, lay_counts, lay_source, table
from licsync_daemon.settings.mistakes import Finding, listed
from licsync_daemon.settings.options import KEYS, fields_at

_EXAMPLES = {
    ("source", "kind"): 'kind = "report"',
    ("counts", "kind"): 'kind = "report"',
    ("delivery", "kind"): 'kind = "connect"',
    ("source", "username"): 'username = "license-reader"',
    ("counts", "username"): 'username = "license-reader"',
    ("source", "path"): 'path = "/srv/licsync/exports"',
    ("counts", "path"): 'path = "/srv/licsync/reports"',
    ("source", "command"): 'command = ["/usr/local/bin/print-export", "--quiet"]',
    ("delivery", "url"): 'url = "https://relay.example.com/uploads"',
    ("delivery", "outbox", "path"): 'outbox = { path = "/srv/licsync/outbox" }',
}
_NEEDED = {"report": ("username",), "file": ("path",), "command": ("command",), "http": ("url",)}  # beside the kind itself
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Laid:
    """One instance: its own tables, those of the defaults, and what they are together."""

    name: str
    own: Raw
    defaults: Raw
    parts: dict[str, dict[str, Any]]

    def kind(self, part: str) -> str | None:
        """Return the kind of a part; None where it has none, or one that does not exist."""
        kind = kind_of(self.parts[part])
        return kind if kind in KEYS[part] else None

    def place(self, *choices: tuple[str, str]) -> Keys:
        """Return the first of several keys that the instance itself says, or else the first one of the defaults."""
        for part, key in choices:
            if key in table(self.own, part):
                return ("instances", self.name, part, key)
        return ("defaults", *choices[0])


def check_kinds(raw: Raw, instances: dict[str, Any]) -> Iterator[Finding]:
    """Find what is wrong with the sources, counts and deliveries of a fleet. Of an instance that is never synced they say nothing."""
    defaults = table(raw, "defaults")
    fleet = [_laid(name, one, defaults) for name, one in instances.items() if not is_off(one.get("sync"))]
    for part in KEYS:
        yield from _incomplete(part, fleet)
        yield from _foreign(part, kind_of(table(defaults, part)), table(defaults, part), lambda key, part=part: ("defaults", part, key))
    for one in fleet:
        for part in KEYS:
            yield from _foreign(part, one.kind(part), one.parts[part], lambda key, part=part, one=one: one.place((part, key)))
        yield from _together(one)
        yield from _command(one)
        yield from _certificate(one)
        if "organization" in table(raw, "cloud") and one.kind("delivery") in {"connect", "manual"}:
            what = f"an organization shows no sync, so nobody could tell whether `{one.kind('delivery')}` worked"
            yield Finding(one.place(("delivery", "kind")), what, 'write kind = "http", or name the enterprise in [cloud]')


def _laid(name: str, own: Raw, defaults: Raw) -> _Laid:
    delivery = lay(table(own, "delivery"), table(defaults, "delivery"))
    return _Laid(name, own, defaults, {"source": lay_source(own, defaults), "counts": lay_counts(own, defaults), "delivery": delivery})


def _incomplete(part: str, fleet: list[_Laid]) -> Iterator[Finding]:
    without: dict[tuple[str, ...], list[str]] = {}
    for one in fleet:
        for key in _missing(part, one):
            if table(one.own, part):
                hint = f"set it here or under [defaults] {part}: {_EXAMPLES[part, *key]}"
                yield Finding(("instances", one.name, part, *key), "missing", hint)
            else:
                without.setdefault(key, []).append(one.name)
    if without and not any(table(one.defaults, part) for one in fleet):
        names = next(iter(without.values()))
        example = 'kind = "report", username = "license-reader"' if part == "source" else _EXAMPLES[part, "kind"]
        yield Finding(("defaults", part), f"missing, and {_have_none(names)}", f"for example {part} = {{ {example} }}")
        return
    for key, names in without.items():
        yield Finding(("defaults", part, *key), f"missing, and {_have_none(names)}", f"for example {_EXAMPLES[part, *key]}")


def _missing(part: str, one: _Laid) -> Iterator[tuple[str, ...]]:
    laid = one.parts[part]
    if not laid and (part == "counts" or (part == "source" and one.kind("delivery") != "http")):
        return  # no counts are wanted; without a delivery nobody knows whether a source is
    if "kind" not in laid:
        yield ("kind",)
        return
    yield from ((key,) for key in _NEEDED.get(one.kind(part) or "", ()) if key not in laid)
    if one.kind(part) == "manual" and one.kind("source") in OPAQUE and "path" not in table(laid, "outbox"):
        yield ("outbox", "path")


def _have_none(names: list[str]) -> str:
    return f"instance {names[0]} has none of its own" if len(names) == 1 else f"instances {listed(names)} have none of their own"


def _foreign(part: str, kind: str | None, laid: Raw, place: Any) -> Iterator[Finding]:
    if kind not in KEYS[part]:
        return
    fields = fields_at(("defaults", part)) or {}
    for key in laid:
        if key == "kind" or key in KEYS[part][kind] or key not in fields:
            continue
        homes = [f"`{one}`" for one, keys in KEYS[part].items() if key in keys]
        yield Finding(place(key), f'a {part} of the kind "{kind}" has no such key', f"it belongs to {listed(homes)}")


def _together(one: _Laid) -> Iterator[Finding]:
    source, counts, delivery = one.kind("source"), one.kind("counts"), one.kind("delivery")
    if delivery == "manual" and source == "report":
        what = "`manual` carries GitHub's own export only; a report may be its `counts`"
        hint = 'write source = { kind = "none" }, or one that has the export: "ssh", "command", "file"'
        yield Finding(one.place(("source", "kind"), ("delivery", "kind")), what, hint)
    if delivery == "http" and source == "none":
        what = "`http` sends what a source collects, and `none` collects nothing"
        yield Finding(one.place(("source", "kind"), ("delivery", "kind")), what, 'for example source = { kind = "report", … }')
    if table(one.own, "counts") and source in {"none", "report"}:
        what = f"`counts` stand beside an export, which says nothing of its accounts; the source here is `{source}`"
        hint = (
            "remove it: a report has its numbers itself"
            if source == "report"
            else "write it as the `source`, or set one that has the export"
        )
        yield Finding(("instances", one.name, "counts"), what, hint)
    if source == counts == "file" and one.parts["source"].get("path") == one.parts["counts"].get("path"):
        what = "the export and the report need paths of their own: of a folder the newest file is read"
        yield Finding(one.place(("counts", "path")), what, "name the file, or another folder")
    if not is_off(one.own.get("reachable")):
        return
    for part, kind in (("source", source), ("counts", counts)):
        if kind in {"report", "command", "ssh"}:
            what = f'`reachable = false` does not go with {part} of the kind "{kind}", which would contact the instance'
            yield Finding(("instances", one.name, "reachable"), what, f'write {part} = {{ kind = "file", path = "…" }}, or none')


def _command(one: _Laid) -> Iterator[Finding]:
    words = one.parts["source"].get("command")
    program = words[0] if isinstance(words, list) and words and isinstance(words[0], str) else "/bin/sh"
    place = one.place(("source", "command"))
    if one.kind("source") == "command" and not program.startswith("/"):
        yield Finding(place, "the program must be named by its absolute path", 'for example ["/usr/local/bin/print-export", "--quiet"]')
    elif one.kind("source") == "command" and not Path(program).is_file():
        yield Finding(place, "this machine has no such program", "the first word is the program's absolute path, its arguments follow")
    if one.kind("source") == "ssh" and " " in program.strip():
        yield Finding(place, "the first word is the program alone", 'for example ["ghe-license", "usage"]')


def _certificate(one: _Laid) -> Iterator[Finding]:
    given = [key for key in ("client_cert", "client_key") if key in one.parts["delivery"]]
    if one.kind("delivery") == "http" and len(given) == 1:
        yield Finding(one.place(("delivery", given[0])), "client_cert and client_key belong together", "set both")
