"""The contract of `StateStore`, sentence by sentence of its docstrings, over every implementation."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from licsync_daemon.model.alert import Alert, Severity
from licsync_daemon.model.errors import Code, StateUnwritableError
from licsync_daemon.model.run import (
    AWAITING,
    Changes,
    Decided,
    Decision,
    DeliveryOutcome,
    InstanceRecord,
    Run,
    RunState,
    SeatRecord,
    Transition,
    Trigger,
    Tripped,
)
from licsync_daemon.model.store import StateStore
from licsync_daemon.model.usage import Listing, Notice, ServerIdentity, SyncEntry, UsageCounts
from licsync_daemon.state.files import open_state, prepare_state_dir
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, a_baseline, a_decision, a_delivery, a_holder, a_run, an_alert, an_ended_run, an_entry

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
FINAL = [state for state in RunState if state.is_final]
OPEN = [RunState.RUNNING, RunState.DELIVERED]

Open = Callable[[], StateStore]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the same state again, as another process would after this one ended."""
    if request.param == "memory":
        memory = MemoryStore()
        yield lambda: memory
        return
    prepare_state_dir(tmp_path / "state")
    opened: list[StateStore] = []

    def again() -> StateStore:
        for one in opened:
            one.close()
        opened.append(open_state(tmp_path / "state", T0).store)
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def store(reopen: Open) -> StateStore:
    return reopen()


FULL = Run(
    run_id="full",
    instance="emea",
    trigger=Trigger.PERSON,
    reason="started by --run-now",
    slot=T0,
    started_at=T0 + timedelta(microseconds=1),
    state=RunState.FAILED,
    phase="delivering",
    waiting_for="a server",
    waiting_until=T0 + SECOND,
    holder=a_holder(start_ticks=None, boot_id=None),
    ended_at=T0 + 2 * SECOND,
    collected_at=T0 + 3 * SECOND,
    delivered_at=T0 + 4 * SECOND,
    confirmed_at=T0 + 5 * SECOND,
    last_sync=T0 + 6 * SECOND,
    counts=UsageCounts(rows=9, sent=3, suspended=4, unusable=2, without_address=1, total_users=8, seats_used=7),
    content_hash="sha256:1",
    accounts_in_cloud=3,
    code=Code.RATE_LIMITED,
    cause='it said "nö"',
    next_step="wait",
    retry_not_before=T0 + DAY,
    notices=(Notice(code=Code.COUNT_DRIFT, text="früher"), Notice(code=Code.REPORT_UNUSABLE_ROWS, text="")),
    tripped=(
        Tripped(Code.SHRUNK_USAGE, "kürzer", before=1000, after=700),
        Tripped(Code.SERVER_ID_SHARED, "", subject="apac"),
    ),
    changes=Changes(added=1, removed=2, address_changed=3, suspended=4, unsuspended=5),
    failures=7,
    permanent=True,
)


@pytest.mark.parametrize("run", [FULL, a_run(slot=None), an_ended_run()], ids=["every field", "few fields", "ended"])
def test_a_run_comes_back_as_it_was_saved(reopen: Open, run: Run) -> None:
    """Every field of a run survives, in this process and the next."""
    store = reopen()
    store.save_run(run, T0)
    assert store.run(run.run_id) == run
    assert reopen().run(run.run_id) == run


def test_commands_in_texts_of_earlier_builds_get_the_placeholder(store: StateStore) -> None:
    """So `--config` and the owner are filled in where they are shown, as in new texts."""
    stored, read = 'if that is right: licsync-daemon approve 1f --reason "…"', 'if that is right: $licsync approve 1f --reason "…"'
    store.save_run(replace(an_ended_run(), next_step=stored), at=T0)
    store.save_alert(replace(an_alert(), next_step=stored))
    assert [one.next_step for one in store.runs()] == [read]
    assert [one.next_step for one in store.open_alerts()] == [read]


def test_instants_keep_their_moment_whatever_their_zone(reopen: Open) -> None:
    """An instant in another zone is the same moment when it comes back."""
    there = T0.astimezone(timezone(timedelta(hours=9)))
    reopen().save_run(a_run(started_at=there), there)
    found = reopen().run("run1")
    assert found is not None
    assert found.started_at == T0


def test_nothing_is_there_at_first(store: StateStore) -> None:
    """A new store knows nothing and says so without failing."""
    assert store.run("run1") is None
    assert store.open_run("emea") is None
    assert store.runs() == ()
    assert store.last_run("emea") is None
    assert store.transitions("run1") == ()
    assert store.open_delivery("emea") is None
    assert store.deliveries("emea") == ()
    assert store.instance("emea") is None
    assert store.seats() is None
    assert store.held_run("emea") is None
    assert store.decisions() == ()
    assert store.approval("run1") is None
    assert store.confirmed_digests("emea") is None
    assert store.awaiting_run("emea") is None
    assert store.delivery_of("run1") is None
    assert store.listing() is None
    assert store.open_alerts() == ()
    assert store.unsent_closings(T0) == ()
    assert store.instances() == ()


