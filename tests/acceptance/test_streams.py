"""Streams that cannot take the output: no traceback, and the exit code of the command, whatever they are."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest

from tests.acceptance.support import COMMAND, Site, environment, shown_on

COMMANDS = {
    "--version": 0,
    "--help": 0,
    "status": 0,
    "status --json": 0,
    "status --alive": 1,
    "history emea": 0,
    "outbox": 0,
    "config init": 0,
    "config show": 0,
    "config schema": 0,
    "check --offline --json": 0,
    "payload emea": 0,
    "--run-now nobody": 2,
    "approve nothing --reason x": 2,
    "pause emea --until 2d --reason x": 0,
    "completion bash": 0,
    "no-such-command": 2,
}
STREAMS = {
    "stdin closed": "<&-",
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "a full disk at stderr": "2>/dev/full",
    "a full disk at stdout": ">/dev/full",
    "a reader that left": "| true",
    "ASCII": "ascii",
}


@pytest.mark.parametrize("stream", STREAMS)
def test_streams_that_cannot_take_the_output(site: Site, stream: str, subtests: pytest.Subtests) -> None:
    """Only a full disk is a failure, where the command itself has none."""
    encoding = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"} if STREAMS[stream] == "ascii" else {}
    for words, code in COMMANDS.items():
        with subtests.test(words):
            redirected = STREAMS[stream] if not encoding else ""
            script = f'"$0" --config "$1" {words} {redirected}; exit ${{PIPESTATUS[0]}}'
            done = subprocess.run(
                ["/bin/bash", "-c", script, str(COMMAND), str(site.config)],
                capture_output=True,
                env=environment(**encoding),
                check=False,
                timeout=60,
            )
            assert b"Traceback" not in done.stderr
            assert b"Exception" not in done.stderr
            is_full = stream == "a full disk at stdout" and code == 0 and words != "status --alive"
            assert done.returncode == (1 if is_full else code)


@pytest.mark.parametrize("columns", ["terminal", "0", "1", "-5", "wide"])
def test_terminals_without_columns(site: Site, columns: str, subtests: pytest.Subtests) -> None:
    """Some terminals report a width of 0, and a variable may say anything."""
    more = {} if columns == "terminal" else {"COLUMNS": columns}
    for words in ("status", "history emea", "outbox", "check --offline", "config show", "--help", "--run-now nobody"):
        with subtests.test(words):
            ours, theirs = pty.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
            process = subprocess.Popen(
                [COMMAND, "--config", site.config, *words.split()], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**more)
            )
            os.close(theirs)
            shown = shown_on(ours)
            assert b"Traceback" not in shown
            assert process.wait(30) == (2 if "nobody" in words else process.returncode)


def test_arguments_that_are_not_text(site: Site, subtests: pytest.Subtests) -> None:
    """Usage errors, before anything is opened or written."""
    bad = b"a\xffb"
    for words in (
        *(
            "--config X status",
            "history X",
            "payload X",
            "--run-now X",
            "approve X --reason x",
            "reject X --reason x",
            "acknowledge X --reason x",
        ),
        *("pause emea --until 2d --reason X", "pause emea --until X --reason x", "pause X --until 2d --reason x", "resume X --reason x"),
        *("pause emea --until 2d --reason x --ticket X", "config init --from-cloud --enterprise X", "demo --fleet X", "X", "completion X"),
    ):
        with subtests.test(words):
            arguments = [bad if word == "X" else word.encode() for word in words.split()]
            done = subprocess.run(
                [str(COMMAND).encode(), b"--config", str(site.config).encode(), *arguments],
                capture_output=True,
                env=environment(),
                check=False,
            )
            assert (done.returncode, b"is not valid UTF-8 text" in done.stderr) == (2, True)
            assert b"disk" not in done.stderr
