"""A practice fleet of two small instances for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from licsync_daemon.practice.sandbox import Fleet, Sandbox, generate_fleet
from tests.integration.support import Practice


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return generate_fleet(seed=7, instances=2, people=120)


@pytest.fixture
def make_practice(tmp_path: Path) -> Iterator[Callable[[Fleet], Practice]]:
    boxes: list[Sandbox] = []

    def make(fleet: Fleet) -> Practice:
        box = Sandbox(fleet, processing_delay=0.0)
        box.start()
        boxes.append(box)
        for instance in box.instances.values():
            instance.report_ready_after = 0.0
        return Practice(box, tmp_path / "practice")

    yield make
    for box in boxes:
        box.stop()


@pytest.fixture
def practice(make_practice: Callable[[Fleet], Practice], fleet: Fleet) -> Practice:
    """Two instances, emea and amer, that run one after the other; reports and uploads are ready at once."""
    practice = make_practice(fleet)
    practice.override(max_concurrent_runs="1")
    return practice
