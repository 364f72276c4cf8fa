"""A run that a guard holds: approved, collected again and sent once; or superseded, or expired."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import Decision, DeliveryOutcome, Run, RunState, Trigger
from licsync_daemon.model.usage import UsageCounts
from licsync_daemon.rules.next_run import HELD_FOR
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.decisions import Author, approve
from licsync_daemon.sync.housekeeping import close_stale, expire
from licsync_daemon.sync.run import run_instance
from tests.fakes import T0, FakeClock, FakeWorld, FlakyStore, a_context, an_account, an_ended_run, an_instance, transient

WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
EMEA = an_instance("emea")
BEFORE, APPROVED = 200, 100  # accounts: confirmed at first, and what a guard then held


class Stage:
    """An instance that was confirmed with 200 accounts, and then shrinks."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock(T0 - WEEK)
        self.world = FakeWorld(self.clock)
        self.store = FlakyStore()
        self.context = a_context(self.world, directory, self.store, fleet=(EMEA,))
        self.has(BEFORE)
        self.run(slot=T0 - WEEK)
        self.clock.advance(60)
        self.look()
        self.clock.jump(T0 - self.clock.now())
        self.uploads = len(self.world.uploads)

    def has(self, accounts: int) -> None:
        """Let the instance have so many accounts."""
        self.world.default_accounts = [an_account(number) for number in range(1, accounts + 1)]

    def run(self, *, slot: object = T0) -> Run:
        return asyncio.run(run_instance(self.context, EMEA, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=slot))  # type: ignore[arg-type]

    def look(self) -> list[Run]:
        return asyncio.run(check_open_deliveries(self.context, (EMEA,)))

    def held(self) -> Run:
        """Make the usage shrink, and return the run that is held for it."""
        self.has(APPROVED)
        run = self.run()
        assert run.state is RunState.HELD
        return run

    def approve(self, run: Run) -> Decision:
        return approve(self.store, run.run_id, Author(actor="mona", at=self.clock.now(), reason="site closed"))

    def state(self, run: Run) -> RunState:
        found = self.store.run(run.run_id)
        assert found is not None
        return found.state

    def sent(self) -> int:
        """Return how often the endpoint has taken something since the first, confirmed usage."""
        return len(self.world.uploads) - self.uploads


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_held_run_has_left_nothing_anywhere(stage: Stage) -> None:
    """Nothing is sent and no record opened; the run says what tripped, before and after, and what releases it. The digests stay."""
    before = list(stage.store.confirmed_digests("emea") or ())
    run = stage.held()
    (guard,) = run.tripped
    assert (guard.code, guard.before, guard.after) == (Code.SHRUNK_USAGE, BEFORE, APPROVED)
    assert run.next_step == f'if this is correct: $licsync approve {run.run_id} --reason "…"'
    assert run.changes is not None
    assert run.changes.removed == BEFORE - APPROVED
    assert run.content_hash
    assert (stage.sent(), stage.store.open_delivery("emea")) == (0, None)
    assert list(stage.store.confirmed_digests("emea") or ()) == before


def test_a_held_run_without_an_approval(stage: Stage) -> None:
    """Collected again, it is held again: the newer run replaces the older one."""
    first = stage.held()
    second = stage.run()
    assert (stage.state(first), stage.state(second), stage.sent()) == (RunState.SUPERSEDED, RunState.HELD, 0)
    assert stage.store.held_run("emea") == second


