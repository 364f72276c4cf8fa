"""`config init --from-cloud`: from one token to a configuration that supervises the fleet."""

import tomllib
from pathlib import Path

import pytest

from licsync_daemon.settings import load_config
from tests.acceptance.support import Command, Site


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
    assert "--enterprise" in done.err
