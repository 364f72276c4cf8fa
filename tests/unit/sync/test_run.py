"""One run over scripted servers: what is stored when, what is sent, and how each run ends."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import DeliveryOutcome, DeliveryRecord, InstanceRecord, Run, RunState, SeatRecord, Trigger
from licsync_daemon.model.usage import CLOCK_SLACK, Installation, SyncEntry, UploadState
from licsync_daemon.sync.confirm import check_open_deliveries, is_overdue
from licsync_daemon.sync.decisions import Author, approve
from licsync_daemon.sync.housekeeping import close_stale, record_clock_set_back
from licsync_daemon.sync.journal import Journal
from licsync_daemon.sync.run import run_instance
from tests.fakes import (
    T0,
    FakeClock,
    FakeWorld,
    FlakyStore,
    a_context,
    a_delivery,
    a_holder,
    a_run,
    an_account,
    an_ended_run,
    an_instance,
    permanent,
    transient,
)

WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
EMEA, APAC = an_instance("emea"), an_instance("apac")


class Stage:
    """A world, a store, and a context over both."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock)
        self.store = FlakyStore()
        self.seen: list[Run] = []
        self.directory = directory
        self.context = a_context(self.world, directory, self.store, observe=self.seen.append)

    async def run_async(self, instance: Instance = EMEA, *, slot: object = T0) -> Run:
        return await run_instance(self.context, instance, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=slot)  # type: ignore[arg-type]

    def run(self, instance: Instance = EMEA, *, slot: object = T0) -> Run:
        return asyncio.run(self.run_async(instance, slot=slot))

    def look(self, *instances: Instance) -> list[Run]:
        return asyncio.run(check_open_deliveries(self.context, instances or (EMEA,)))

    def record(self, instance: str = "emea") -> DeliveryRecord:
        return self.store.deliveries(instance)[-1]

    def states(self, run: Run) -> list[RunState]:
        return [one.state for one in self.store.transitions(run.run_id)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


# ---------------------------------------------------------------- the good case


def test_a_run_is_delivered_and_then_confirmed(stage: Stage) -> None:
    """Collected, stored, sent, accepted; then the cloud confirms it."""
    run = stage.run()
    assert run.state is RunState.DELIVERED
    assert (run.collected_at, run.delivered_at, run.confirmed_at, run.ended_at) == (T0, T0, None, None)
    assert (run.counts.rows, run.counts.sent, run.counts.suspended) == (3, 2, 1)
    assert run.holder == a_holder()
    assert stage.store.run(run.run_id) == run

    stage.clock.advance(5)
    (confirmed,) = stage.look()
    assert confirmed.run_id == run.run_id
    assert confirmed.state is RunState.CONFIRMED
    assert (confirmed.delivered_at, confirmed.confirmed_at, confirmed.ended_at) == (T0, T0 + 5 * SECOND, T0 + 5 * SECOND)
    assert confirmed.last_sync == T0
    assert confirmed.content_hash == run.content_hash == stage.world.holds["server-emea"]
    assert stage.states(run) == [RunState.RUNNING, RunState.DELIVERED, RunState.CONFIRMED]
    assert stage.record() == replace(stage.record(), outcome=DeliveryOutcome.CONFIRMED, closed_at=T0 + 5 * SECOND)


def test_the_calls_of_a_run_come_in_their_order(stage: Stage) -> None:
    """The baseline is read after the usage is checked and right before it is sent; nothing is asked twice."""
    stage.run()
    assert stage.world.calls == ["open cloud", "open delivery", "open source", "collect", "sync_status", "send", "answer"]


def test_every_step_is_observed(stage: Stage) -> None:
    """The observer sees each phase as it is stored."""
    stage.run()
    phases = [run.phase for run in stage.seen]
    assert phases == [
        "starting",
        "collecting",
        "checking",
        "comparing",  # its hash and its changes
        "comparing",  # its notices
        "comparing",  # the delivery record, stored before the first byte is sent
        "delivering",
        "waiting for confirmation",
    ]


def test_what_the_cloud_knows_of_the_instance_is_remembered(stage: Stage) -> None:
    """The cloud's newest successful date is kept before sending and after confirming."""
    stage.world.sync("server-emea")
    stage.clock.advance(3600)
    stage.run()
    known = stage.store.instance("emea")
    assert known == InstanceRecord(name="emea", identity=stage.record().identity, last_sync=T0, seen_at=T0 + timedelta(hours=1))
    stage.look()
    known = stage.store.instance("emea")
    assert known is not None
    assert known.last_sync == T0 + timedelta(hours=1)


def test_a_failed_sync_does_not_count_as_the_last_one(stage: Stage) -> None:
    """Only a successful sync moves the date from which the age is computed."""
    stage.store.save_instance(InstanceRecord(name="emea", identity=a_delivery().identity, last_sync=T0 - WEEK))
    stage.world.sync("server-emea", status="failure")
    stage.clock.advance(10)
    stage.run()
    known = stage.store.instance("emea")
    assert known is not None
    assert known.last_sync == T0 - WEEK


def test_the_record_is_stored_before_the_first_byte_is_sent(stage: Stage) -> None:
    """When the endpoint is asked, the key, the hash and the baseline are on the disk already."""
    seen: list[DeliveryRecord | None] = []
    stage.world.interfere = lambda step, number: seen.append(stage.store.open_delivery("emea")) if step == "send" else None
    run = stage.run()
    (record,) = seen
    assert record is not None
    assert (record.run_id, record.slot, record.content_hash, record.sent) == (run.run_id, T0, run.content_hash, 2)
    assert (record.upload_id, record.accepted_at, record.closed_at) == (None, None, None)
    assert list(stage.world.uploads) == [record.key]


def test_the_run_is_stored_before_the_first_request(stage: Stage) -> None:
    """A run is `running` on disk before any request."""
    stage.world.interfere = lambda step, number: seen.append(stage.store.open_run("emea"))
    seen: list[Run | None] = []
    stage.run()
    assert all(run is not None and run.state is RunState.RUNNING for run in seen[:-1])


def test_unchanged_usage_is_delivered_again_in_every_slot(stage: Stage) -> None:
    """A later run opens its own record with a new baseline, even if nothing changed."""
    stage.run()
    stage.look()
    first = stage.record()
    stage.clock.advance(60)
    stage.run(slot=T0 + WEEK)
    stage.look()
    assert stage.record().key != first.key
    assert stage.record().content_hash == first.content_hash
    assert stage.record().baseline.date == T0
    assert [one.outcome for one in stage.store.deliveries("emea")] == [DeliveryOutcome.CONFIRMED] * 2


def test_the_next_second_is_waited_for(stage: Stage) -> None:
    """When the cloud's newest sync is of this very second, the upload waits for the next: its date must differ."""
    stage.world.sync("server-emea")
    waits: list[float] = []
    stage.world.interfere = lambda step, number: waits.extend(stage.clock.slept) if step == "send" else None
    stage.run()
    assert waits == [1.0]
    stage.clock.advance(5)
    assert stage.look()[0].state is RunState.CONFIRMED


def test_a_long_wait_is_visible_before_it_begins(stage: Stage) -> None:
    """A wait over five seconds is in the stored run while it lasts."""
    stage.world.entries["server-emea"] = SyncEntry(
        server_id="server-emea", hostname=EMEA.hostname, date=T0 + timedelta(seconds=5), status="success", error=None
    )
    run = stage.run()
    assert stage.clock.slept == [6.0]
    (waiting,) = [one for one in stage.seen if one.waiting_until is not None]
    assert (waiting.waiting_for, waiting.waiting_until) == ("the cloud's clock to pass its latest sync", T0 + 6 * SECOND)
    assert (run.waiting_for, run.waiting_until) == (None, None)


def test_an_unknown_server_id_is_found_in_the_cloud(stage: Stage) -> None:
    """The only server the cloud lists for the hostname gives the id."""
    stage.world.sync("server-emea")
    stage.clock.advance(10)
    run = stage.run(an_instance("emea", server_id=None))
    assert run.state is RunState.DELIVERED
    assert stage.record().identity.server_id == "server-emea"


@pytest.mark.parametrize(("listed", "code"), [((), Code.SERVER_ID_UNKNOWN), (("server-emea", "server-labs"), Code.SERVER_ID_AMBIGUOUS)])
def test_without_a_server_id_nothing_is_collected(stage: Stage, listed: tuple[str, ...], code: Code) -> None:
    """With none or several candidates the run fails before the instance is read, and nothing is sent."""
    for server_id in listed:
        stage.world.sync(server_id, hostname=EMEA.hostname)
    run = stage.run(an_instance("emea", server_id=None))
    assert (run.state, run.code) == (RunState.FAILED, code)
    assert "collect" not in stage.world.calls
    assert stage.store.deliveries("emea") == ()


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("step", ["open cloud", "open delivery", "open source", "collect", "sync_status"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError(Code.CREDENTIAL_MISSING, "no token", "write one"), Code.CREDENTIAL_MISSING),
        (transient(Code.TIMEOUT), Code.TIMEOUT),
        (permanent(Code.UNAUTHORIZED), Code.UNAUTHORIZED),
        (KeyError("a mistake of ours"), Code.INTERNAL),
    ],
    ids=["run", "transient", "permanent", "ours"],
)
def test_a_failure_before_sending_sends_nothing(stage: Stage, step: str, error: Exception, code: Code) -> None:
    """Whatever fails on the way, the run ends as `failed` with its code, its words and one next step; no record stays."""
    stage.world.fail[step] = [error]
    run = stage.run()
    assert (run.state, run.code, run.ended_at) == (RunState.FAILED, code, T0)
    assert run.cause
    assert run.next_step
    assert stage.store.run(run.run_id) == run
    assert stage.world.uploads == {}
    assert stage.store.deliveries("emea") == ()
    assert stage.states(run) == [RunState.RUNNING, RunState.FAILED]


