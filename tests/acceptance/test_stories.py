"""Every story ends as documented, tells what makes it the story, and docs/stories.md shows what the program really prints."""

import json
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.cli.parser import SCENARIOS
from tests.acceptance.support import COMMAND, Command, Done, environment
from tests.acceptance.test_readme import plain

DOC = (Path(__file__).parents[2] / "docs" / "stories.md").read_text(encoding="utf-8")
DOCUMENTED = {name: int(code) for name, code in re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\d+) \|", DOC, re.MULTILINE)}
BLOCKS = dict(re.findall(r"^```\n\$ licsync-daemon demo --scenario (\w+)\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL))
VARYING = (
    (r"\b[0-9a-f]{12}\b", "ID"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"process \d+ on", "process PID on"),
    (r" +", " "),
)
# A run that is tried again is tried at another moment every time: the waits are spread by the run's id.
SPREAD = (
    (r"^\d{4}-\d\d-\d\d \d\d:\d\d(?= UTC +\w+ +(retry|again) )", "MOMENT"),
    (r"next \d\d \w{3} \d\d:\d\d, in [\d.]+ (min|h)", "next MOMENT"),
    (r"\d\d:\d\d:\d\d +(?=(retry|again) )", "MOMENT "),
    (r"confirmed +\d\d:\d\d:\d\d +\d+h( \d+m)? ", "confirmed MOMENT AGE "),
    (r"confirmed \w{3} \d\d \w{3} \d\d:\d\d (?=\(retry)", "confirmed MOMENT "),
    (r"read \d+h( \d+m)? ago", "read AGE ago"),
    (r"retry \d+", "retry N"),
)
FAILED_AGAIN = r"retry {} after connection lost → failed again; next"

# What happens in a story, in this order: regular expressions for lines as `lines_of` writes them.
TOLD = {
    "shrink": [
        r"2027-01-11T08:02:.. emea first sync → confirmed, 258 accounts",
        r"2027-01-12T02:00:.. emea weekly slot → confirmed, 258 accounts",
        r"2027-01-19T02:00:.. emea weekly slot → held \(shrunk_usage\): 131 accounts after 258: 127 fewer",
        r"2027-01-19T05:00:.. amer weekly slot → confirmed, 257 accounts",
        r"status: emea held, amer confirmed",
        r"\$ licsync-daemon --run-now emea: emea held; exit 5",
        r'\$ licsync-daemon approve \w{12} --reason "site closed, its accounts were deleted" --ticket CHG-1042; exit 0',
        r"2027-01-19T09:00:.. emea approved by mona → confirmed, 131 accounts",
        r"status: emea confirmed, amer confirmed",
        r"\$ licsync-daemon --run-now emea: emea confirmed; exit 0",
    ],
    "rebuilt": [
        r"2027-02-02T02:00:.. emea weekly slot → confirmed",
        r"2027-02-09T02:00:.. emea weekly slot → held \(server_id_changed\): the server id is 7c0a4f0e-\S+ now and was 3beea9fd-",
        r"status: emea held",
        r"\$ licsync-daemon --run-now emea: emea held; exit 5",
        r"\$ licsync-daemon approve \w{12} .* --ticket INC-77; exit 0",
        r"2027-02-09T09:00:.. emea approved by mona → confirmed",
        r"2027-02-16T02:00:.. emea weekly slot → confirmed",
        r"\$ licsync-daemon --run-now emea: emea confirmed; exit 0",
    ],
    "clone": [
        r"2027-03-02T02:00:.. emea weekly slot → confirmed",
        r"2027-03-04T09:00:.. copy first sync → held \(server_id_shared\): the server id 3beea9fd-\S+ belongs to the instance emea",
        r"\$ licsync-daemon --run-now copy: copy held; exit 5",
        r"\$ licsync-daemon reject \w{12} .* --ticket CHG-1107; exit 0",
        r"status: emea confirmed, copy rejected overdue",
        r"\$ licsync-daemon --run-now copy: copy held; exit 5",
        r"2027-03-09T02:00:.. emea weekly slot → held \(server_id_shared\): the server id 3beea9fd-\S+ belongs to the instance copy",
        r"\$ licsync-daemon --run-now emea: emea confirmed; exit 0",
        r"status: emea confirmed$",
    ],
    "outage": [
        r"2027-04-13T02:00:.. emea weekly slot → failed \(connection_lost\): /api/v3/meta of \S+: the connection was lost",
        r"2027-04-13T02:00:.. emea next 13 Apr 02:1\d, in 1\d min: retry 1 after connection lost",
        *(rf"2027-04-13T\S+ emea {FAILED_AGAIN.format(number)}" for number in range(1, 7)),
        r"2027-04-13T\S+ emea retry 8 .* in \d\.\d h",
        r"status: emea failed overdue, amer confirmed",
        r"2027-04-14T\S+ emea retry 13 .* failed again; next \d\d Apr \d\d:\d\d, in 1\d\.\d h",
        r"2027-04-15T\S+ emea retry 1[3-6] after connection lost → confirmed, 195 accounts",
        r"status: emea confirmed, amer confirmed",
        r"2027-04-20T02:00:.. emea weekly slot → confirmed",
        r"# Tue 06 Apr 02:00 UTC: confirmed Tue 06 Apr 02:00 \(weekly slot\)",
        r"# Tue 13 Apr 02:00 UTC: confirmed Thu 15 Apr \d\d:\d\d \(retry 1\d after connection lost\)",
        r"# Tue 20 Apr 02:00 UTC: confirmed Tue 20 Apr 02:00 \(weekly slot\)",
        r"\$ licsync-daemon --run-now emea: emea confirmed; exit 0",
    ],
    "dst": [
        r"2027-03-21T01:30:.. Sun 02:30 CET emea weekly slot → confirmed",
        r"2027-03-28T01:00:.. Sun 03:00 CEST emea weekly slot → confirmed",
        r"2027-04-04T00:30:.. Sun 02:30 CEST emea weekly slot → confirmed",
        r"2027-10-31T00:30:.. Sun 02:30 CEST emea weekly slot → confirmed",
        r"2027-11-07T01:30:.. Sun 02:30 CET emea weekly slot → confirmed",
        r"# 35 Sundays, 35 confirmed runs; from one to the next 167\.5 to 169\.0 hours",
        r"\$ licsync-daemon --run-now emea: emea confirmed; exit 0",
    ],
    "ratelimit": [
        r"2027-05-04T02:00:.. amer weekly slot: waiting until 02:02:0. for: license-sync-status of octo-enterprise returned 429",
        r"2027-05-04T02:00:.. apac weekly slot: waiting until 02:02:0. for: the server's rate limit, hit by another run",
        r"2027-05-04T02:00:.. emea weekly slot: waiting until 02:02:0. for: the server's rate limit, hit by another run",
        r"status: emea running, amer running, apac running",
        r"2027-05-04T02:02:.. apac weekly slot → confirmed",
        r"2027-05-11T02:00:.. amer weekly slot: waiting until 02:10:0. for: license-sync-status of octo-enterprise returned 403",
        r"2027-05-11T02:10:.. apac weekly slot → confirmed",
        r"2027-05-18T02:00:.. amer weekly slot → failed \(rate_limited\)",
        r"2027-05-18T02:00:.. apac next 18 May 03:00, in 60 min: retry 1 after rate limited",
        r"status: emea failed, amer failed, apac failed",
        r"2027-05-18T03:00:.. apac retry 1 after rate limited → confirmed",
        r"\$ licsync-daemon --run-now: emea confirmed, amer confirmed, apac confirmed; exit 0",
    ],
    "maintenance": [
        r"2027-06-15T02:00:.. emea weekly slot → failed \(maintenance\): .* 503",
        r"2027-06-15T02:00:.. emea next 15 Jun 02:30, in 30 min: again after maintenance",
        r"2027-06-15T02:30:.. emea again after maintenance → failed again; next 15 Jun 03:00, in 30 min",
        r"2027-06-15T03:30:.. emea again after maintenance → failed again; next 15 Jun 04:\d\d, in (3[3-9]|4[01]) min",
        r"2027-06-15T04:\S+ emea again after maintenance → failed again; next 15 Jun 0[45]:\d\d, in (4[4-9]|5[0-5]) min",
        r"status: emea failed, amer confirmed",
        r"# Wednesday\. .* overdue, for its age alone\. Failures counted: 0\.",
        r"status: emea failed overdue, amer confirmed",
        r"\$ licsync-daemon --run-now: emea failed, amer confirmed; exit 3",
    ],
}


@cache
def printed(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "demo", "--scenario", name], env=environment(), capture_output=True, text=True, timeout=100, check=False
    )


def lines_of(events: Sequence[dict[str, Any]]) -> list[str]:
    """Write each event as a short line."""
    lines = []
    for event in events:
        match event["event"]:
            case "told":
                lines += [f"# {line}" for line in event["text"].splitlines()]
            case "happened":
                lines.append(" ".join((event["at"][:19], *event.get("local", "").split(), event["instance"], event["text"])))
            case "command":
                runs = ", ".join(f"{run['instance']} {run['state']}" for run in event.get("instances", ()))
                lines.append(f"$ {event['command']}{runs and f': {runs}'}; exit {event['exit']}")
            case "status":
                told = ((one["name"], one["state"], "overdue" if one["overdue"] else "") for one in event["instances"])
                lines.append("status: " + ", ".join(" ".join(words).strip() for words in told))
            case "ended":
                lines.append(f"exit {event['exit']}")
    return lines


def test_every_story_is_documented_and_tested() -> None:
    """The table, the blocks and this test know the stories that the command knows."""
    assert list(DOCUMENTED) == list(BLOCKS) == list(TOLD) == list(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_story_as_json(command: Command, name: str) -> None:
    """JSON and nothing else: what makes the story, in its order, and the documented exit code at its end."""
    done = command.run("demo", "--scenario", name, "--json")

    assert (done.code, done.err) == (DOCUMENTED[name], "")
    found = json.loads(done.out)
    assert (found["scenario"], found["exit"]) == (name, DOCUMENTED[name])
    lines = lines_of(found["events"])
    left = iter(lines)
    for pattern in [*TOLD[name], rf"exit {DOCUMENTED[name]}$"]:
        assert any(re.match(pattern, line) for line in left), f"{pattern} is missing, or not in this place, in:\n" + "\n".join(lines)
    assert list(left) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_story_in_words(name: str) -> None:
    """For people: the documented exit code, the lines of docs/stories.md between its cuts ("…"), and nothing on stderr."""
    done = printed(name)

    assert (done.returncode, done.stderr) == (DOCUMENTED[name], "")
    varying = VARYING + (SPREAD if name in {"outage", "maintenance"} else ())
    real = [plain(line, varying) for line in done.stdout.splitlines()]
    pieces = [[plain(line, varying) for line in piece.splitlines()] for piece in BLOCKS[name].split("…\n")]
    at = 0
    for number, piece in enumerate(pieces):
        places = [place for place in range(at, len(real)) if real[place : place + len(piece)] == piece]
        assert places, "not printed, or not in this place:\n" + "\n".join(piece) + "\nin:\n" + "\n".join(real[at:])
        assert number > 0 or places[0] == 0
        at = places[0] + len(piece)
    assert real[at:] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "shrnk"], "invalid choice: 'shrnk' (choose from 'shrink', 'rebuilt'"),
        (["--scenario", "shrink", "--fleet", "/tmp"], "--scenario plays with a fleet of its own: it goes without --fleet"),
        (["--scenario", "shrink", "--people", "10"], "it goes without --fleet, --instances, --people and --seed"),
        (["--scenario"], "argument --scenario: expected one argument"),
    ],
    ids=["unknown", "a fleet", "people", "none"],
)
def test_what_cannot_be_played(command: Command, arguments: list[str], words: str) -> None:
    """A mistake in the command is said in words, and nothing is played."""
    done: Done = command.run("demo", *arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err
