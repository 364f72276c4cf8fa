"""Reports that are put in a folder reach the cloud, each once."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Processing
from tests.integration.support import ALL_FAILED, OK, Practice, report, row, rows


def drop(practice: Practice, file: Path, content: str, age: timedelta = timedelta(hours=1)) -> None:
    """Put a file there that is `age` old by the practice clock."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    at = (practice.clock.now() - age).timestamp()
    os.utime(file, (at, at))


@pytest.fixture
def inbox(practice: Practice, tmp_path: Path) -> Path:
    """The folder that emea reads from."""
    practice.override(instances__emea__source__kind="file", instances__emea__source__path=str(tmp_path / "inbox"))
    return tmp_path / "inbox"


def test_a_report_in_a_folder_is_synced_once(practice: Practice, inbox: Path) -> None:
    """Confirmed, it counts as used: the next run wants a newer file, and is confirmed with that."""
    drop(practice, inbox / "first.csv", report(*rows(3)))
    assert practice.run("emea").exit == OK

    again = practice.run("emea")
    assert (again.exit, again["emea"].code) == (ALL_FAILED, "no_new_export")

    drop(practice, inbox / "second.csv", report(*rows(3), row(9, "nine@example.com")), timedelta(minutes=1))
    assert practice.run("emea").exit == OK
    assert practice.sent("emea") == {*((n, f"user{n}@example.com") for n in (1, 2, 3)), (9, "nine@example.com")}


def test_a_file_is_not_used_up_by_a_run_that_failed(practice: Practice, inbox: Path) -> None:
    """What was never confirmed is read again."""
    drop(practice, inbox / "users.csv", report(*rows(3)))
    practice.box.cloud.processing = Processing(mode="failure", delay_s=0)
    assert practice.run("emea")["emea"].state is RunState.FAILED

    practice.box.cloud.processing = Processing(delay_s=0)
    assert practice.run("emea").exit == OK


def test_a_new_file_is_waited_for(practice: Practice, inbox: Path) -> None:
    """A file that was just written is read by the same run once it has not changed for 5 seconds; one from the future by a retry."""
    drop(practice, inbox / "users.csv", report(*rows(3)), timedelta(seconds=-60))
    run = practice.run("emea")["emea"]
    assert (run.code, run.permanent) == ("no_new_export", False)

    practice.clock.advance(60)
    began = practice.clock.now()
    assert practice.run("emea").exit == OK
    assert practice.clock.now() - began >= timedelta(seconds=5)
