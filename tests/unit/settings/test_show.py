"""`config show`, `config schema`, `config init`: what they are made of."""

import grp
import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from licsync_daemon.settings import SettingRow, describe_settings, example_text, settings_schema
from licsync_daemon.settings.options import fields_at
from licsync_daemon.settings.parts import is_secret, is_table

from .conftest import CLOUD, EMEA, VALID, Load


def test_every_value_is_shown_with_its_origin(load: Load) -> None:
    """Each effective setting has a row, with the layer it comes from."""
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


def test_no_option_of_a_table_is_left_out(load: Load) -> None:
    """Every option at the top, and every option that an instance has besides its tables, has a row."""
    unsynced = '[instances.secret]\nhostname = "ghes-secret.example.com"\nsync = false\nreason = "SEC-12"\n'
    shown = {one.path for one in load(VALID + 'proxy = "http://proxy.example.com:3128"\n' + unsynced).show}
    here = {key for key, field in (fields_at(()) or {}).items() if not is_table(field)}
    of_an_instance = {key for key, field in (fields_at(("instances", "emea")) or {}).items() if not is_table(field)}
    assert {"state_dir", "log_level"} <= here <= shown
    assert {"url", "sync"} <= of_an_instance <= {path.rpartition(".")[2] for path in shown if path.count(".") == 2}


def test_each_setting_is_shown_once(load: Load) -> None:
    """No path appears twice."""
    paths = [one.path for one in load(VALID + 'proxy = "http://proxy.example.com:1"').show]
    assert sorted(set(paths)) == sorted(paths)


A_SCHEDULE_IS_SHOWN_AS_IT_IS_USED = [
    ("", 'schedule = { day = "sunday", time = "02:30" }', ("30 2 * * 0", "file")),
    ('schedule = { day = "sunday", time = "02:30" }\n', "", ("30 2 * * 0", "defaults table")),
    ('schedule.cron = "1 1 * * 1"\n', 'schedule = { day = "sunday", time = "02:30" }', ("30 2 * * 0", "file")),
]


def test_a_schedule_is_shown_as_it_is_used(load: Load, subtests: pytest.Subtests) -> None:
    """The one cron expression is shown, with the origin of what it was made of."""
    for general, own, expected in A_SCHEDULE_IS_SHOWN_AS_IT_IS_USED:
        with subtests.test(general=general, own=own, expected=expected):
            rows = {one.path: (one.value, one.origin) for one in load(general + VALID + own).show}
            assert expected == rows["instances.emea.schedule.cron"]


def test_secrets_are_masked_and_located(load: Load) -> None:
    """A secret's row has its place, never its value; one that is nowhere has no mask."""
    rows = load(VALID, LICSYNC_CLOUD__TOKEN="hunter2hunter2hunter2").show

    def locate(names: Sequence[str]) -> str | None:
        return "the environment variable LICSYNC_CLOUD__TOKEN" if "cloud__token" in names else None

    shown = {one.path: one for one in describe_settings(rows, locate)}
    assert (shown["cloud.token"].value, shown["cloud.token"].origin) == ("********", "the environment variable LICSYNC_CLOUD__TOKEN")
    assert SettingRow(
        path="instances.emea.source.token",
        value="",
        origin="not found: instances__emea__source__token",
        credential=("instances__emea__source__token", "defaults__source__token"),
    ) == shown["instances.emea.source.token"]  # fmt: skip
    assert "hunter2" not in repr(shown)


