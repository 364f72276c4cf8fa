"""A default is written once; the schema, the example and the documentation repeat it and are compared with it."""

import ast
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model import instance as plain
from licsync_daemon.settings import example_text, options, parts, settings_schema
from licsync_daemon.settings.options import fields_at
from licsync_daemon.settings.parts import Table, defaults_of, is_secret
from licsync_daemon.settings.values import format_duration

from .test_docs import TABLES as DOCUMENTED
from .test_docs import TEXT

# Each table of options with the plain value that it becomes.
TABLES: list[tuple[type[Table], type[Any]]] = [
    (options.CloudTable, plain.CloudAccount),
    (options.GuardsTable, plain.Guards),
    (options.InstanceTable, plain.Instance),
    (options.MailTable, plain.MailNotifier),
    (options.Settings, plain.Config),
    (options.ScheduleTable, plain.Schedule),
    (parts.ReportTable, plain.ReportSource),
    (parts.SshTable, plain.SshSource),
    (parts.CommandTable, plain.CommandSource),
    (parts.FileSourceTable, plain.FileSource),
    (parts.HttpTable, plain.HttpDelivery),
    (parts.ManualTable, plain.ManualDelivery),
]
COMPUTED = {("MailTable", "port")}  # the default depends on `security`


def literal_defaults(module: Any) -> set[tuple[str, str]]:
    """Return the options of a module whose default is written out there, except None."""
    found = set()
    for table in ast.parse(Path(module.__file__).read_text()).body:
        for one in table.body if isinstance(table, ast.ClassDef) else ():
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                given = one.value.keywords if isinstance(one.value, ast.Call) else [ast.keyword("default", one.value)]
                default = next((word.value for word in given if word.arg == "default"), None)
                if isinstance(default, ast.Constant | ast.Tuple | ast.Call) and getattr(default, "value", ...) is not None:
                    found.add((table.name, one.target.id))
    return found


def test_a_default_of_a_plain_value_is_not_written_again() -> None:
    """An option whose plain value has a default takes it from there; no literal repeats it."""
    written = literal_defaults(options) | literal_defaults(parts)
    assert ("Settings", "max_concurrent_runs") in written  # the check sees literals
    assert [(table.__name__, name) for table, value in TABLES for name in defaults_of(value) if (table.__name__, name) in written] == []


def test_an_option_and_its_plain_value_have_the_same_default(subtests: pytest.Subtests) -> None:
    """Where both have the option and a default, it is the same one."""
    for table, value in TABLES:
        for name, default in defaults_of(value).items():
            field = table.model_fields.get(name)
            if field is None or is_secret(field) or field.default_factory is not None or (table.__name__, name) in COMPUTED:
                continue
            with subtests.test(table=table.__name__, option=name):
                assert field.default == default


def toml(value: Any) -> str:
    if isinstance(value, timedelta):
        value = format_duration(value)
    return json.dumps(str(value) if isinstance(value, Path) else value)


def in_the_documentation() -> dict[tuple[str, ...], dict[str, str]]:
    """Return the documented default of each option, by table; of a row with several options each has its own default."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for path, rows in zip(DOCUMENTED, re.findall(r"(?m)^\| option .*\n\|.*\n((?:\|.*\n)+)", TEXT), strict=True):
        found[path] = {}
        for row in rows.splitlines():
            keys, *_, values = (re.findall(r"`([^`]+)`", cell) for cell in row.split(" | ")[:-1])
            found[path] |= dict(zip(keys, values, strict=False))
    return found


def test_documentation_example_and_schema_have_the_real_defaults(subtests: pytest.Subtests) -> None:
    """Each default that is not empty is the same in the documentation, the example and the schema."""
    documented, example, schema = in_the_documentation(), example_text(), settings_schema()
    options_by_place = [((*place, key), field) for place in DOCUMENTED for key, field in (fields_at(place) or {}).items()]
    for (*parents, key), field in options_by_place:
        path = tuple(parents)
        if is_secret(field) or field.is_required() or field.default in {None, ()} or field.default_factory is not None:
            continue
        default, name = (
            toml(field.default),
            "InstanceTable" if path == ("instances", "x") else f"{path[-1].capitalize()}Table" if path else "",
        )
        with subtests.test(table=".".join(path), option=key):
            if key != "command":  # the kind "command" requires it, "ssh" has a default
                assert (schema["$defs"][name] if name else schema)["properties"][key]["default"] == json.loads(default)
            if path != ("instances", "x", "counts"):  # "as of a source"
                assert documented[path][key] == default
            assert re.search(rf"(?m)^(# )*{key} = {re.escape(default)}$", example)
