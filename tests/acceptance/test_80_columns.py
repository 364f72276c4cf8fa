"""On a terminal of 80 columns no line is longer, no word is broken, and every run ID can be copied."""

import os
import pty
import re
import subprocess

import pytest

from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import RunState
from tests.acceptance.support import COMMAND, Site, environment, shown_on

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COMMANDS = (
    "status", "history emea", "--run-now", "--run-now --dry-run", "check", "check --all", "config show", "demo --people 100",
    "demo --delivery manual --people 100", "--run-now nobody", "stauts",
)  # fmt: skip
HELP = ("", "history", "config", "demo")


def shown(site: Site, *words: str, columns: int) -> list[str]:
    """Return the lines that a terminal shows, without what was drawn over."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "--config", site.config, *words], stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment(COLUMNS=str(columns), LINES="50", NO_COLOR="1"), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text = CODES.sub("", shown_on(ours).decode())
    process.wait(60)
    return [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]


DRAWN = re.compile(r"[\u2800-\u28ff•]")  # by the progress
VARYING = re.compile(r"\d:\d\d|^\(?\d+[smh]?$|^[\d,]+$|/|─|^[0-9a-f]{12}$")


def words_in(lines: list[str]) -> set[str]:
    """Return the words that do not differ from run to run."""
    return {word for line in lines if not DRAWN.search(line) for word in line.split() if not VARYING.search(word)}


@pytest.fixture
def used(site: Site) -> Site:
    """A fleet with syncs, a failure with a long reason, decisions, and a held run."""
    assert site.run("--run-now").code == 0
    long = "the server at ghes-amer.example.com does not answer, and has not answered for the last fifteen minutes"
    failed = site.earlier("amer", 2, RunState.FAILED, code=Code.SERVER_ID_AMBIGUOUS, cause=long, next_step=long)
    site.record(failed)
    for name, reason in (("emea", "upgrade"), ("amer", "a reason that is much longer than the column of a table on a narrow terminal")):
        site.run("pause", name, "--until", "3d", "--reason", reason, "--ticket", "CHG-2026-000042")
        site.run("resume", name, "--reason", reason)
    site.confirm_last_week("emea")
    site.shrink("emea")
    site.run("--run-now", "emea")
    return site


def test_no_line_is_longer_and_no_word_is_broken(used: Site, subtests: pytest.Subtests) -> None:
    """Every word at 80 columns is one at 300 columns too."""
    for command in (*COMMANDS, *(f"{name} --help" for name in HELP)):
        with subtests.test(command):
            narrow, wide = (shown(used, *command.split(), columns=columns) for columns in (80, 300))
            tail = [line for line in narrow if len(line) > 80 and "/" not in line]
            assert tail == []
            broken = words_in(narrow) - words_in(wide) - {"not", "shown", "at", "80", "columns:", "collected", "delivered", "confirmed"}
            assert {word for word in broken if not word.endswith((",", ":"))} == set()


def test_every_run_id_can_be_copied(used: Site) -> None:
    """Those of runs, and those in the commands of next steps, each whole on one line."""
    ids = {run.run_id for name in ("emea", "amer") if (run := used.last(name)) is not None}
    text = "\n".join(shown(used, "history", columns=80))
    assert all(run_id in text for run_id in ids)
    held = used.last("emea")
    assert held is not None
    assert f"approve {held.run_id}" in " ".join(" ".join(shown(used, "status", columns=80)).split())
