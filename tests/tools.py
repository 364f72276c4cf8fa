"""Programs of the machine that some tests use: without one the test is skipped, with the package that brings it; in CI the test fails."""

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

PACKAGES = {  # Debian's package of each program
    "buildah": "buildah",
    "chromium": "chromium",
    "git": "git",
    "ip": "iproute2",
    "pgbouncer": "pgbouncer",
    "postgres": "postgresql",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "systemd-sysusers": "systemd",
    "unshare": "util-linux",
}
INSTALL = "apt-get install "


def tool(name: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        skip(f"{name} is not installed: {INSTALL}{PACKAGES[name]}")
    return path


def skip(reason: str) -> NoReturn:
    """Skip the test for something that this machine lacks; fail in CI, which must have everything."""
    if "CI" in os.environ:
        pytest.fail(f"{reason}; .ci/run prepares a machine with everything that the tests need")
    pytest.skip(reason)


def package_index() -> list[str]:
    """Return the options with which buildah gives what this machine's own pip needs to reach its index, and nothing else."""
    given = [f"--env={name}={os.environ[name]}" for name in ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT") if name in os.environ]
    certificates = os.environ.get("PIP_CERT")
    return [*given, *([f"--volume={certificates}:{certificates}:ro"] if certificates else [])]


def unshare(*what: str) -> list[str]:
    """Return the words that start a program in namespaces of its own, or skip the test."""
    words = [tool("unshare"), *what]
    if os.geteuid() != 0 or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        skip("needs root and the right to unshare namespaces")
    return words
