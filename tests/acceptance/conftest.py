"""The installed command and a practice fleet for each test; afterwards, everything written is searched for secrets and people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from licsync_daemon.practice.sandbox import Fleet, Sandbox, generate_fleet
from tests.acceptance.support import Command, Evidence, Site, build_report


@pytest.fixture(autouse=True)
def evidence() -> Iterator[Evidence]:
    """Collect what the commands of a test write; no secret and no person may be in it."""
    evidence = Evidence()
    yield evidence
    assert evidence.leaks() == []


@pytest.fixture
def command(tmp_path: Path, evidence: Evidence) -> Iterator[Command]:
    folder = tmp_path / "output"
    folder.mkdir()
    command = Command(folder, evidence)
    yield command
    command.close()


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return generate_fleet(seed=7, instances=2, people=80)


@pytest.fixture
def site(fleet: Fleet, tmp_path: Path, command: Command) -> Iterator[Site]:
    """Two instances, emea and amer, whose reports are ready at once and whose uploads are processed at once."""
    with Sandbox(fleet, processing_delay=0.0) as box:
        for instance in box.instances.values():
            build_report(instance)
        yield Site(box, tmp_path / "practice", command)
        command.close()
