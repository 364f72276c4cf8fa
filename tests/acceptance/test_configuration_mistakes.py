"""A configuration that cannot be used: exit 2, every mistake in one message, no traceback, no secret."""

import json
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


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Path:
    command.evidence.secrets.add(SECRET)
    return tmp_path / "config.toml"


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
VARIABLE = "LICSYNC_SCHEDULES__TIMEZONE"
PLACES = [
    "max_concurrent_runs", "cloud.token", "schedule.timezone", "schedule.max_age", "defaults.delivery.url", "instances.emea.colour",
    "instances.Two", "instances.Two.hostname", VARIABLE,
]  # fmt: skip
COMMANDS = [["--run-now"], ["status"], ["history"], ["payload", "emea"], ["check", "--offline"], ["config", "show"], []]


def test_every_command_lists_every_mistake_at_once(command: Command, refused: Path, subtests: pytest.Subtests) -> None:
    """Every command exits 2 and lists all nine mistakes in one output, without a traceback and without the secret; stdout is empty."""
    refused.write_text(EVERYTHING, encoding="utf-8")
    for arguments in COMMANDS:
        with subtests.test(arguments=arguments):
            done = command.run("--config", refused, *arguments, env={VARIABLE: "UTC"})

            assert (done.code, done.out) == (2, "")
            assert f"({len(PLACES)} problems)" in done.err
            assert [line.strip().split(": ")[0] for line in done.err.splitlines()[1:]] == PLACES
            assert "did you mean LICSYNC_SCHEDULE__TIMEZONE?" in done.err


def test_mistakes_as_json(command: Command, refused: Path, subtests: pytest.Subtests) -> None:
    """With --json the mistakes are JSON on stdout, and nothing else is."""
    refused.write_text(EVERYTHING, encoding="utf-8")
    for arguments in (["--run-now", "--json"], ["status", "--json"], ["check", "--offline", "--json"]):
        with subtests.test(arguments=arguments):
            done = command.run("--config", refused, *arguments, env={VARIABLE: "UTC"})

            assert (done.code, done.err) == (2, "")
            found = json.loads(done.out)
            assert found["error"] == "configuration"
            assert [problem["where"] for problem in found["problems"]] == PLACES


def test_a_missing_file(command: Command, refused: Path) -> None:
    """The message names the file and the command that writes one."""
    done = command.run("--config", refused, "--run-now")

    assert done.code == 2
    assert f"{refused}: no such file (create one with: licsync-daemon --config {refused} config init -o {refused})" in done.err


WRONG_USAGE = [
    (["--run-now", "status"], "emea"),
    (["--dry-run"], "--dry-run requires --run-now"),
    (["frobnicate"], "invalid choice"),
    (["--run-now", "--wait", "soon"], "--wait"),
    (["history", "--limit", "-1"], "--limit"),
]


def test_wrong_usage(command: Command, refused: Path, subtests: pytest.Subtests) -> None:
    """Wrong usage exits 2 and says what is right."""
    refused.write_text(VALID, encoding="utf-8")
    for arguments, words in WRONG_USAGE:
        with subtests.test(arguments=arguments):
            done = command.run("--config", refused, *arguments)

            assert done.code == 2
            assert words in done.err
            assert "Traceback" not in done.err
