"""Apply one small fault after another to a copy of the tree, and check that the tests named for it fail.

Usage: `python -m tests.mutants [WORD ...]`. With words, only mutants whose name or file contains one of them run. Two workers share the
mutants; each has its own copy of the tree, so the checkout never changes.
"""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("licsync-daemon")
WORKERS = 2
TEST_S = 120  # for one test on a busy machine; a test that hangs fails after that
MUTANT_S = 300  # for all tests of one mutant, if a hanging test does not fail by itself
BASELINE_S = 1200
GRACE_S = 10
VERSION_FILE = "licsync_daemon/__init__.py"


@dataclass(frozen=True)
class Outcome:
    """The result of a run of pytest. `code` is None if the run took too long and was ended."""

    code: int | None
    output: str
    took_s: float

    @property
    def first_failure(self) -> str:
        """Return the id of the first test that failed."""
        summary = self.output.rpartition("short test summary info")[2]
        found = re.search(r"^(?:SUBFAILED.*? (?=tests/)|FAILED |ERROR )(.+?)(?: - .*)?$", summary, re.MULTILINE)
        return found[1] if found else "no test is named"

    @property
    def hung(self) -> bool:
        return self.code is None or f"Timeout (>{TEST_S}" in self.output


def main(words: Sequence[str]) -> int:
    """Run the mutants that match and return the exit code: 1 if one of them survives or cannot be applied."""
    chosen = [one for one in MUTANTS if not words or any(word.lower() in searched(one) for word in words)]
    if not chosen:
        print("no mutant matches")
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(WORKERS) as pool:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(WORKERS):
            copies.put(copy_tree(Path(folder) / str(number)))

        def baseline(targets: Sequence[str]) -> Outcome:
            copy = copies.get()
            try:
                check_copy(copy)
                return run_pytest(copy, targets, BASELINE_S)
            finally:
                copies.put(copy)

        def judged(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                is_caught, line = judge(copy, mutant)
            finally:
                copies.put(copy)
            print(line, flush=True)
            return is_caught

        for healthy in pool.map(baseline, shares(chosen)):
            if healthy.code != 0:
                print(healthy.output)
                print("the tests fail without any fault")
                return 1
        print(f"the tests pass without a fault ({time.monotonic() - began:.0f} s)", flush=True)
        caught = sum(pool.map(judged, chosen))
    print(f"{caught} of {len(chosen)} mutants caught in {time.monotonic() - began:.0f} s")
    return 0 if caught == len(chosen) else 1


def searched(mutant: Mutant) -> str:
    """Return the text in which words are searched: the name, and the file in its package."""
    return f"{mutant.name} {mutant.file.removeprefix('licsync_daemon/')}".lower()


def shares(mutants: Iterable[Mutant]) -> list[list[str]]:
    """Return every named test once, divided among the workers; no part is empty."""
    named = dict.fromkeys(target for mutant in mutants for target in mutant.tests)
    targets = [target for target in named if "::" not in target or target.partition("::")[0] not in named]
    return [part for number in range(WORKERS) if (part := targets[number::WORKERS])]


def copy_tree(to: Path) -> Path:
    """Copy the tree without version control, caches and virtual environments."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in {".git", "__pycache__"} or name.endswith("_cache") or is_environment(Path(folder, name))}

    shutil.copytree(ROOT, to, ignore=ignored)
    return to


def is_environment(path: Path) -> bool:
    return (path / "pyvenv.cfg").exists()


def environment(copy: Path) -> dict[str, str]:
    """Return environment variables with which Python imports the copy instead of the installed package, and keeps its bytecode apart."""
    return {**os.environ, "PYTHONPATH": str(copy), "PYTHONPYCACHEPREFIX": f"{copy}-pycache"}


def check_copy(copy: Path) -> None:
    """Check that the installed command runs the code of the copy.

    Raises:
        RuntimeError: It runs other code.
    """
    path = copy / VERSION_FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(f'{text}\n__version__ = "999.9"\n', encoding="utf-8")
    try:
        done = subprocess.run([COMMAND, "--version"], env=environment(copy), cwd=copy.parent, capture_output=True, text=True, check=False)
    finally:
        path.write_text(text, encoding="utf-8")
    if "999.9" not in done.stdout:
        raise RuntimeError(f"{COMMAND} does not run the copy: {done.stdout or done.stderr}")


def judge(copy: Path, mutant: Mutant) -> tuple[bool, str]:
    """Apply the fault, run its tests, and revert it. Return whether it was caught, and the line to print."""
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text.count(mutant.before) != 1:
        return False, f"NOT APPLICABLE  {mutant.name}  (the text to be replaced occurs {text.count(mutant.before)} times)"
    path.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")
    later = next(STAMPS)
    os.utime(path, (later, later))  # a unique time, so that Python does not use cached bytecode of a file of the same size and second
    try:
        outcome = run_pytest(copy, mutant.tests, MUTANT_S)
    finally:
        path.write_text(text, encoding="utf-8")
        later = next(STAMPS)
        os.utime(path, (later, later))
    if outcome.code == 0:
        return False, f"SURVIVED  {outcome.took_s:.0f} s  {mutant.name}"
    if outcome.code not in {None, 1}:
        return False, f"NOT APPLICABLE  {mutant.name}  (pytest ended with exit code {outcome.code})\n{outcome.output}"
    hung = ", hung" if outcome.hung else ""
    return True, f"caught {outcome.took_s:.0f} s  {mutant.name}  ({outcome.first_failure}{hung})"


STAMPS = iter(range(int(time.time()) + 1, 2**32))


def run_pytest(copy: Path, targets: Iterable[str], within_s: float) -> Outcome:
    """Run the named tests of a copy until the first failure."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--timeout", str(TEST_S), "-p", "no:cacheprovider", *targets]
    began = time.monotonic()
    with subprocess.Popen(
        words, cwd=copy, env=environment(copy), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=within_s)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            output, code = end(process), None
    return Outcome(code, output, time.monotonic() - began)


def end(process: subprocess.Popen[str]) -> str:
    """Interrupt a run, so that its tests end what they started; then kill what remains."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=GRACE_S)[0]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
