"""Run every command with streams that are closed, broken, full or narrow, and compare its exit code with the one that it has otherwise."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.hostile import COMMAND
from tests.faults.servers import Fleet

TOGETHER = 4
LIMIT_S = 60
PIPE = 141  # SIGPIPE, as a shell shows it
NO_SPACE = 1
COMPLAINTS = ("Traceback", "Exception ignored", "lost sys.std")
WHY = ("--reason", "test")
COMMANDS: Sequence[Sequence[str]] = (
    ("--help",),
    ("--version",),
    ("--nonsense",),
    ("--run-now",),
    ("--run-now", "--dry-run"),
    ("--run-now", "--json"),
    ("status",),
    ("status", "--json"),
    ("status", "--alive"),
    ("history",),
    ("history", "--json"),
    ("outbox",),
    ("payload", "b"),
    ("approve", "nothing", *WHY),
    ("reject", "nothing", *WHY),
    ("acknowledge", "nothing", *WHY),
    ("pause", "b", "--until", "2020-01-01", *WHY),
    ("resume", "b", *WHY),
    ("config", "init"),
    ("config", "show"),
    ("config", "schema"),
    ("check",),
    ("check", "--offline", "--json"),
    ("notify", "--test"),
    ("completion", "bash"),
    ("demo", "--instances", "2", "--people", "20"),
)


@dataclass(frozen=True)
class Way:
    """How a command is started; `codes` are right besides its usual one."""

    name: str
    start: Callable[[list[str]], tuple[int, str]]
    codes: frozenset[int] = frozenset()


def plain(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def shell(redirections: str) -> Callable[[list[str]], tuple[int, str]]:
    """Let a shell start the command; what is not redirected is kept."""
    return lambda words: plain(["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *words])


def early(stream: str) -> Callable[[list[str]], tuple[int, str]]:
    """Let the reader of a stream be gone before the first byte."""

    def start(words: list[str]) -> tuple[int, str]:
        read, write = os.pipe()
        os.close(read)
        kept = "stderr" if stream == "stdout" else "stdout"
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False, **{stream: write, kept: subprocess.PIPE})  # type: ignore[call-overload]
        finally:
            os.close(write)
        return done.returncode, ((done.stdout or b"") + (done.stderr or b"")).decode("utf-8", "replace")

    return start


def narrow(words: list[str]) -> tuple[int, str]:
    """Start the command on a terminal of 0 columns and 0 lines."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "0"}
    child = subprocess.Popen(words, stdin=side, stdout=side, stderr=side, env=environ)
    os.close(side)
    read, deadline = bytearray(), time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if not select.select([main], [], [], 0.2)[0]:
            continue
        try:
            if not (part := os.read(main, 65536)):
                break
        except OSError:  # the terminal's last user is gone
            break
        read += part
    os.close(main)
    if child.poll() is None and time.monotonic() >= deadline:
        child.kill()
    return child.wait(), read.decode("utf-8", "replace")


def ascii_only(words: list[str]) -> tuple[int, str]:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False, env=environ)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


WAYS = (
    Way("stdin closed", shell("<&-")),
    Way("stdout closed", shell(">&-")),
    Way("stderr closed", shell("2>&-")),
    Way("all closed", shell("<&- >&- 2>&-")),
    Way("stdout: pipe without reader", early("stdout"), frozenset({PIPE, -13})),
    Way("stderr: pipe without reader", early("stderr"), frozenset({PIPE, -13})),
    Way("stdout: /dev/full", shell(">/dev/full"), frozenset({NO_SPACE})),
    Way("stderr: /dev/full", shell("2>/dev/full"), frozenset({NO_SPACE})),
    Way("terminal of 0 columns", narrow),
    Way("ASCII-only encoding", ascii_only),
)


def _words(config: Path, arguments: Sequence[str]) -> list[str]:
    return [str(COMMAND), *(() if arguments[0] == "demo" else ("--config", str(config))), *arguments]


def faults(way: Way, config: Path, usual: Sequence[int]) -> Iterator[str]:
    """Start every command this way; yield what is wrong."""
    for arguments, expected in zip(COMMANDS, usual, strict=True):
        try:
            code, text = way.start(_words(config, arguments))
        except subprocess.TimeoutExpired:
            yield f"{' '.join(arguments)}: over {LIMIT_S} s"
            continue
        if code != expected and code not in way.codes:
            yield f"{' '.join(arguments)}: exit {code} instead of {expected}"
        if any(sign in text for sign in COMPLAINTS):
            yield f"{' '.join(arguments)}: {text.strip().splitlines()[-1][:100]}"


@contextmanager
def _synced() -> Iterator[Path]:
    """Yield the configuration of a fleet that was synced once."""
    with tempfile.TemporaryDirectory(prefix="licsync-streams-") as folder, Fleet() as fleet:
        config = fleet.write_config(Path(folder))
        plain([str(COMMAND), "--config", str(config), "--run-now"])
        yield config


def _judged(way: Way, usual: Sequence[int]) -> list[str]:
    with _synced() as config:
        return list(faults(way, config, usual))


def table() -> bool:
    """Print the table; return whether every row is right."""
    with _synced() as config:
        usual = [plain(_words(config, arguments))[0] for arguments in COMMANDS]
    print(f"{'streams':30} {'commands':>8}  right")
    every = []
    with ThreadPoolExecutor(TOGETHER) as pool:
        for way, wrong in zip(WAYS, pool.map(lambda way: _judged(way, usual), WAYS), strict=True):
            print(f"{way.name:30} {len(COMMANDS):8}  {'; '.join(wrong) or 'yes'}", flush=True)
            every += wrong
    print(f"{len(WAYS) * len(COMMANDS)} commands started, {len(every)} wrong", flush=True)
    return not every


if __name__ == "__main__":
    sys.exit(not table())
