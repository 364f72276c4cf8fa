"""Completion offers what the configuration and the state know: names of instances, and run IDs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.support import COMMAND, Command, Site, environment


def offered(script: Path, *words: str | Path) -> list[str]:
    """Return what bash offers for the last of the words."""
    typed = " ".join(f"'{word}'" for word in words)
    lines = (
        f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_licsync_daemon; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, env=environment(), check=True)
    return done.stdout.split()


def test_bash_offers_instances_and_runs(site: Site, command: Command, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Of the configuration that was typed, with what was typed of the word."""
    assert site.run("--run-now").code == 0
    script = tmp_path / "completion"
    script.write_text(command.run("completion", "bash").out)
    runs = {run.run_id for name in ("emea", "amer") if (run := site.last(name)) is not None}
    first = min(runs)
    for words, expected in (
        (("payload", ""), {"emea", "amer"}),
        (("history", "e"), {"emea"}),
        (("pause", "am"), {"amer"}),
        (("--run-now", "e"), {"emea"}),
        (("approve", ""), runs),
        (("acknowledge", first[:6]), {first}),
    ):
        with subtests.test(words=words):
            assert set(offered(script, COMMAND, "--config", site.config, *words)) >= expected
            assert not set(offered(script, COMMAND, "--config", site.config, *words)) & (({"emea", "amer"} | runs) - expected)


def test_nothing_is_offered_without_a_configuration(command: Command, tmp_path: Path) -> None:
    """And nothing is said, in the middle of a line that someone types."""
    for words in ("instances", "runs"):
        done = command.run("--config", tmp_path / "none.toml", "completion", words)
        assert (done.code, done.all) == (0, "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_accepts_the_script(command: Command, tmp_path: Path) -> None:
    script = tmp_path / "_licsync-daemon"
    script.write_text(command.run("completion", "zsh").out)
    subprocess.run(["zsh", "-n", script], check=True)
