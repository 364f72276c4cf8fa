"""System tests use tools of the machine: a user without one skips the test, CI must have it."""

import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Find a program, or skip; in CI a missing one is a failure."""

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if path is None:
            if os.environ.get("CI"):
                pytest.fail(f"{name} is missing; .ci/run installs what the system tests need")
            pytest.skip(f"{name} is not installed")
        return path

    return find
