"""`report` through the installed command: no configuration, no network, nothing kept."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.support import COMMAND, Command
from tests.reports import EMEA, company, consumed, person


def test_the_first_minutes(command: Command, tmp_path: Path) -> None:
    """A consumed-licenses CSV alone is enough; folders add more. Neither configuration nor credentials are read."""
    files = company(tmp_path / "files")
    done = command.run("report", files / "consumed_licenses-octo.csv", env={"LICSYNC_CONFIG": "/nowhere/config.toml"})
    assert (done.code, done.err) == (0, "")
    assert "5 seats are forecast" in done.out
    assert "--format html -o report.html" in done.out

    done = command.run("report", files, "--people", "--price", "21")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "1 seat could be saved (21 at 21 each): 1 sure, 0 likely. Each is one person who takes two seats."
    assert "hubot-builds" in done.out


@pytest.mark.parametrize("form", ["table", "html", "csv", "json", "md"])
def test_a_file_only_for_its_owner(command: Command, tmp_path: Path, form: str) -> None:
    """`-o` writes it whole, with mode 0600, in place of an earlier one; nothing is printed and nothing else is left."""
    files, out = company(tmp_path / "files"), tmp_path / "out"
    out.mkdir()
    (out / "report").write_text("earlier")
    done = command.run("report", files, "--people", "--format", form, "-o", out / "report", env={"TMPDIR": str(out)})
    assert (done.code, done.out, done.err) == (0, "", "")
    assert stat.S_IMODE((out / "report").stat().st_mode) == 0o600
    assert [path.name for path in out.iterdir()] == ["report"]
    assert "hubot-builds" in (out / "report").read_text(encoding="utf-8")


BAD: dict[str, tuple[list[str], str]] = {
    "no path": (["report"], "the following arguments are required: PATH"),
    "no such file": (["report", "missing.csv"], "missing.csv: there is no such file or folder"),
    "a price in words": (["report", "files", "--price", "much"], "'much' is not an amount from 0 to 1,000,000"),
    "a negative price": (["report", "files", "--price", "-1"], "'-1' is not an amount"),
    "an infinite price": (["report", "files", "--price", "inf"], "'inf' is not an amount"),
    "a server without a file": (["report", "files", "--server", "emea"], "'emea' is not HOST=FILE"),
    "an unknown section": (["report", "files", "--section", "seat"], "did you mean"),
    "an output that cannot be written": (["report", "files", "--format", "html", "-o", "nowhere/report.html"], "nowhere/report.html: cannot be written"),
    "an output over a report": (["report", "files", "-o", "files/consumed_licenses-octo.csv"], "the report is made from this file"),
    "an output that is a folder": (["report", "files", "-o", "."], "cannot be written: not a regular file"),
    "an output that is a pipe": (["report", "files", "-o", "pipe"], "pipe: cannot be written: not a regular file"),
    "an output that is a link": (["report", "files", "-o", "link"], "link: cannot be written: not a regular file"),
    "an output with a long name": (["report", "files", "-o", "x" * 300], "cannot be written: File name too long"),
    "a host with two files": (
        ["report", "files", "--server", "h=emea.csv", "--server", "h=again.csv"],
        "another file is already the report of h",
    ),
    "people without the option": (["report", "files", "--section", "fixes"], "--section fixes names people: add --people"),
    "a table that is not there": (["report", "files/emea/all_users.csv", "--server", "emea=files/emea/all_users.csv", "--section", "organizations"], "there is no table `organizations` without a consumed-licenses report"),
    "no rows": (["report", "empty.csv"], "empty.csv: the report has no rows"),
    "a table that is cut off": (["report", "cut.csv"], "cut.csv, line 7: the file ends in the middle of a line"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_wrong_use(command: Command, tmp_path: Path, bad: str) -> None:
    """Exit code 2, one clear message, nothing on stdout, no traceback."""
    arguments, words = BAD[bad]
    company(tmp_path / "files")
    (tmp_path / "empty.csv").write_text(consumed(people=[]), newline="")
    (tmp_path / "cut.csv").write_text(consumed().rstrip(), newline="")
    for name in ("emea.csv", "again.csv"):
        (tmp_path / name).write_text(EMEA, newline="")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_it_loads_nothing_that_asks_anybody(tmp_path: Path) -> None:
    """Neither HTTP nor scheduler nor settings nor the state: it starts at once, and could not reach a network."""
    company(tmp_path)
    script = (
        "import sys; from licsync_daemon.cli.main import main; code = main(sys.argv[1:]); "
        "bad = {'httpx', 'apscheduler', 'pydantic', 'tenacity', 'sqlite3', 'jinja2'} & set(sys.modules); sys.exit(code or (repr(bad) if bad else 0))"
    )
    done = subprocess.run([sys.executable, "-c", script, "report", tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_json_names_the_same_duplicate(command: Command, tmp_path: Path) -> None:
    """With the one change and who can make it; a second run says exactly the same."""
    files = company(tmp_path)
    first, second = (json.loads(command.run("report", files, "--people", "--format", "json").out) for _ in range(2))
    (one,) = first["likely_duplicates"]
    assert (one["account"], one["cloud_login"], one["tier"], one["saves"]) == ("emea.corp.example:2", "hubot-builds", "sure", 1)
    assert one["fix"]
    assert one["who"] in {"person", "server_admin", "identity_provider", "cloud_owner"}
    assert {**first, "at": None, "sources": None} == {**second, "at": None, "sources": None}


def test_files_of_others_are_not_touched(command: Command, tmp_path: Path) -> None:
    """The reports themselves keep their content and times."""
    files = company(tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.rglob("*.csv")}
    assert command.run("report", files).code == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.rglob("*.csv")} == before
    assert EMEA in {content.decode() for content, _ in before.values()}


@pytest.mark.parametrize("form", ["table", "csv", "json", "md", "html"])
def test_people_are_named_with_their_addresses(command: Command, tmp_path: Path, form: str) -> None:
    """With --people whoever is asked can be written to; without it, no format contains an address."""
    files = company(tmp_path)
    section = () if form == "json" else ("--section", "fixes")
    text = command.run("report", files, "--people", "--format", form, *section).out.replace("\\", "")
    assert "hubert.boltanski@corp.example" in " ".join(text.split())
    assert "[address]" not in text
    assert "@corp.example" not in command.run("report", files, "--format", form).out


def test_a_pipe_is_refused(command: Command, tmp_path: Path) -> None:
    """It cannot be read twice, and waiting for a writer would never end."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    done = command.run("report", pipe)
    assert (done.code, done.out) == (2, "")
    assert f"{pipe}: not a regular file" in done.err


def test_an_empty_table_has_its_header(command: Command, tmp_path: Path) -> None:
    """A script can tell "nothing was found" from nothing."""
    (tmp_path / "one.csv").write_text(consumed(people=[person("mona")]), newline="")
    for arguments, header in (([], "cause,seats,sure,likely"), (["--people"], "tier,score,this seat,and this one,change,who,evidence")):
        done = command.run("report", tmp_path / "one.csv", "--format", "csv", *arguments)
        assert (done.code, done.out.splitlines()) == (0, [header])
