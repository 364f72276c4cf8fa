"""The README's commands do what the README says, line by line, but for times, ids and paths."""

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from tests.acceptance.support import COMMAND, environment

README = (Path(__file__).parents[2] / "README.md").read_text()
EXAMPLE = re.compile(r"^\$ (licsync-daemon [^\n]*|make demo)\n(.*?)(?=^\$ |^```)", re.MULTILINE | re.DOTALL)
EXAMPLES = [match.groups() for match in EXAMPLE.finditer(README)]
VARYING = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "INSTANT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "MOMENT"),
    (r"\b\d\d:\d\d:\d\d\b", "MOMENT"),
    (r"\b[0-9a-f]{12}\b", "ID"),
    (r"process \d+ on \S+ since", "process PID on HOST since"),
    (r"(read )?\b\d+[smh]( \d+[smh])?( ago)?(?=\s|;|$)", "AGE"),
    (r"[\d,]+ +sha256", "SIZE sha256"),
    (r"\S*practice/[^\s:]+", "PATH"),
    (r" +", " "),
)


def plain(line: str, varying: Iterable[tuple[str, str]] = VARYING) -> str:
    """Put a word in the place of what differs from run to run."""
    for pattern, word in varying:
        line = re.sub(pattern, word, line)
    return line.strip()


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The practice fleet that the README speaks of, synced once, with a daemon at work; the environment for its commands."""
    folder = tmp_path_factory.mktemp("readme") / "practice"
    with Sandbox(generate_fleet()) as box:
        config = box.write_config(folder)
        ready = environment(LICSYNC_CONFIG=str(config))
        subprocess.run([COMMAND, "--run-now"], env=ready, check=True, capture_output=True)
        daemon = subprocess.Popen([COMMAND], env=ready, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while subprocess.run([COMMAND, "status", "--alive"], env=ready, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "the daemon does not come up"
        yield ready
        daemon.terminate()
        daemon.wait(20)


def test_there_are_examples() -> None:
    """The README shows its commands with their output in a form that this test finds."""
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_readme_shows_real_output(practice: dict[str, str], command: str, shown: str) -> None:
    """Every line that the README shows comes out of the command that it shows above it."""
    line = command.replace("make demo", "licsync-daemon demo")

    result = subprocess.run(["bash", "-c", line], env=practice, capture_output=True, text=True, timeout=100, check=False)

    assert result.returncode == 0, result.stderr
    real = [plain(one) for one in result.stdout.splitlines()]
    missing = [one for one in shown.splitlines() if one not in {"", "…"} and plain(one) not in real]
    assert missing == [], result.stdout