@pytest.mark.parametrize(
    ("accounts", "code"),
    [
        ([], Code.EMPTY_USAGE),
        ([an_account(1, suspended=True)], Code.EMPTY_USAGE),
    ],
    ids=["no rows", "only suspended"],
)
def test_suspicious_usage_is_not_sent(stage: Stage, accounts: list[object], code: Code) -> None:
    """An empty collection is held: the run waits for a person, and nothing is sent."""
    stage.world.accounts["emea"] = accounts  # type: ignore[assignment]
    run = stage.run()
    assert (run.state, run.code, run.ended_at) == (RunState.HELD, code, None)
    assert stage.store.held_run("emea") == run
    assert "send" not in stage.world.calls
    assert stage.store.deliveries("emea") == ()


def test_a_stated_wait_is_kept_for_the_next_run(stage: Stage) -> None:
    """If the server says when to retry, the run records it."""
    stage.world.fail["collect"] = [transient(retry_after=timedelta(hours=3))]
    assert stage.run().retry_not_before == T0 + timedelta(hours=3)


def test_a_refusal_closes_the_record(stage: Stage) -> None:
    """A permanently refused delivery is given up; the next run opens a new record."""
    stage.world.fail["send"] = [permanent(Code.UPLOAD_REFUSED)]
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.UPLOAD_REFUSED)
    assert stage.record().outcome is DeliveryOutcome.REFUSED
    assert stage.run().state is RunState.DELIVERED
    first, second = stage.store.deliveries("emea")
    assert first.key != second.key


