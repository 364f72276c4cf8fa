"""Validate what is in force for each instance, and find each mistake's place in the file: in the instance, or in what it inherits."""

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from licsync_daemon.settings.layers import Raw, at, in_force, is_off, kind_of, table
from licsync_daemon.settings.mistakes import Finding, listed
from licsync_daemon.settings.options import Settings
from licsync_daemon.settings.parts import PARTS, keys_of, kinds
from licsync_daemon.settings.problems import Keys, example, finding_of, kind_finding


def validate(raw: Raw) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, or None and what is wrong with them; tables that no instance inherits are checked as well."""
    private = [key for key in raw if key.startswith("_")]  # pydantic-settings would take some of them as instructions
    tables = in_force({key: value for key, value in raw.items() if key not in private})
    findings = [*(Finding((key,), "unknown key") for key in private), *_unused(raw)]
    try:
        settings = Settings(**tables)
    except ValidationError as error:
        found = [one for detail in _details(error) for one in _found(detail, tables)]
        return None, findings + [one if one.what == "missing" else one._replace(path=_place(one.path, raw)) for one in found]
    return settings, findings


def _found(detail: ErrorDetails, tables: Raw) -> Iterator[Finding]:
    """Return the findings of one error. Within a source, counts or delivery pydantic names the kind after the part."""
    path, kind = tuple(map(str, detail["loc"])), None
    if path[0] == "instances" and len(path) > 2 and path[2] in PARTS:
        if detail["type"].startswith("union_tag"):
            yield kind_finding(path, table(tables, *path))
            yield from _values(path, table(tables, *path), None)
            return
        kind, path = (path[3], path[:3] + path[4:]) if len(path) > 3 else (None, path)
    yield finding_of(detail, path, kind)


def _unused(raw: Raw) -> Iterator[Finding]:
    """Return what is wrong with sources, counts and deliveries that no instance needs to have in force."""
    for part in PARTS:
        yield from _alone(("defaults", part), table(raw, "defaults", part), kind_of(table(raw, "defaults", part)))
        for name, own in table(raw, "instances").items():
            if is_off(at(own, "sync")):
                yield from _alone(("instances", name, part), table(own, part), None)


def _alone(path: Keys, given: Raw, kind: str | None) -> Iterator[Finding]:
    """Return what is wrong with a source, counts or delivery whatever inherits it."""
    if "kind" in given and kind_of(given) not in kinds(path[-1]):
        yield kind_finding(path, given)
    yield from _values(path, given, kind)


def _values(path: Keys, given: Raw, kind: str | None) -> Iterator[Finding]:
    """Return the keys and values that are wrong, not those that are missing. Without a valid kind, the keys of all kinds are allowed."""
    known = kinds(path[-1])
    options = keys_of(*known.values())
    for one, model in known.items():
        if kind in known and one != kind:
            continue
        try:
            model.model_validate({**given, "kind": one})
        except ValidationError as error:
            for detail in _details(error):
                is_allowed = kind not in known and detail["type"] == "extra_forbidden" and detail["loc"][0] in options
                if detail["type"] != "missing" and not (is_allowed and len(detail["loc"]) == 1):
                    yield finding_of(detail, (*path, *map(str, detail["loc"])), kind if one == kind else None)


def _place(path: Keys, raw: Raw) -> Keys:
    """Return where the value is that an instance has at `path`: in its own table, or in the one that it inherits from."""
    if path[0] != "instances" or len(path) < 4 or path[2] not in {*PARTS, "schedule", "guards"} or at(raw, *path) is not None:
        return path
    general = ("defaults", *path[2:]) if path[2] in PARTS else path[2:]
    return general if at(raw, *general) is not None else path


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_input=False, include_url=False)


def shared(findings: list[Finding], raw: Raw) -> list[Finding]:
    """Return the findings with an option that several instances lack reported once, in the table that they inherit from."""
    kept: list[Finding] = []
    lacking: dict[Keys, list[str]] = {}
    for one in findings:
        scope, name, part, *_ = (*one.path, "", "", "")
        if one.what != "missing" or scope != "instances" or part not in PARTS:
            kept.append(one)
        elif table(raw, scope, name, part):
            kept.append(one._replace(hint=f"set it here or in [defaults] {part}: {example(one.path)}"))
        else:
            lacking.setdefault(("defaults", *one.path[2:]), []).append(name)
    return kept + [_lacking(path, names, raw) for path, names in lacking.items()]


def _lacking(path: Keys, names: list[str], raw: Raw) -> Finding:
    place = path if table(raw, *path[:2]) else path[:2]
    own = f"instance {names[0]} has none of its own" if len(names) == 1 else f"instances {listed(names)} have none of their own"
    return Finding(place, f"missing, and {own}", f"for example {example(place)}")
