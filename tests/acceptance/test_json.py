"""What commands print as JSON is what docs/json.md says, name by name."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Fault
from tests.acceptance.support import META, Done, Site

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
SCHEMA = json.loads(re.findall(r"(?ms)^```json\n(.*?)^```", PAGE)[-1])


def is_as_documented(done: Done, definition: str) -> Any:
    """Check an output against a definition; every name must be there, and no other."""
    found = json.loads(done.out)
    jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{definition}"}).validate(found)
    return found


def test_the_schema_is_one(subtests: pytest.Subtests) -> None:
    """Every definition is valid, and described or used."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    used = set(re.findall(r"#/\$defs/([\w -]+)", PAGE)) | set(re.findall(r"\| `([\w -]+)`", PAGE.partition("## Schema")[0]))
    for name in SCHEMA["$defs"]:
        with subtests.test(name):
            assert name in used


def test_a_name_means_the_same_everywhere() -> None:
    """A name has one type in the whole schema, but for whether it may be missing, and none has a twin for the same thing."""
    types: dict[str, set[str]] = {}
    for name, shape in _properties(SCHEMA):
        kind = shape.get("type", "object" if "$ref" in shape or "anyOf" in shape else "string")
        types.setdefault(name, set()).add(str([one for one in ([kind] if isinstance(kind, str) else kind) if one != "null"]))
    several = {name: kinds for name, kinds in types.items() if len(kinds) > 1}
    assert several == {}
    assert not set(types) & {"name", "told_at", "word_until", "fix", "seen", "hint", "fault"}


def _properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for one in schema.values():
            yield from _properties(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _properties(one)


def test_every_command_prints_what_is_documented(site: Site) -> None:
    """Before anything happened, after syncs, failures, decisions and a held run, and for mistakes."""
    for words, definition in (("status", "status"), ("history", "history"), ("outbox", "outbox"), ("config show", "config show")):
        is_as_documented(site.run(*words.split(), "--json"), definition)
    is_as_documented(site.run("--run-now", "--json"), "run-now")
    site.confirm_last_week("emea")
    site.shrink("emea")
    is_as_documented(site.run("--run-now", "--dry-run", "--json"), "run-now dry-run")
    held = is_as_documented(site.run("--run-now", "emea", "--json"), "run-now")["instances"][0]
    assert held["state"] == "held"
    site.box.faults.add(Fault("amer", META, "status", status=404))
    site.run("--run-now", "amer")
    assert site.run("pause", "amer", "--until", "3d", "--reason", "upgrade", "--ticket", "CHG-1").code == 0
    found = is_as_documented(site.run("status", "--json"), "status")
    assert found["problems"][0]["severity"] == "alert"
    assert site.run("approve", held["run_id"], "--reason", "right").code == 0
    is_as_documented(site.run("status", "--json"), "status")
    assert is_as_documented(site.run("history", "--json"), "history")["decisions"]
    is_as_documented(site.run("check", "--json"), "check")
    is_as_documented(site.run("--run-now", "nobody", "--json"), "error")
    is_as_documented(site.run("history", "--since", "7d", "--format", "json"), "history since")


def test_what_waits_for_a_person_is_as_documented(site: Site) -> None:
    site.extend("emea", 'source = { kind = "none" }', 'delivery = { kind = "manual" }')
    site.run("--run-now", "emea")

    assert is_as_documented(site.run("outbox", "--json"), "outbox")["waiting"]
    emea = is_as_documented(site.run("status", "--json"), "status")["instances"][0]
    assert (emea["state"], emea["expected_until"] is not None) == (RunState.AWAITING_EXPORT, True)


def test_a_mistake_in_the_configuration_is_as_documented(site: Site) -> None:
    site.extend("emea", "hostnam = 1")

    (problem,) = is_as_documented(site.run("status", "--json"), "error")["problems"]
    assert (problem["where"], problem["next_step"]) == ("instances.emea.hostnam", "did you mean hostname?")


def test_history_for_an_audit(site: Site) -> None:
    """CSV and JSON have the same rows: every instance and week with its runs and their four times."""
    site.run("--run-now", "emea")
    site.record(site.earlier("emea", 21, RunState.CONFIRMED))

    done = site.run("history", "--since", "28d", "--format", "csv")
    weeks = is_as_documented(site.run("history", "--since", "28d", "--json"), "history since")["weeks"]

    assert (done.code, done.err) == (0, "")
    found = list(csv.DictReader(io.StringIO(done.out)))
    assert found == [{name: "" if value is None else str(value) for name, value in one.items()} for one in weeks]
    assert {one["instance"] for one in found} == {"emea", "amer"}
    assert len({one["week"] for one in found}) == 5
    (newest,) = [one for one in found if one["run_id"] and one["instance"] == "emea" and "21days" not in one["run_id"]]
    assert all(newest[name] for name in ("collected_at", "delivered_at", "confirmed_at", "last_sync"))
    assert "emea21days" not in site.run("history", "--since", "14d").out
    assert "--format requires --since" in site.run("history", "--format", "csv").err
