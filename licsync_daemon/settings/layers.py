"""Lay one table over another. Pure; works on raw values (before they are checked) and on checked ones alike."""

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]
OPAQUE = frozenset({"file", "command", "ssh"})  # the kinds of source whose export says nothing about its accounts
WEEKLY = {"day", "time", "every"}  # the ways to say a weekly time


def table(raw: Any, *path: str) -> dict[str, Any]:
    """Return the table at `path`, empty where there is none or something else stands there."""
    for key in path:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return dict(raw) if isinstance(raw, Mapping) else {}


def kind_of(one: Raw) -> str | None:
    """Return the kind of a source or delivery as its check would spell it; None where it has none, or something that is no text."""
    kind = one.get("kind")
    return kind.strip().lower() if isinstance(kind, str) else None


def is_off(value: object) -> bool:
    """Say whether a flag is false, in the file or as a variable has it."""
    return value is False or (isinstance(value, str) and value.strip().lower() in {"false", "f", "no", "n", "off", "0"})


def lay(over: Raw, under: Raw) -> dict[str, Any]:
    """Lay a source or delivery over the default one, key by key; another `kind` replaces the table."""
    return dict(over) if replaces(over, under) else merge(over, under)


def replaces(over: Raw, under: Raw) -> bool:
    """Say whether a source or delivery is of another kind than the default one, whose keys then mean nothing to it."""
    return "kind" in over and "kind" in under and kind_of(over) != kind_of(under)


def lay_source(own: Raw, defaults: Raw) -> dict[str, Any]:
    """Return the source of an instance; where no layer has one, and nothing needs to be sent, it is `none`."""
    laid = lay(table(own, "source"), table(defaults, "source"))
    sends_nothing = kind_of(lay(table(own, "delivery"), table(defaults, "delivery"))) in {"connect", "manual"}
    return {"kind": "none"} if sends_nothing and not laid else laid


def lay_counts(own: Raw, defaults: Raw) -> dict[str, Any]:
    """Return where the numbers of an instance come from. Those of the defaults stand beside opaque sources, and contact whom they may."""
    general = table(defaults, "counts")
    contacts = kind_of(general) == "report"
    fits = kind_of(lay_source(own, defaults)) in OPAQUE and not (contacts and is_off(own.get("reachable")))
    return lay(table(own, "counts"), general if fits else {})


def lay_schedule(over: Raw, under: Raw) -> dict[str, Any]:
    """Lay an instance's schedule over the general one, key by key; `cron` replaces what `WEEKLY` has, and each of those replaces `cron`."""
    gone: set[str] = set()
    if "cron" in over:
        gone = WEEKLY
    elif WEEKLY & over.keys():
        gone = {"cron"}
    return {**{key: value for key, value in under.items() if key not in gone}, **over}


def first(key: str, *levels: tuple[str, Raw]) -> tuple[Any, tuple[str, ...]]:
    """Return the value of the most specific level that has `key`, and the names of the levels up to that one."""
    names: list[str] = []
    for name, values in levels:
        names.append(name)
        if values.get(key) is not None:
            return values[key], tuple(names)
    return None, ()


def merge(over: Raw, under: Raw) -> dict[str, Any]:
    """Merge nested tables, down to single keys; where both have a value, `over` wins."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(value, below) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged
