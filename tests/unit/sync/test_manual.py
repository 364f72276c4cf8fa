"""Manual uploads: put in the outbox, checked until the cloud confirms, superseded by newer exports."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance, ManualDelivery, NoSource, SshSource
from licsync_daemon.model.run import DeliveryOutcome, Run, RunState, Trigger
from licsync_daemon.model.usage import Export
from licsync_daemon.rules.next_run import Planned, next_run
from licsync_daemon.state.files import prepare_state_dir
from licsync_daemon.state.held_exports import HELD
from licsync_daemon.state.history import recorded
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.decisions import Author, approve
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.housekeeping import close_stale, release_unconfigured
from licsync_daemon.sync.run import run_instance
from tests.fakes import T0, FakeClock, FakeWorld, FlakyStore, a_context, an_account, an_instance, transient

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
CONTENT = b'{"instance": {"server_id": "server-emea"}, "users": "b3BhcXVl"}'


def an_export(content: bytes = CONTENT, **changes: object) -> Export:
    return Export(
        **{  # type: ignore[arg-type]
            "content": content,
            "server_id": "server-emea",
            "hostname": "ghes-emea.example.com",
            "version": "3.19.2",
            "is_clear": False,
            "is_empty": False,
            **changes,
        }
    )


class Stage:
    def __init__(self, directory: Path) -> None:
        self.directory = directory / "state"
        prepare_state_dir(self.directory)
        self.outbox = directory / "outbox"
        self.outbox.mkdir()
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock)
        self.world.exports["emea"] = an_export()
        self.store = FlakyStore()
        self.context = a_context(self.world, self.directory, self.store)
        source = SshSource(host="ghes-emea.example.com", known_hosts=Path("/etc/licsync/known_hosts"))
        self.emea = an_instance("emea", source=source, delivery=ManualDelivery(outbox=self.outbox))

    def run(self, instance: Instance | None = None, *, slot: object = T0) -> Run:
        run = run_instance(self.context, instance or self.emea, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=slot)  # type: ignore[arg-type]
        return asyncio.run(run)

    def look(self) -> list[Run]:
        return asyncio.run(check_open_deliveries(self.context, (self.emea,)))

    def planned(self) -> Planned:
        planned = next_run(self.emea, recorded(self.store, "emea"), self.clock.now(), up_since=T0, changed_at=T0)
        assert planned is not None
        return planned

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.outbox / "emea").glob("*")) if (self.outbox / "emea").exists() else []


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_an_encrypted_export_has_no_counts(stage: Stage) -> None:
    """The log of its collection has no counts, rather than zeros."""
    with capture_logs() as logged:
        stage.run()
    (line,) = [line for line in logged if line["event"] == "run.collected"]
    assert {"rows", "sent", "suspended", "unusable"}.isdisjoint(line)


def test_the_export_lies_ready_unchanged_with_what_to_do(stage: Stage) -> None:
    """Under a clear name, beside the steps in GitHub's own labels and a manifest; readable for the group, and the run stays open."""
    run = stage.run()
    assert (run.state, run.phase) == (RunState.AWAITING_UPLOAD, "waiting for someone to upload the export")
    name = "usage-emea-20261124T020000Z.json"
    assert stage.files() == ["README.txt", "manifest.json", name]
    folder = stage.outbox / "emea"
    assert (folder / name).read_bytes() == CONTENT
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}
    text = (folder / "README.txt").read_text()
    assert all(words in text for words in (name, "*Add server usage*", "https://github.com/enterprises/octo", "ghes-emea.example.com"))
    manifest = json.loads((folder / "manifest.json").read_text())
    record = stage.store.delivery_of(run.run_id)
    assert record is not None
    assert (manifest["key"], manifest["content_hash"], manifest["server_id"]) == (record.key, run.content_hash, "server-emea")
    assert (manifest["accounts"], manifest["since"], manifest["expires"]) == (None, "2026-11-24T02:00:00Z", "2026-12-02T02:00:00Z")
    assert [one.code for one in run.notices] == [Code.COUNTS_UNKNOWN, Code.AGE_UNKNOWN]


def test_an_old_file_of_a_courier_expires_when_the_run_does(stage: Stage) -> None:
    """Not `max_age` after it was made: that may be over by now."""
    stage.world.collected_at = T0 - 10 * DAY
    stage.run()
    manifest = json.loads((stage.outbox / "emea" / "manifest.json").read_text())
    assert (manifest["since"], manifest["expires"]) == ("2026-11-14T02:00:00Z", "2026-12-02T02:00:00Z")


def test_a_manual_upload_is_confirmed_and_clears_the_outbox(stage: Stage) -> None:
    """The cloud's later date confirms it; checks come every six hours, and none starts the slot again."""
    stage.world.sync("server-emea")
    run = stage.run()
    planned = stage.planned()
    assert (planned.is_confirm_check, planned.at) == (True, stage.clock.now() + 6 * HOUR)
    stage.clock.advance(6 * 3600)
    (waiting,) = stage.look()
    assert (waiting.state, waiting.waiting_for) == (RunState.AWAITING_UPLOAD, None)
    stage.world.sync("server-emea")
    stage.clock.advance(60)
    (done,) = stage.look()
    assert (done.run_id, done.state, done.last_sync) == (run.run_id, RunState.CONFIRMED, stage.clock.now() - timedelta(minutes=1))
    assert done.delivered_at is None  # when the person uploaded it is not known
    assert stage.files() == []
    assert stage.planned().slot == T0 + WEEK


def test_a_failed_sync_is_uploaded_again_by_a_person(stage: Stage) -> None:
    """No run can send it again, so the next step says who uploads, and where."""
    stage.run()
    stage.clock.advance(60)
    stage.world.sync("server-emea", status="failure")
    stage.clock.advance(6 * 3600)
    (failed,) = stage.look()
    assert (failed.state, failed.code) == (RunState.FAILED, Code.SYNC_FAILED)
    assert str(github.UPLOAD) in (failed.next_step or "")
    assert "sends the usage again" not in (failed.next_step or "")


def test_a_newer_export_replaces_one_that_was_not_uploaded(stage: Stage) -> None:
    """At the next slot; the folder has only the new one, and never two runs wait at once."""
    first = stage.run()
    stage.clock.advance(WEEK.total_seconds())
    assert stage.planned().slot == T0 + WEEK
    stage.world.exports["emea"] = an_export(CONTENT + b" ")
    second = stage.run(slot=T0 + WEEK)
    old = stage.store.run(first.run_id)
    assert old is not None
    assert (old.state, second.state) == (RunState.SUPERSEDED, RunState.AWAITING_UPLOAD)
    assert stage.files() == ["README.txt", "manifest.json", "usage-emea-20261201T020000Z.json"]
    assert stage.store.awaiting_run("emea") == second


def test_an_upload_just_before_the_next_slot_is_not_taken_for_the_new_one(stage: Stage) -> None:
    """The new run checks first: the waiting run is confirmed, and the new export has a later baseline."""
    first = stage.run()
    stage.clock.advance(WEEK.total_seconds() - 60)
    stage.world.sync("server-emea")
    stage.clock.advance(60)
    second = stage.run(slot=T0 + WEEK)
    old = stage.store.run(first.run_id)
    assert old is not None
    assert (old.state, second.state) == (RunState.CONFIRMED, RunState.AWAITING_UPLOAD)
    assert stage.look()[0].state is RunState.AWAITING_UPLOAD


