"""Numbers of rounds: as the promises are worded by default, multiplied by TORTURE for a longer look (TORTURE=10), or less (TORTURE=0.1)."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import command, evidence, fleet, site  # noqa: F401 - the installed command on a practice fleet
from tests.acceptance.test_notifications import hook  # noqa: F401 - a receiver of its messages

ROOT = Path(__file__).parents[2]
FACTOR = float(os.environ.get("TORTURE", "1"))


def times(count: int) -> int:
    return max(1, round(count * FACTOR))


@pytest.fixture(scope="session")
def rounds() -> Callable[[int], int]:
    return times


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Callable[..., Counter[str]]]:
    """Run one of our programs several times at once, each in a folder of its own, and add up the counts that they print."""
    started: list[subprocess.Popen[str]] = []

    def run(module: str, count: int, parallel: int = 2) -> Counter[str]:
        for number in range(parallel):
            folder = tmp_path / f"{module}-{number}"
            folder.mkdir()
            share = count // parallel + (number < count % parallel)
            words = [sys.executable, "-m", f"tests.torture.{module}", str(folder), str(share), str(number + 1)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            started.append(subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        total: Counter[str] = Counter()
        for one in started:
            out, err = one.communicate()
            assert one.returncode == 0, err[-4000:]
            total += Counter(json.loads(out))
        return total

    yield run
    for one in started:
        if one.poll() is None:
            one.kill()
        if one.stdout is not None and not one.stdout.closed:
            one.communicate()
