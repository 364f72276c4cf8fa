"""Lay one table over another, before the values are checked. Pure."""

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]
OPAQUE = frozenset({"file", "command", "ssh"})  # the kinds of source whose export says nothing about its accounts
WEEKLY = {"day", "time", "every"}  # the keys of a weekly time


def in_force(raw: Raw) -> dict[str, Any]:
    """Return the tables as they are validated: every instance with all that it inherits, and [defaults] without what only instances use."""
    tables = dict(raw)
    if isinstance(raw.get("instances"), Mapping):
        tables["instances"] = {name: _inherited(one, raw) if isinstance(one, Mapping) else one for name, one in raw["instances"].items()}
    if isinstance(raw.get("defaults"), Mapping):
        parts = ("source", "counts", "delivery")
        tables["defaults"] = {key: one for key, one in raw["defaults"].items() if key not in parts or not isinstance(one, Mapping)}
    return tables


def _inherited(own: Raw, raw: Raw) -> dict[str, Any]:
    """Return an instance with all that it inherits. What it must have and does not is an empty table; what it does not use is left out."""
    laid = {
        **lay_parts(own, table(raw, "defaults")),
        "schedule": lay_schedule(table(own, "schedule"), table(raw, "schedule")),
        "guards": {**table(raw, "guards"), **table(own, "guards")},
    }
    misplaced = {key: own[key] for key in laid if key in own and not isinstance(own[key], Mapping)}
    others = {key: value for key, value in own.items() if key not in laid}
    return {**others, **{key: value for key, value in laid.items() if value is not None}, **misplaced}


def lay_parts(own: Raw, defaults: Raw) -> dict[str, dict[str, Any] | None]:
    """Return the source, counts and delivery of an instance; None for one that it neither has nor needs."""
    if is_off(own.get("sync")):
        return {"source": None, "counts": None, "delivery": None}
    source, delivery = lay_source(own, defaults), lay(table(own, "delivery"), table(defaults, "delivery"))
    needs_source = source or kind_of(delivery) == "http"
    return {"source": source if needs_source else None, "counts": lay_counts(own, defaults) or None, "delivery": delivery}


def table(raw: Any, *path: str) -> dict[str, Any]:
    """Return the table at `path`, empty if there is none or something else is there."""
    found = at(raw, *path)
    return dict(found) if isinstance(found, Mapping) else {}


def at(raw: Any, *path: str) -> Any:
    """Return what is at `path`, or in a list there; None if there is nothing."""
    for key in path:
        if not isinstance(raw, Mapping):
            return raw
        raw = raw.get(key)
    return raw


def kind_of(one: Raw) -> str | None:
    """Return the kind of a source or delivery in lower case; None if it has none, or one that is not a string."""
    kind = one.get("kind")
    return kind.strip().lower() if isinstance(kind, str) else None


def is_off(value: object) -> bool:
    """Say whether a flag is false, in the file or in a variable."""
    return value is False or (isinstance(value, str) and value.strip().lower() in {"false", "f", "no", "n", "off", "0"})


def lay(over: Raw, under: Raw) -> dict[str, Any]:
    """Lay a source or delivery over the default one, key by key; another `kind` replaces the table."""
    laid = dict(over) if replaces(over, under) else merge(over, under)
    return {**laid, "kind": kind_of(laid)} if kind_of(laid) is not None else laid


def replaces(over: Raw, under: Raw) -> bool:
    """Say whether a source or delivery is of another kind than the default one, whose keys then do not apply."""
    return "kind" in over and "kind" in under and kind_of(over) != kind_of(under)


def lay_source(own: Raw, defaults: Raw) -> dict[str, Any]:
    """Return the source of an instance; if no layer has one, and nothing needs to be sent, it is `none`."""
    laid = lay(table(own, "source"), table(defaults, "source"))
    sends_nothing = kind_of(lay(table(own, "delivery"), table(defaults, "delivery"))) in {"connect", "manual"}
    return {"kind": "none"} if sends_nothing and not laid else laid


def lay_counts(own: Raw, defaults: Raw) -> dict[str, Any]:
    """Return the counts of an instance. Those of the defaults apply to opaque sources, unless they contact an unreachable instance."""
    general = table(defaults, "counts")
    contacts = kind_of(general) == "report"
    fits = kind_of(lay_source(own, defaults)) in OPAQUE and not (contacts and is_off(own.get("reachable")))
    return lay(table(own, "counts"), general if fits else {})


def lay_schedule(over: Raw, under: Raw) -> dict[str, Any]:
    """Lay an instance's schedule over the general one, key by key; `cron` and the keys of `WEEKLY` replace each other."""
    gone: set[str] = set()
    if "cron" in over:
        gone = WEEKLY
    elif WEEKLY & over.keys():
        gone = {"cron"}
    return {**{key: value for key, value in under.items() if key not in gone}, **over}


def merge(over: Raw, under: Raw) -> dict[str, Any]:
    """Merge nested tables, down to single keys; where both have a value, `over` wins."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(value, below) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged
