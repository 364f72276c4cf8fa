"""Turn pydantic's errors and other findings into lines an administrator can act on. No line repeats a value."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from licsync_daemon.model.errors import Problem
from licsync_daemon.settings.layers import table
from licsync_daemon.settings.mistakes import Finding, Mistake, did_you_mean, listed
from licsync_daemon.settings.options import Settings, fields_at, variable
from licsync_daemon.settings.parts import PART_EXAMPLES, keys_of, kinds

Keys = tuple[str, ...]
_LATER = frozenset({"privacy"})  # designed, in no version so far
_TABLE = ("must be a table", "put its keys under a line in [brackets], or between { and }")
_NUMBER = ("must be a number", "")
_WHOLE_NUMBER = ("must be a whole number", "")
_FLAG = ("must be true or false", "")
_MESSAGES = {
    "missing": ("missing", ""),
    "string_type": ("must be a string in quotes", ""),
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "tuple_type": ("must be a list", ""),
    "path_type": ("must be a path in quotes", 'for example "/etc/licsync/ca.pem"'),
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "dict_type": ("must be tables, one for each instance", "write [instances.emea], in single brackets"),
}


def finding_of(error: ErrorDetails, path: Keys, kind: str | None = None) -> Finding:
    """Return what one of pydantic's errors means for the key at `path`, in a table of a kind if it has one."""
    if error["type"] == "extra_forbidden":
        return _unknown(path, kind)
    context = error.get("ctx", {})
    if isinstance(context.get("error"), Mistake):
        return Finding(path, context["error"].what, context["error"].hint)
    if error["type"] in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return Finding(path, f"must be {bound}")
    what, hint = _MESSAGES.get(error["type"], ("not a valid value", "see docs/configuration.md"))
    if path == ("cloud",) and what == "missing":
        hint = 'add the table [cloud] with enterprise = "NAME"'
    elif error["type"] != "path_type" and example(path):
        hint = f"for example {example(path)}"
    return Finding(path, what, hint)


def kind_finding(path: Keys, given: Mapping[str, Any]) -> Finding:
    """Return what is wrong with the `kind` of the source, counts or delivery at `path`."""
    if "kind" not in given:
        return Finding((*path, "kind"), "missing")
    known = kinds(path[-1])
    hint = did_you_mean(str(given["kind"]).strip().lower(), known) or f"use {listed(known, 'or')}"
    return Finding((*path, "kind"), f"not a valid kind of {path[-1]}", hint)


def example(path: Keys) -> str:
    """Return an example of the option at `path` as a line of TOML; empty if there is none."""
    part, *below = next((path[place:] for place, key in enumerate(path) if key in PART_EXAMPLES), ("", path[-1]))
    field = (fields_at(path[:-1]) or {}).get(path[-1])
    if not below or below == ["kind"]:
        text = _toml(PART_EXAMPLES[part]["kind"] if below else PART_EXAMPLES[part])
    elif field is not None and field.examples:
        text = _toml(field.examples[0])
    else:
        return ""
    first, *deeper = below or [part]
    return f"{first} = {{ {deeper[0]} = {text} }}" if deeper else f"{first} = {text}"


def to_problems(findings: Iterable[Finding], raw: Mapping[str, Any], environment: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Order findings as the tables of the file are, and describe the place of each. A mistake that several instances inherit is one."""
    instances = raw.get("instances")
    names = list(instances) if isinstance(instances, Mapping) else []
    distinct: dict[tuple[Keys, str], Finding] = {}
    for one in findings:
        distinct.setdefault((one.path, one.what), one)  # the first hint is that of the table itself, later ones name an instance
    ranked = sorted(distinct.values(), key=lambda one: _rank(one.path, names))
    return tuple(dict.fromkeys(_problem(one, environment) for one in ranked))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value)


def _unknown(path: Keys, kind: str | None) -> Finding:
    key = path[-1]
    if key in _LATER:
        return Finding(path, "planned, but not available in this version", "remove it")
    if kind is not None:
        part = next(one for one in reversed(path[:-1]) if one in PART_EXAMPLES)
        homes = [f"`{name}`" for name, one in kinds(part).items() if key in keys_of(one)]
        if homes and path[-2] == part:
            return Finding(path, f'not an option of the {part} kind "{kind}"', f"it belongs to {listed(homes)}")
    return Finding(path, "unknown key", _home(key, path) or did_you_mean(key, fields_at(path[:-1]) or {}))


def _home(key: str, path: Keys) -> str:
    """Say where an option of this name belongs: a key below the wrong [table] line is the most common mistake in TOML."""
    if key in Settings.model_fields:
        return "it belongs at the top of the file, before the first [table]"
    homes = (".".join(one) for one in _homes(path) if one != path[:-1] and key in (fields_at(one) or {}))
    return next((f"it belongs to [{home}]" for home in homes), "")


def _homes(path: Keys) -> Iterator[Keys]:
    instance = path[1] if path[0] == "instances" and len(path) > 2 else "NAME"
    yield from (("cloud",), ("schedule",))
    yield from (("instances", instance, *one) for one in (("source",), ("delivery",), (), ("delivery", "outbox")))
    yield from (("notify", "mail"), ("notify", "webhook"))


def _rank(path: Keys, instances: list[str]) -> list[int]:
    rank = []
    for depth, key in enumerate(path):
        order = instances if path[:depth] == ("instances",) else list(fields_at(path[:depth]) or {})
        rank.append(order.index(key) if key in order else len(order))
    return rank


def _problem(one: Finding, environment: Mapping[str, Any]) -> Problem:
    given = table(environment, *one.path[:-1]).get(one.path[-1])
    if isinstance(given, str) and not given.strip():  # as a template makes of a variable that is not set
        return Problem(variable(one.path), "this variable is empty", "set it, or remove it, so that the file or the default is used")
    return Problem(_where(one.path, environment), one.what, one.hint)


def _where(path: Keys, environment: Mapping[str, Any]) -> str:
    value = table(environment, *path[:-1]).get(path[-1])
    return variable(path) if value is not None and not isinstance(value, Mapping) else ".".join(path)
