"""Random histories of one instance: the schedule's guarantees through years of faults of a machine.

A small simulation without sockets, tasks or documents: the daemon calls `next_run` and performs the result immediately. The
record is real (`RunContext`, `Journal`, `decisions` over the store in memory); the server's state is a string. True time is kept beside
the clock, which may be wrong, so that a run is judged by when it really happened. A clock that was ahead and is corrected only after the
time it showed leaves no trace: its runs are accepted.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, event, example, given, settings
from hypothesis import strategies as st

from licsync_daemon.model.errors import Code, ConfigError
from licsync_daemon.model.instance import Schedule
from licsync_daemon.model.run import KEEP, Run, RunState, Trigger
from licsync_daemon.model.usage import CLOCK_SLACK
from licsync_daemon.rules.next_run import CATCH_UP, FIRST, STARTUP_DELAY, Planned, next_run
from licsync_daemon.rules.schedule import slot_after, slot_at
from licsync_daemon.state.history import recorded
from licsync_daemon.state.memory import MemoryStore
from licsync_daemon.sync import decisions
from licsync_daemon.sync.decisions import Author
from licsync_daemon.sync.housekeeping import close_stale, expire, record_clock_set_back
from licsync_daemon.sync.journal import Journal, new_run
from tests.fakes import FakeClock, FakeWorld, a_context, an_instance, permanent, transient

NAME = "emea"
CRONS = ("0 2 * * 2", "30 4 * * *", "15 23 * * 0", "0 2 1 * *")
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BEGIN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday
LONG_ENOUGH = 30 * HOUR  # the longest wait is a day (a probe, or what the far side asks for); a catch-up settles for minutes
SOON = 10 * MINUTE
CONFIRM_TIMEOUT = HOUR
RUN_TAKES = 20 * SECOND
STOPPED = {RunState.HELD, RunState.REJECTED, RunState.EXPIRED}


@dataclass
class Machine:
    """A daemon, an operator, a clock that may be wrong, and a server that is `well`, `down`, `refusing`, `in maintenance`,
    `silent` (accepts uploads and never confirms them) or `shrunk` (its usage looks suspicious).
    """

    clock: FakeClock = field(default_factory=lambda: FakeClock(BEGIN))
    ahead: timedelta = timedelta(0)  # how much the clock is ahead of true time
    server: str = "well"

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.context = a_context(FakeWorld(self.clock), Path("/nonexistent"), self.store)
        self.instance = an_instance(NAME, schedule=Schedule(cron=CRONS[0], timezone="Europe/Berlin"))
        self.up_since = self.changed_at = self.clock.now()
        self.began: dict[str, datetime] = {}  # when a run truly began
        self.right: set[str] = set()  # runs made while the clock was right
        self.before_their_time: set[str] = set()  # runs later than the moment to which a clock was set back
        self.jolt = 0  # by how many hours the clock is wrong in the midst of the next run
        self.starts: Counter[str] = Counter()

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def true(self) -> datetime:
        return self.now - self.ahead

    # ---------------------------------------------------------------- what the daemon does

    def planned(self) -> Planned | None:
        planned = next_run(self.instance, recorded(self.store, NAME), self.now, up_since=self.up_since, changed_at=self.changed_at)
        assert planned is not None or not self.instance.enabled, "nothing is planned"
        return planned

    def live(self, span: timedelta) -> None:
        """Act as the daemon for a while; every check and start is counted against its limit for that time."""
        until, began = self.now + span, self.now
        checks, starts, alarms = 0, Counter[datetime | None](), 0
        while (planned := self.planned()) is not None:
            at = max(planned.at, self.now + SECOND)
            if at >= until:
                break
            self.clock.advance((at - self.now).total_seconds())
            expire(self.context, NAME)
            planned = self.planned()  # an alarm may be old: the state says what is due
            if planned is None or (planned.at > self.now + SECOND and not planned.is_confirm_check):
                alarms += 1
                assert alarms < 100, f"alarms for nothing: {planned}"
            elif planned.is_confirm_check:
                checks += 1
                self._check()
            else:
                starts[planned.slot] += 1
                self._start(planned)
            self._no_tight_loop(checks, starts, (self.now - began) / DAY)
        self.clock.advance(max(0.0, (until - self.now).total_seconds()))

    def _no_tight_loop(self, checks: int, starts: Counter[datetime | None], days: float) -> None:
        """15, 20, 27, 37 … minutes: at most 4 starts in the first hour, then 14 in a day and 2 a day, or 27 a day in maintenance."""
        most = 2 + min(4 + 27 * days, (14 + 2.5 * days) if self.server != "in maintenance" else 28 * (days + 1))
        assert max(starts.values(), default=0) <= most, f"a loop: {dict(starts)} starts in {days:.2f} days"
        assert checks <= 10 + 70 * 24 * days, f"a loop: {checks} checks in {days:.2f} days"

    def _start(self, planned: Planned) -> None:
        """Make a scheduled run, which must not be one too many, nor come too soon after a start of the machine."""
        slot, reason = planned.slot, planned.reason
        assert slot is not None
        if reason in {CATCH_UP, FIRST} and self.up_since > slot:
            assert self.now >= self.up_since + STARTUP_DELAY, "a catch-up before the machine has settled"
        if self.ahead == timedelta(0) and not reason.startswith("approved"):
            done = [run for run in self.runs() if run.state is RunState.CONFIRMED and run.run_id in self.right and run.started_at >= slot]
            assert not done, f"{slot} was satisfied already by {done}, and is run again ({reason})"
        self._run(Trigger.SCHEDULE, reason, slot)

    def _run(self, trigger: Trigger, reason: str, slot: datetime) -> None:
        run = self._new_run(trigger, reason, slot)
        journal = Journal(self.context, run)
        journal.update()
        if self.ahead == timedelta(0):
            self.right.add(run.run_id)
        self.starts[reason] += 1
        self.clock.advance(RUN_TAKES.total_seconds())
        jolt, self.jolt = self.jolt, 0
        self._set_clock(jolt)
        held = self.store.held_run(NAME)
        match self.server:
            case "down":
                journal.failed(transient(Code.UNREACHABLE))
            case "in maintenance":
                journal.failed(transient(Code.MAINTENANCE))
            case "refusing":
                journal.failed(permanent(Code.NOT_FOUND))
            case "busy":
                journal.failed(transient(Code.RATE_LIMITED, retry_after=3 * HOUR))
            case "shrunk" if held is None or (approval := self.store.approval(held.run_id)) is None or not approval.in_force(self.now):
                journal.update(state=RunState.HELD, instead_of=held, code=Code.SHRUNK_USAGE)
            case _:
                journal.update(state=RunState.DELIVERED, instead_of=held, delivered_at=self.now)
        self._set_clock(-jolt)

    def _new_run(self, trigger: Trigger, reason: str, slot: datetime) -> Run:
        """Return a run that begins now. Its id is its number: a retry is spread by it, and a history must be the same every time."""
        run = replace(new_run(self.context, self.instance, trigger=trigger, reason=reason, slot=slot), run_id=str(len(self.began)))
        self.began[run.run_id] = self.true
        return run

    def _set_clock(self, hours: int) -> None:
        self.clock.jump(hours * HOUR)
        self.ahead += hours * HOUR
        if hours * HOUR >= KEEP - DAY:  # history is kept for 400 days: what is older by this clock is forgotten with the next run
            self.right.clear()

    def _check(self) -> None:
        run = self.store.open_run(NAME)
        assert run is not None
        assert run.delivered_at is not None
        journal = Journal(self.context, run)
        if self.server in {"well", "shrunk"}:
            journal.update(state=RunState.CONFIRMED, ended_at=self.now, confirmed_at=self.now, last_sync=self.true)
        elif abs(self.now - run.delivered_at) >= CONFIRM_TIMEOUT:
            journal.failed(transient(Code.NOT_CONFIRMED))

    def runs(self) -> list[Run]:
        """Every run that was made, newest first."""
        return [run for run in self.store.runs(NAME, limit=100_000) if run.run_id in self.began]

    # ---------------------------------------------------------------- what happens

    def lives(self, hours: int) -> None:
        self.live(hours * HOUR)

    def is_switched_off(self, hours: int) -> None:
        self.clock.advance(hours * 3600)
        self.restarts()

    def dies_in_a_run(self) -> None:
        """The process is killed in the midst of a run, and started again."""
        planned = self.planned()
        if planned is not None and not planned.is_confirm_check and planned.slot is not None:
            self.store.save_run(self._new_run(Trigger.SCHEDULE, planned.reason, planned.slot), self.now)
        self.restarts()

    def restarts(self) -> None:
        """End and begin again, at once."""
        close_stale(self.context, self.instance)
        record_clock_set_back(self.context, self.instance)
        self.up_since = self.changed_at = self.now

    def is_reloaded(self, which: int) -> None:
        self.instance = replace(self.instance, schedule=Schedule(cron=CRONS[which], timezone="Europe/Berlin"))
        self.changed_at = self.now

    def has_its_clock_set(self, hours: int) -> None:
        """Set the clock by so many hours; the heartbeat sees it."""
        self._set_clock(hours)
        self.before_their_time |= {run.run_id for run in self.runs() if run.started_at > self.now + CLOCK_SLACK}
        self.up_since, self.changed_at = min(self.up_since, self.now), min(self.changed_at, self.now)
        record_clock_set_back(self.context, self.instance)

    def has_the_right_time(self) -> None:
        self.has_its_clock_set(-round(self.ahead / HOUR))

    def has_a_wrong_clock(self, wrong: int, hours: int) -> None:
        """Live for a while with a clock that is wrong."""
        self.has_its_clock_set(wrong)
        self.lives(hours)
        self.has_the_right_time()

    def has_a_wrong_clock_in_a_run(self, wrong: int) -> None:
        self.jolt = wrong

    def meets(self, server: str, hours: int) -> None:
        self.server = server
        self.lives(hours)

    def is_run_by_hand(self) -> None:
        if self.store.open_run(NAME) is None:
            self._run(Trigger.PERSON, "started by --run-now", slot_at(self.instance.schedule, self.now))

    def is_paused(self, hours: int) -> None:
        with suppress(ConfigError):  # a pause that ends no later than the one in force is refused
            decisions.pause(self.store, NAME, self.now + hours * HOUR, Author(actor="mona", at=self.now, reason="maintenance"))

    def is_decided_on(self, yes: bool) -> None:
        held = self.store.held_run(NAME)
        if held is None:
            return
        with suppress(ConfigError):  # too late, or approved already
            decide = decisions.approve if yes else decisions.reject
            decide(self.store, held.run_id, Author(actor="mona", at=self.now, reason="looked at it"))

    # ---------------------------------------------------------------- what must be true

    def is_well(self, days: int) -> None:
        """With the right time, a running machine and a working server, every slot is satisfied at or after its instant, in true time."""
        self.has_the_right_time()
        self.server, self.jolt = "well", 0
        since, until = self.now, self.now + days * DAY
        while self.now < until:
            self.live(min(slot_after(self.instance.schedule, self.now) + SOON, self.now + DAY, until) - self.now)
            slot = slot_at(self.instance.schedule, self.now)
            settled = self.now - since >= LONG_ENOUGH or (slot >= since and recorded(self.store, NAME).approval is None)
            if not settled or self.now - slot < SOON or self._was_paused():
                continue
            believed = [run for run in self.runs() if self.began[run.run_id] >= slot or run.run_id not in self.before_their_time]
            satisfied = any(run.state is RunState.CONFIRMED and max(self.began[run.run_id], run.started_at) >= slot for run in believed)
            stopped = any(run.state in STOPPED and run.slot == slot for run in believed)
            assert satisfied or stopped, f"{slot} is not satisfied by {self.now}; planned: {self.planned()}"

    def is_never_silenced(self) -> None:
        """Something comes within the schedule's rhythm or a day, whatever is recorded."""
        planned = self.planned()
        if planned is not None and not self._was_paused():
            assert planned.at <= max(slot_after(self.instance.schedule, self.now), self.now + DAY), planned

    def _was_paused(self) -> bool:
        """Return whether a pause holds or has not long been over; one from a time that has not come does not count."""
        pause = recorded(self.store, NAME).pause
        return pause is not None and pause.until is not None and pause.at <= self.now + SOON and pause.until > self.now - LONG_ENOUGH


