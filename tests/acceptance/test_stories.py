"""Every story ends with its documented exit code, and docs/stories.md shows the turning points that the program really prints."""

import json
import re
from pathlib import Path

import pytest

from licsync_daemon.cli.parser import SCENARIOS
from tests.acceptance.support import Command, Done
from tests.acceptance.test_readme import plain

DOC = (Path(__file__).parents[2] / "docs" / "stories.md").read_text(encoding="utf-8")
RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
DOCUMENTED = {name: int(code) for name, code in re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\d+) \|", DOC, re.MULTILINE)}
BLOCKS = dict(re.findall(r"^```\n\$ licsync-daemon demo --scenario (\w+)\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL))
VARYING = (
    (r"\b[0-9a-f]{12}\b", "ID"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    # A retry comes at another time in every run: the waits are spread by the run's id.
    (r"^\d{4}-\d\d-\d\d \d\d:\d\d(?= UTC +\w+ +retry )", "MOMENT"),
    (r"next \d\d \w{3} \d\d:\d\d, in [\d.]+ (min|h)", "next MOMENT"),
    (r"\d\d:\d\d:\d\d +(?=retry )", "MOMENT "),
    (r"confirmed \w{3} \d\d \w{3} \d\d:\d\d (?=\(retry)", "confirmed MOMENT "),
    (r"retry 1\d", "retry 1N"),
    (r" +", " "),
)


def test_every_story_is_documented_and_linked_from_the_runbook() -> None:
    """The table and the blocks know the stories that the command knows, and a runbook entry names each."""
    assert list(DOCUMENTED) == list(BLOCKS) == list(SCENARIOS)
    assert [name for name in SCENARIOS if f"--scenario {name}` [plays this case](stories.md#{name})" not in RUNBOOK] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_story_has_its_turning_points(command: Command, name: str) -> None:
    """The documented exit code, the documented lines in their order, and nothing on stderr."""
    done = command.run("demo", "--scenario", name)

    assert (done.code, done.err) == (DOCUMENTED[name], "")
    real = [plain(line, VARYING) for line in done.out.splitlines()]
    at = 0
    for piece in (block.splitlines() for block in BLOCKS[name].split("…\n") if block):
        lines = [plain(line, VARYING) for line in piece]
        place = next((place for place in range(at, len(real)) if real[place : place + len(lines)] == lines), None)
        assert place is not None, "not printed, or not in this place:\n" + "\n".join(piece) + "\nin:\n" + "\n".join(real[at:])
        at = place + len(lines)
    assert real[at:] == []


def test_a_story_as_json(command: Command) -> None:
    """JSON and nothing else: its events in their order, its commands with their results, and its exit code."""
    done = command.run("demo", "--scenario", "clone", "--json")

    assert (done.code, done.err) == (DOCUMENTED["clone"], "")
    found = json.loads(done.out)
    assert (found["scenario"], found["exit"]) == ("clone", DOCUMENTED["clone"])
    commands = [event for event in found["events"] if event["event"] == "command"]
    assert [one["command"].split()[1] for one in commands] == ["--run-now", "reject", "--run-now", "--run-now"]
    assert [[run["state"] for run in one.get("instances", ())] for one in commands] == [["held"], [], ["held"], ["confirmed"]]
    assert [one["exit"] for one in commands] == [5, 0, 5, 0]
    status = [[(one["instance"], one["state"]) for one in event["instances"]] for event in found["events"] if event["event"] == "status"]
    assert status == [[("emea", "confirmed"), ("copy", "rejected")], [("emea", "confirmed")]]
    happened = [(event["instance"], event["at"][:10]) for event in found["events"] if event["event"] == "happened"]
    assert happened == [("emea", "2027-03-01"), ("emea", "2027-03-02"), ("copy", "2027-03-04"), ("emea", "2027-03-09")]
    assert found["events"][-1] == {"event": "ended", "moral": found["events"][-1]["moral"], "exit": DOCUMENTED["clone"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "shrnk"], "invalid choice: 'shrnk' (choose from 'shrink', 'rebuilt'"),
        (["--scenario", "shrink", "--fleet", "/tmp"], "--scenario uses its own fleet and cannot be combined with --fleet"),
        (
            ["--scenario", "shrink", "--people", "10"],
            "--scenario uses its own fleet and cannot be combined with --fleet, --instances, --people or --seed",
        ),
        (["--scenario"], "argument --scenario: expected one argument"),
    ],
    ids=["unknown", "a fleet", "people", "none"],
)
def test_what_cannot_be_played(command: Command, arguments: list[str], words: str) -> None:
    """A usage error is reported, and nothing is played."""
    done: Done = command.run("demo", *arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err
