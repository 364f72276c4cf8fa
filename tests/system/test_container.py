"""The container image builds, and its program works in it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.tools import package_index, skip, tool

ROOT = Path(__file__).parents[2]
# What an operator does: `--run-now`, then the daemon, its health check, and its end; against a practice fleet in the same container.
PLAY = """
set -e
cd /tmp
licsync-daemon sandbox --write-config practice >ready & sandbox=$!
until [ -s ready ]; do sleep 0.1; done
licsync-daemon --config practice/config.toml --run-now
licsync-daemon --config practice/config.toml & daemon=$!
tries=0
until licsync-daemon --config practice/config.toml status --alive; do tries=$((tries + 1)); [ $tries -lt 50 ]; sleep 0.2; done
kill -TERM $daemon
wait $daemon; echo "ended $?"
kill -TERM $sandbox
wait $sandbox
"""


@pytest.mark.timeout(900)
def test_the_image_builds_and_runs_a_sync(tmp_path: Path) -> None:
    """The Dockerfile builds without a container engine; in the result a whole practice fleet syncs, as a user who is not root."""
    base = os.environ.get("TEST_BASE_IMAGE")
    if base is None:
        skip("TEST_BASE_IMAGE names no image to build on (.ci/base-image makes one)")
    buildah, image = tool("buildah"), "localhost/licsync-daemon-test"
    build = [
        buildah,
        "bud",
        "--isolation",
        "chroot",
        "--format",
        "docker",
        "--build-arg",
        f"BASE={base}",
        *package_index(),
        "-t",
        image,
        str(ROOT),
    ]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, (built.stdout + built.stderr)[-3000:]
    container = subprocess.run([buildah, "from", image], capture_output=True, text=True, check=True).stdout.strip()
    try:
        inside = [buildah, "run", "--isolation", "chroot", container, "--"]
        python = subprocess.run(
            [*inside, "/opt/licsync/bin/python", "--version"], capture_output=True, text=True, check=True
        ).stdout.removeprefix("Python ")
        identity = subprocess.run([*inside, "id", "-u"], capture_output=True, text=True, check=True).stdout.strip()
        played = subprocess.run([*inside, "sh", "-c", PLAY], capture_output=True, text=True, check=False)
        ssh = subprocess.run([*inside, "ssh", "-o", "BatchMode=yes", "-p", "1", "127.0.0.1"], capture_output=True, text=True, check=False)
        unconfigured = subprocess.run(
            [*inside, "/opt/licsync/bin/licsync-daemon", "--run-now"], capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run([buildah, "rm", container], capture_output=True, check=False)

    ships = re.search(r"^ARG BASE=.*python:([0-9.]+)-slim", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert ships is not None
    assert python.startswith(f"{ships[1]}."), "the base image has another Python than the image that ships"
    assert identity == "65532"
    assert played.returncode == 0, played.stdout + played.stderr
    assert len(re.findall(r"^(emea|amer|apac|labs) .* confirmed +\d\d:", played.stdout, re.MULTILINE)) == 4
    assert "alive\nended 0\n" in played.stdout
    assert "connect to host 127.0.0.1 port 1" in ssh.stderr  # the client is there, and knows the user that it runs as
    assert unconfigured.returncode == 2, unconfigured.stderr
    assert "/etc/licsync/config.toml" in unconfigured.stderr