def test_an_upload_that_only_the_second_look_sees_is_the_new_runs(stage: Stage) -> None:
    """The first look at the cloud failed: the new run takes the delivery over, and nothing waits for a person any more."""
    first = stage.run()
    stage.clock.advance(HOUR.total_seconds())
    stage.world.sync("server-emea")
    stage.clock.advance(60)
    stage.world.fail["sync_status"] = [transient()]
    second = stage.run()
    (record,) = stage.store.deliveries("emea")
    old = stage.store.run(first.run_id)
    assert old is not None
    assert (old.state, second.state) == (RunState.SUPERSEDED, RunState.CONFIRMED)
    assert (record.run_id, record.outcome) == (second.run_id, DeliveryOutcome.CONFIRMED)
    assert (stage.store.awaiting_run("emea"), stage.files()) == (None, [])


@pytest.mark.parametrize("source", ["export", "none"])
def test_a_second_run_of_a_slot_takes_the_delivery_over_at_once(stage: Stage, source: str) -> None:
    """Whether or not the process dies before the delivery: no run waits for a person without a delivery of its own."""
    instance = stage.emea if source == "export" else replace(stage.emea, source=NoSource())
    first = stage.run(instance)
    writes = 0

    def look() -> None:
        nonlocal writes
        writes += 1
        awaiting = stage.store.awaiting_run("emea")
        assert awaiting is None or stage.store.delivery_of(awaiting.run_id) is not None, writes

    stage.store.before_write = look
    second = stage.run(instance)
    (record,) = stage.store.deliveries("emea")
    old = stage.store.run(first.run_id)
    assert old is not None
    assert (old.state, second.state, record.run_id) == (RunState.SUPERSEDED, first.state, second.run_id)
    assert writes > 3


def test_what_fails_leaves_the_earlier_export_waiting(stage: Stage) -> None:
    """The next slot's collection fails: the person can still upload the old one, and that is seen."""
    stage.run()
    stage.clock.advance(WEEK.total_seconds())
    stage.world.exports["emea"] = an_export(is_empty=True)
    second = stage.run(slot=T0 + WEEK)
    assert (second.state, [one.code for one in second.tripped]) == (RunState.HELD, [Code.EMPTY_USAGE])
    assert stage.files()[-1] == "usage-emea-20261124T020000Z.json"
    stage.world.sync("server-emea")
    assert [run.state for run in stage.look()] == [RunState.CONFIRMED]


def test_no_upload(stage: Stage) -> None:
    """After `max_age` the run has failed, and the outbox is empty again."""
    stage.run()
    stage.clock.advance((8 * DAY).total_seconds() + 1)
    (run,) = stage.look()
    assert (run.state, run.code, run.delivered_at) == (RunState.FAILED, Code.NOT_UPLOADED, None)
    assert stage.files() == []
    record = stage.store.delivery_of(run.run_id)
    assert record is not None
    assert record.outcome is DeliveryOutcome.NOT_CONFIRMED


def test_without_a_source_a_person_exports_it(stage: Stage) -> None:
    """Nothing is read; the steps begin on the instance, and the server ID need not be known."""
    stage.emea = replace(stage.emea, source=NoSource(), server_id=None)
    run = stage.run()
    assert run.state is RunState.AWAITING_EXPORT
    assert "collect" not in stage.world.calls
    assert stage.files() == ["README.txt", "manifest.json"]
    assert "*Export license usage*" in (stage.outbox / "emea" / "README.txt").read_text()
    stage.world.sync("server-emea")
    assert stage.look()[0].state is RunState.CONFIRMED
    stage.emea = replace(stage.emea, delivery=ManualDelivery())  # nor a folder
    stage.clock.advance(WEEK.total_seconds())
    assert stage.run(slot=T0 + WEEK).state is RunState.AWAITING_EXPORT
    assert stage.files() == []


def test_an_outbox_that_cannot_be_written_fails_the_instance(stage: Stage) -> None:
    """With the folder, the cause, and the command that fixes it."""
    stage.emea = replace(stage.emea, delivery=ManualDelivery(outbox=stage.outbox / "missing"))
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.OUTBOX_UNWRITABLE)
    assert run.cause is not None
    assert "No such file" in run.cause
    assert "install -d" in (run.next_step or "")
    stage.emea = replace(stage.emea, delivery=ManualDelivery(outbox=stage.outbox, group="no-such-group"))
    assert stage.run().code is Code.OUTBOX_UNWRITABLE


