"""Turn findings and pydantic's errors into lines an administrator can act on. No line repeats a value."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from licsync_daemon.model.errors import Problem
from licsync_daemon.settings.mistakes import Finding, Mistake, did_you_mean
from licsync_daemon.settings.options import Settings, fields_at
from licsync_daemon.settings.sources import variable

_LATER = frozenset({"privacy"})  # designed, in no version so far
_WORDS = {
    "missing": ("missing", ""),
    "string_type": ("text in quotes is wanted", ""),
    "bool_type": ("true or false is wanted", ""),
    "bool_parsing": ("true or false is wanted", ""),
    "int_type": ("a whole number is wanted", ""),
    "int_parsing": ("a whole number is wanted", ""),
    "int_from_float": ("a whole number is wanted", ""),
    "float_type": ("a number is wanted", ""),
    "float_parsing": ("a number is wanted", ""),
    "list_type": ("a list is wanted", ""),
    "path_type": ("a path in quotes is wanted", 'for example "/etc/licsync/ca.pem"'),
    "model_type": ("a table is wanted", "write its keys under a line in [brackets], or between { and }"),
    "dict_type": ("tables are wanted, one for each instance", "write [instances.emea], in single brackets"),
}
_EXAMPLES = {
    "hostname": 'for example hostname = "ghes.example.com"',
    "enterprise": 'for example enterprise = "octo-enterprise"',
    "avoid": 'for example ["mon-fri 08:00-18:00"]',
    "elsewhere": 'for example ["ghes-other.example.com"]',
    "retired": 'for example ["ghes-old.example.com"]',
    "verified_domains": 'for example ["example.com"]',
    "host": 'for example host = "smtp.example.com"',
    "from": 'for example from = "licsync@example.com"',
    "to": 'for example to = ["github-admins@example.com"]',
    "url": 'for example url = "https://alerts.example.com/licsync"',
    "counts": 'for example counts = { kind = "report", username = "license-reader" }',
    "cloud": 'add the table [cloud] with enterprise = "NAME"',
}


def from_validation(error: ValidationError) -> list[Finding]:
    """Return one finding for each of pydantic's errors."""
    return [_finding(one) for one in error.errors(include_input=False, include_url=False)]


def to_problems(findings: Iterable[Finding], raw: Mapping[str, Any], environment: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Order findings as the file's tables are, drop those that only follow from another, and give each its place in words."""
    distinct = list(dict.fromkeys(findings))
    paths = {one.path: one for one in distinct}
    kept = [one for one in distinct if not _follows(one, paths)]
    instances = raw.get("instances")
    names = list(instances) if isinstance(instances, Mapping) else []
    kept.sort(key=lambda one: _rank(one.path, names))
    return tuple(Problem(_where(one.path, environment), one.what, one.hint) for one in kept)


def _finding(error: ErrorDetails) -> Finding:
    path = tuple(str(key) for key in error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown(path)
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, Mistake):
        return Finding(path, raised.what, raised.hint)
    if kind == "greater_than_equal":
        return Finding(path, f"this must be at least {error['ctx']['ge']}")
    if kind == "less_than_equal":
        return Finding(path, f"this must be at most {error['ctx']['le']}")
    what, hint = _WORDS.get(kind, ("this value cannot be used", "see docs/configuration.md"))
    return Finding(path, what, _EXAMPLES.get(path[-1], hint) if what != _WORDS["path_type"][0] else hint)


def _unknown(path: tuple[str, ...]) -> Finding:
    key = path[-1]
    if key in _LATER:
        return Finding(path, "not yet: this is planned, but not in this version", "remove it")
    return Finding(path, "unknown key", _home(key, path) or did_you_mean(key, fields_at(path[:-1]) or {}))


def _home(key: str, path: tuple[str, ...]) -> str:
    """Say where an option of this name belongs: a key below the wrong [table] line is the commonest mistake in TOML."""
    if key in Settings.model_fields:
        return "it belongs at the top of the file, before the first [table]"
    instance = path[1] if path[0] == "instances" and len(path) > 2 else "NAME"
    of_instance = [("instances", instance, *one) for one in (("source",), ("delivery",), (), ("delivery", "outbox"))]
    tables = [("cloud",), ("schedule",), *of_instance, ("notify", "mail"), ("notify", "webhook")]
    homes = [".".join(one) for one in tables if one != path[:-1] and key in (fields_at(one) or {})]
    return f"it belongs to [{homes[0]}]" if homes else ""


def _follows(one: Finding, paths: Mapping[tuple[str, ...], Finding]) -> bool:
    """Say whether a finding is noise beside another: what is wrong with a kind is wrong with its keys."""
    kind = paths.get((*one.path[:-1], "kind"))
    return kind is not None and one.path[-1] != "kind" and one.what in {"unknown key", "missing"}


def _rank(path: tuple[str, ...], instances: list[str]) -> tuple[int, int]:
    order = list(Settings.model_fields)
    table = order.index(path[0]) if path[0] in order else len(order)
    return table, instances.index(path[1]) if len(path) > 1 and path[0] == "instances" and path[1] in instances else -1


def _where(path: tuple[str, ...], environment: Mapping[str, Any]) -> str:
    value: Any = environment
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return variable(path) if value is not None and not isinstance(value, Mapping) else ".".join(path)
