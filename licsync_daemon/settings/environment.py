"""The `LICSYNC_` variables as nested tables of raw values."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from licsync_daemon.settings.mistakes import Finding, closest
from licsync_daemon.settings.options import fields_at
from licsync_daemon.settings.tables import is_list, is_secret, is_table

PREFIX = "LICSYNC_"
NO_SETTING = frozenset({"LICSYNC_CONFIG"})  # the command line's: which file to read


def read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    """Read the `LICSYNC_` variables into nested tables, and report those that name no setting.

    Secrets are left out: `credentials.py` reads them. A secret still adds the table of its instance, so that a misspelled one is noticed.
    The path of a finding is the name of the variable.
    """
    tables: dict[str, Any] = {}
    findings: list[Finding] = []
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX) or name in NO_SETTING:
            continue
        path = tuple(name.lower()[len(PREFIX) :].split("__"))
        field = (fields_at(path[:-1]) or {}).get(path[-1])
        if (field is not None and is_table(field)) or path[:-1] == ("instances",):
            findings.append(Finding((name,), "this is a table", f"set its keys one by one, for example {name}__{_some_key(path)}"))
        elif field is None:
            findings.append(Finding((name,), "no such setting", _suggestion(name, path)))
        else:
            here = tables
            for key in path[:-1]:
                here = here.setdefault(key, {})
            if not is_secret(field):
                here[path[-1]] = _listed(value) if is_list(field) else value
    return tables, findings


def variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


def _listed(text: str) -> Any:
    """Read a list: JSON, or strings separated by commas."""
    try:
        return json.loads(text)
    except ValueError:
        return [part.strip() for part in text.split(",") if part.strip()]


def _suggestion(name: str, path: tuple[str, ...]) -> str:
    every = list(_all_variables(path))
    same_key = [one for one in every if one.split("__")[-1] == path[-1].upper()]
    sibling = closest(path[-1], fields_at(path[:-1]) or {})
    near = variable((*path[:-1], sibling)) if sibling else closest(name, same_key) or closest(name, every)
    return f"did you mean {near}?" if near else ""


def _some_key(path: tuple[str, ...]) -> str:
    return "EMEA__HOSTNAME" if path == ("instances",) else next(iter(fields_at(path) or {}), "").upper()


def _all_variables(near: tuple[str, ...]) -> Iterator[str]:
    tables: list[tuple[str, ...]] = [(), ("instances", near[1] if near[0] == "instances" and len(near) > 2 else "name")]
    while tables:
        path = tables.pop()
        for key, field in (fields_at(path) or {}).items():
            if not is_table(field):
                yield variable((*path, key))
            elif (*path, key) != ("instances",):
                tables.append((*path, key))
