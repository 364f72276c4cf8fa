"""The pure parts of the stories: their names, what they change, and their events as JSON."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.parser import SCENARIOS
from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.practice.stories.clone import scene as clone_scene
from licsync_daemon.practice.stories.events import Decided, Ended, Happened, Ran, Told
from licsync_daemon.practice.stories.playbill import STORIES
from licsync_daemon.practice.stories.shrink import half_of
from licsync_daemon.practice.stories.stage import _span, utc
from licsync_daemon.sync.waiting import Result
from tests.fakes import T0, a_decision, an_ended_run, an_instance


def test_every_name_has_a_story() -> None:
    """The command line offers exactly the stories that exist."""
    assert list(STORIES) == list(SCENARIOS)


def test_a_scene_names_instances_that_exist(subtests: pytest.Subtests) -> None:
    """The lines that a scene adds belong to instances of its fleet; a story starts at a full minute."""
    for name, story in STORIES.items():
        with subtests.test(name):
            scene = story.scene()
            assert set(scene.tables) <= {one.name for one in scene.fleet.instances}
            assert (scene.start.second, scene.start.tzinfo) == (0, UTC)


def test_half_of_a_report_keeps_its_form() -> None:
    """Every other row is removed; the header and quoted cells stay unchanged."""
    box = Sandbox(generate_fleet(seed=1, instances=1, people=100))
    before = next(iter(box.instances.values())).report.csv
    rows, halved = (list(csv.reader(io.StringIO(content.decode(), newline=""))) for content in (before, half_of(before)))
    assert halved == [rows[0], *rows[1::2]]
    assert half_of(b'id,email\r\n1,"a, b"\r\n2,c\r\n') == b'id,email\r\n1,"a, b"\r\n'


def test_a_restored_copy_differs_only_in_its_name() -> None:
    """One server ID under two hostnames."""
    original, copy = clone_scene().fleet.instances
    assert copy.server_id == original.server_id
    assert copy.hostname != original.hostname
    assert replace(copy, name=original.name, hostname=original.hostname) == original


def test_waits_are_shown_in_minutes_or_hours() -> None:
    """Hours from two hours on."""
    waits = (timedelta(seconds=59), timedelta(minutes=119.4), timedelta(minutes=120), timedelta(hours=11.4))
    assert [_span(wait) for wait in waits] == ["1 min", "119 min", "2.0 h", "11.4 h"]


def test_dates_are_read_as_utc() -> None:
    assert utc("2026-11-24 02:00") == T0


def test_events_as_json() -> None:
    """Times are UTC, and no key is without a value."""
    events = [Told("a\nb"), Happened(T0, "emea", "confirmed"), Ended("moral", Exit.HELD)]
    assert json.loads(json.dumps([event.as_json() for event in events])) == [
        {"event": "told", "text": "a\nb"},
        {"event": "happened", "at": "2026-11-24T02:00:00Z", "instance": "emea", "text": "confirmed"},
        {"event": "ended", "moral": "moral", "exit": 5},
    ]


def test_commands_as_json() -> None:
    """The command, its result, and the exit code."""
    held = an_ended_run(state=RunState.HELD, ended_at=None)
    ran = Ran(T0, "licsync-daemon --run-now emea", [Result(an_instance(), held), Result(an_instance("apac"), None)], Exit.HELD)
    decided = Decided("licsync-daemon approve held", a_decision())
    as_json = json.loads(json.dumps([ran.as_json(), decided.as_json()]))
    assert [(one["event"], one["at"], one["command"], one["exit"]) for one in as_json] == [
        ("command", "2026-11-24T02:00:00Z", "licsync-daemon --run-now emea", 5),
        ("command", "2026-11-24T02:00:00Z", "licsync-daemon approve held", 0),
    ]
    assert [run["state"] for run in as_json[0]["instances"]] == ["held"]  # an instance locked by another process has no run
    assert as_json[1]["decision"]["reason"] == "site closed"