@pytest.mark.parametrize("step", ["send", "answer"])
def test_a_lost_response_leaves_the_record_open(stage: Stage, step: str) -> None:
    """It may have arrived: the next run of the slot sends again under the same key and baseline."""
    stage.world.fail[step] = [transient(Code.CONNECTION_LOST)]
    assert stage.run().code is Code.CONNECTION_LOST
    first = stage.record()
    assert first.closed_at is None
    stage.clock.advance(3600)
    stage.world.default_accounts.reverse()
    second = stage.run()
    assert second.state is RunState.DELIVERED
    assert stage.store.deliveries("emea") == (
        replace(first, run_id=second.run_id, upload_id="upload-1", accepted_at=T0 + timedelta(hours=1)),
    )
    assert len(stage.world.uploads) == 1
    stage.clock.advance(5)
    assert stage.look()[0].state is RunState.CONFIRMED
    assert len(stage.world.processed) == 1


def test_a_record_that_was_never_accepted_is_sent_again(stage: Stage) -> None:
    """A newer sync by others does not prove that the document arrived: it is sent, not confirmed."""
    stage.world.fail["send"] = [transient()]
    stage.run()
    stage.clock.advance(60)
    stage.world.sync("server-emea")
    stage.clock.advance(60)
    run = stage.run()
    assert run.state is RunState.DELIVERED
    assert stage.world.calls.count("send") == 2
    assert stage.record().baseline.date is None  # still the one from before the first attempt


def accepted_but_run_failed(stage: Stage) -> DeliveryRecord:
    """Leave an accepted record whose run has failed: the upload arrived, but the run's confirmation timed out."""
    run = stage.run()
    record = stage.record()
    stage.store.save_run(run.ended(RunState.FAILED, T0, code=Code.INTERNAL), T0)
    return record


