"""Programs of the machine that some tests use: a user without one skips the test, CI must have it."""

import os
import shutil
import subprocess

import pytest


def tool(name: str) -> str:
    """Find a program, or skip; in CI a missing one is a failure."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing; .ci/run installs what the tests need")
        pytest.skip(f"{name} is not installed")
    return path


def package_index() -> list[str]:
    """Return the options with which buildah gives what this machine's own pip needs to reach its index, and nothing else."""
    given = [f"--env={name}={os.environ[name]}" for name in ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT") if name in os.environ]
    certificates = os.environ.get("PIP_CERT")
    return [*given, *([f"--volume={certificates}:{certificates}:ro"] if certificates else [])]


def unshare(*what: str) -> list[str]:
    """Return the words that start a program apart from the rest of the machine, or skip where only a user is at work; CI must be able to."""
    words = ["unshare", *what]
    if os.geteuid() != 0 or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        assert "CI" not in os.environ, "this must run where changes are judged: root and unshare are needed"
        pytest.skip("needs root and unshare")
    return words