KINDS = """
[notify.mail]
host = "smtp.example.com"
from = "licsync@example.com"
to = ["a@example.com", "b@example.com"]
username = "licsync"
[notify.webhook]
url = "https://alerts.example.com/x"
[defaults]
counts = { kind = "report", username = "reader" }
delivery = { kind = "manual", outbox = { path = "/srv/outbox" } }
[instances.apac]
hostname = "ghes-apac.example.com"
source = { kind = "ssh", port = 22 }
delivery.outbox.group = "root"
[instances.vault]
hostname = "ghes-vault.example.com"
reachable = false
source = { kind = "file", path = "/srv/in", max_export_bytes = 9 }
counts = { kind = "file", path = "/srv/in2" }
schedule.every = "28d"
[instances.bastion]
hostname = "ghes-bastion.example.com"
source = { kind = "command", command = ["/bin/sh", "-c"] }
delivery = { kind = "http", url = "https://relay.example.com", client_cert = "/dev/null", client_key = "/dev/null" }
[instances.connected]
hostname = "ghes-connected.example.com"
delivery.kind = "connect"
[instances.secret]
hostname = "ghes-secret.example.com"
sync = false
reason = "stays on site"
"""


def test_every_kind_is_shown_with_what_it_can_say(load: Load) -> None:
    """Each kind has rows of its own keys and no others, with their origin; a private key is shown as what it is, a secret."""
    cloud = CLOUD + 'retired = ["old.example.com"]\nwatch_every = "1h"\n'
    shown = {one.path: (one.value, one.origin) for one in load(cloud + KINDS).show}
    expected = {
        "cloud.watch_every": ("1h", "file"),
        "cloud.retired": ('["old.example.com"]', "file"),
        "cloud.elsewhere": ("[]", "built-in"),
        "notify.mail.port": ("587", "built-in"),
        "notify.mail.from": ("licsync@example.com", "file"),
        "notify.mail.to": ('["a@example.com", "b@example.com"]', "file"),
        "notify.mail.password": ("********", "credential notify__mail__password"),
        "notify.webhook.url": ("https://alerts.example.com/x", "file"),
        "notify.webhook.token": ("********", "credential notify__webhook__token"),
        "notify.webhook.secret_path": ("********", "credential notify__webhook__secret_path"),
        "instances.apac.reachable": ("true", "built-in"),
        "instances.apac.url": ("https://ghes-apac.example.com", "built-in"),
        "instances.apac.source.command": ('["ghe-license", "usage"]', "built-in"),
        "instances.apac.source.port": ("22", "file"),
        "instances.apac.source.identity": ("********", "credential instances__apac__source__identity"),
        "instances.apac.counts.username": ("reader", "defaults table"),
        "instances.apac.counts.token": ("********", "credential instances__apac__counts__token"),
        "instances.apac.delivery.outbox.path": ("/srv/outbox", "defaults table"),
        "instances.apac.delivery.outbox.group": ("root", "file"),
        "instances.vault.reachable": ("false", "file"),
        "instances.vault.source.path": ("/srv/in", "file"),
        "instances.vault.source.max_export_bytes": ("9", "file"),
        "instances.vault.counts.path": ("/srv/in2", "file"),
        "instances.vault.schedule.every": ("28d", "file"),
        "instances.vault.schedule.max_age": ("29d", "built-in"),
        "instances.bastion.source.command": ('["/bin/sh", "-c"]', "file"),
        "instances.bastion.delivery.client_key": ("/dev/null", "file"),
        "instances.connected.source.kind": ("none", "built-in"),
        "instances.connected.delivery.kind": ("connect", "file"),
        "instances.secret.sync": ("false", "file"),
        "instances.secret.reason": ("stays on site", "file"),
    }
    assert {path: shown.get(path) for path in expected} == expected
    assert {path.split(".")[2] for path in shown if path.startswith("instances.secret.")} == {
        "hostname",
        "server_id",
        "enabled",
        "sync",
        "reason",
    }
    assert not {"instances.vault.url", "instances.vault.counts.username", "instances.connected.delivery.url"} & shown.keys()
    assert [path for path in shown if path.startswith("instances.connected.delivery.")] == ["instances.connected.delivery.kind"]


def test_what_another_kind_replaces_is_no_origin(load: Load) -> None:
    """A key of the default kind that this kind has as well is not where its value comes from."""
    defaults = '[defaults]\ndelivery.kind = "connect"\nsource = { kind = "command", command = ["/bin/sh"], timeout = "5m" }\n'
    shown = {one.path: (one.value, one.origin) for one in load(CLOUD + defaults + EMEA + 'source.kind = "ssh"').show}
    assert shown["instances.emea.source.timeout"] == ("30m", "built-in")