# ---------------------------------------------------------------- runs


def test_a_run_is_replaced_by_its_id(store: StateStore) -> None:
    """Saving the same id again replaces the run and adds no second one."""
    store.save_run(a_run(), T0)
    store.save_run(a_run(phase="collecting"), T0)
    assert store.runs() == (a_run(phase="collecting"),)


@pytest.mark.parametrize("state", OPEN)
def test_an_open_run_is_found(store: StateStore, state: RunState) -> None:
    """The running or delivered run of an instance is its open one, for that instance only."""
    store.save_run(a_run(state=state), T0)
    assert store.open_run("emea") == a_run(state=state)
    assert store.open_run("apac") is None


@pytest.mark.parametrize("state", FINAL)
def test_a_final_run_is_not_open(store: StateStore, state: RunState) -> None:
    """An ended run leaves the instance free for the next."""
    store.save_run(a_run(), T0)
    store.save_run(an_ended_run(state=state), T0)
    assert store.open_run("emea") is None
    store.save_run(a_run("run2"), T0)
    assert store.open_run("emea") == a_run("run2")


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("second", OPEN)
def test_an_instance_has_at_most_one_open_run(store: StateStore, state: RunState, second: RunState) -> None:
    """A second open run of the same instance is refused with nothing changed; another instance may have its own."""
    store.save_run(a_run(state=state), T0)
    with pytest.raises(StateUnwritableError):
        store.save_run(a_run("run2", state=second), T0, delivery=a_delivery(), remember=an_instance_record())
    assert store.runs() == (a_run(state=state),)
    assert store.transitions("run2") == ()
    assert store.open_delivery("emea") is None
    assert store.instance("emea") is None
    store.save_run(a_run("run3", instance="apac", state=second), T0)


def an_instance_record(**changes: object) -> InstanceRecord:
    identity = ServerIdentity(hostname="ghes-emea.example.com", server_id="server-emea")
    return InstanceRecord(**{"name": "emea", "identity": identity, "last_sync": T0, "seen_at": T0 + SECOND, **changes})


def test_a_run_its_delivery_and_its_instance_are_saved_together(reopen: Open) -> None:
    """One call stores all three."""
    reopen().save_run(a_run(), T0, delivery=a_delivery(), remember=an_instance_record())
    store = reopen()
    assert store.run("run1") == a_run()
    assert store.open_delivery("emea") == a_delivery()
    assert store.instance("emea") == an_instance_record()


def test_a_conflicting_delivery_keeps_the_run_out_too(store: StateStore) -> None:
    """All or nothing: where the delivery cannot be stored, the run and the instance are not either."""
    store.save_delivery(a_delivery("key1"))
    with pytest.raises(StateUnwritableError):
        store.save_run(a_run(), T0, delivery=a_delivery("key2"), remember=an_instance_record())
    assert store.run("run1") is None
    assert store.instance("emea") is None
    assert store.deliveries("emea") == (a_delivery("key1"),)


@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize("later", RunState)
def test_a_final_run_is_never_changed_back(store: StateStore, final: RunState, later: RunState) -> None:
    """A run that ended stays as it ended: another state writes nothing at all, the same state may add details."""
    store.save_run(an_ended_run(state=final), T0)
    store.save_run(an_ended_run(state=later, phase="changed"), T0, delivery=a_delivery(), remember=an_instance_record())
    same = later is final
    assert store.run("run1") == an_ended_run(state=final, phase="changed" if same else "starting")
    assert store.open_delivery("emea") == (a_delivery() if same else None)
    assert store.instance("emea") == (an_instance_record() if same else None)
    assert [one.state for one in store.transitions("run1")] == [final]


def test_transitions_are_kept_in_their_order(reopen: Open) -> None:
    """Each new state adds a transition with its time and code; a change within a state adds none."""
    store = reopen()
    store.save_run(a_run(), T0)
    store.save_run(a_run(phase="collecting"), T0 + SECOND)
    store.save_run(a_run(state=RunState.DELIVERED), T0 - DAY)
    store.save_run(a_run(state=RunState.FAILED, ended_at=T0, code=Code.NOT_CONFIRMED), T0 + 2 * SECOND)
    store.save_run(an_ended_run("run2"), T0)
    assert reopen().transitions("run1") == (
        Transition(run_id="run1", at=T0, state=RunState.RUNNING, code=None),
        Transition(run_id="run1", at=T0 - DAY, state=RunState.DELIVERED, code=None),
        Transition(run_id="run1", at=T0 + 2 * SECOND, state=RunState.FAILED, code=Code.NOT_CONFIRMED),
    )


def test_runs_come_newest_recorded_first_whatever_the_clock_said(reopen: Open) -> None:
    """Clocks jump; the order of recording does not, and a later change of a run does not move it."""
    store = reopen()
    for number, started in enumerate((T0, T0 + 300 * DAY, T0 - 300 * DAY)):
        store.save_run(an_ended_run(f"run{number}", started_at=started, ended_at=T0, state=RunState.FAILED), T0)
    store.save_run(an_ended_run("run0", state=RunState.FAILED, ended_at=T0, phase="changed"), T0)
    assert [run.run_id for run in reopen().runs("emea")] == ["run2", "run1", "run0"]