def test_an_earlier_delivery_that_arrived_confirms_this_run(stage: Stage) -> None:
    """In the same slot nothing is collected or sent: one read-back confirms the run with the earlier delivery's times."""
    record = accepted_but_run_failed(stage)
    stage.clock.advance(3000)
    stage.world.calls.clear()
    run = stage.run()
    assert run.state is RunState.CONFIRMED
    assert (run.delivered_at, run.last_sync, run.content_hash) == (T0, T0, record.content_hash)
    assert (run.counts.sent, run.collected_at) == (2, T0)
    assert stage.world.calls == ["open cloud", "open delivery", "sync_status", "ask", "installations"]
    assert stage.record().outcome is DeliveryOutcome.CONFIRMED


def test_a_record_of_a_past_slot_is_given_up(stage: Stage) -> None:
    """Whatever became of last week's delivery, this slot gets one of its own."""
    record = accepted_but_run_failed(stage)
    run = stage.run(slot=T0 + WEEK)
    first, second = stage.store.deliveries("emea")
    assert run.state is RunState.DELIVERED
    assert (first.key, first.outcome, first.closed_at) == (record.key, DeliveryOutcome.SLOT_PAST, T0)
    assert (second.slot, second.run_id) == (T0 + WEEK, run.run_id)


@pytest.mark.parametrize(
    ("what", "outcome"),
    [("upload", DeliveryOutcome.UPLOAD_FAILED), ("sync", DeliveryOutcome.SYNC_FAILED)],
)
def test_an_earlier_delivery_that_failed_is_given_up(stage: Stage, what: str, outcome: DeliveryOutcome) -> None:
    """A failed upload or sync is closed with its outcome, and the usage is sent again under a new key."""
    stage.world.processes = False
    accepted_but_run_failed(stage)
    stage.clock.advance(60)
    if what == "upload":
        stage.world.reject_all()
    else:
        stage.world.sync("server-emea", status="failure")
    stage.clock.advance(60)
    stage.world.processes = True
    run = stage.run()
    first, second = stage.store.deliveries("emea")
    assert first.outcome is outcome
    assert second.key != first.key
    assert run.state is RunState.DELIVERED


@pytest.mark.parametrize(("passed_s", "given_up"), [(3599, False), (3600, True), (3601, True), (-3599, False), (-3600, True)])
def test_an_earlier_delivery_is_given_up_at_its_limit(stage: Stage, passed_s: int, given_up: bool) -> None:
    """Up to `confirm_timeout` the same key is sent again; from then on the delivery is given up as not confirmed."""
    stage.world.processes = False
    record = accepted_but_run_failed(stage)
    stage.clock.advance(passed_s)
    stage.run()
    deliveries = stage.store.deliveries("emea")
    assert len(deliveries) == 1 + given_up
    assert deliveries[0].outcome is (DeliveryOutcome.NOT_CONFIRMED if given_up else None)
    assert deliveries[0].key == record.key


def test_changed_usage_opens_a_new_record(stage: Stage) -> None:
    """A document with another hash is never sent under the old key."""
    stage.world.fail["answer"] = [transient()]
    stage.run()
    stage.world.default_accounts.append(an_account(9))
    run = stage.run()
    first, second = stage.store.deliveries("emea")
    assert run.state is RunState.DELIVERED
    assert first.outcome is DeliveryOutcome.USAGE_CHANGED
    assert second.key != first.key
    assert second.content_hash != first.content_hash


def test_a_changed_identity_opens_a_new_record(stage: Stage) -> None:
    """A document for another server ID is another delivery, once a person has approved the change."""
    stage.world.fail["send"] = [transient()]
    stage.run()
    held = stage.run(an_instance("emea", server_id="server-labs"))
    assert (held.state, held.code) == (RunState.HELD, Code.SERVER_ID_CHANGED)
    approve(stage.store, held.run_id, Author(actor="mona", at=stage.clock.now(), reason="rebuilt on new hardware"))
    stage.run(an_instance("emea", server_id="server-labs"))
    first, second = stage.store.deliveries("emea")
    assert first.outcome is DeliveryOutcome.USAGE_CHANGED
    assert second.identity.server_id == "server-labs"


@pytest.mark.parametrize(("enabled", "state"), [(True, RunState.HELD), (False, RunState.DELIVERED)], ids=["enabled", "disabled"])
def test_a_disabled_copy_does_not_hold_the_original(stage: Stage, enabled: bool, state: RunState) -> None:
    """As in the runbook: a disabled copy cannot overwrite the original, which continues."""
    copy = an_instance("labs", server_id=EMEA.server_id, enabled=enabled)
    stage.context.fleet = (EMEA, copy)
    assert stage.run().state is state