Happening = tuple[str | int, ...]
HOURS = st.sampled_from([1, 5, 24, 3 * 24, 8 * 24]) | st.integers(1, 10 * 24)
WRONG = st.sampled_from([-800 * 24, -8 * 24, -24, -3, 3, 24, 3 * 24, 8 * 24, 800 * 24])
HAPPENINGS = st.one_of(
    st.tuples(st.just("lives"), HOURS),
    st.tuples(st.just("meets"), st.sampled_from(["well", "down", "in maintenance", "refusing", "busy", "silent", "shrunk"]), HOURS),
    st.tuples(st.just("has_its_clock_set"), WRONG),
    st.tuples(st.just("has_a_wrong_clock"), WRONG, HOURS),
    st.tuples(st.just("has_a_wrong_clock_in_a_run"), WRONG),
    st.tuples(st.just("is_switched_off"), st.sampled_from([1, 30, 9 * 24])),
    st.tuples(st.sampled_from(["restarts", "dies_in_a_run", "is_run_by_hand"])),
    st.tuples(st.just("is_reloaded"), st.integers(0, len(CRONS) - 1)),
    st.tuples(st.just("is_paused"), st.sampled_from([1, 24])),
    st.tuples(st.just("is_decided_on"), st.booleans()),
    st.tuples(st.just("is_well"), st.integers(2, 9)),
)


