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


OPENSSL = {"trixie": "3.5"}  # of each Debian release


def shipped() -> tuple[str, str]:
    """Return the version of Python and the Debian release of the image that ships."""
    found = re.search(r"^ARG BASE=.*python:([0-9.]+)-slim-([a-z]+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1], found[2]


def test_ci_builds_on_the_release_that_ships(tmp_path: Path) -> None:
    """The script that makes CI's base image takes the release from the Dockerfile, and makes no other."""
    script = (ROOT / ".ci/base-image").read_text(encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("ARG BASE=docker.io/library/python:3.99-slim-forky\n")
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/base-image").write_text(script)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, body in {"buildah": '[ "$1" != inspect ]', "debootstrap": 'echo "$@" >"$MADE"'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    environ = {"PATH": f"{tools}:{os.environ['PATH']}", "MADE": str(tmp_path / "made")}
    done = subprocess.run(["bash", tmp_path / ".ci/base-image"], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "localhost/licsync-test-base:forky"
    assert " forky " in (tmp_path / "made").read_text()
    assert shipped()[1] in OPENSSL


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
        release = subprocess.run([*inside, "cat", "/etc/os-release"], capture_output=True, text=True, check=True).stdout
        openssl = subprocess.run(
            [*inside, "/opt/licsync/bin/python", "-c", "import ssl; print(ssl.OPENSSL_VERSION)"], capture_output=True, text=True, check=True
        ).stdout
        identity = subprocess.run([*inside, "id", "-u"], capture_output=True, text=True, check=True).stdout.strip()
        played = subprocess.run([*inside, "sh", "-c", PLAY], capture_output=True, text=True, check=False)
        ssh = subprocess.run([*inside, "ssh", "-o", "BatchMode=yes", "-p", "1", "127.0.0.1"], capture_output=True, text=True, check=False)
        unconfigured = subprocess.run(
            [*inside, "/opt/licsync/bin/licsync-daemon", "--run-now"], capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run([buildah, "rm", container], capture_output=True, check=False)

    version, codename = shipped()
    assert python.startswith(f"{version}."), "the base image has another Python than the image that ships"
    assert f"VERSION_CODENAME={codename}\n" in release, "the base image is another Debian than the image that ships"
    assert openssl.startswith(f"OpenSSL {OPENSSL[codename]}."), "the base image has another OpenSSL than the image that ships"
    assert identity == "65532"
    assert played.returncode == 0, played.stdout + played.stderr
    assert len(re.findall(r"^(emea|amer|apac|labs) .* confirmed +\d\d:", played.stdout, re.MULTILINE)) == 4
    assert "alive\nended 0\n" in played.stdout
    assert "connect to host 127.0.0.1 port 1" in ssh.stderr  # the client is there, and knows the user that it runs as
    assert unconfigured.returncode == 2, unconfigured.stderr
    assert "/etc/licsync/config.toml" in unconfigured.stderr