# ---------------------------------------------------------------- the disk


def test_without_room_for_the_run_no_request_is_made(stage: Stage) -> None:
    """Where `running` cannot be recorded the run fails before its first request."""
    stage.store.full = True
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.STATE_UNWRITABLE)
    assert stage.world.calls == []
    assert stage.store.runs() == ()


@pytest.mark.parametrize("step", ["collect", "sync_status", "send", "answer"])
def test_a_disk_that_fills_up_on_the_way(stage: Stage, step: str) -> None:
    """A run that cannot be recorded any more fails, and once there is room the slot is finished without sending anything twice."""
    stage.world.interfere = lambda at, number: setattr(stage.store, "full", at == step or stage.store.full)
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.STATE_UNWRITABLE)
    assert ("send" in stage.world.calls) == (step in {"send", "answer"})
    stage.store.full = False
    stage.world.interfere = lambda at, number: None
    close_stale(stage.context, an_instance("emea"))
    stage.clock.advance(60)
    assert stage.run().state is RunState.DELIVERED
    assert len(stage.world.uploads) == 1


def test_no_room_for_the_accounts(tmp_path: Path) -> None:
    """A spool that cannot be made fails the run as an unwritable state."""
    run = Stage(tmp_path / "nowhere").run()
    assert (run.state, run.code) == (RunState.FAILED, Code.STATE_UNWRITABLE)


# ---------------------------------------------------------------- stopping


def steps_of_a_run(tmp_path: Path) -> int:
    stage = Stage(tmp_path)
    stage.run()
    return len(stage.world.calls)


@pytest.mark.parametrize("number", range(1, 8))
def test_a_run_can_be_cut_short_anywhere(stage: Stage, tmp_path: Path, number: int) -> None:
    """Wherever it is cancelled, the run is `interrupted`, the slot still due, and a later run sends at most once under one key."""
    assert steps_of_a_run(tmp_path) == 7

    async def cut_short() -> None:
        task = asyncio.ensure_future(stage.run_async())
        stage.world.interfere = lambda step, at: task.cancel() and None if at == number else None
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut_short())
    (run,) = stage.store.runs()
    assert (run.state, run.ended_at) == (RunState.INTERRUPTED, T0)
    assert stage.store.open_run("emea") is None
    stage.world.interfere = lambda step, at: None
    stage.clock.advance(60)
    assert stage.run().state is RunState.DELIVERED
    assert len(stage.world.uploads) == 1
    assert len([one for one in stage.store.deliveries("emea") if one.closed_at is None]) == 1
    stage.clock.advance(5)
    assert stage.look()[0].state is RunState.CONFIRMED


def test_a_wait_can_be_cut_short(stage: Stage) -> None:
    """Cancelled while waiting for the cloud's next second, the run is interrupted with its wait taken back."""
    stage.world.sync("server-emea")

    async def cut_short() -> None:
        task = asyncio.ensure_future(stage.run_async())
        while not stage.clock.slept:  # noqa: ASYNC110 - every turn of the loop counts
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cut_short())
    (run,) = stage.store.runs()
    assert (run.state, run.waiting_until) == (RunState.INTERRUPTED, None)
    assert stage.world.uploads == {}


def test_a_delivered_run_stays_delivered_when_the_process_stops(stage: Stage) -> None:
    """Canceled after the endpoint's response was stored, the run still waits for confirmation."""

    async def cut_short() -> None:
        task = asyncio.ensure_future(stage.run_async())
        stage.context.observe = lambda run: task.cancel() and None if run.state is RunState.DELIVERED else None
        with contextlib.suppress(asyncio.CancelledError):  # it may have ended before the cancellation could reach it
            await task

    asyncio.run(cut_short())
    run = stage.store.open_run("emea")
    assert run is not None
    assert run.state is RunState.DELIVERED
    assert stage.store.open_delivery("emea") is not None


def test_a_stale_run_is_closed(stage: Stage) -> None:
    """A `running` run whose lock is free has no process any more."""
    stage.store.save_run(a_run(waiting_for="x", waiting_until=T0), T0)
    stage.clock.advance(10)
    close_stale(stage.context, an_instance("emea"))
    assert stage.store.runs() == (a_run(state=RunState.INTERRUPTED, ended_at=T0 + 10 * SECOND),)


