"""What is read of an instance's record is enough to decide, however many runs there are."""

from dataclasses import replace
from datetime import timedelta

import pytest

from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.rules.next_run import MAINTENANCE_CAP, next_run
from licsync_daemon.state.history import MORE_RUNS_READ, RUNS_READ, recorded
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync.decisions import Author, pause, resume
from tests.fakes import T0, a_run, an_ended_run, an_instance

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UP = T0 - 9 * DAY


def a_store(*oldest_first: Run) -> MemoryStore:
    store = MemoryStore()
    for run in oldest_first:
        store.save_run(run, run.ended_at or run.started_at)
    return store


def in_maintenance(count: int) -> list[Run]:
    """One run an hour since the slot, each with a 503 response."""
    return [
        an_ended_run(f"again{number}", RunState.FAILED, started_at=T0 + number * HOUR, code=Code.MAINTENANCE) for number in range(count)
    ]


def test_a_slot_in_maintenance_from_end_to_end_is_read_whole() -> None:
    """The longest that a weekly slot can become: asked again every hour at the earliest, for a week."""
    least = MAINTENANCE_CAP * 0.9
    quicker_at_first = 5
    assert timedelta(days=7) / least + quicker_at_first <= MORE_RUNS_READ


def test_what_is_held_or_confirmed_is_never_pushed_out(subtests: pytest.Subtests) -> None:
    """Behind any number of failures, the newest confirmed run and the held one are there, each once and in their order."""
    for count in [0, RUNS_READ - 1, RUNS_READ, MORE_RUNS_READ, MORE_RUNS_READ + 1]:
        with subtests.test(count=count):
            confirmed = an_ended_run("confirmed", started_at=T0 - 8 * DAY, slot=T0 - 7 * DAY)
            held = a_run("held", started_at=T0, state=RunState.HELD)
            runs = recorded(a_store(confirmed, held, *in_maintenance(count)), "emea").runs
            assert [run.run_id for run in runs[-2:]] == ["held", "confirmed"]
            assert len({run.run_id for run in runs}) == len(runs) == min(count, MORE_RUNS_READ) + 2


def test_what_a_clock_that_was_ahead_confirmed_is_unbelieved_through_days_of_maintenance(subtests: pytest.Subtests) -> None:
    """A run that was dated into the slot before its time does not satisfy it once the runs that gave it away are many runs ago."""
    for hours in [1, 59, 62, 150]:
        with subtests.test(hours=hours):
            ahead = an_ended_run("ahead", started_at=T0 + HOUR, slot=T0)
            set_back = an_ended_run("mark", RunState.SKIPPED, started_at=T0 - 3 * DAY, slot=None)
            known = recorded(a_store(ahead, set_back, *in_maintenance(hours)), "emea")
            planned = next_run(an_instance(), known, T0 + hours * HOUR, up_since=UP, changed_at=UP)
            assert planned is not None
            assert planned.slot == T0


def test_the_newest_decision_on_a_pause_counts() -> None:
    """A pause lasts until its end or until someone resumes the instance; then the slot is due as if there had been no pause."""
    store, author = MemoryStore(), Author(actor="mona", at=T0, reason="rack moves")
    expected = next_run(an_instance(), recorded(store, "emea"), T0 + HOUR, up_since=UP, changed_at=UP)
    paused = pause(store, "emea", T0 + DAY, author)
    assert recorded(store, "emea").pause == paused
    resumed = resume(store, "emea", replace(author, at=T0 + HOUR))
    assert recorded(store, "emea").pause == resumed
    assert next_run(an_instance(), recorded(store, "emea"), T0 + HOUR, up_since=UP, changed_at=UP) == expected