def test_a_link_in_place_of_the_folder_is_not_followed(stage: Stage) -> None:
    """Whoever may write in the outbox cannot have another folder filled, opened to the group, or emptied."""
    elsewhere = stage.directory / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "usage-other.json").write_text("{}")
    (stage.outbox / "emea").symlink_to(elsewhere)
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.OUTBOX_UNWRITABLE)
    assert [path.name for path in elsewhere.iterdir()] == ["usage-other.json"]
    assert elsewhere.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"server_id": "server-other"}, Code.SERVER_ID_CHANGED),
        ({"hostname": "ghes-old.example.com"}, Code.HOSTNAME_CHANGED),
        ({"is_empty": True}, Code.EMPTY_USAGE),
    ],
)
def test_an_export_of_another_instance_is_held_and_kept(stage: Stage, changes: dict[str, object], code: Code) -> None:
    """It is kept in the state directory until a person approves; then it is handed over without reading the instance again."""
    stage.world.exports["emea"] = an_export(**changes)
    held = stage.run()
    assert (held.state, [one.code for one in held.tripped]) == (RunState.HELD, [code])
    assert stage.files() == []
    (file,) = (stage.directory / HELD).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt"))
    stage.world.exports["emea"] = an_export(b"{}")
    stage.world.calls.clear()
    run = stage.run()
    assert (run.state, run.content_hash) == (RunState.AWAITING_UPLOAD, held.content_hash)
    assert "collect" not in stage.world.calls
    assert (stage.outbox / "emea" / "usage-emea-20261124T020000Z.json").read_bytes() == CONTENT
    stage.clock.advance(WEEK.total_seconds())
    stage.world.exports["emea"] = an_export(b"[]")
    stage.run(slot=T0 + WEEK)
    assert list((stage.directory / HELD).iterdir()) == []


def test_a_readable_export_is_not_put_in_the_outbox(stage: Stage) -> None:
    """No email address is stored outside an encrypted export: neither in the outbox nor among held exports."""
    stage.world.exports["emea"] = an_export(b'{"users": [{"id": 1, "emails": ["mona@example.com"]}]}', is_clear=True)
    run = stage.run()
    assert (run.state, run.code, run.permanent) == (RunState.FAILED, Code.EXPORT_READABLE, True)
    assert stage.files() == []


def test_a_held_readable_export_is_collected_again(stage: Stage) -> None:
    """Like a clear document: its hash is kept but not its content; after approval the current export is sent."""
    stage.emea = replace(stage.emea, delivery=an_instance().delivery)
    stage.world.exports["emea"] = an_export(
        b'{"instance": {"server_id": "server-apac"}, "users": [{"id": 1, "emails": ["mona@example.com"]}]}',
        is_clear=True,
        server_id="server-apac",
    )
    held = stage.run()
    assert held.state is RunState.HELD
    assert not [path for path in stage.directory.rglob("*") if path.is_file() and b"mona@" in path.read_bytes()]
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt"))
    assert stage.run().state is RunState.DELIVERED
    assert stage.world.calls.count("collect") == 2


def test_what_was_confirmed_of_the_accounts_stays_where_a_kept_export_is_sent(stage: Stage) -> None:
    """The accounts counted beside it are gone by then; the digests are not replaced by none."""
    stage.emea = replace(stage.emea, delivery=an_instance().delivery)
    stage.world.counted = [an_account(1), an_account(2)]
    stage.run(slot=T0 - WEEK)
    stage.look()
    before = list(stage.store.confirmed_digests("emea") or ())
    stage.world.exports["emea"] = an_export(CONTENT.replace(b"emea", b"apac"), server_id="server-apac")
    held = stage.run()
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt"))
    stage.run()
    stage.clock.advance(60)
    assert stage.look()[0].state is RunState.CONFIRMED
    assert before
    assert list(stage.store.confirmed_digests("emea") or ()) == before