@pytest.mark.parametrize("run", [a_run(state=RunState.DELIVERED), an_ended_run()], ids=["delivered", "ended"])
def test_nothing_else_is_closed(stage: Stage, run: Run) -> None:
    """A delivered run and an ended one stay as they are."""
    stage.store.save_run(run, T0)
    close_stale(stage.context, an_instance("emea"))
    assert stage.store.runs() == (run,)


# ---------------------------------------------------------------- checks


def test_one_question_serves_many_instances(stage: Stage) -> None:
    """However many instances wait, the cloud's status is asked once, and the seats once after a confirmation."""
    stage.run(EMEA)
    stage.run(APAC)
    stage.clock.advance(5)
    stage.world.calls.clear()
    seen = stage.look(EMEA, APAC)
    assert [(run.instance, run.state) for run in seen] == [("emea", RunState.CONFIRMED), ("apac", RunState.CONFIRMED)]
    assert (stage.world.calls.count("sync_status"), stage.world.calls.count("seats")) == (1, 1)
    assert stage.store.seats() == SeatRecord(read_at=T0 + 5 * SECOND, consumed=10, purchased=20)


def test_nothing_delivered_asks_nothing(stage: Stage) -> None:
    """Without a delivered run there is no request."""
    stage.store.save_run(a_run(), T0)
    assert stage.look(EMEA, APAC) == []
    assert stage.world.calls == []


def test_a_check_without_confirmation_changes_only_the_reason(stage: Stage) -> None:
    """While the cloud has nothing new, the run stays delivered and says what it waits for, written once."""
    stage.world.processes = False
    stage.run()
    writes: list[str] = []
    stage.store.after_write = lambda: writes.append("x")
    for _ in range(3):
        stage.clock.advance(5)
        (run,) = stage.look()
    assert (run.state, run.waiting_for) == (RunState.DELIVERED, "the cloud lists no sync of this instance yet")
    assert len(writes) == 1
    assert stage.store.seats() is None


@pytest.mark.parametrize(("passed_s", "state"), [(3599, RunState.DELIVERED), (3600, RunState.FAILED), (3601, RunState.FAILED)])
def test_the_cloud_never_confirms(stage: Stage, passed_s: int, state: RunState) -> None:
    """At `confirm_timeout` after acceptance, and not before, the run fails as not confirmed."""
    stage.world.processes = False
    stage.run()
    stage.clock.advance(passed_s)
    (run,) = stage.look()
    assert run.state is state
    if state is RunState.FAILED:
        assert run.code is Code.NOT_CONFIRMED
        assert stage.record().outcome is DeliveryOutcome.NOT_CONFIRMED
        assert "lists no sync of this instance yet" in (run.cause or "")


def test_confirmed_at_the_limit_is_confirmed(stage: Stage) -> None:
    """A late confirmation still counts if the check finds it."""
    stage.run()
    stage.clock.advance(7200)
    assert stage.look()[0].state is RunState.CONFIRMED


@pytest.mark.parametrize("step", ["open cloud", "sync_status", "open delivery", "ask"])
@pytest.mark.parametrize(
    "error", [transient(), permanent(Code.UNAUTHORIZED), RunError(Code.CREDENTIAL_MISSING, "no", "do")], ids=["t", "p", "r"]
)
def test_servers_that_cannot_be_queried_leave_it_delivered(stage: Stage, step: str, error: RunError) -> None:
    """A failed check is shown and changes no state until the time limit; then the run fails as not confirmed, not with that error."""
    stage.world.processes = False
    stage.run()
    stage.world.fail[step] = [error, error]
    stage.clock.advance(5)
    (run,) = stage.look()
    assert (run.state, run.waiting_for) == (RunState.DELIVERED, error.cause)
    stage.clock.advance(3600)
    (run,) = stage.look()
    assert (run.state, run.code) == (RunState.FAILED, Code.NOT_CONFIRMED)


def test_one_endpoint_that_cannot_be_queried_does_not_stop_the_others(stage: Stage) -> None:
    """Every other delivered instance is still updated."""
    stage.run(EMEA)
    stage.run(APAC)
    stage.clock.advance(5)
    stage.world.fail["ask"] = [transient()]
    assert [run.state for run in stage.look(EMEA, APAC)] == [RunState.DELIVERED, RunState.CONFIRMED]


