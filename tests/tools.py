"""Programs of the machine that some tests use: a user without one skips the test, CI must have it."""

import os
import shutil

import pytest


def tool(name: str) -> str:
    """Find a program, or skip; in CI a missing one is a failure."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing; .ci/run installs what the tests need")
        pytest.skip(f"{name} is not installed")
    return path
