"""The outbox: nothing left after a failure, what waits is compared and put back, another fleet's folder is refused."""

import asyncio
import errno
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.deliveries.outbox_folder import fault, foreign
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import NoSource
from licsync_daemon.model.run import DeliveryRecord, Run, RunState
from licsync_daemon.monitoring.concerns import concerns
from licsync_daemon.monitoring.status import instance_view
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.system import files
from tests.fakes import T0, a_config
from tests.unit.sync.test_manual import CONTENT, Stage, an_export

NAME = "usage-emea-20261124T020000Z.json"
ALL = ["README.txt", "manifest.json", NAME]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def everything(stage: Stage) -> list[str]:
    """Return what is in the folder, hidden files as well."""
    return sorted(path.name for path in (stage.outbox / "emea").iterdir()) if (stage.outbox / "emea").exists() else []


def waiting(stage: Stage) -> tuple[Run, DeliveryRecord]:
    run = stage.store.awaiting_run("emea")
    assert run is not None
    record = stage.store.delivery_of(run.run_id)
    assert record is not None
    return run, record


def found(stage: Stage) -> str | None:
    return fault(stage.emea, *waiting(stage))


def full_disk(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the disk be full at the file with this number."""
    count = 0

    def fsync(_: int) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize("at", [1, 2, 3], ids=["the export", "the note", "the manifest"])
def test_a_full_disk_leaves_nothing_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """No hidden part, no export without its manifest, no folder; the next step is about the disk."""
    full_disk(monkeypatch, at)
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.OUTBOX_UNWRITABLE)
    assert "No space left" in str(run.cause)
    assert str(run.next_step).startswith("free disk space")
    assert list(stage.outbox.iterdir()) == []


@pytest.mark.parametrize("at", [1, 2, 3], ids=["the export", "the note", "the manifest"])
def test_a_full_disk_leaves_the_earlier_export(stage: Stage, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """What waits is as it was, note and manifest included."""
    stage.run()
    stage.clock.advance(7 * 86400)
    stage.world.exports["emea"] = an_export(CONTENT + b" ")
    with monkeypatch.context() as patch:
        full_disk(patch, at)
        assert stage.run(slot=T0 + timedelta(days=7)).code is Code.OUTBOX_UNWRITABLE
    assert everything(stage) == ALL
    assert found(stage) is None


def test_the_parts_of_a_killed_process_are_deleted(stage: Stage) -> None:
    """Under any name: they would keep a full disk full."""
    (stage.outbox / "emea").mkdir()
    (stage.outbox / "emea" / ".usage-emea-20251124T020000Z.json.part").write_bytes(b"x" * 1000)
    stage.run()
    assert everything(stage) == ALL


def test_a_name_that_cannot_be_replaced_leaves_no_second_export(stage: Stage) -> None:
    """Someone made a folder of the manifest."""
    (stage.outbox / "emea" / "manifest.json").mkdir(parents=True)
    assert stage.run().code is Code.OUTBOX_UNWRITABLE
    assert NAME not in everything(stage)
    assert not any(name.endswith(".part") for name in everything(stage))


def rewrite(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | changes))

    return change


def pipe(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def huge(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(3 * 1024**3)

    return change


def linked(folder: Path) -> None:
    content = (folder / NAME).read_bytes()
    (folder / NAME).unlink()
    (folder.parent / "elsewhere").write_bytes(content)
    (folder / NAME).symlink_to(folder.parent / "elsewhere")


CHANGES: dict[str, Callable[[Path], object]] = {
    "export gone": lambda folder: (folder / NAME).unlink(),
    "export changed": lambda folder: (folder / NAME).write_bytes(CONTENT + b"\n"),
    "export cut": lambda folder: (folder / NAME).write_bytes(CONTENT[:-1]),
    "export empty": lambda folder: (folder / NAME).write_bytes(b""),
    "export of 3 GiB": huge(NAME),
    "export a named pipe": pipe(NAME),
    "export a link": linked,
    "note gone": lambda folder: (folder / "README.txt").unlink(),
    "note changed": lambda folder: (folder / "README.txt").write_text("upload the other file"),
    "manifest gone": lambda folder: (folder / "manifest.json").unlink(),
    "manifest a named pipe": pipe("manifest.json"),
    "manifest of 3 GiB": huge("manifest.json"),
    "manifest not JSON": lambda folder: (folder / "manifest.json").write_bytes(b"\xff{"),
    "manifest a list": lambda folder: (folder / "manifest.json").write_bytes(b"[]"),
    "manifest nested deeply": lambda folder: (folder / "manifest.json").write_bytes(b"[" * 60000),
    "manifest with another key": rewrite(key="other", fleet="", host_name="ghes-emea.example.com"),
    "manifest with another hash": rewrite(content_hash="sha256:0"),
    "manifest with a path": rewrite(file="../../etc/passwd"),
    "manifest with an unusable name": rewrite(file="a\0b"),
    "manifest with a number": rewrite(file=5),
    "everything gone": lambda folder: [path.unlink() for path in folder.iterdir()],
    "folder gone": lambda folder: folder.rename(folder.parent / "taken-away"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_gone_or_changed_is_named_and_put_back(stage: Stage, change: Callable[[Path], object]) -> None:
    """It is compared with what was put there, and the next check of uploads puts it back: the same export, key and dates."""
    stage.run()
    before = json.loads((stage.outbox / "emea" / "manifest.json").read_text())
    assert found(stage) is None
    change(stage.outbox / "emea")
    assert "emea" in str(found(stage))
    stage.clock.advance(3600)
    (run,) = stage.look()
    assert (run.state, run.waiting_for) == (RunState.AWAITING_UPLOAD, None)
    assert found(stage) is None
    assert everything(stage) == ALL
    assert (stage.outbox / "emea" / NAME).read_bytes() == CONTENT
    assert json.loads((stage.outbox / "emea" / "manifest.json").read_text()) == before


def test_steps_without_an_export_are_put_back_as_well(stage: Stage) -> None:
    """A person who has to export is told where and how."""
    stage.emea = stage.emea.__class__(**{name: getattr(stage.emea, name) for name in stage.emea.__slots__} | {"source": NoSource()})
    stage.run()
    assert everything(stage) == ["README.txt", "manifest.json"]
    (stage.outbox / "emea" / "README.txt").unlink()
    assert "README.txt is missing" in str(found(stage))
    stage.look()
    assert found(stage) is None


def test_what_cannot_be_put_back_is_told_until_it_is(stage: Stage) -> None:
    """The alert of what waits says so, with the next step; once the copy is put back, it no longer does."""
    stage.run()
    (stage.outbox / "emea" / NAME).unlink()
    kept = next((stage.directory / "prepared").iterdir())
    content = kept.read_bytes()
    kept.unlink()
    (run,) = stage.look()
    assert run.state is RunState.AWAITING_UPLOAD
    assert "is missing, and it could not be put back: no copy was kept" in str(run.waiting_for)

    def told() -> str:
        view = instance_view(stage.emea, stage.store, stage.clock.now(), T0, lambda _: True, can_confirm=True)
        return " ".join(one.text for one in concerns(view, a_config().cloud, stage.clock.now()) if one.code is Code.NOT_UPLOADED)

    assert "could not be put back" in told()
    kept.write_bytes(content)
    stage.look()
    assert "could not be put back" not in told()
    assert everything(stage) == ALL


def test_what_is_lost_is_prepared_by_the_next_run(stage: Stage) -> None:
    """`--run-now` joins a run that waits, but not where nothing could be put back: then it collects again."""

    def run_it() -> Run:
        (result,) = asyncio.run(run_now((stage.emea,), stage.context, max_concurrent_runs=1, wait=timedelta(0)))
        assert result.run is not None
        return result.run

    first = run_it()
    assert run_it().run_id == first.run_id
    (stage.outbox / "emea" / NAME).unlink()
    next((stage.directory / "prepared").iterdir()).unlink()
    run = run_it()
    assert (run.run_id != first.run_id, run.state, run.slot) == (True, RunState.AWAITING_UPLOAD, first.slot)
    assert stage.files()[:2] == ALL[:2]
    assert found(stage) is None


def test_the_copy_is_deleted_with_what_waits(stage: Stage) -> None:
    """A copy of an export does not outlive its wait, and a newer export has the only one."""
    stage.run()
    assert len(list((stage.directory / "prepared").iterdir())) == 1
    stage.clock.advance(7 * 86400)
    stage.world.exports["emea"] = an_export(CONTENT + b" ")
    stage.run(slot=T0 + timedelta(days=7))
    assert len(list((stage.directory / "prepared").iterdir())) == 1
    stage.clock.advance(60)
    stage.world.sync("server-emea")
    stage.look()
    assert list((stage.directory / "prepared").iterdir()) == []


FOREIGN = {
    "another fleet": {"fleet": "acme at https://api.github.com, with the state directory /srv/acme"},
    "another hostname": {"host_name": "ghes.acme.example"},
    "another instance": {"instance": "acme"},
    "unreadable fields": {"fleet": ["x"], "host_name": 5, "instance": None},
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_with_the_manifest_of_another_fleet_is_refused(stage: Stage, changes: dict[str, object]) -> None:
    """Nothing in it is touched; the error names the folder, the other fleet, and what to do."""
    folder = stage.outbox / "emea"
    folder.mkdir()
    theirs = {
        "format": "licsync-outbox/1",
        "fleet": "",
        "instance": "emea",
        "key": "theirs",
        "host_name": "ghes-emea.example.com",
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(theirs))
    (folder / "usage-emea-20261117T020000Z.json").write_text("theirs")
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.OUTBOX_UNWRITABLE)
    assert f"{folder} is in use by another fleet" in str(run.cause)
    assert "an outbox of its own" in str(run.next_step)
    assert everything(stage) == ["manifest.json", "usage-emea-20261117T020000Z.json"]
    assert json.loads((folder / "manifest.json").read_text()) == theirs


def test_a_folder_of_a_recorded_delivery_is_ours_whatever_changed(stage: Stage) -> None:
    """A renamed host or a moved state directory does not lock a fleet out of its own folder."""
    stage.run()
    rewrite(fleet="the same one, under another name", host_name="ghes-old.example.com")(stage.outbox / "emea")
    _, record = waiting(stage)
    assert foreign(stage.outbox / "emea", stage.emea, "this fleet", [record]) is None
    assert foreign(stage.outbox / "emea", stage.emea, "this fleet", []) == "ghes-old.example.com of the same one, under another name"
