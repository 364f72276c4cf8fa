"""`docs/configuration.md` says what the program does."""

import re
from pathlib import Path

from licsync_daemon.settings.models import fields_at, is_secret

from .conftest import Load, Refuse

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
TABLES = [
    (),
    ("cloud",),
    ("schedule",),
    ("guards",),
    ("defaults",),
    ("instances", "x"),
    ("instances", "x", "source"),
    ("instances", "x", "delivery"),
]
WITH_MISTAKES = """
[cloud]
enterprise = "octo-enterprise"
token = "ghp_x"
[schedule]
timezone = "Europe/Berln"
max_age = "8"
[defaults]
source = { kind = "report", username = "license-reader" }
delivery = { kind = "http", url = "http://relay.example.com/uploads" }
[instances.EMEA]
hostname = "https://ghes-emea.example.com"
[instances.labs]
hostname = "ghes-labs.example.com"
shedule = { day = "sunday", time = "02:30" }
delivery = { kind = "connect" }
"""


def test_every_option_is_in_its_table() -> None:
    """Each option has a row in the table of the part it belongs to."""
    tables = re.findall(r"(?m)^\| option .*\n((?:\|.*\n)+)", TEXT)
    assert len(tables) == len(TABLES)
    missing = [
        (path, key)
        for path, rows in zip(TABLES, tables, strict=True)
        for key, field in (fields_at(path) or {}).items()
        if not is_secret(field) and (path or key not in {"cloud", "schedule", "guards", "defaults", "instances"})
        if not re.search(rf"(?m)^\|[^|]*`{key}`", rows)
    ]
    assert missing == []


def test_the_small_fleet_loads(load: Load) -> None:
    """The configuration that is shown first is a valid one."""
    (example,) = re.findall(r"(?s)## A small fleet\n+```toml\n(.*?)```", TEXT)
    assert [one.name for one in load(example).config.instances] == ["emea", "labs"]


def test_the_messages_shown_are_the_real_ones(refuse: Refuse) -> None:
    """The mistakes in the document read exactly as the program prints them."""
    many, syntax = re.findall(r"(?s)```\n(.*?)```", TEXT.partition("## Mistakes")[2])
    assert [str(one) for one in refuse(WITH_MISTAKES, LICSYNC_CLOUD_ENTERPRISE="octo")] == many.splitlines()
    (problem,) = refuse("[cloud]\nenterprise = octo-enterprise\n")
    assert f"/etc/licsync/config.toml: {problem.what} ({problem.hint})" == syntax.strip()