def test_an_approved_export_that_was_lost_on_the_way_is_sent_again_itself(stage: Stage) -> None:
    """The approval is used up by the first try; the next one takes the same bytes under the same key, whatever is exported by now."""
    stage.emea = replace(stage.emea, delivery=an_instance().delivery)
    stage.world.exports["emea"] = an_export(CONTENT.replace(b"emea", b"apac"), server_id="server-apac")
    held = stage.run()
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt"))
    stage.world.fail["send"] = [transient()]
    lost = stage.run()
    assert (lost.state, lost.code) == (RunState.FAILED, Code.SERVER_ERROR)
    stage.world.exports["emea"] = an_export(b"{}", server_id="server-apac")
    run = stage.run()
    assert (run.state, run.content_hash) == (RunState.DELIVERED, held.content_hash)
    (record,) = stage.store.deliveries("emea")
    assert [upload.content_hash for upload in stage.world.uploads.values()] == [record.content_hash]
    assert stage.world.calls.count("collect") == 1


def test_a_modified_kept_export_is_collected_again(stage: Stage) -> None:
    """Its hash is no longer the approved one; the new one has the same approved identity and passes."""
    stage.world.exports["emea"] = an_export(server_id="server-other")
    held = stage.run()
    (file,) = (stage.directory / HELD).iterdir()
    file.write_bytes(file.read_bytes() + b"x")
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt"))
    run = stage.run()
    assert run.state is RunState.AWAITING_UPLOAD
    assert stage.world.calls.count("collect") == 2


def test_what_changed_about_its_identity_since_the_approval_holds_it_again(stage: Stage) -> None:
    """Another instance is known under that server ID by now: the approval did not speak of that."""
    stage.world.exports["emea"] = an_export(server_id="server-other")
    held = stage.run()
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt"))
    stage.context.fleet = (stage.emea, an_instance("apac", server_id="server-other"))
    run = stage.run()
    assert run.state is RunState.HELD
    assert Code.SERVER_ID_SHARED in [one.code for one in run.tripped]


def test_run_now_joins_a_run_that_waits_for_a_person(stage: Stage) -> None:
    """One check, no new export, no wait of two minutes; the second time it is confirmed."""

    def now() -> Run:
        results = run_now((stage.emea,), stage.context, max_concurrent_runs=4, wait=timedelta(minutes=2))
        (result,) = asyncio.run(results)
        assert result.run is not None
        return result.run

    first = now()
    assert first.state is RunState.AWAITING_UPLOAD
    assert stage.clock.now() - T0 < timedelta(seconds=5)
    assert now().run_id == first.run_id
    stage.clock.advance(5)
    stage.world.sync("server-emea")
    assert now().state is RunState.CONFIRMED


def test_a_run_that_waits_for_a_person_ends_when_an_endpoint_is_configured(stage: Stage) -> None:
    """No one is asked to upload any more: the slot is due immediately, and the delivery to the endpoint has its own record."""
    first = stage.run()
    stage.emea = replace(stage.emea, delivery=an_instance().delivery)
    close_stale(stage.context, stage.emea)
    old = stage.store.run(first.run_id)
    assert old is not None
    assert (old.state, stage.store.awaiting_run("emea")) == (RunState.SUPERSEDED, None)
    assert (stage.planned().slot, stage.planned().is_confirm_check) == (T0, False)
    assert stage.run().state is RunState.DELIVERED
    assert len(stage.store.deliveries("emea")) == 2
    assert stage.files() == []


