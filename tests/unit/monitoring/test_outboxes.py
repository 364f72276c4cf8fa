"""An export that cannot be taken back from an outbox is told until it is, also after its instance was removed."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.deliveries import outbox_folder
from licsync_daemon.model.alert import Event, Message
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Config
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.sync.housekeeping import release_unconfigured
from tests.fakes import a_config, an_instance
from tests.unit.sync.test_manual import Stage


class Told:
    name = "test"

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)


class Case:
    def __init__(self, root: Path) -> None:
        self.stage = Stage(root)
        self.told = Told()
        self.folder = self.stage.outbox / "emea"

    def round(self, config: Config) -> list[tuple[Event, str]]:
        """Evaluate the alerts; return the messages about the outbox."""
        self.told.messages.clear()
        stage = self.stage
        self.alerting = getattr(self, "alerting", None) or Alerting(config, stage.store, stage.clock, stage.context.leases, [self.told])
        self.alerting.follow(config, [self.told])
        stage.clock.advance(600)
        asyncio.run(self.alerting.evaluate())
        about = [one for one in self.told.messages if one.alert is not None and one.alert.code is Code.OUTBOX_NOT_CLEANED]
        return [(one.event, one.alert.text if one.alert else "") for one in about]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def undeletable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[[], None]:
    """Make the files of a folder undeletable, also for root; return what ends that."""
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.parent == folder:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(outbox_folder.Path, "unlink", refuse)
    return lambda: monkeypatch.setattr(outbox_folder.Path, "unlink", unlink)


def test_an_export_that_cannot_be_deleted_is_told_until_it_is(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its upload, and still after the instance is gone from the configuration; the daemon tries again at each round."""
    case.stage.run()
    with_it, without = a_config(case.stage.emea), a_config(an_instance("apac"))
    assert case.round(with_it) == []
    end = undeletable(monkeypatch, case.folder)
    case.stage.world.sync("server-emea")
    case.stage.look()
    ((event, text),) = case.round(with_it)
    assert (event, str(case.folder) in text) == (Event.OPENED, True)
    assert case.round(with_it) == [], "no news"
    assert case.round(without) == [], "neither recovered nor forgotten"
    assert [one.code for one in case.stage.store.open_alerts()] == [Code.OUTBOX_NOT_CLEANED]
    end()
    ((event, _),) = case.round(without)
    assert event is Event.CLOSED
    assert not case.folder.exists()


def test_an_export_of_a_removed_instance_is_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited when its instance was removed from the configuration."""
    case.stage.run()
    undeletable(monkeypatch, case.folder)
    release_unconfigured(case.stage.context, [])
    ((event, text),) = case.round(a_config(an_instance("apac")))
    assert (event, str(case.folder) in text) == (Event.OPENED, True)


@pytest.mark.parametrize("manifest", ["gone", "garbage", "a folder"])
def test_an_export_without_its_manifest_is_known_by_its_content(case: Case, manifest: str) -> None:
    """It is deleted; a file with other content is someone else's and stays."""
    case.stage.run()
    path = case.folder / "manifest.json"
    path.unlink()
    if manifest == "garbage":
        path.write_bytes(b"\xff")
    (case.folder / "usage-other.json").write_text("someone else's")
    case.stage.world.sync("server-emea")
    case.stage.clock.advance(1)
    case.stage.store.save_run(replace(waiting := case.stage.store.awaiting_run("emea"), phase="done"), case.stage.clock.now())  # type: ignore[type-var]
    assert waiting is not None
    record = case.stage.store.delivery_of(waiting.run_id)
    assert record is not None
    outbox_folder.take_back(record)
    assert [path.name for path in case.folder.iterdir()] == ["usage-other.json"]


def test_what_waits_and_what_is_newer_is_not_left_over(case: Case) -> None:
    """Nor is a folder of another fleet, or one that is gone."""
    case.stage.run()
    now = case.stage.clock.now() + timedelta(hours=1)
    assert list(outbox_folder.left_over(case.stage.store, "emea", now)) == []
    case.stage.world.sync("server-emea")
    case.stage.look()
    assert list(outbox_folder.left_over(case.stage.store, "emea", now)) == []
    case.folder.mkdir()
    (case.folder / "manifest.json").write_text(json.dumps({"key": "theirs"}))
    assert list(outbox_folder.left_over(case.stage.store, "emea", now)) == []
