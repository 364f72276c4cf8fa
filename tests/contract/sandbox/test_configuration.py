"""The configuration that the sandbox writes, and its tokens."""

import stat
import tomllib

from licsync_daemon.practice.sandbox import Sandbox


def test_the_configuration_matches_the_sandbox(box, tmp_path):
    path = box.write_config(tmp_path / "practice")
    box.write_config(tmp_path / "practice")

    config = tomllib.loads(path.read_text())
    credentials = tmp_path / "practice" / "credentials"
    assert config["cloud"] == {"enterprise": "octo-enterprise", "api_url": box.cloud_api_url}
    assert config["defaults"] == {
        "source": {"kind": "report", "username": "license-reader"},
        "delivery": {"kind": "http", "url": box.delivery_url},
    }
    assert config["instances"] == {n: {"hostname": i.hostname, "url": i.url, "server_id": i.server_id} for n, i in box.instances.items()}
    assert (config["state_dir"], config["credentials_dir"]) == (str(tmp_path / "practice" / "state"), str(credentials))
    tokens = {path.name: path.read_text().strip() for path in credentials.iterdir()}
    assert tokens == {
        "cloud__token": box.cloud_token,
        "defaults__delivery__token": box.delivery_token,
        **{f"instances__{name}__source__token": instance.token for name, instance in box.instances.items()},
    }
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path, *credentials.iterdir())} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path.parent, credentials)} == {0o700}


def test_tokens_are_random_unless_seeded(fleet):
    seeded = [Sandbox(fleet, seed=seed).cloud_token for seed in (1, 1, None, None)]

    assert seeded[0] == seeded[1]
    assert len(set(seeded)) == 3
    assert all(token.startswith("ghp_") and len(token) == 40 for token in seeded)
