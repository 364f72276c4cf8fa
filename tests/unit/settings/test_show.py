"""`config show`, `config schema`, `config init`: what they are made of."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from licsync_daemon.settings import Row, describe_settings, example_text, settings_schema
from licsync_daemon.settings.models import fields_at, is_secret, is_table

from .conftest import VALID, Load


def test_every_value_is_shown_with_its_origin(load: Load) -> None:
    """Each effective setting has a row, and the row says which layer it is from."""
    rows = {
        one.path: (one.value, one.origin)
        for one in load(VALID, LICSYNC_LOG_LEVEL="debug", LICSYNC_DEFAULTS__SOURCE__REPORT_TIMEOUT="5m").show
    }
    expected = {
        "log_level": ("debug", "environment"),
        "cloud.enterprise": ("octo", "file"),
        "cloud.api_url": ("https://api.github.com", "built-in"),
        "instances.emea.hostname": ("ghes-emea.example.com", "file"),
        "instances.emea.url": ("https://ghes-emea.example.com", "built-in"),
        "instances.emea.source.username": ("reader", "defaults table"),
        "instances.emea.source.report_timeout": ("5m", "defaults table"),
        "instances.emea.delivery.confirm_timeout": ("1h", "built-in"),
        "instances.emea.schedule.cron": ("41 4 * * 1", "built-in"),
        "instances.emea.schedule.timezone": ("UTC", "built-in"),
    }
    assert expected == {path: rows[path] for path in expected}


def test_each_setting_is_shown_once(load: Load) -> None:
    """No path appears twice."""
    paths = [one.path for one in load(VALID + 'proxy = "http://proxy.example.com:1"').show]
    assert sorted(set(paths)) == sorted(paths)


@pytest.mark.parametrize(
    ("general", "own", "expected"),
    [
        ("", 'schedule = { day = "sunday", time = "02:30" }', ("30 2 * * 0", "file")),
        ('schedule = { day = "sunday", time = "02:30" }\n', "", ("30 2 * * 0", "defaults table")),
        ('schedule.cron = "1 1 * * 1"\n', 'schedule = { day = "sunday", time = "02:30" }', ("30 2 * * 0", "file")),
    ],
)
def test_a_schedule_is_shown_as_it_is_used(load: Load, general: str, own: str, expected: tuple[str, str]) -> None:
    """The one cron expression is shown, with the origin of what it was made of."""
    rows = {one.path: (one.value, one.origin) for one in load(general + VALID + own).show}
    assert expected == rows["instances.emea.schedule.cron"]


def test_secrets_are_masked_and_located(load: Load) -> None:
    """A secret's row has its place, never its value; one that is nowhere has no mask."""
    rows = load(VALID, LICSYNC_CLOUD__TOKEN="hunter2hunter2hunter2").show

    def locate(names: Sequence[str]) -> str | None:
        return "the environment variable LICSYNC_CLOUD__TOKEN" if "cloud__token" in names else None

    shown = {one.path: one for one in describe_settings(rows, locate)}
    assert (shown["cloud.token"].value, shown["cloud.token"].origin) == ("********", "the environment variable LICSYNC_CLOUD__TOKEN")
    assert Row(
        path="instances.emea.source.token",
        value="",
        origin="not found: instances__emea__source__token",
        credential=("instances__emea__source__token", "defaults__source__token"),
    ) == shown["instances.emea.source.token"]  # fmt: skip
    assert "hunter2" not in repr(shown)
    assert rows == describe_settings(rows)


def options() -> list[tuple[str, ...]]:
    """Every option as a path, an instance's ones under the name `emea`."""
    found: list[tuple[str, ...]] = []
    tables: list[tuple[str, ...]] = [(), ("instances", "emea")]
    while tables:
        path = tables.pop()
        for key, field in (fields_at(path) or {}).items():
            (tables if is_table(field) and key != "instances" else found).append((*path, key))
    return [one for one in found if one != ("instances",)]


