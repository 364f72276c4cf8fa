"""A configuration that cannot be used: exit 2, every mistake in one message, no traceback, no secret."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.support import Command

CLOUD = '[cloud]\nenterprise = "octo"\n'
DEFAULTS = (
    '[defaults]\nsource = { kind = "report", username = "reader" }\ndelivery = { kind = "http", url = "https://relay.example.com/up" }\n'
)
EMEA = '[instances.emea]\nhostname = "ghes-emea.example.com"\n'
VALID = CLOUD + DEFAULTS + EMEA
SECRET = "ghp_MarkedSecretOfThisTest0123456789abcd"

CASES = {
    "not_toml": ('[cloud]\nenterprise = "octo"\nthis is no toml\n', ["line 3", "TOML syntax error"]),
    "unknown_key": (VALID.replace("hostname =", "hostnam =", 1), ["instances.emea.hostnam: unknown key", "did you mean hostname?"]),
    "upper_case_name": (VALID + '[instances.APAC]\nhostname = "ghes-apac.example.com"\n', ["instances.APAC", "lowercase letters", "[instances.apac]"]),
    "duplicate_hostname": (VALID + '[instances.two]\nhostname = "GHES-EMEA.example.com."\n', ["instances emea and two have the same host name"]),
    "bad_zone": (VALID + '[schedule]\ntimezone = "Europe/Berln"\n', ["schedule.timezone: unknown time zone", "did you mean Europe/Berlin?"]),
    "bad_duration": (VALID + '[schedule]\nmax_age = "8 days"\n', ["schedule.max_age: not a valid duration"]),
    "no_unit": (VALID + '[schedule]\nmax_age = "8"\n', ["schedule.max_age: a duration needs a unit"]),
    "empty_fleet": (CLOUD + DEFAULTS, ["instances: no instance is configured"]),
    "a_secret_in_the_file": (VALID.replace("[cloud]\n", f'[cloud]\ntoken = "{SECRET}"\n'), ["cloud.token"]),
    "plain_http": (VALID.replace("https://relay", "http://relay"), ["plain http is allowed on this machine only"]),
    "a_key_of_another_kind": (VALID.replace('kind = "report"', 'kind = "ssh"'), ["defaults.source.username", "it belongs to `report`"]),
    "a_report_by_hand": (VALID.replace('kind = "http", url = "https://relay.example.com/up"', 'kind = "manual"'), ["GitHub's own export only", "`counts`"]),
    "a_command_for_a_shell": (VALID + 'source = { kind = "ssh", command = "ghe-license usage" }\n', ["instances.emea.source.command", "no shell is used"]),
}  # fmt: skip


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Path:
    command.evidence.secrets.add(SECRET)
    return tmp_path / "config.toml"


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_is_said_with_its_place(command: Command, refused: Path, case: str) -> None:
    """Exit 2, the place, and what to do; nothing on stdout."""
    text, words = CASES[case]
    refused.write_text(text, encoding="utf-8")

    done = command.run("--config", refused, "--run-now")

    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err
    if case == "not_toml":
        assert str(refused) in done.err


EVERYTHING = f"""
max_concurrent_runs = 0
[cloud]
enterprise = "octo"
token = "{SECRET}"
[schedule]
timezone = "Mars/Olympus"
max_age = "soon"
[defaults]
source = {{ kind = "report", username = "reader" }}
delivery = {{ kind = "http", url = "ftp://relay.example.com" }}
[instances.emea]
hostname = "ghes-emea.example.com"
colour = "blue"
[instances.Two]
hostname = "ghes-emea.example.com"
"""
PLACES = [
    "max_concurrent_runs", "cloud.token", "schedule.timezone", "schedule.max_age", "defaults.delivery.url", "instances.emea.colour",
    "instances.Two", "instances.Two.hostname",
]  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [[], ["--run-now"], ["status"], ["history"], ["payload", "emea"], ["check", "--offline"], ["config", "show"]], ids=str
)
def test_every_command_lists_every_mistake_at_once(command: Command, refused: Path, arguments: list[str]) -> None:
    """Eight mistakes of all sorts are listed in one output by whatever command was given; the secret is not among the words."""
    refused.write_text(EVERYTHING, encoding="utf-8")

    done = command.run("--config", refused, *arguments)

    assert done.code == 2
    assert f"({len(PLACES)} problems)" in done.err
    assert [line.strip().split(": ")[0] for line in done.err.splitlines()[1:]] == PLACES


@pytest.mark.parametrize("arguments", [["--run-now", "--json"], ["status", "--json"], ["check", "--offline", "--json"]], ids=str)
def test_mistakes_as_json(command: Command, refused: Path, arguments: list[str]) -> None:
    """With --json the mistakes are JSON on stdout, and nothing else is."""
    refused.write_text(EVERYTHING, encoding="utf-8")

    done = command.run("--config", refused, *arguments)

    assert done.code == 2
    found = json.loads(done.out)
    assert found["error"] == "configuration"
    assert [problem["where"] for problem in found["problems"]] == PLACES
    assert done.err == ""


def test_a_missing_file(command: Command, refused: Path) -> None:
    """The message names the file and the command that writes one."""
    done = command.run("--config", refused, "--run-now")

    assert done.code == 2
    assert f"{refused}: no such file (create one with: licsync-daemon --config {refused} config init > {refused})" in done.err


def _folder(path: Path) -> None:
    path.mkdir()


def _latin(path: Path) -> None:
    path.write_bytes(VALID.encode() + "# größer\n".encode("latin-1"))


def _large(path: Path) -> None:
    path.write_text(VALID + "# " + "x" * 300_000)


def _closed(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is closed to root")
    path.write_text(VALID)
    path.chmod(0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_folder, "is a folder"),
        (_latin, "not UTF-8 text (line 8)"),
        (_large, "larger than 256 KiB"),
        (_closed, "permission denied"),
    ],
    ids=["a_folder", "not_utf_8", "too_large", "no_permission"],
)
def test_an_unreadable_file(command: Command, refused: Path, make: Callable[[Path], None], words: str) -> None:
    """What stands in the file's place is said, without a traceback."""
    make(refused)

    done = command.run("--config", refused, "status")

    assert done.code == 2
    assert f"{refused}: {words}" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LICSYNC_SCHEDULE__TIMEZONE": "nowhere"}, "LICSYNC_SCHEDULE__TIMEZONE: unknown time zone"),
        ({"LICSYNC_SCHEDULES__TIMEZONE": "UTC"}, "did you mean LICSYNC_SCHEDULE__TIMEZONE?"),
    ],
    ids=["value", "name"],
)
def test_a_mistake_in_the_environment_is_named_by_its_variable(
    command: Command, refused: Path, variables: dict[str, str], words: str
) -> None:
    """A mistake from the environment says which variable it is."""
    refused.write_text(VALID, encoding="utf-8")

    done = command.run("--config", refused, "status", env=variables)

    assert done.code == 2
    assert words in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run-now", "status"], "emea"),
        (["--dry-run"], "--dry-run requires --run-now"),
        (["frobnicate"], "invalid choice"),
        (["--run-now", "--wait", "soon"], "--wait"),
        (["history", "--limit", "-1"], "--limit"),
    ],
    ids=["a_command_is_no_instance", "dry_run_alone", "unknown_command", "wait", "limit"],
)
def test_wrong_usage(command: Command, refused: Path, arguments: list[str], words: str) -> None:
    """Wrong usage exits 2 and says what is right."""
    refused.write_text(VALID, encoding="utf-8")

    done = command.run("--config", refused, *arguments)

    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
