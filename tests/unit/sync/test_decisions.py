"""People's decisions: what is recorded, and when they are refused."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model.errors import ConfigError
from licsync_daemon.model.run import Decided, Decision, Run, RunState
from licsync_daemon.rules.next_run import HELD_FOR
from licsync_daemon.state.files import open_state, prepare_state_dir
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.decisions import Author, acknowledge, approve, pause, reject, resume
from tests.fakes import T0, a_decision, a_run, an_ended_run

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
MONA = Author(actor="mona", at=T0 + HOUR, reason="site closed", ticket="CHG-7")
JOHN = Author(actor="john", at=T0 + 2 * HOUR, reason="no")
HELD = a_run("held", state=RunState.HELD)
Act = Callable[[MemoryStore, str, Author], Decision]


def a_store(*runs: Run) -> MemoryStore:
    store = MemoryStore()
    for run in runs or (HELD,):
        store.save_run(run, T0)
    return store


def refusal(act: Act, store: MemoryStore, run_id: str, author: Author = MONA, headline: str = "refused") -> str:
    """Return the words of a refusal, which has recorded nothing."""
    before = store.decisions(), store.runs()
    with pytest.raises(ConfigError) as refused:
        act(store, run_id, author)
    assert (store.decisions(), store.runs()) == before
    assert refused.value.headline == headline
    return str(refused.value)


def test_an_approval_is_only_recorded() -> None:
    """With who, when, why and the ticket, for seven days; the run stays held, and nothing else happens."""
    store = a_store()
    decision = approve(store, "held", MONA)
    assert decision == Decision(
        instance="emea", run_id="held", what=Decided.APPROVED, actor="mona", at=T0 + HOUR, reason="site closed", ticket="CHG-7",
        until=T0 + HOUR + HELD_FOR,
    )  # fmt: skip
    assert store.approval("held") == decision
    assert store.decisions("emea") == (decision,)
    assert store.held_run("emea") == HELD


def test_a_rejection_ends_the_run() -> None:
    """The run is final at once, and cannot be approved any more."""
    store = a_store()
    decision = reject(store, "held", MONA)
    assert (decision.what, decision.actor, decision.reason, decision.ticket) == (Decided.REJECTED, "mona", "site closed", "CHG-7")
    assert store.run("held") == replace(HELD, state=RunState.REJECTED, ended_at=MONA.at)
    assert store.held_run("emea") is None
    assert "cannot be approved: the run is rejected" in refusal(approve, store, "held", JOHN)


def test_what_was_approved_can_still_be_rejected() -> None:
    """A second person who knows better stops it, as long as nothing was sent."""
    store = a_store()
    approve(store, "held", MONA)
    reject(store, "held", JOHN)
    assert store.held_run("emea") is None
    assert [one.what for one in store.decisions()] == [Decided.REJECTED, Decided.APPROVED]


def test_an_unknown_run(subtests: pytest.Subtests) -> None:
    """No decision about an unrecorded run; the refusal says where to find run IDs."""
    for act in [approve, reject, acknowledge]:
        with subtests.test(act=act):
            assert refusal(act, a_store(), "nothing") == "run nothing: no such run is recorded (see: $licsync history)"


@pytest.mark.parametrize(("act", "wish"), [(approve, "approved"), (reject, "rejected")])
@pytest.mark.parametrize("state", [state for state in RunState if state not in {RunState.HELD, RunState.SUPERSEDED}])
def test_a_run_that_is_not_held(act: Act, wish: str, state: RunState) -> None:
    """Only a held run waits for a decision; the refusal says what the run is."""
    run = a_run("run1", state=state) if not state.is_final else an_ended_run("run1", state)
    assert f"run run1: cannot be {wish}: the run is {state} (only a held run waits" in refusal(act, a_store(run), "run1")


@pytest.mark.parametrize(("act", "wish"), [(approve, "approved"), (reject, "rejected")])
@pytest.mark.parametrize(
    ("now_held", "hint"),
    [("newer", "the run now held is newer"), (None, "no run of this instance is held now")],
    ids=["another one is held", "nothing is held"],
)
def test_a_superseded_run(act: Act, wish: str, now_held: str | None, hint: str) -> None:
    """The refusal names the run that took its place, where that one is held."""
    store = a_store(an_ended_run("older", RunState.SUPERSEDED))
    if now_held:
        store.save_run(replace(HELD, run_id=now_held), T0)
    assert refusal(act, store, "older") == f"run older: cannot be {wish}: a newer run replaced it ({hint})"


def test_a_used_approval() -> None:
    """An approval is valid once; the refusal says who gave it."""
    store = a_store()
    approve(store, "held", MONA)
    store.save_run(a_run("sent"), T0 + 2 * HOUR, instead_of=HELD)
    assert "cannot be approved: the approval by mona was already used (no run of this instance is held now" in refusal(
        approve, store, "held", JOHN
    )


def test_an_approval_in_effect() -> None:
    """Approving twice changes nothing; the refusal says who approved the run, and how to send it now."""
    store = a_store()
    approve(store, "held", MONA)
    words = refusal(approve, store, "held", JOHN)
    assert "already approved by mona" in words
    assert "$licsync --run-now emea" in words


def test_after_seven_days_nothing_can_be_approved(subtests: pytest.Subtests) -> None:
    """A run without a decision is too old to be sent, and the refusal says how to collect again. It can still be rejected."""
    for age, refused in [(HELD_FOR - SECOND, False), (HELD_FOR, True), (2 * HELD_FOR, True)]:
        with subtests.test(age=age, refused=refused):
            store, author = a_store(), replace(MONA, at=T0 + age)
            if refused:
                words = refusal(approve, store, "held", author)
                assert "cannot be approved: no decision was made within 7 days (collect usage again: $licsync --run-now emea)" in words
                assert reject(store, "held", author).what is Decided.REJECTED
            else:
                assert approve(store, "held", author).until == author.at + HELD_FOR


def test_an_expired_approval_is_not_renewed() -> None:
    """Otherwise a run could be kept forever; within the first seven days a new approval is possible."""
    store = a_store()
    approve(store, "held", MONA)
    late = replace(JOHN, at=MONA.at + HELD_FOR)
    assert "cannot be approved: the approval by mona has expired (collect usage again" in refusal(approve, store, "held", late)


def test_an_approval_dated_by_a_clock_ahead_is_no_approval() -> None:
    """It might hold for years; so another one may be given, and that one counts."""
    store = a_store()
    store.save_decision(a_decision(at=T0 + timedelta(days=900), until=T0 + timedelta(days=907)))
    decision = approve(store, "held", MONA)
    assert store.approval("held") == decision


def test_any_run_can_be_acknowledged(subtests: pytest.Subtests) -> None:
    """It is noted, and nothing follows from it."""
    for state in [RunState.FAILED, RunState.CONFIRMED, RunState.HELD]:
        with subtests.test(state=state):
            run = HELD if state is RunState.HELD else an_ended_run("held", state)
            store = a_store(run)
            decision = acknowledge(store, "held", MONA)
            assert (decision.what, decision.instance, decision.until) == (Decided.ACKNOWLEDGED, "emea", None)
            assert store.decisions() == (decision,)
            assert (store.run("held"), store.approval("held")) == (run, None)


def test_a_pause_and_its_end() -> None:
    """Each is recorded with its reason and ticket; a pause is in effect until its end, exclusively."""
    store = a_store()
    until = T0 + 3 * HOUR
    paused = pause(store, "emea", until, MONA)
    resumed = resume(store, "emea", JOHN)
    assert store.decisions("emea") == (resumed, paused)
    assert (paused.what, paused.run_id, paused.until, paused.ticket) == (Decided.PAUSED, None, until, "CHG-7")
    assert (paused.in_force(until - SECOND), paused.in_force(until)) == (True, False)
    assert (resumed.what, resumed.reason, resumed.until) == (Decided.RESUMED, "no", None)


@pytest.mark.parametrize("until", [MONA.at, MONA.at - SECOND], ids=["now", "past"])
def test_a_pause_until_a_time_in_the_past(until: object) -> None:
    """It would pause nothing; usually the time zone is wrong, so the refusal shows the time in UTC."""
    words = refusal(lambda store, _, author: pause(store, "emea", until, author), a_store(), "", headline="invalid argument")  # type: ignore[arg-type]
    assert words.startswith("--until: 2026-11-24 0")
    assert "UTC is not in the future" in words


@pytest.mark.parametrize("act", [approve, reject, lambda store, _, author: pause(store, "emea", T0 + timedelta(days=3), author)])
def test_of_two_shells_at_once_one_succeeds(tmp_path: Path, act: Act) -> None:
    """What a decision is about is checked and decided in one transaction; the other person reads who was first."""
    prepare_state_dir(tmp_path / "state")
    here = open_state(tmp_path / "state", T0).store
    here.save_run(HELD, T0)
    together = threading.Barrier(2)

    def decide(author: Author) -> str:
        store = open_state(tmp_path / "state", T0).store
        original, reads = store.decisions if act not in {approve, reject} else store.run, []

        def read(*args: Any, **more: Any) -> Any:
            found = original(*args, **more)
            if not reads:
                reads.append(1)
                with suppress(threading.BrokenBarrierError):
                    together.wait(0.5)  # without a transaction, both have read before either writes
            return found

        setattr(store, original.__name__, read)
        try:
            act(store, "held", author)
        except ConfigError as error:
            return str(error)
        finally:
            store.close()
        return "decided"

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(decide, (MONA, replace(JOHN, at=MONA.at))))
    assert results.count("decided") == 1
    assert len(here.decisions()) == 1
    here.close()