def options() -> list[tuple[str, ...]]:
    """Every option as a path, an instance's ones under the name `emea`."""
    found: list[tuple[str, ...]] = []
    tables: list[tuple[str, ...]] = [(), ("instances", "emea")]
    while tables:
        path = tables.pop()
        for key, field in (fields_at(path) or {}).items():
            (tables if is_table(field) and key != "instances" else found).append((*path, key))
    return [one for one in found if one != ("instances",)]


def unfolded() -> str:
    """The example with its last part, which is commented out as a whole, switched on."""
    above, below = re.split(r"(?m)^# =+$", example_text())
    return above + re.sub(r"(?m)^# ?", "", below)


def tables() -> dict[str, str]:
    """The unfolded example, by what describes which table: from its line in brackets to the next one."""
    parts = re.split(r"(?m)^\[(.+)\]$", unfolded())
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def described(path: tuple[str, ...]) -> str:
    """Where the keys of a table are described: in its own one; those of an instance, and of what it takes from [defaults], in any one's."""
    place = re.escape(".".join(path))
    if len(path) > 1:
        place = place.replace(r"instances\.emea", r"instances\.\w+").replace("defaults", r"(defaults|instances\.\w+)")
    return "".join(text for name, text in tables().items() if re.fullmatch(place, name))


# The options of an instance's own tables are described once, under [defaults], [schedule] and [guards].
DESCRIBED_ELSEWHERE = ("source", "counts", "delivery", "schedule", "guards")


def test_the_example_describes_every_option(subtests: pytest.Subtests) -> None:
    """Each option is in its own table of the example; a secret as the name of its credential."""
    for path in options():
        with subtests.test(path=path):
            *table, key = path
            if table[2:] and table[2] in DESCRIBED_ELSEWHERE:
                assert re.search(rf"(?m)^(# )?{table[2]} = |^\[instances\.\w+\.{table[2]}\]$", unfolded())
                return
            if is_secret((fields_at(tuple(table)) or {})[key]):
                assert re.search(rf"\b{'__'.join(path)}\b", example_text())
            else:
                assert re.search(rf"(?m)^(# )?{key} = ", described(tuple(table)))


def test_the_example_is_a_valid_configuration(load: Load) -> None:
    """The example loads as it is, without a warning."""
    loaded = load(example_text())
    assert (loaded.config.cloud.enterprise, [one.name for one in loaded.config.instances]) == ("octo-enterprise", ["emea", "labs"])
    assert loaded.warnings == ()


def test_the_example_begins_with_what_works_today() -> None:
    """`connect` is what it does as it is, `manual` comes second and `http` last; and it is nobody's own time zone."""
    above, below = re.split(r"(?m)^# =+$", example_text())
    assert re.findall(r"(?m)^kind = .*", above) == ['kind = "connect"']
    kinds = re.findall(r'(?m)^# \[instances\.\w+\.delivery\]\n# kind = "(\w+)"', below)
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"manual", "http"}
    assert set(re.findall(r'timezone = "([^"]+)"', example_text())) == {"UTC"}


def on_this_machine(text: str, existing: Path) -> str:
    """The example with a file, a program and a group that exist here in place of its own."""
    existing.touch()
    text = re.sub(r"/etc/licsync/[a-z/-]+(\.pem|\.key|/apac)", str(existing), text)
    return text.replace("/usr/local/bin/print-export", str(existing)).replace("licsync-outbox", grp.getgrgid(0).gr_name)


def test_the_example_is_valid_unfolded(load: Load, tmp_path: Path) -> None:
    """With its last part switched on the example has an instance of every kind."""
    config = load(on_this_machine(unfolded(), tmp_path / "file")).config
    assert {(one.source.kind, one.delivery.kind) for one in config.instances if one.unsynced_because is None} == {
        ("report", "http"),
        ("none", "connect"),
        ("ssh", "manual"),
        ("command", "manual"),
        ("file", "manual"),
    }
    assert {one.counts.kind for one in config.instances if one.counts is not None} == {"report", "file"}
    assert ([one.reachable for one in config.instances].count(False), len(config.notify)) == (1, 2)