def test_runs_of_one_instance_or_of_all(store: StateStore) -> None:
    """Without a name the runs of every instance are answered, and never more than the limit."""
    for number in range(25):
        store.save_run(an_ended_run(f"run{number}", instance="apac" if number % 2 else "emea"), T0)
    assert [run.run_id for run in store.runs(limit=3)] == ["run24", "run23", "run22"]
    assert [run.run_id for run in store.runs("apac", limit=2)] == ["run23", "run21"]
    assert len(store.runs()) == 20
    assert store.runs("labs") == ()


def test_the_last_run_and_the_last_confirmed_one(store: StateStore) -> None:
    """The run recorded last, or the confirmed one recorded last, of that instance only."""
    store.save_run(an_ended_run("run1"), T0)
    store.save_run(an_ended_run("run2", started_at=T0 - DAY), T0)
    store.save_run(an_ended_run("run3", RunState.FAILED), T0)
    store.save_run(an_ended_run("other", instance="apac"), T0)
    last, confirmed = store.last_run("emea"), store.last_run("emea", good=True)
    assert last is not None
    assert confirmed is not None
    assert (last.run_id, confirmed.run_id) == ("run3", "run2")
    assert store.last_run("labs", good=True) is None


def test_the_last_run_whose_accounts_were_counted(store: StateStore) -> None:
    """An opaque export counts nothing, and a run that collected nothing has no figures; both conditions may be asked at once."""
    opaque = UsageCounts(counted=False)
    store.save_run(an_ended_run("counted", collected_at=T0), T0)
    store.save_run(an_ended_run("counted, failed", RunState.FAILED, collected_at=T0), T0)
    store.save_run(an_ended_run("opaque", collected_at=T0, counts=opaque), T0)
    store.save_run(an_ended_run("nothing collected", RunState.CURRENT), T0)
    found = [store.last_run("emea", good=good, counted=counted) for good in (False, True) for counted in (False, True)]
    assert [run and run.run_id for run in found] == ["nothing collected", "counted, failed", "nothing collected", "counted"]


@pytest.mark.parametrize("state", sorted(AWAITING))
def test_a_run_that_waits_for_a_person_is_found_and_blocks_no_other(store: StateStore, state: RunState) -> None:
    """It is not open in the sense of `open_run`: a newer run may begin beside it, but not a second one that waits."""
    waits = a_run("waits", state=state)
    store.save_run(waits, T0)
    assert (store.awaiting_run("emea"), store.awaiting_run("apac"), store.open_run("emea")) == (waits, None, None)
    store.save_run(a_run("newer"), T0)
    assert store.open_run("emea") == a_run("newer")
    for other in sorted(AWAITING):
        with pytest.raises(StateUnwritableError):
            store.save_run(a_run("second", state=other), T0)
    store.save_run(an_ended_run("waits"), T0)
    assert store.awaiting_run("emea") is None


@pytest.mark.parametrize(("ago", "kept"), [(400 * DAY - SECOND, True), (400 * DAY, True), (400 * DAY + SECOND, False)])
def test_runs_are_dropped_after_400_days(store: StateStore, ago: timedelta, kept: bool) -> None:
    """What ended more than 400 days before a confirmed time goes, with its transitions and its closed delivery."""
    old = an_ended_run("old", started_at=T0 - ago, ended_at=T0 - ago)
    store.save_run(old, T0 - ago, delivery=a_delivery("old", closed_at=T0 - ago, outcome=DeliveryOutcome.CONFIRMED))
    store.save_run(an_ended_run("new"), T0)
    assert store.prune(T0) is False
    assert store.run("old") == (old if kept else None)
    assert len(store.transitions("old")) == kept
    assert len(store.deliveries("emea")) == kept


def test_a_clock_far_ahead_costs_no_history(store: StateStore) -> None:
    """This machine's clock deletes nothing, however many runs it dates; only a confirmed time does."""
    old = an_ended_run("old", started_at=T0 - 400 * DAY, ended_at=T0 - 400 * DAY)
    store.save_run(old, T0 - 400 * DAY, delivery=a_delivery("old", closed_at=T0 - 400 * DAY, outcome=DeliveryOutcome.CONFIRMED))
    ahead = T0 + 9000 * DAY
    for number in range(2):
        store.save_run(an_ended_run(f"new{number}", state=RunState.FAILED, started_at=ahead, ended_at=ahead), ahead)
    store.prune(T0)
    assert store.run("old") == old
    assert len(store.deliveries("emea")) == 1
    store.prune(T0 + DAY)
    assert store.run("old") is None
    assert store.deliveries("emea") == ()


def test_old_runs_are_deleted_some_at_a_time_and_once_a_day(store: StateStore) -> None:
    """A transaction is short, and a state with nothing to delete costs one read for the rest of the day."""
    for number in range(450):
        ended = T0 - 401 * DAY
        store.save_run(an_ended_run(f"old{number}", started_at=ended, ended_at=ended), ended)
    assert [store.prune(T0) for _ in range(4)] == [True, True, False, False]
    assert store.runs() == ()
    late = T0 - 400 * DAY + timedelta(hours=20)
    store.save_run(an_ended_run("late", started_at=late, ended_at=late), late)
    assert [(store.prune(T0 + hours * timedelta(hours=1)), len(store.runs())) for hours in (23, 24)] == [(False, 1), (False, 0)]


def test_open_runs_and_records_are_never_dropped(store: StateStore) -> None:
    """What is open stays, however old it is."""
    store.save_run(a_run("old", state=RunState.DELIVERED), T0, delivery=a_delivery())
    store.prune(T0 + 9999 * DAY)
    assert store.open_run("emea") is not None
    assert store.open_delivery("emea") is not None


# ---------------------------------------------------------------- held runs

HELD = a_run("held", state=RunState.HELD)


def test_a_held_run_is_found_and_blocks_no_other(store: StateStore) -> None:
    """It is not open in the sense of `open_run`: the next run may start, and be delivered, beside it."""
    store.save_run(HELD, T0)
    assert (store.held_run("emea"), store.held_run("apac"), store.open_run("emea")) == (HELD, None, None)
    store.save_run(a_run("run2"), T0)
    store.save_run(a_run("run2", state=RunState.DELIVERED), T0)
    assert (store.held_run("emea"), store.open_run("emea")) == (HELD, a_run("run2", state=RunState.DELIVERED))


def test_an_instance_has_at_most_one_held_run(store: StateStore) -> None:
    """A second one is refused with nothing changed; another instance may have its own."""
    store.save_run(HELD, T0)
    with pytest.raises(StateUnwritableError):
        store.save_run(a_run("held2", state=RunState.HELD), T0, delivery=a_delivery(), remember=an_instance_record())
    assert store.runs() == (HELD,)
    assert store.open_delivery("emea") is None
    assert store.instance("emea") is None
    store.save_run(a_run("held3", instance="apac", state=RunState.HELD), T0)


@pytest.mark.parametrize("state", [RunState.HELD, RunState.RUNNING])
def test_a_run_takes_the_place_of_a_held_one(reopen: Open, state: RunState) -> None:
    """In one transaction the held run is superseded, with its end and a transition, and its approval is used up."""
    store = reopen()
    store.save_run(HELD, T0)
    store.save_decision(a_decision())
    new = a_run("run2", state=state)
    store.save_run(new, T0 + DAY, instead_of=HELD)
    store = reopen()
    assert store.run("held") == replace(HELD, state=RunState.SUPERSEDED, ended_at=T0 + DAY)
    assert [(one.state, one.at) for one in store.transitions("held")] == [(RunState.HELD, T0), (RunState.SUPERSEDED, T0 + DAY)]
    assert store.run("run2") == new
    assert store.held_run("emea") == (new if state is RunState.HELD else None)
    assert store.approval("held") is None
    assert store.decisions() == (a_decision(used_at=T0 + DAY),)


def test_a_refused_successor_leaves_the_held_run_as_it_was(store: StateStore) -> None:
    """All or nothing: neither superseded nor used up where the new run cannot be stored."""
    store.save_run(HELD, T0)
    store.save_decision(a_decision())
    store.save_delivery(a_delivery("key1"))
    with pytest.raises(StateUnwritableError):
        store.save_run(a_run("run2"), T0, delivery=a_delivery("key2"), instead_of=HELD)
    assert store.held_run("emea") == HELD
    assert store.approval("held") == a_decision()


def test_a_person_who_was_quicker_is_not_overruled(store: StateStore) -> None:
    """A run that was rejected meanwhile stays rejected; the new run is stored all the same."""
    store.save_run(HELD, T0)
    rejected = replace(HELD, state=RunState.REJECTED, ended_at=T0)
    assert store.save_decision(a_decision(what=Decided.REJECTED, until=None), ends=rejected)
    store.save_run(a_run("run2"), T0, instead_of=HELD)
    assert store.run("held") == rejected
    assert store.open_run("emea") == a_run("run2")


# ---------------------------------------------------------------- decisions


@pytest.mark.parametrize(
    "decision",
    [a_decision(ticket="OPS-1", used_at=T0, reason='"ü"\n'), a_decision(run_id=None, what=Decided.PAUSED), a_decision(until=None, what=Decided.RESUMED)],
    ids=["every field", "without a run", "without an end"],
)  # fmt: skip
def test_a_decision_comes_back_as_it_was_saved(reopen: Open, decision: Decision) -> None:
    """Every field survives."""
    assert reopen().save_decision(decision)
    assert reopen().decisions() == (decision,)


