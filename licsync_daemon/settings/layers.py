"""Lay one table over another. Pure; works on raw values (before they are checked) and on checked ones alike."""

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]


def table(raw: Any, *path: str) -> dict[str, Any]:
    """Return the table at `path`, empty where there is none or something else stands there."""
    for key in path:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return dict(raw) if isinstance(raw, Mapping) else {}


def lay(over: Raw, under: Raw) -> dict[str, Any]:
    """Lay a source or delivery over the default one, key by key; another `kind` replaces the table."""
    if "kind" in over and "kind" in under and over["kind"] != under["kind"]:
        return dict(over)
    return {**under, **over}


def lay_schedule(over: Raw, under: Raw) -> dict[str, Any]:
    """Lay an instance's schedule over the general one, key by key; `cron` replaces `day` and `time`, and either replaces `cron`."""
    gone: set[str] = set()
    if "cron" in over:
        gone = {"day", "time"}
    elif "day" in over or "time" in over:
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