def test_an_unexpected_error_in_one_check_does_not_stop_the_others(stage: Stage) -> None:
    """An unexpected error keeps its own instance waiting until the limit; the others are updated."""
    stage.run(EMEA)
    stage.run(APAC)
    stage.clock.advance(5)
    stage.world.fail["ask"] = [ValueError("boom")]
    assert [run.state for run in stage.look(EMEA, APAC)] == [RunState.DELIVERED, RunState.CONFIRMED]
    stage.clock.advance(3600)
    stage.world.fail["ask"] = [ValueError("boom")]
    (run,) = stage.look(EMEA)
    assert (run.state, run.code) == (RunState.FAILED, Code.NOT_CONFIRMED)


def test_no_error_leaves_a_run(stage: Stage) -> None:
    """Even an error while a failure is being recorded ends as a failed run of this instance."""
    stage.world.fail["collect"] = [transient(retry_after=timedelta.max)]
    run = stage.run()
    assert (run.state, run.code) == (RunState.FAILED, Code.INTERNAL)
    assert stage.store.open_run("emea") is None


def test_seats_read_late_do_not_touch_a_confirmed_run(stage: Stage) -> None:
    """A wait for the seat totals belongs to no run: the confirmed run stays as it was."""
    stage.run()
    stage.clock.advance(5)
    (run,) = stage.look()
    Journal(stage.context, run).waiting(stage.clock.now() + timedelta(minutes=1), "rate limited", 60.0)
    assert stage.store.run(run.run_id) == run


@pytest.mark.parametrize(
    ("what", "code", "outcome"),
    [("sync", Code.SYNC_FAILED, DeliveryOutcome.SYNC_FAILED), ("upload", Code.UPLOAD_FAILED, DeliveryOutcome.UPLOAD_FAILED)],
)
def test_a_failed_sync_and_a_failed_upload_fail_the_run(stage: Stage, what: str, code: Code, outcome: DeliveryOutcome) -> None:
    """Never success: the run fails with the quoted error, and the record is closed with its outcome."""
    stage.world.processes = False
    stage.run()
    stage.clock.advance(60)
    if what == "sync":
        stage.world.sync("server-emea", status="failure", error="quota exceeded")
    else:
        stage.world.reject_all("quota exceeded")
    (run,) = stage.look()
    assert (run.state, run.code) == (RunState.FAILED, code)
    assert "quota exceeded" in (run.cause or "")
    assert stage.record().outcome is outcome


def test_a_sync_of_others_does_not_confirm_a_pending_upload(stage: Stage) -> None:
    """A newer successful sync while the upload is still pending does not count."""
    stage.world.processes = False
    stage.run()
    stage.clock.advance(60)
    stage.world.sync("server-emea")
    (run,) = stage.look()
    assert (run.state, run.waiting_for) == (RunState.DELIVERED, "the upload is still being processed")
    stage.world.process_all()
    assert stage.look()[0].state is RunState.CONFIRMED


def test_seats_that_cannot_be_read_cost_no_confirmation(stage: Stage) -> None:
    """The run is confirmed whether or not the seat totals could be read."""
    stage.run()
    stage.clock.advance(5)
    stage.world.fail["seats"] = [transient()]
    assert stage.look()[0].state is RunState.CONFIRMED
    assert stage.store.seats() is None


def test_an_endpoint_that_keeps_no_states_is_confirmed_by_the_read_back(stage: Stage) -> None:
    """If uploads cannot be queried, the read-back alone decides."""
    stage.world.tells_states = False
    stage.run()
    stage.clock.advance(5)
    assert stage.look()[0].state is RunState.CONFIRMED


def test_overdue(subtests: pytest.Subtests) -> None:
    """An accepted delivery is overdue an hour later, or when the clock was set back by as much; one never accepted is not."""
    for passed, overdue in [
        (timedelta(0), False),
        (timedelta(hours=1) - SECOND, False),
        (timedelta(hours=1), True),
        (timedelta(hours=-1), True),
        (timedelta(hours=-1) + SECOND, False),
        (timedelta(days=9999), True),
    ]:
        with subtests.test(passed=passed, overdue=overdue):
            assert is_overdue(a_delivery(accepted_at=T0), EMEA, T0 + passed) is overdue
            assert not is_overdue(a_delivery(), EMEA, T0 + passed)