def test_the_example_is_valid_with_every_line_switched_on(load: Load, tmp_path: Path) -> None:
    """Each option that is commented out is valid when the `# ` is removed, except those that exclude another one."""
    text = re.sub(r"(?m)^# (?=[a-z_]+ = )(?!cron|organization)", "", unfolded())
    assert load(on_this_machine(text, tmp_path / "file")).config


def test_the_examples_defaults_are_the_real_ones(load: Load, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Where the example shows a default, switching the line on changes nothing, except an age where an instance is due every few weeks."""
    for text, but in [(example_text().partition("# ===")[0], "-"), (unfolded(), "max_age")]:
        with subtests.test(text=text, but=but):
            no_default = (
                r"(proxy|ca_file|url|server_id|day|time|every|cron|avoid|source|delivery|schedule|guards|organization|elsewhere|retired|"
                rf"verified_domains|client_cert|client_key|username|identity|group|{but}) = "
            )
            as_it_is = on_this_machine(text, tmp_path / "file")
            switched_on = re.sub(rf"(?m)^# (?=[a-z_]+ = )(?!{no_default})", "", as_it_is)
            assert switched_on != as_it_is
            assert load(as_it_is).config == load(switched_on).config


def test_the_example_is_the_file_in_config() -> None:
    """The packaged example and the one in the checkout are one file."""
    checkout = Path(__file__).parents[3] / "config" / "licsync.example.toml"
    assert checkout.read_text(encoding="utf-8") == example_text()


@cache
def schema_validator() -> Any:
    return jsonschema.Draft202012Validator(settings_schema())


def test_the_schema_accepts_what_the_program_accepts() -> None:
    """The schema is a valid one, can be written as JSON, and the example fits it."""
    jsonschema.Draft202012Validator.check_schema(settings_schema())
    assert json.loads(json.dumps(settings_schema())) == settings_schema()
    schema_validator().validate(tomllib.loads(example_text()))
    schema_validator().validate(tomllib.loads(VALID))
    schema_validator().validate(tomllib.loads(unfolded()))


THE_SCHEMA_MARKS_WHAT_THE_PROGRAM_REFUSES = [
    'token = "x"',
    'source.token = "x"',
    "shedule = {}",
    'schedule.max_age = "8"',
    'schedule.max_age = ""',
    'source.kind = "zip"',
    'source = { kind = "ssh", username = "x" }',
    'source = { kind = "ssh", command = "ghe-license usage" }',
    'source = { kind = "ssh", port = 65536 }',
    'delivery = { kind = "connect", url = "https://relay.example.com" }',
    'counts = { kind = "ssh" }',
    'cloud.organization = "octo-org"',
    'notify.mail = { host = "smtp.example.com", from = "licsync@example.com" }',
    'notify.webhook.token = "x"',
    'schedule.day = "sundy"',
]


def test_the_schema_marks_what_the_program_refuses(subtests: pytest.Subtests) -> None:
    """An editor marks secrets, unknown keys, bad durations, unknown kinds, and keys of another kind."""
    for line in THE_SCHEMA_MARKS_WHAT_THE_PROGRAM_REFUSES:
        with subtests.test(line=line):
            text = f"{line}\n{VALID.replace('[cloud]', '')}" if line.startswith("cloud") else VALID + line
            assert not schema_validator().is_valid(tomllib.loads(text))


def test_every_option_has_a_description_in_the_schema() -> None:
    """Each property that an editor offers is explained."""
    schema = settings_schema()
    every_table = [schema, *schema["$defs"].values()]
    assert [key for table in every_table for key, value in table["properties"].items() if not value.get("description")] == []
    assert "null" not in json.dumps(schema)