def table_of(example: str, path: tuple[str, ...]) -> str:
    """The part of the example that describes a table: from its line in brackets to the next one."""
    parts = re.split(r"(?m)^\[(.+)\]$", example)
    tables = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    return tables.get(".".join(path), "")


# What an instance's own `source`, `delivery`, `schedule` and `guards` can say is described once, under [defaults], [schedule] and [guards].
DESCRIBED_ELSEWHERE = ("source", "delivery", "schedule", "guards")


@pytest.mark.parametrize("path", options(), ids=".".join)
def test_the_example_describes_every_option(path: tuple[str, ...]) -> None:
    """Each option stands in the example's table of its own; a secret as the name of its credential."""
    *table, key = path
    if table[2:] and table[2] in DESCRIBED_ELSEWHERE:
        assert re.search(rf"(?m)^(# )?{table[2]} = ", table_of(example_text(), ("instances", "emea")))
        return
    if is_secret((fields_at(tuple(table)) or {})[key]):
        assert re.search(rf"\b{'__'.join(path)}\b", example_text())
    else:
        assert re.search(rf"(?m)^(# )?{key} = ", table_of(example_text(), tuple(table)))


def test_the_example_is_a_valid_configuration(load: Load) -> None:
    """The example loads as it is, without a warning."""
    loaded = load(example_text())
    assert (loaded.config.cloud.enterprise, [one.name for one in loaded.config.instances]) == ("octo-enterprise", ["emea", "labs"])
    assert loaded.warnings == ()


def test_the_example_is_valid_with_every_line_switched_on(load: Load, tmp_path: Path) -> None:
    """Each option that is commented out is a valid one when the `# ` is taken away; `cron` excludes day and time, so it goes."""
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    text = re.sub(r"(?m)^# (?=[a-z_]+ = )(?!cron)", "", example_text()).replace("/etc/licsync/company-ca.pem", str(ca_file))
    assert load(text).config


def test_the_examples_defaults_are_the_real_ones(load: Load) -> None:
    """Where the example shows a default, switching the line on changes nothing."""
    no_default = r"(proxy|ca_file|url|server_id|day|time|cron|avoid|source|delivery|schedule|guards) = "
    text = re.sub(rf"(?m)^# (?=[a-z_]+ = )(?!{no_default})", "", example_text())
    assert text != example_text()
    assert load(example_text()).config == load(text).config


def test_the_example_is_the_file_in_config() -> None:
    """The packaged example and the one in the checkout are one file."""
    checkout = Path(__file__).parents[3] / "config" / "licsync.example.toml"
    assert checkout.read_text(encoding="utf-8") == example_text()


def schema_validator() -> Any:
    return jsonschema.Draft202012Validator(settings_schema())


def test_the_schema_accepts_what_the_program_accepts() -> None:
    """The schema is a valid one, can be written as JSON, and the example fits it."""
    jsonschema.Draft202012Validator.check_schema(settings_schema())
    assert json.loads(json.dumps(settings_schema())) == settings_schema()
    schema_validator().validate(tomllib.loads(example_text()))
    schema_validator().validate(tomllib.loads(VALID))


@pytest.mark.parametrize(
    "line",
    [
        'token = "x"',
        'source.token = "x"',
        "shedule = {}",
        'schedule.max_age = "8"',
        'schedule.max_age = ""',
        'source.kind = "ssh"',
        'schedule.day = "sundy"',
    ],
)
def test_the_schema_marks_what_the_program_refuses(line: str) -> None:
    """An editor marks secrets, unknown keys, bad durations and kinds that are not built."""
    assert not schema_validator().is_valid(tomllib.loads(VALID + line))


def test_every_option_has_a_description_in_the_schema() -> None:
    """Each property that an editor offers is explained."""
    schema = settings_schema()
    tables = [schema, *schema["$defs"].values()]
    assert [key for table in tables for key, value in table["properties"].items() if not value.get("description")] == []
    assert "null" not in json.dumps(schema)
