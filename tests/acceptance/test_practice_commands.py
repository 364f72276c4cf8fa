"""The commands `demo` and `sandbox`."""

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.support import Command, wait_for


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob("licsync-demo-*"))


def gone(session: int) -> bool:
    """Return whether no process of a session is left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return True
    return False


def test_demo(command: Command, tmp_path: Path) -> None:
    """Two syncs, every instance confirmed in both, the same people and seats after the second; the first line names what works against github.com."""
    done = command.run("demo", "--people", "200", env={"TMPDIR": str(tmp_path)})

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("What works against github.com today: ")
    assert "GitHub publishes no upload endpoint" in lines[0]
    assert [line.split()[0] for line in lines if "  confirmed  " in line and "collected" not in line] == [
        "emea",
        "amer",
        "apac",
        "labs",
    ] * 2
    seats = [line for line in lines if line.startswith(("accounts on all", "people after", "seats consumed", "seats purchased"))]
    assert len(seats) == 8
    assert seats[:4] == seats[4:]
    people, consumed = (line.split()[-1] for line in seats[1:3])
    assert people == consumed
    assert lines[-1].endswith("people and seats are the same after the second.")
    assert any(re.match(r"[1-9][0-9]* seats could be saved", line) for line in lines)
    assert any(line.startswith("with your own: ") for line in lines)
    assert leftovers(tmp_path) == []


def test_demo_as_json(command: Command) -> None:
    """`--json` prints the same figures as JSON and nothing else."""
    done = command.run("demo", "--json", "--instances", "2", "--people", "100")

    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["what_is_real"].startswith("What works against github.com today")
    for one in found["rounds"]:
        assert [run["state"] for run in one["instances"]] == ["confirmed", "confirmed"]
        assert one["people"] == one["seats"]["consumed"]
    assert found["rounds"][0]["seats"] == found["rounds"][1]["seats"]
    assert found["rounds"][0]["instances"][0]["run_id"] != found["rounds"][1]["instances"][0]["run_id"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--fleet", "/nowhere"], "--fleet: /nowhere: no such folder"),
        (["sandbox", "--fleet", "/nowhere"], "--fleet: /nowhere: no such folder"),
        (["sandbox", "--quirks", "lies"], "unknown quirk lies"),
        (["sandbox", "--people", "9", "--write-config", "/dev/null/x"], "--write-config: /dev/null/x: Not a directory"),
        (["demo", "--people", "0"], "'0' is not a number from 1"),
    ],
    ids=["demo_fleet", "sandbox_fleet", "quirk", "write_config", "people"],
)
def test_what_practice_cannot_use(command: Command, arguments: list[str], words: str) -> None:
    """An unusable folder, quirk or number is reported as a usage error, without a traceback."""
    done = command.run(*arguments)

    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


MOMENTS: dict[str, Callable[[Path], object]] = {
    "while_it_makes_the_fleet": lambda _: time.sleep(0.5),
    "when_the_sandbox_stands": leftovers,
    "when_the_state_is_made": lambda folder: list(folder.glob("licsync-demo-*/state/state.db")),
    "when_instances_are_locked": lambda folder: list(folder.glob("licsync-demo-*/state/locks/*.lock")),
}


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_ctrl_c_leaves_nothing_of_a_demo(command: Command, tmp_path: Path, moment: str) -> None:
    """Ctrl-C ends a demo with 130 and without a traceback; no process, no temporary folder stays behind."""
    running = command.start("demo", "--people", "20000", env={"TMPDIR": str(tmp_path)})
    what = MOMENTS[moment]
    wait_for(lambda: what(tmp_path) is None or what(tmp_path))

    code, seconds = running.end(signal.SIGINT)

    assert code == 130, running.err
    assert seconds < 10
    assert "Traceback" not in running.err
    assert leftovers(tmp_path) == []
    assert gone(running.process.pid)


def test_sandbox_serves_until_it_is_told_to_stop(command: Command, tmp_path: Path) -> None:
    """It prints one JSON line with every address, the written configuration works with it, and SIGTERM ends it with 0."""
    running = command.start("sandbox", "--instances", "2", "--people", "60", "--write-config", tmp_path / "practice", secret_output=True)
    wait_for(lambda: "\n" in running.out)
    (line,) = running.out.splitlines()
    ready = json.loads(line)
    assert set(ready["instances"]) == {"emea", "amer"}
    for one in ready["instances"].values():
        assert set(one) >= {"url", "hostname", "server_id", "username"}
    command.evidence.secrets |= {ready["cloud_token"], ready["delivery_token"], ready["control_token"]}
    command.evidence.secrets |= {one["token"] for one in ready["instances"].values()}

    done = command.run("--config", tmp_path / "practice" / "config.toml", "--run-now", "--json")

    assert done.code == 0, done.err
    assert [run["state"] for run in json.loads(done.out)["instances"]] == ["confirmed", "confirmed"]
    command.evidence.places.append(tmp_path / "practice" / "state")
    code, seconds = running.end()
    assert (code, "Traceback" in running.err) == (0, False)
    assert seconds < 5
    assert gone(running.process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_sandbox_ends_orderly(command: Command, number: int) -> None:
    """Both signals end the sandbox with 0."""
    running = command.start("sandbox", "--instances", "1", "--people", "10", secret_output=True)
    wait_for(lambda: "\n" in running.out)

    assert running.end(number)[0] == 0


def test_the_demo_of_manual(command: Command) -> None:
    """What waits and where, and that it is confirmed once a person has uploaded it."""
    done = command.run("demo", "--delivery", "manual", "--people", "100")

    assert (done.code, done.err) == (0, "")
    assert "All of this works against github.com today" in done.out
    waiting, _, status = done.out.partition("A person uploads each export")
    assert waiting.count("  awaiting_upload  ") == waiting.count("  upload the export  ") == 3
    assert len(re.findall(r"(?m)^(emea|amer|apac) +confirmed ", status)) == 3
    assert command.run("demo", "--delivery", "manual", "--people", "100", "--json").code == 0


def test_the_sandbox_says_what_to_type_elsewhere(command: Command, tmp_path: Path) -> None:
    """On stderr, as commands that work as printed; stdout is the ready line alone."""
    folder = tmp_path / "practice"
    box = command.start("sandbox", "--write-config", folder, "--people", "100", secret_output=True)
    wait_for(lambda: box.out)
    lines = [line.strip() for line in box.err.splitlines()]
    assert lines[1:] == [f"licsync-daemon --config {folder / 'config.toml'} {words}" for words in ("--run-now", "status", "check")]
    assert len(box.out.splitlines()) == 1
    for line in lines[1:]:
        assert command.run(*shlex.split(line)[1:]).code == 0
    box.end()
