"""The command line: where instances may stand, and what goes without what."""

from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.cli.parser import parse

OF_RUN_NOW = ("--dry-run", "--wait 5m", "--wait 0", "--wait-lock")


def test_instances_stand_anywhere_behind_run_now(subtests: pytest.Subtests) -> None:
    """Before, between and after its options; the other options stay what they are."""
    for words in (
        "--run-now emea amer --dry-run --json --wait 5m",
        "--run-now --dry-run emea amer --json --wait 5m",
        "--run-now --dry-run --json --wait 5m emea amer",
        "--run-now emea --dry-run amer --json --wait 5m",
        "--dry-run --run-now emea amer --wait 5m --json",
        "--wait 5m --json --dry-run --run-now emea amer",
        "--run-now --wait 5m emea --json amer --dry-run",
    ):
        with subtests.test(words=words):
            found = parse(["--config", "here.toml", *words.split()])
            assert (found.run_now, found.command, found.config) == (["emea", "amer"], None, Path("here.toml"))
            assert (found.dry_run, found.json, found.wait, found.wait_lock) == (True, True, timedelta(minutes=5), False)


def test_a_configuration_may_stand_behind_run_now() -> None:
    """`--config` is accepted on both sides, the later one counts."""
    assert parse(["--config", "one", "--run-now", "--config", "two", "emea"]).config == Path("two")
    assert parse(["--run-now", "--wait-lock", "emea", "--config", "one"]).config == Path("one")


def test_what_is_not_said() -> None:
    """Without --run-now there is none, and without names it is every instance."""
    assert (parse([]).run_now, parse([]).command) == (None, None)
    found = parse(["--run-now"])
    assert (found.run_now, found.dry_run, found.wait) == ([], False, None)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("status --run-now", "unrecognized arguments: --run-now"),
        *((f"{option}{command}", f"{option.split()[0]} requires --run-now") for option in OF_RUN_NOW for command in ("", " status")),
        ("--json", "--json requires --run-now or a command"),
        ("--json payload emea", "payload does not print JSON"),
        ("--json approve run1 --reason x", "approve does not print JSON"),
        ("--json completion bash", "completion does not print JSON"),
        ("config init --json", "config init does not print JSON"),
        ("status --alive --check", "not allowed with argument --alive"),
        ("status --alive --json", "--json cannot be combined"),
        ("status --check --json", "--json cannot be combined"),
        ("stauts", "did you mean status?"),
        ("config shwo", "did you mean show?"),
        ("--run-now --bogus", "unrecognized arguments: --bogus"),
        ("--run-now emea --wait", "argument --wait: expected one argument"),
        ("emea", "invalid choice: 'emea'"),
        ("approve run1", "the following arguments are required: --reason"),
        ("pause emea --reason x", "the following arguments are required: --until"),
    ],
)
def test_mistakes(words: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with 2 and says what was wrong."""
    with pytest.raises(SystemExit) as ended:
        parse(words.split())
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_json_may_stand_before_a_command_that_prints_it() -> None:
    """`--json status` is `status --json`."""
    assert parse(["--json", "status"]).json
    assert parse(["--json", "config", "schema"]).json
