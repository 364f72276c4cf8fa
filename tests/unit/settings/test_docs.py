"""`docs/configuration.md` matches the program."""

import re
from pathlib import Path

import pytest

from licsync_daemon.settings.options import fields_at
from licsync_daemon.settings.parts import PARTS, is_secret, keys_of, kinds

from .conftest import Load, Refuse

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
TABLES = [
    (),
    ("cloud",),
    ("schedule",),
    ("guards",),
    ("notify", "mail"),
    ("notify", "webhook"),
    ("defaults",),
    ("instances", "x"),
    ("instances", "x", "source"),
    ("instances", "x", "counts"),
    ("instances", "x", "delivery"),
    ("instances", "x", "delivery", "outbox"),
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
delivery = { kind = "manual", outbox = { path = "/srv/outbox" } }
"""


def test_every_option_is_in_its_table() -> None:
    """Each option has a row in the table of the part it belongs to."""
    tables = re.findall(r"(?m)^\| option .*\n((?:\|.*\n)+)", TEXT)
    assert len(tables) == len(TABLES)
    missing = [
        (path, key)
        for path, rows in zip(TABLES, tables, strict=True)
        for key, field in (fields_at(path) or {}).items()
        if not is_secret(field) and (path or key not in {"cloud", "schedule", "guards", "notify", "defaults", "instances"})
        if not re.search(rf"(?m)^\|[^|]*`{key}`", rows)
    ]
    assert missing == []


def test_every_key_stands_with_the_kinds_that_have_it(subtests: pytest.Subtests) -> None:
    """The documented kinds of each key, and the documented list of kinds, are those of the program."""
    for part in PARTS:
        with subtests.test(part=part):
            text = TEXT.partition(f"\n`{part}`: ")[2].partition("**Addresses**")[0]
            rows = re.match(r"(?s).*?(\| option \| kinds .*?)\n\n", text)[1].splitlines()[3:]  # type: ignore[index]
            documented: dict[str, set[str]] = {}
            for row in rows:
                keys, homes, *_ = (re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split(" | "))
                documented |= {key: set(homes) for key in keys}
            secrets = {key for key, field in (fields_at(("defaults", part)) or {}).items() if is_secret(field)}
            expected = {
                key: {kind for kind, has in kinds(part).items() if key in keys_of(has)}
                for key in keys_of(*kinds(part).values())
                if key != "kind"
            }
            assert {key: homes for key, homes in expected.items() if key not in secrets} == documented
            if part != "counts":
                assert re.findall(r"(?m)^\| `(\w+)` \| [^|]+ \|$", text.partition("| option")[0]) == list(kinds(part))


def test_the_fleets_that_are_shown_load(load: Load) -> None:
    """The whole configurations that are shown are valid ones, and nothing is odd about them."""
    smallest, small = (one for one in re.findall(r"(?s)```toml\n(.*?)```", TEXT) if "[cloud]" in one)
    assert [(one.source.kind, one.delivery.kind) for one in load(smallest).config.instances] == [("none", "connect")] * 2
    assert [(one.source.kind, one.delivery.kind) for one in load(small).config.instances] == [("report", "http")] * 2
    assert load(smallest).warnings == load(small).warnings == ()


def test_the_messages_shown_are_the_real_ones(refuse: Refuse) -> None:
    """The mistakes in the document read exactly as the program prints them."""
    many, syntax = re.findall(r"(?s)```\n(.*?)```", TEXT.partition("## Mistakes")[2])
    assert [str(one) for one in refuse(WITH_MISTAKES, LICSYNC_CLOUD_ENTERPRISE="octo")] == many.splitlines()
    (problem,) = refuse("[cloud]\nenterprise = octo-enterprise\n")
    assert f"/etc/licsync/config.toml: {problem.what} ({problem.hint})" == syntax.strip()
