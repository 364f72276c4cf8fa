"""The documentation names what is there: every code, every module, every dependency, and no file that is not."""

import ast
import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from licsync_daemon.model.alert import Event
from licsync_daemon.model.errors import Code
from licsync_daemon.monitoring.alerts import as_json, trial

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_an_entry_in_the_runbook(code: Code) -> None:
    """An operator who meets a code finds its meaning, its cause and the next step."""
    entry = re.search(rf"^### {code}\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)

    assert entry is not None
    assert all(f"**{part}.**" in entry[1] for part in ("Meaning", "Cause", "Next step"))


def test_the_runbook_has_no_entry_for_a_code_that_is_gone() -> None:
    """What the runbook explains can still happen."""
    assert set(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)) == {str(code) for code in Code}


def test_every_code_is_raised_somewhere(subtests: pytest.Subtests) -> None:
    """A code that nothing uses would be a promise without a program."""
    sources = "".join(path.read_text() for path in (ROOT / "licsync_daemon").rglob("*.py") if path.name != "errors.py")
    for code in Code:
        with subtests.test(code=code):
            assert f"Code.{code.name}" in sources


def test_the_source_map_has_each_folders_sentence() -> None:
    """A newcomer finds every folder in CONTRIBUTING.md, with the sentence that the folder itself begins with."""
    package = ROOT / "licsync_daemon"
    sentences = {
        f"licsync_daemon/{path.parent.name}/": ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]
        for path in package.glob("*/__init__.py")
    }

    assert [folder for folder, sentence in sentences.items() if f"`{folder}` | {sentence} |" not in CONTRIBUTING] == []


def test_the_source_map_names_no_module_that_is_gone() -> None:
    """Every module that a row of the source map names is in its folder, and every folder of `Where to add` exists."""
    rows = re.findall(r"^\| \d \| `(licsync_daemon/\w+/)` \|[^|]*\|(.*)\|$", CONTRIBUTING, re.MULTILINE)
    named = [(ROOT / folder / name) for folder, text in rows for name in re.findall(r"`([\w/]+\.py|\w+/)`", text)]

    assert len(named) > 60
    assert [str(path) for path in named if not path.exists()] == []
    where = CONTRIBUTING[CONTRIBUTING.index("## Where to add") : CONTRIBUTING.index("## Tests")]
    paths = [one for one in re.findall(r"`([\w/]+\.(?:py|md|toml))`", where) if "/" in one and not re.search(r"NAME|ftp", one)]
    assert [one for one in paths if not (ROOT / one).exists() and not (ROOT / "licsync_daemon" / one).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    """Nothing is installed that CONTRIBUTING.md does not justify."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [one for group in project["dependency-groups"].values() for one in group if isinstance(one, str)]
    wanted = [*project["project"]["dependencies"], *groups, *project["build-system"]["requires"]]
    names = [re.match(r"[A-Za-z0-9_.-]+", one)[0] for one in wanted]

    assert [name for name in names if not re.search(rf"^\|[^|]*\b{re.escape(name)}\b", CONTRIBUTING, re.MULTILINE)] == []


def test_the_form_of_a_webhooks_message_is_documented() -> None:
    """The example and the table name every field there is, and no other."""
    page = (ROOT / "docs" / "notifications.md").read_text()
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example is not None
    fields = as_json(trial(machine="ghes-tools", now=datetime(2026, 11, 24, tzinfo=UTC)))
    assert list(json.loads(example[1])) == list(fields)
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(fields)
    events = re.search(r"^\| `event` \|(.*)\|$", page, re.MULTILINE)
    assert events is not None
    assert re.findall(r"`(\w+)`", events[1]) == [str(event) for event in Event]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """No page links to a file that is not there."""
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in target]

    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def test_the_readme_names_every_command() -> None:
    """Every command of the command line stands in the README with what it prints."""
    readme = (ROOT / "README.md").read_text()
    commands = ["--run-now", "--dry-run", "status", "history", "payload", "config init", "config show", "config schema", "check"]

    assert [command for command in commands if f"licsync-daemon {command}" not in readme and f" {command}" not in readme] == []


def test_the_runbook_begins_with_the_screens_that_need_no_code() -> None:
    """Whoever has no code finds the four commands first; then what to do if it does not start, and the chores of a host."""
    first = re.findall(r"^### (.+)$", RUNBOOK.partition("\n## Credentials\n")[0], re.MULTILINE)
    assert first == [
        "No code: what now", "The daemon will not start", "Upgrade to a newer version", "Backup and restore", "Moving to another host",
    ]  # fmt: skip
    screen = RUNBOOK.partition("### No code: what now")[2].partition("###")[0]
    commands = ("systemctl status licsync", "journalctl -u licsync", "licsync-daemon status", "licsync-daemon check")
    assert [screen.index(command) for command in commands] == sorted(screen.index(command) for command in commands)


def test_the_least_systemd_is_named_where_the_folder_is_loaded() -> None:
    """In the unit, in the README, and with what to do below it, in the documentation: 250 was the first to read a folder.

    Source: https://github.com/systemd/systemd/pull/20293, merged after 249 of July 2021, checked on 2026-11-27.
    """
    unit, readme = (ROOT / "systemd" / "licsync.service").read_text(), (ROOT / "README.md").read_text()
    documentation = (ROOT / "docs" / "configuration.md").read_text()
    assert "systemd 250" in unit.partition("LoadCredential=licsync:")[0]
    assert "systemd 250" in readme.partition("### Install")[2].partition("```")[0]
    assert "[Service]\nLoadCredential=\n" in documentation.partition("from systemd 250 on")[2]


def test_the_readme_begins_with_what_works_today() -> None:
    """`connect`, `manual`, `http`, in this order; the token is never on a command line, and no redirect empties a file."""
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(connect|manual|http)` \|", readme, re.MULTILINE)
    assert rows == ["connect", "manual", "http"] * 2
    assert re.search(r"(?s)\$ make demo\n.*\$ export PATH=\"\$PWD/\.venv/bin:\$PATH\"\n", readme)
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert not re.search(r"config init[^\n`]*>|TOKEN=\S+ licsync-daemon", page.read_text()), page.name