def test_decisions_come_newest_first(store: StateStore) -> None:
    """Of one instance or of all, in the order of recording whatever the clock said, and never more than the limit."""
    for number in range(4):
        store.save_decision(a_decision(instance="apac" if number % 2 else "emea", actor=f"person{number}", at=T0 - number * DAY))
    assert [one.actor for one in store.decisions()] == ["person3", "person2", "person1", "person0"]
    assert [one.actor for one in store.decisions("emea")] == ["person2", "person0"]
    assert [one.actor for one in store.decisions(limit=1)] == ["person3"]


def test_the_newest_unused_approval_counts(store: StateStore) -> None:
    """Other decisions and other runs are none, a used one is none, and expiry is the caller's question."""
    store.save_decision(a_decision(until=T0 - DAY))
    store.save_decision(a_decision(what=Decided.ACKNOWLEDGED, actor="anne"))
    store.save_decision(a_decision(run_id="other", actor="anne"))
    assert store.approval("held") == a_decision(until=T0 - DAY)
    store.save_decision(a_decision(actor="paul"))
    assert store.approval("held") == a_decision(actor="paul")
    store.save_decision(a_decision(run_id="used", used_at=T0))
    assert store.approval("used") is None


def test_a_decision_may_end_its_run(reopen: Open) -> None:
    """The decision, the end and its transition are stored together."""
    store = reopen()
    store.save_run(HELD, T0)
    rejected = replace(HELD, state=RunState.REJECTED, ended_at=T0 + DAY)
    assert store.save_decision(a_decision(what=Decided.REJECTED, at=T0 + DAY), ends=rejected)
    store = reopen()
    assert store.run("held") == rejected
    assert store.held_run("emea") is None
    assert [(one.state, one.at) for one in store.transitions("held")] == [(RunState.HELD, T0), (RunState.REJECTED, T0 + DAY)]


@pytest.mark.parametrize("state", FINAL)
def test_a_decision_about_a_run_that_has_ended_is_not_written(store: StateStore, state: RunState) -> None:
    """What moved on meanwhile is not ended again, and the history does not say so."""
    ended = an_ended_run("held", state)
    store.save_run(ended, T0)
    assert not store.save_decision(a_decision(what=Decided.REJECTED), ends=replace(HELD, state=RunState.REJECTED, ended_at=T0))
    assert not store.save_decision(a_decision(what=Decided.REJECTED), ends=a_run("unknown", state=RunState.REJECTED, ended_at=T0))
    assert store.run("held") == ended
    assert store.decisions() == ()


# ---------------------------------------------------------------- digests


def confirmed(store: StateStore, instance: str = "emea") -> list[bytes] | None:
    chunks = store.confirmed_digests(instance)
    return list(chunks) if chunks is not None else None


CHUNKS = [bytes([number]) * 21 for number in range(40)]  # more than one transaction of them


def test_staged_digests_count_once_the_cloud_confirms(reopen: Open) -> None:
    """Nothing before; from the transaction on that closes their delivery as confirmed, all of them in order."""
    store = reopen()
    store.stage_digests("emea", "key1", iter(CHUNKS))
    store.save_run(a_run(), T0, delivery=a_delivery("key1"))
    assert confirmed(store) is None
    closed = a_delivery("key1", closed_at=T0, outcome=DeliveryOutcome.CONFIRMED)
    store.save_run(an_ended_run(), T0, delivery=closed)
    store = reopen()
    assert confirmed(store) == CHUNKS
    assert confirmed(store, "apac") is None


@pytest.mark.parametrize("outcome", [one for one in DeliveryOutcome if one is not DeliveryOutcome.CONFIRMED])
def test_staged_digests_of_a_delivery_that_failed_are_dropped(store: StateStore, outcome: DeliveryOutcome) -> None:
    """The confirmed ones stay; the dropped ones never come back."""
    _confirm(store, "key1", [b"a" * 21])
    store.stage_digests("emea", "key2", [b"b" * 21])
    store.save_delivery(a_delivery("key2"))
    store.save_delivery(a_delivery("key2", closed_at=T0, outcome=outcome))
    assert confirmed(store) == [b"a" * 21]
    store.save_delivery(a_delivery("key2", closed_at=T0, outcome=DeliveryOutcome.CONFIRMED))
    assert confirmed(store) == [b"a" * 21]


def _confirm(store: StateStore, key: str, chunks: list[bytes], instance: str = "emea") -> None:
    store.stage_digests(instance, key, chunks)
    store.save_delivery(a_delivery(key, instance=instance, closed_at=T0, outcome=DeliveryOutcome.CONFIRMED))


def test_newly_confirmed_digests_take_the_place_of_the_old_ones(store: StateStore) -> None:
    """Also fewer for more, and those of another instance are not touched."""
    _confirm(store, "key1", CHUNKS)
    _confirm(store, "other", [b"o" * 21], "apac")
    _confirm(store, "key2", [b"x" * 21])
    assert confirmed(store) == [b"x" * 21]
    assert confirmed(store, "apac") == [b"o" * 21]