def test_an_outbox_that_was_moved_leaves_no_export_behind(stage: Stage) -> None:
    """The next export is only in the new folder; the earlier record's export is removed."""
    stage.run()
    elsewhere = stage.outbox.parent / "elsewhere"
    elsewhere.mkdir()
    stage.emea = replace(stage.emea, delivery=ManualDelivery(outbox=elsewhere))
    stage.clock.advance(WEEK.total_seconds())
    run = stage.run(slot=T0 + WEEK)
    assert run.state is RunState.AWAITING_UPLOAD
    assert not (stage.outbox / "emea").exists()
    assert len(list(elsewhere.glob("emea/usage-*.json"))) == 1


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "never to be synced"])
def test_an_instance_no_longer_configured_is_released(stage: Stage, removed: bool) -> None:
    """Its export leaves the outbox, held exports are deleted, and no one is asked to act; unless another process works on it."""
    waiting = stage.run()
    stage.world.exports["emea"] = an_export(is_empty=True)
    stage.clock.advance(WEEK.total_seconds())
    held = stage.run(slot=T0 + WEEK)
    assert (held.state, len(list((stage.directory / HELD).iterdir()))) == (RunState.HELD, 1)
    locks = FileLeases(stage.directory, stage.clock)
    release_unconfigured(stage.context, (stage.emea, an_instance("apac")))
    assert stage.store.awaiting_run("emea") is not None

    fleet = (an_instance("apac"),) if removed else (replace(stage.emea, unsynced_because="it may not leave"),)
    lock = locks.instance("emea")
    assert lock is not None
    with lock:
        release_unconfigured(stage.context, fleet)
        assert len(stage.files()) == 3
    release_unconfigured(stage.context, fleet)

    assert (stage.files(), list((stage.directory / HELD).iterdir())) == ([], [])
    states = [run.state for one in (waiting, held) if (run := stage.store.run(one.run_id)) is not None]
    assert states == [RunState.SUPERSEDED, RunState.SUPERSEDED]
    assert stage.store.open_delivery("emea") is None


def test_another_outbox_gets_what_waited_in_the_old_one(stage: Stage) -> None:
    """The slot is due immediately, and nothing is left in the old folder; if the outbox is the same, nothing is closed."""
    first = stage.run()
    close_stale(stage.context, stage.emea)
    assert stage.store.awaiting_run("emea") == first
    other = stage.outbox.parent / "other"
    other.mkdir()
    stage.emea = replace(stage.emea, delivery=ManualDelivery(outbox=other))
    close_stale(stage.context, stage.emea)
    assert (stage.files(), stage.planned().slot, stage.planned().is_confirm_check) == ([], T0, False)
    assert stage.run().state is RunState.AWAITING_UPLOAD
    assert len(list((other / "emea").iterdir())) == 3


def test_a_delivery_to_an_endpoint_does_not_delay_a_manual_one(stage: Stage) -> None:
    """With `manual` instead of `http`, the upload is not waited for any more: the slot is prepared again."""
    run = stage.run(replace(stage.emea, delivery=an_instance().delivery))
    assert run.state is RunState.DELIVERED
    close_stale(stage.context, stage.emea)
    closed = stage.store.run(run.run_id)
    assert closed is not None
    assert (closed.state, stage.store.open_delivery("emea"), stage.planned().is_confirm_check) == (RunState.SUPERSEDED, None, False)


def test_a_confirmation_dated_too_late_does_not_forget_the_last_sync(stage: Stage) -> None:
    """The run is confirmed; a date later than the cloud's own clock is not recorded, and the earlier date stays."""
    stage.run()
    stage.clock.advance(5)
    stage.world.sync("server-emea")
    stage.look()
    known = stage.store.instance("emea")
    assert known is not None
    assert known.last_sync is not None
    stage.clock.advance(WEEK.total_seconds())
    stage.run(slot=T0 + WEEK)
    stage.clock.advance(5)
    stage.world.sync("server-emea")
    entry = stage.world.entries["server-emea"]
    assert entry.date is not None
    stage.world.entries["server-emea"] = replace(entry, date=entry.date + timedelta(minutes=10))
    (run,) = stage.look()
    now_known = stage.store.instance("emea")
    assert now_known is not None
    assert (run.state, now_known.last_sync) == (RunState.CONFIRMED, known.last_sync)