def play(*history: Happening) -> Machine:
    """Let a history happen to a machine, and hold it to its promises all the way."""
    machine = Machine()
    for what, *how in history:
        getattr(machine, str(what))(*how)
        machine.is_never_silenced()
    machine.is_well(9)
    return machine


# Without shrinking: a failing history is read as it is, and shrinking one takes minutes.
@pytest.mark.timeout(600)  # hundreds of histories of weeks, each with hundreds of runs in a real database
@settings(phases=[Phase.explicit, Phase.generate], max_examples=min(1000, 4 * settings.default.max_examples))
@given(st.lists(HAPPENINGS, min_size=1, max_size=12))
@example([("lives", 24), ("has_a_wrong_clock", 8 * 24, 24)])  # a run from a time that has not come
@example([("lives", 24), ("has_a_wrong_clock", 24, 2 * 24)])  # one that will be exactly as old as the slot
@example([("lives", 24), ("has_a_wrong_clock", -8 * 24, 1)])  # one from a time that is long past
@example([("has_a_wrong_clock_in_a_run", 800 * 24), ("meets", "down", 1)])  # a failure from a time that will not come for years
@example([("meets", "down", 8 * 24)])
@example([("meets", "down", 84)])  # well again an hour before the next slot, when the next retry is hours away
@example([("meets", "shrunk", 84)])  # nobody decides: the next slot comes
@example([("meets", "in maintenance", 8 * 24)])
@example([("meets", "refusing", 8 * 24), ("is_well", 1)])
@example([("meets", "busy", 1)])
@example([("dies_in_a_run",)])
@example([("lives", 1), ("is_switched_off", 9 * 24)])
def test_no_slot_is_lost_doubled_or_hammered(history: list[Happening]) -> None:
    """Whatever happened: slots are satisfied, once; nothing loops; nothing is silenced."""
    machine = play(*history)
    for reason in machine.starts:
        event(" ".join(word for word in reason.split() if not word.isdigit())[:40])