def test_staging_replaces_what_was_staged_before(store: StateStore) -> None:
    """A run that never came to its delivery record leaves digests that the next run's take the place of."""
    store.stage_digests("emea", "key1", CHUNKS)
    store.stage_digests("emea", "key2", [b"x" * 21])
    store.save_delivery(a_delivery("key1", closed_at=T0, outcome=DeliveryOutcome.CONFIRMED))
    assert confirmed(store) is None
    store.save_delivery(a_delivery("key2", closed_at=T0, outcome=DeliveryOutcome.CONFIRMED))
    assert confirmed(store) == [b"x" * 21]


def test_a_confirmed_delivery_without_digests_keeps_the_old_ones(store: StateStore) -> None:
    """What was confirmed before digests existed is compared with what there is."""
    _confirm(store, "key1", [b"a" * 21])
    store.save_delivery(a_delivery("key2", closed_at=T0, outcome=DeliveryOutcome.CONFIRMED))
    assert confirmed(store) == [b"a" * 21]


def test_digests_that_nobody_needs_take_no_room(tmp_path: Path) -> None:
    """After a confirmation only the confirmed ones are in the file, also after a crash in mid-staging."""
    prepare_state_dir(tmp_path / "state")
    store = open_state(tmp_path / "state", T0).store

    def dies_on_the_way() -> Iterator[bytes]:
        yield from CHUNKS
        raise KeyboardInterrupt

    _confirm(store, "key1", CHUNKS)
    with pytest.raises(KeyboardInterrupt):
        store.stage_digests("emea", "key2", dies_on_the_way())
    assert confirmed(store) == CHUNKS
    _confirm(store, "key3", CHUNKS[:3])
    with sqlite3.connect(tmp_path / "state" / "state.db") as db:
        assert db.execute("SELECT usage, count(*) FROM digest GROUP BY usage").fetchall() == [("key3", 3)]
    db.close()
    store.close()


# ---------------------------------------------------------------- deliveries, instances, seats


@pytest.mark.parametrize(
    "record",
    [
        a_delivery(),
        a_delivery(
            slot=None,
            identity=ServerIdentity(hostname="h", server_id=None),
            baseline=a_baseline(date=T0, answered_at=None, entry="('x', None)"),
            upload_id="upload/1 ü",
            accepted_at=T0 + SECOND,
            closed_at=T0 + DAY,
            outcome=DeliveryOutcome.USAGE_CHANGED,
        ),
    ],
    ids=["new", "closed"],
)
def test_a_delivery_record_comes_back_as_it_was_saved(reopen: Open, record: object) -> None:
    """Every field of a delivery record survives."""
    reopen().save_delivery(record)  # type: ignore[arg-type]
    assert reopen().deliveries("emea") == (record,)


@pytest.mark.parametrize("outcome", DeliveryOutcome)
def test_a_closed_record_is_not_open(store: StateStore, outcome: DeliveryOutcome) -> None:
    """A record is open until it is closed, whatever closed it; then another may be opened."""
    store.save_delivery(a_delivery("key1"))
    assert store.open_delivery("emea") == a_delivery("key1")
    closed = a_delivery("key1", closed_at=T0, outcome=outcome)
    store.save_delivery(closed)
    assert store.open_delivery("emea") is None
    store.save_delivery(a_delivery("key0"))
    assert store.open_delivery("emea") == a_delivery("key0")
    assert store.deliveries("emea") == (closed, a_delivery("key0"))


def test_an_instance_has_at_most_one_open_record(store: StateStore) -> None:
    """A second open record is refused with nothing changed; another instance may have its own."""
    store.save_delivery(a_delivery("key1"))
    with pytest.raises(StateUnwritableError):
        store.save_delivery(a_delivery("key2"))
    assert store.deliveries("emea") == (a_delivery("key1"),)
    store.save_delivery(a_delivery("key3", instance="apac"))
    assert store.open_delivery("apac") == a_delivery("key3", instance="apac")


def test_what_is_known_of_an_instance_is_replaced(reopen: Open) -> None:
    """One record an instance, the newest."""
    store = reopen()
    store.save_instance(an_instance_record())
    store.save_instance(an_instance_record(name="apac"))
    changed = an_instance_record(last_sync=None, identity=ServerIdentity(hostname="h", server_id=None), seen_at=None)
    store.save_instance(changed)
    assert reopen().instance("emea") == changed


def test_every_known_instance_is_answered_by_name(reopen: Open) -> None:
    """Retired ones included, with the date since when."""
    store = reopen()
    known = [an_instance_record(name="labs", retired_at=T0), an_instance_record(name="apac")]
    for one in known:
        store.save_instance(one)
    assert reopen().instances() == (known[1], known[0])


