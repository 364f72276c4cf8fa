"""`config init --from-cloud`: from one token to a configuration that supervises the fleet."""

import os
import pty
import subprocess
import tomllib
from pathlib import Path

import pytest

from licsync_daemon.settings import load_config
from tests.acceptance.support import COMMAND, Command, Site, environment, shown_on


@pytest.fixture
def synced(site: Site) -> Site:
    """The cloud lists both instances: one synced, one that only has GitHub Connect enabled."""
    site.box.push("emea")
    site.box.connect("amer")
    return site


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_one_token_is_enough(synced: Site, command: Command, tmp_path: Path, by: str) -> None:
    """Without any configuration: the enterprise's name and address, and the token in the environment."""
    url, env = synced.box.cloud_api_url, {"LICSYNC_CLOUD__TOKEN": synced.box.cloud_token}
    given, env = (["--api-url", url], env) if by == "argument" else ([], {**env, "LICSYNC_CLOUD__API_URL": url})
    done = command.run(
        "--config", tmp_path / "none.toml", "config", "init", "--from-cloud", "--enterprise", synced.box.enterprise, *given, env=env
    )

    assert (done.code, done.err) == (0, "")
    config = tmp_path / "config.toml"
    config.write_text(done.out)
    loaded = load_config(config, {}).config
    assert {(one.hostname, one.server_id) for one in loaded.instances} == {
        (one.hostname, one.server_id) for one in synced.box.instances.values()
    }
    assert done.out.count("# never synced") == 1


def test_the_configured_cloud_is_asked_otherwise(synced: Site) -> None:
    """Where a configuration is, it says whom to ask and where the token is."""
    done = synced.run("config", "init", "--from-cloud")

    assert done.code == 0
    assert len(tomllib.loads(done.out)["instances"]) == 2


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--enterprise", "other"], {}, "check `cloud.enterprise`"),
        (["--enterprise", "octo-enterprise"], {"LICSYNC_CLOUD__TOKEN": "ghp_" + "x" * 36}, "returned 401"),
        (["--enterprise", "octo-enterprise"], {"LICSYNC_CLOUD__TOKEN": ""}, "is empty"),
        (["--enterprise", "octo-enterprise"], {"LICSYNC_CLOUD__PROXY": "socks5://x"}, "a proxy must be an http"),
    ],
    ids=["enterprise", "token", "no token", "proxy"],
)
def test_what_does_not_work_is_said(synced: Site, arguments: list[str], env: dict[str, str], words: str) -> None:
    """Nothing but the reason and the next step, and no half configuration."""
    env = {"LICSYNC_CLOUD__TOKEN": synced.box.cloud_token, **env}

    done = synced.run("config", "init", "--from-cloud", *arguments, "--api-url", synced.box.cloud_api_url, env=env)

    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [["show", "--from-cloud"], ["init", "--enterprise", "x"], ["init", "--from-cloud", "--api-url", "x"]])
def test_words_that_do_not_go_together(site: Site, arguments: list[str]) -> None:
    """A misunderstanding is no silent sample."""
    done = site.run("config", *arguments)

    assert (done.code, done.out) == (2, "")
    assert " requires " in done.err


def from_cloud(synced: Site, *more: str | Path) -> list[str | Path]:
    return ["config", "init", "--from-cloud", "--enterprise", synced.box.enterprise, "--api-url", synced.box.cloud_api_url, *more]


@pytest.mark.parametrize("given", ["file", "input"])
def test_the_token_comes_from_a_file_or_from_standard_input(synced: Site, tmp_path: Path, given: str) -> None:
    """Never from the command line. The result is a new file that loads, and what to do next is said."""
    token, config = tmp_path / "token", tmp_path / "config.toml"
    token.write_text(f"{synced.box.cloud_token}\n")
    words = from_cloud(synced, "--token-file", token if given == "file" else "-", "-o", config)
    with token.open() as stdin:
        done = subprocess.run(
            [COMMAND, "--config", tmp_path / "none.toml", *words],
            stdin=stdin,
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(load_config(config, {}).config.instances) == 2
    assert f"wrote {config}\nnext: store the cloud's token in /etc/licsync/credentials/cloud__token" in done.stdout
    assert f"--config {config} check" in done.stdout


def test_the_token_is_typed_at_a_prompt(synced: Site, tmp_path: Path) -> None:
    """Where there is a terminal and no credential; it is not shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "--config", tmp_path / "none.toml", *from_cloud(synced, "-o", tmp_path / "config.toml")],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"(not shown): " not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, f"{synced.box.cloud_token}\n".encode())
    shown += shown_on(ours)

    assert process.wait(30) == 0, shown
    assert synced.box.cloud_token.encode() not in shown
    assert len(load_config(tmp_path / "config.toml", {}).config.instances) == 2


@pytest.mark.parametrize("words", [["config", "init"], ["config", "init", "--from-cloud"]], ids=" ".join)
def test_a_good_file_is_not_replaced(synced: Site, words: list[str]) -> None:
    """Neither by the sample nor by what the cloud lists; the command says so before it asks anyone."""
    good, asked = synced.config.read_bytes(), len(synced.asked("cloud"))

    done = synced.run(*words, "-o", synced.config)

    assert (done.code, done.out, synced.config.read_bytes(), len(synced.asked("cloud"))) == (2, "", good, asked)
    assert f"{synced.config}: exists already, and is not replaced" in done.err


def test_nothing_is_written_if_it_cannot_be(synced: Site, command: Command, tmp_path: Path) -> None:
    """A refused token leaves no empty file, and a missing folder is named; without a configuration, the enterprise must be."""
    config, bad = tmp_path / "config.toml", tmp_path / "bad"
    bad.write_text("ghp_" + "x" * 36)
    done = command.run("--config", tmp_path / "none.toml", *from_cloud(synced, "--token-file", bad, "-o", config))
    assert (done.code, config.exists()) == (2, False)
    assert "returned 401" in done.err

    done = command.run("config", "init", "-o", tmp_path / "none" / "config.toml")
    assert "cannot be written: No such file or directory" in done.err
    done = command.run("--config", tmp_path / "none.toml", "config", "init", "--from-cloud")
    assert "--enterprise: is required, because there is no configuration" in done.err
