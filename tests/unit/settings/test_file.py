"""Reading the file: everything that can be wrong with it as a file."""

import os
from pathlib import Path

import pytest

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.settings import load_config
from licsync_daemon.settings.toml_and_env import MAX_FILE_BYTES, read_environment

from .conftest import VALID, Load


def refused(path: Path) -> Problem:
    with pytest.raises(ConfigError) as error:
        load_config(path, {})
    (problem,) = error.value.problems
    assert str(path) == problem.where
    return problem


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    """A missing file is reported with the next step."""
    path = tmp_path / "none.toml"
    assert Problem(str(path), "no such file", f"create one with: $licsync config init -o {path}") == refused(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in place of the file is reported."""
    assert "folder" in refused(tmp_path).what


def test_a_named_pipe_or_a_device_is_no_file(tmp_path: Path) -> None:
    """It would block every command, or never end."""
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").what == "not a regular file"
    assert refused(Path("/dev/zero")).what == "not a regular file"


@pytest.mark.parametrize("levels", [25, 300, 1000, 40_000])
@pytest.mark.parametrize("form", ["lists", "tables", "a name with dots"])
def test_deep_nesting_is_refused_at_any_depth(tmp_path: Path, levels: int, form: str) -> None:
    """Deep enough for the parser to give up, or only for what comes after it."""
    text = {"lists": "a=" + "[" * levels + "]" * levels, "tables": "a=" + "{a=" * levels + "1" + "}" * levels}
    path = tmp_path / "config.toml"
    path.write_text(text.get(form, f"[{'.'.join(['a'] * levels)}]"))
    assert refused(path).what == "nested too deeply"


def test_deep_nesting_in_a_variable_is_a_mistake_like_any_other() -> None:
    """JSON in the environment."""
    assert read_environment({"LICSYNC_CLOUD__ELSEWHERE": "[" * 900 + "]" * 900})[0]["cloud"]["elsewhere"] == "[" * 900 + "]" * 900


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    """A file without permission is reported with the next step."""
    path = tmp_path / "config.toml"
    path.touch(mode=0)
    assert "permission denied" in refused(path).what


def test_a_denied_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal by the operating system is reported with the next step, whoever runs the test."""

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    problem = refused(tmp_path / "config.toml")
    assert "permission denied" in problem.what
    assert "licsync" in problem.hint


@pytest.mark.parametrize(
    ("content", "part"),
    [
        pytest.param(b"a = 1\nb = \xff\n", "not UTF-8 text (line 2)", id="not UTF-8"),
        pytest.param(b"#" * (MAX_FILE_BYTES + 1), "larger than 256 KiB", id="too large"),
        pytest.param(b"[cloud]\nenterprise = \n", "line 2, column 14: TOML syntax error", id="syntax"),
        pytest.param(b"a = {", "at the end of the file: TOML syntax error", id="end of file"),
        pytest.param(b"[cloud]\n[cloud]\n", "line 2", id="table twice"),
        pytest.param(b"a = " + b"[" * 10_000, "", id="nested deeply"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_explained(tmp_path: Path, content: bytes, part: str) -> None:
    """What cannot be parsed is one problem with its place."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    assert part in refused(path).what


def test_a_path_that_is_none_is_said() -> None:
    """A path the operating system cannot take is a problem, not a crash."""
    with pytest.raises(ConfigError):
        load_config(Path("a\0b"), {})


def test_the_largest_file_is_read(load: Load) -> None:
    """A file of exactly the permitted size is read."""
    assert load(VALID + "#" * (MAX_FILE_BYTES - len(VALID))).config.instances


def test_a_file_saved_on_windows_is_read(load: Load) -> None:
    """A byte-order mark and CRLF do no harm."""
    assert load("\ufeff" + VALID.replace("\n", "\r\n")).config.instances