def test_an_instance_that_only_ran_is_known_by_name(reopen: Open) -> None:
    """Nothing was ever sent for it, so nobody knows who it was; it can be kept as retired all the same, and comes back as unknown."""
    store = reopen()
    store.save_instance(an_instance_record(name="labs"))
    store.save_run(an_ended_run(instance="apac", state=RunState.FAILED), T0)
    store.save_run(an_ended_run("run2", instance="apac", state=RunState.FAILED), T0)
    store.save_run(an_ended_run("run3", instance="labs"), T0)
    only_ran = InstanceRecord(name="apac", identity=None)
    assert reopen().instances() == (only_ran, an_instance_record(name="labs"))
    reopen().save_instance(replace(only_ran, retired_at=T0))
    assert reopen().instances() == (replace(only_ran, retired_at=T0), an_instance_record(name="labs"))
    assert reopen().instance("apac") == replace(only_ran, retired_at=T0)


def test_the_newest_seats_are_the_last_saved(reopen: Open) -> None:
    """Seat totals are a history, and the last one saved counts, whatever the clock said."""
    store = reopen()
    store.save_seats(SeatRecord(read_at=T0, consumed=1, purchased=2))
    store.save_seats(SeatRecord(read_at=T0 - DAY, consumed=None, purchased=2**40))
    assert reopen().seats() == SeatRecord(read_at=T0 - DAY, consumed=None, purchased=2**40)


# ---------------------------------------------------------------- other connections


def test_the_record_of_a_run_is_the_one_it_opened_or_took_up_last(store: StateStore) -> None:
    """The newest of its records, closed ones included; a record that a later run took up is that run's."""
    store.save_delivery(a_delivery("first", closed_at=T0, outcome=DeliveryOutcome.USAGE_CHANGED))
    store.save_delivery(a_delivery("second", closed_at=T0, outcome=DeliveryOutcome.REFUSED))
    store.save_delivery(a_delivery("third"))
    assert store.delivery_of("run1") == a_delivery("third")
    store.save_delivery(a_delivery("third", run_id="run2"))
    found = store.delivery_of("run1")
    assert found is not None
    assert (found.key, store.delivery_of("run2"), store.delivery_of("run3")) == ("second", a_delivery("third", run_id="run2"), None)


# ---------------------------------------------------------------- what the cloud lists


NAMELESS = SyncEntry(server_id="server-labs", hostname=None, date=None, status=None, error=None)
LISTED = (an_entry(error="früher"), NAMELESS, an_entry(server_id=None, hostname="GHES-apac.example.com:443", status="Ünknown"))


@pytest.mark.parametrize("entries", [(), LISTED, LISTED[::-1]], ids=["nothing", "three servers", "in the other order"])
def test_what_the_cloud_listed_comes_back_as_it_was_saved(reopen: Open, entries: tuple[SyncEntry, ...]) -> None:
    """Every entry in its order, whatever of it is unknown; an empty list is known too. It replaces the one from before."""
    reopen().save_listing(Listing(entries=(an_entry(hostname="old.example.com"),), read_at=T0 - DAY))
    listing = Listing(entries=entries, read_at=T0 + timedelta(microseconds=1))
    reopen().save_listing(listing)
    assert reopen().listing() == listing


# ---------------------------------------------------------------- alerts


ALERTS = [
    an_alert(),
    an_alert(Code.LATE, severity=Severity.WARNING, text="früher", changed_at=T0 + SECOND, notified_at=T0 + DAY),
    an_alert(Code.TIMEOUT, instance="", text="", next_step=""),
]


def test_open_alerts_come_back_by_instance_and_code(reopen: Open) -> None:
    """Every field survives; the fleet's own come first."""
    for alert in ALERTS:
        reopen().save_alert(alert)
    assert reopen().open_alerts() == (ALERTS[2], ALERTS[1], ALERTS[0])


def test_an_open_alert_is_replaced_by_instance_and_code(store: StateStore) -> None:
    """Of an instance and a code one alert is open, whatever changes of it; others stay."""
    store.save_alert(an_alert())
    store.save_alert(an_alert(instance="apac"))
    changed = an_alert(severity=Severity.WARNING, text="other", notified_at=T0 + SECOND, opened_at=T0 + SECOND)
    store.save_alert(changed)
    assert store.open_alerts() == (an_alert(instance="apac"), changed)


def test_a_closed_alert_stays_closed_and_leaves_room_for_the_next(store: StateStore) -> None:
    """After its closing the same may open again; saving the closed one anew, to say that it was told, touches neither."""
    closed = an_alert(notified_at=T0, closed_at=T0 + SECOND)
    store.save_alert(an_alert(notified_at=T0))
    store.save_alert(closed)
    assert store.open_alerts() == ()
    again = an_alert(opened_at=T0 + DAY, changed_at=T0 + DAY)
    store.save_alert(again)
    store.save_alert(replace(closed, notified_at=T0 + 2 * SECOND))
    assert store.open_alerts() == (again,)
    assert store.unsent_closings(T0 - DAY) == ()