@pytest.mark.parametrize(
    ("started", "noted"),
    [
        ([timedelta(0)], False),
        ([CLOCK_SLACK], False),
        ([CLOCK_SLACK + SECOND], True),
        ([timedelta(days=800)], True),
        ([timedelta(days=8), timedelta(0)], False),
        ([timedelta(days=8), timedelta(days=-800)], True),
        ([timedelta(days=8), timedelta(days=-399)], False),
    ],
    ids=["now", "a little ahead", "ahead", "years ahead", "noted before", "noted long ago", "noted not long ago"],
)
@pytest.mark.parametrize("state", [RunState.CONFIRMED, RunState.FAILED, RunState.DELIVERED, RunState.HELD], ids=str)
def test_a_clock_that_was_set_back_is_noted_once(stage: Stage, started: list[timedelta], noted: bool, state: RunState) -> None:
    """A run from a time that has not come, finished or not, is followed by a mark, where no run shows yet that its clock was ahead.

    One that is about to be forgotten (400 days) shows it no longer.
    """
    ahead, *later = started
    stage.store.save_run(a_run("ahead", started_at=T0 + ahead, state=state, ended_at=T0 + ahead if state.is_final else None), T0)
    for at in later:
        stage.store.save_run(an_ended_run("later", RunState.SKIPPED, started_at=T0 + at), T0 + at)

    record_clock_set_back(stage.context, EMEA)
    record_clock_set_back(stage.context, EMEA)

    marks = [run for run in stage.store.runs() if run.run_id not in {"ahead", "later"}]
    found = [(mark.state, mark.started_at, mark.slot, mark.reason) for mark in marks]
    assert found == [(RunState.SKIPPED, T0, None, "the clock was set back")] * noted
    assert not noted or stage.store.runs()[0] == marks[0]  # it counts as recorded after the others


def test_the_fake_endpoint_keeps_the_contract_of_a_real_one(stage: Stage) -> None:
    """The same key with the same hash returns the same upload and changes nothing."""
    stage.world.fail["answer"] = [transient()]
    stage.run()
    stage.run()
    (upload,) = stage.world.uploads.values()
    assert upload.state is UploadState.SUCCESS
    assert stage.world.processed == [("server-emea", upload.content_hash)]


def test_an_upgrade_of_the_instance_is_an_event_of_its_history(stage: Stage) -> None:
    """Reported once, with both versions; the same version again is not."""
    versions = iter(["3.18.4", "3.19.2", "3.19.2"])
    for week, expected in enumerate([[], ["the GHES version changed from 3.18.4 to 3.19.2"], []]):
        stage.world.version = next(versions)
        stage.clock.advance(WEEK.total_seconds() if week else 0)
        run = stage.run(slot=T0 + week * WEEK)
        assert run.version == stage.world.version
        assert [one.text for one in run.notices if one.code is Code.VERSION_CHANGED] == expected
        stage.look()


# ---------------------------------------------------------------- accounts in the cloud


def installed(accounts: int | None, **changes: object) -> Installation:
    return Installation(hostname="ghes-emea.example.com", is_connected=False, accounts=accounts, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("there", "accounts", "codes"),
    [
        (installed(2), 2, []),
        (installed(3), 3, []),
        (installed(1), 1, [Code.COUNT_DRIFT]),
        (installed(0, upload_state=UploadState.SUCCESS), 0, [Code.COUNT_DRIFT]),
        (installed(0, upload_state=UploadState.PENDING), None, []),
        (installed(None), None, []),
        (replace(installed(0), hostname="other"), None, []),
    ],
)
def test_every_delivery_asks_how_many_accounts_the_cloud_has(
    stage: Stage, there: Installation, accounts: int | None, codes: list[Code]
) -> None:
    """Where GraphQL may be queried; fewer than sent is a warning, and the run is confirmed all the same."""
    stage.world.installs = (there,)
    stage.run()
    stage.clock.advance(5)

    (run,) = stage.look()

    assert (run.state, run.accounts_in_cloud, [one.code for one in run.notices if one.code is not Code.AGE_UNKNOWN]) == (
        RunState.CONFIRMED,
        accounts,
        codes,
    )
    assert stage.store.run(run.run_id) == run
    assert stage.states(run).count(RunState.CONFIRMED) == 1


@pytest.mark.parametrize("error", [transient(), permanent()])
def test_a_confirmed_run_does_not_need_graphql(stage: Stage, error: RemoteError) -> None:
    stage.world.fail["installations"] = [error]
    stage.run()
    stage.clock.advance(5)

    (run,) = stage.look()

    assert (run.state, run.accounts_in_cloud) == (RunState.CONFIRMED, None)