def test_an_approval_works_once(stage: Stage) -> None:
    """The next run sends it, the approved one is superseded and its approval used; what shrinks again later is held again."""
    held = stage.held()
    stage.approve(held)
    stage.clock.advance(30)
    run = stage.run()
    (decision,) = stage.store.decisions("emea")
    assert (run.state, stage.state(held), stage.sent()) == (RunState.DELIVERED, RunState.SUPERSEDED, 1)
    assert decision.used_at == T0 + 30 * SECOND
    assert stage.store.approval(held.run_id) is None
    stage.clock.advance(60)
    assert stage.look()[0].state is RunState.CONFIRMED
    stage.has(APPROVED // 2)
    assert stage.run().state is RunState.HELD
    assert stage.sent() == 1


def test_exactly_the_approved_usage_passes(stage: Stage) -> None:
    """The approval is for this content hash, even if it is further off now, from a larger usage confirmed since."""
    stage.approve(stage.held())
    larger = an_ended_run("larger", collected_at=T0, counts=UsageCounts(rows=3 * BEFORE, sent=3 * BEFORE))
    stage.store.save_run(larger, T0)
    assert stage.run().state is RunState.DELIVERED


def test_exactly_the_approved_usage_passes_another_guard(stage: Stage) -> None:
    """The hash of a clear document includes its identity, so that the approved usage passes a new guard on identity too."""
    stage.approve(stage.held())
    stage.context.fleet = (EMEA, an_instance("apac", server_id=EMEA.server_id))
    assert stage.run().state is RunState.DELIVERED


def test_another_usage_that_trips_another_guard_is_held(stage: Stage) -> None:
    """With another content hash only what was approved is covered."""
    stage.approve(stage.held())
    stage.context.fleet = (EMEA, an_instance("apac", server_id=EMEA.server_id))
    stage.has(APPROVED + 1)
    run = stage.run()
    assert run.state is RunState.HELD
    assert [one.code for one in run.tripped] == [Code.SHRUNK_USAGE, Code.SERVER_ID_SHARED]


@pytest.mark.parametrize(
    ("accounts", "state"),
    [
        (APPROVED + 30, RunState.DELIVERED),
        (APPROVED + 1, RunState.DELIVERED),
        (APPROVED - 1, RunState.HELD),
        (0, RunState.HELD),
        (BEFORE, RunState.DELIVERED),
    ],
    ids=["less far off", "one more", "one fewer", "empty", "back to normal"],
)
def test_a_new_collection_may_not_exceed_the_approved_figures(stage: Stage, accounts: int, state: RunState) -> None:
    """Addresses are not kept, so it is collected again; the approval is used either way, and anything beyond it is held as a new run."""
    held = stage.held()
    stage.approve(held)
    stage.has(accounts)
    run = stage.run()
    assert run.content_hash != held.content_hash
    assert (run.state, stage.sent()) == (state, int(state is RunState.DELIVERED))
    assert stage.state(held) is RunState.SUPERSEDED
    assert stage.store.decisions("emea")[0].used_at == T0
    assert stage.store.held_run("emea") == (run if state is RunState.HELD else None)
    if state is RunState.HELD:  # the used approval lets nothing more pass
        stage.has(APPROVED)
        assert stage.run().state is RunState.HELD


@pytest.mark.parametrize("step", ["open cloud", "open source", "collect", "sync_status"])
def test_a_failed_collection_uses_up_nothing(stage: Stage, step: str) -> None:
    """The approved run stays held and approved, and the next attempt sends it."""
    held = stage.held()
    approval = stage.approve(held)
    stage.world.fail[step] = [transient()]
    assert stage.run().state is RunState.FAILED
    assert (stage.state(held), stage.store.approval(held.run_id)) == (RunState.HELD, approval)
    assert stage.run().state is RunState.DELIVERED
    assert stage.sent() == 1


@pytest.mark.parametrize("step", ["send", "answer"])
def test_an_approved_delivery_that_was_lost_on_the_way_is_sent_again(stage: Stage, step: str) -> None:
    """Its record is open: the same usage is sent under the same key, without a second approval, and arrives once."""
    held = stage.held()
    stage.approve(held)
    stage.world.fail[step] = [transient()]
    assert stage.run().state is RunState.FAILED
    record = stage.store.open_delivery("emea")
    assert record is not None
    stage.clock.advance(900)
    assert stage.run().state is RunState.DELIVERED
    again = stage.store.open_delivery("emea")
    assert again is not None
    assert (again.key, stage.sent(), stage.store.held_run("emea")) == (record.key, 1, None)


def test_an_approved_delivery_that_was_lost_covers_no_other_usage(stage: Stage) -> None:
    """Usage that differs from the open record is another delivery, which was not approved."""
    stage.approve(stage.held())
    stage.world.fail["send"] = [transient()]
    stage.run()
    stage.has(APPROVED + 1)
    assert stage.run().state is RunState.HELD
    assert stage.sent() == 0


@pytest.mark.parametrize(("after", "state"), [(HELD_FOR - SECOND, RunState.DELIVERED), (HELD_FOR, RunState.HELD)], ids=["just", "too late"])
def test_an_approval_expires(stage: Stage, after: timedelta, state: RunState) -> None:
    """Seven days after it was given it lets nothing pass any more."""
    held = stage.held()
    stage.clock.advance(3600)
    stage.approve(held)
    stage.clock.jump(after)
    assert stage.run(slot=T0 + WEEK).state is state


@pytest.mark.parametrize(("slot", "accounts"), [(T0, BEFORE), (T0 + WEEK, BEFORE - 20)], ids=["the same slot", "a later slot"])
def test_normal_usage_supersedes_a_held_run(stage: Stage, slot: object, accounts: int) -> None:
    """Without a decision; the held run can then no longer be approved."""
    held = stage.held()
    stage.clock.jump(timedelta(days=6))
    stage.has(accounts)
    run = stage.run(slot=slot)
    assert (run.state, stage.state(held), stage.store.held_run("emea")) == (RunState.DELIVERED, RunState.SUPERSEDED, None)


@pytest.mark.parametrize(
    ("age", "approved_after", "state"),
    [
        (HELD_FOR - SECOND, None, RunState.HELD),
        (HELD_FOR, None, RunState.EXPIRED),
        (HELD_FOR, HELD_FOR - SECOND, RunState.HELD),
        (2 * HELD_FOR - 2 * SECOND, HELD_FOR - SECOND, RunState.HELD),
        (2 * HELD_FOR - SECOND, HELD_FOR - SECOND, RunState.EXPIRED),
    ],
    ids=["in time", "nobody decided", "just approved", "still approved", "approved and not used"],
)
def test_a_held_run_expires(stage: Stage, age: timedelta, approved_after: timedelta | None, state: RunState) -> None:
    """After seven days without a decision, or when its approval has run out."""
    held = stage.held()
    if approved_after is not None:
        stage.clock.jump(approved_after)
        stage.approve(held)
    stage.clock.jump(T0 + age - stage.clock.now())
    expire(stage.context, "emea")
    assert stage.state(held) is state


def test_an_approval_is_not_used_for_a_record_of_another_slot(stage: Stage) -> None:
    """What an earlier slot left open is given up first; then the approved usage gets a record of its own."""
    stage.world.fail["send"] = [transient()]
    stage.run(slot=T0 - WEEK)
    held = stage.held()
    stage.approve(held)
    assert stage.run().state is RunState.DELIVERED
    outcomes = [one.outcome for one in stage.store.deliveries("emea")]
    assert outcomes == [DeliveryOutcome.CONFIRMED, DeliveryOutcome.SLOT_PAST, None]
    assert stage.state(held) is RunState.SUPERSEDED


def test_a_crash_between_approval_and_record_uses_up_nothing(stage: Stage) -> None:
    """A run that was interrupted while it collected leaves the approval as it was."""
    held = stage.held()
    approval = stage.approve(held)
    stage.store.save_run(replace(held, run_id="gone", state=RunState.RUNNING, phase="collecting", tripped=(), code=None), T0)
    close_stale(stage.context, EMEA)
    assert stage.store.approval(held.run_id) == approval
    assert stage.run().state is RunState.DELIVERED