@pytest.mark.parametrize(
    ("alert", "untold"),
    [
        (an_alert(notified_at=T0, closed_at=T0 + SECOND), True),
        (an_alert(notified_at=T0 + SECOND, closed_at=T0 + SECOND), False),
        (an_alert(closed_at=T0 + SECOND), False),
        (an_alert(notified_at=T0), False),
        (an_alert(notified_at=T0 - DAY, closed_at=T0), False),
    ],
    ids=["closed after it was told", "told as closed", "never told", "open", "long ago"],
)
def test_closings_that_nobody_knows_of(reopen: Open, alert: Alert, untold: bool) -> None:
    """Only who heard of an alert wants to hear that it is over, and only if that was not long ago."""
    reopen().save_alert(alert)
    assert reopen().unsent_closings(T0) == ((alert,) if untold else ())


def test_closings_come_in_their_order(store: StateStore) -> None:
    """The oldest closing first, whichever was opened first."""
    for number in (2, 1, 3):
        store.save_alert(an_alert(instance=f"i{number}", notified_at=T0, closed_at=T0 + number * SECOND))
    assert [one.instance for one in store.unsent_closings(T0)] == ["i1", "i2", "i3"]


@pytest.mark.parametrize(("ago", "kept"), [(400 * DAY, True), (400 * DAY + SECOND, False)])
def test_closed_alerts_are_dropped_after_400_days(store: StateStore, ago: timedelta, kept: bool) -> None:
    """Open ones stay, however old they are."""
    store.save_alert(an_alert(notified_at=T0 - 999 * DAY, closed_at=T0 - ago))
    store.save_alert(an_alert(Code.LATE, opened_at=T0 - 999 * DAY))
    store.prune(T0)
    assert len(store.unsent_closings(T0 - 998 * DAY)) == kept
    assert len(store.open_alerts()) == 1


def test_nobody_else_has_written(store: StateStore) -> None:
    """Our own writes are no change by others."""
    store.save_run(a_run(), T0)
    assert not store.changed_elsewhere()


def test_a_write_of_another_connection_is_noticed_once(tmp_path: Path) -> None:
    """A change by another process is told once, and both see each other's runs."""
    prepare_state_dir(tmp_path / "state")
    one, other = open_state(tmp_path / "state", T0).store, open_state(tmp_path / "state", T0).store
    assert not one.changed_elsewhere()
    other.save_run(a_run(), T0)
    assert one.changed_elsewhere()
    assert not one.changed_elsewhere()
    assert one.run("run1") == a_run()
    with pytest.raises(StateUnwritableError):
        one.save_run(a_run("run2"), T0)
    one.close()
    other.close()


def test_closing_twice_is_harmless(store: StateStore) -> None:
    """A store may be closed again."""
    store.close()
    store.close()


def test_a_closed_file_is_our_error(tmp_path: Path) -> None:
    """What a closed connection raises becomes our error, for reading and for writing."""
    prepare_state_dir(tmp_path / "state")
    store = open_state(tmp_path / "state", T0).store
    store.close()
    for call in (lambda: store.run("run1"), lambda: store.save_run(a_run(), T0), lambda: store.save_delivery(a_delivery()), store.seats):
        with pytest.raises(StateUnwritableError):
            call()


def test_a_reader_never_sees_half_a_transaction(tmp_path: Path) -> None:
    """Run, delivery and instance appear to another connection at once: none before the commit, all after it."""
    prepare_state_dir(tmp_path / "state")
    store = open_state(tmp_path / "state", T0).store
    with sqlite3.connect(tmp_path / "state" / "state.db") as other:
        count = "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM delivery), (SELECT count(*) FROM instance)"
        assert other.execute(count).fetchone() == (0, 0, 0)
        store.save_run(
            replace(a_run(), started_at=datetime(2026, 1, 1, tzinfo=UTC)), T0, delivery=a_delivery(), remember=an_instance_record()
        )
        assert other.execute(count).fetchone() == (1, 1, 1)
    other.close()
    store.close()


@pytest.mark.parametrize("year", [1, 33, 999, 1000, 2026, 9999])
def test_every_instant_is_read_back(reopen: Open, year: int) -> None:
    """Whatever year a date has, it is stored so that it can be read and sorts by time."""
    date = datetime(year, 1, 1, tzinfo=UTC)
    listing = Listing(entries=(an_entry(date=date),), read_at=T0)
    reopen().save_listing(listing)
    assert reopen().listing() == listing


@pytest.mark.parametrize("question", ["last_run", "good", "counted", "dates", "first"])
def test_a_long_history_does_not_make_a_question_long(question: str) -> None:
    """What `status` asks of an instance with 400 days of checks is found through an index, not by reading them."""
    store = MemoryStore()
    for number in range(1600):
        store.save_run(an_ended_run(f"run{number}", RunState.CURRENT, collected_at=None), T0)
    store.save_run(an_ended_run("newest", RunState.FAILED), T0)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    store._db.set_progress_handler(count, 1)
    ask = {
        "last_run": lambda: store.last_run("emea"),
        "good": lambda: store.last_run("emea", good=True),
        "counted": lambda: store.last_run("emea", good=True, counted=True),
        "dates": lambda: store.sync_dates("emea", limit=10),
        "first": lambda: store.first_run_at("emea"),
    }
    ask[question]()
    assert 0 < steps < 500
