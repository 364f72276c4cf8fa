"""Alerts are brought up to date in the state and told; whatever fails there fails nothing else."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from licsync_daemon.model.alert import Alert, Event, Message, Severity
from licsync_daemon.model.errors import Code, RemoteError, StateUnwritableError
from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import Decided, InstanceRecord, RunState
from licsync_daemon.monitoring.alerting import AGAIN_S, EVERY_S, Alerting
from licsync_daemon.monitoring.alerts import as_json
from licsync_daemon.monitoring.concerns import Concern, concerns
from licsync_daemon.monitoring.outgoing import LONGEST_PAUSE_S, PAUSE_S, SHORT_PAUSE_S, Outgoing, send_all
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.system.filelock import FileLock
from tests.fakes import T0, FakeChannel, FakeClock, FlakyStore, a_config, a_decision, an_alert, an_ended_run, an_instance

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DOWN = RemoteError(Code.UNREACHABLE, "it is down", "look", transient=True)


class World:
    """A state, a clock, two channels, and the instances emea and apac."""

    def __init__(self, folder: Path, *, channels: int = 1) -> None:
        self.clock = FakeClock()
        self.store = FlakyStore()
        self.folder = folder
        self.channels = [FakeChannel(f"channel{number}") for number in range(channels)]
        self.alerting = self.another()

    @property
    def config(self) -> Config:
        return a_config(an_instance("emea"), an_instance("apac"), state_dir=self.folder)

    def another(self) -> Alerting:
        """Return the alerting of another process."""
        return Alerting(self.config, self.store, self.clock, FileLeases(self.folder, self.clock), self.channels)

    def fails(self, name: str = "emea", code: Code = Code.UNAUTHORIZED, cause: str = "the token was refused") -> None:
        self.ends(name, RunState.FAILED, code=code, cause=cause, next_step="mend it", permanent=True)

    def ends(self, name: str = "emea", state: RunState = RunState.CONFIRMED, **more: Any) -> None:
        self.clock.advance(60)
        now = self.clock.now()
        run = an_ended_run(f"{name} {now}", state, instance=name, started_at=now, **more)
        self.store.save_run(run, now)
        if state is RunState.CONFIRMED:
            self.store.save_instance(InstanceRecord(name=name, identity=None, last_sync=now))

    def evaluate(self, *names: str, alerting: Alerting | None = None) -> bool:
        return asyncio.run((alerting or self.alerting).evaluate(names or None))

    @property
    def open(self) -> list[tuple[str, Code, bool]]:
        return [(one.instance, one.code, one.notified_at is not None) for one in self.store.open_alerts()]

    def told(self, channel: int = 0) -> list[tuple[Event, str]]:
        return [(one.event, one.alert.instance if one.alert else "") for one in self.channels[channel].told]


def a_message(code: Code) -> Message:
    return Message(event=Event.OPENED, alert=an_alert(code=code), subject=f"[licsync] alert: emea: {code}", lines=("text",), at=T0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> World:
    return World(tmp_path, channels=2)


def test_an_alert_is_told_once_from_its_opening_to_its_end(world: World) -> None:
    """Opened, silent while it lasts, closed."""
    world.fails()
    for _ in range(3):
        assert world.evaluate()
        world.clock.advance(EVERY_S)
    assert (world.open, world.told()) == ([("emea", Code.UNAUTHORIZED, True)], [(Event.OPENED, "emea")])
    world.ends()
    for _ in range(3):
        assert world.evaluate()
        world.clock.advance(EVERY_S)
    assert (world.open, world.told()) == ([], [(Event.OPENED, "emea"), (Event.CLOSED, "emea")])
    (_, over) = world.channels[0].told
    assert (over.lines[0], over.lines[2]) == ("Resolved; no action needed: recovered", f"The alert was: {over.alert.text}")


def test_only_the_named_instances_are_looked_at(world: World) -> None:
    """After a run of one instance the others stay as they were, and so do their alerts."""
    world.fails("emea")
    world.fails("apac")
    world.evaluate("emea")
    assert world.open == [("emea", Code.UNAUTHORIZED, True)]
    world.evaluate("apac")
    world.ends("emea")
    world.evaluate("apac")
    assert [name for name, _, _ in world.open] == ["apac", "emea"]
    world.evaluate()
    assert [name for name, _, _ in world.open] == ["apac"]


def test_an_instance_that_is_gone_has_no_alerts(world: World) -> None:
    """Those of the fleet itself are somebody else's to close."""
    for name in ("labs", ""):
        world.store.save_alert(an_alert(instance=name, notified_at=T0))
    world.clock.advance(1)
    world.evaluate()
    assert [name for name, _, _ in world.open] == [""]
    assert world.channels[0].told[0].lines[0] == "Resolved; no action needed: the instance is no longer configured"


def test_nothing_is_written_where_nothing_changed(world: World) -> None:
    """Ten minutes later the same alerts cost no write."""
    world.fails()
    world.evaluate()

    def refuse(alert: Alert) -> None:
        raise AssertionError(alert)

    world.store.save_alert = refuse  # type: ignore[method-assign]
    assert world.evaluate()


def test_without_a_channel_alerts_are_kept_all_the_same(tmp_path: Path) -> None:
    """They are open in the state, and told by whoever has a channel later."""
    world = World(tmp_path, channels=0)
    world.fails()
    world.evaluate()
    world.clock.advance(3 * 86400)
    world.evaluate()
    assert world.open == [("emea", Code.UNAUTHORIZED, False)]
    world.channels = [FakeChannel()]
    world.evaluate(alerting=world.another())
    assert (world.open, world.told()) == ([("emea", Code.UNAUTHORIZED, True)], [(Event.OPENED, "emea")])


def a_finding(code: Code, text: str = "the token ends within 14 days, on 2026-12-08") -> Concern:
    return Concern(code=code, severity=Severity.WARNING, text=text, next_step="renew it")


def test_what_a_check_found_stands_until_the_next_one(world: World) -> None:
    """Of an instance and of the fleet, whatever runs say meanwhile; told once, and again when the next check sees it worse."""
    found = {"emea": [a_finding(Code.LICENSE_EXPIRING)], "": [a_finding(Code.CREDENTIAL_EXPIRING)]}
    world.alerting.heed(found)
    for _ in range(2):
        world.evaluate()
        world.ends("emea")
        world.evaluate("emea")
    assert world.told() == [(Event.OPENED, "emea"), (Event.OPENED, "")]
    worse = a_finding(Code.CREDENTIAL_EXPIRING, "the token ends within 7 days, on 2026-12-08")
    world.alerting.heed({"": [worse]})
    world.clock.advance(1)
    world.evaluate()
    assert world.told()[2:] == [(Event.CLOSED, "emea"), (Event.CHANGED, "")]
    world.alerting.heed({})
    world.clock.advance(1)
    world.evaluate()
    assert (world.told()[4:], world.open) == ([(Event.CLOSED, "")], [])


def test_a_new_process_closes_nothing_that_only_a_check_can_judge(world: World) -> None:
    """After a restart it waits for its first check; what runs can judge they do."""
    world.alerting.heed({"emea": [a_finding(Code.LICENSE_EXPIRING), a_finding(Code.UNAUTHORIZED)], "": [a_finding(Code.DISK_LOW)]})
    world.evaluate()
    world.clock.advance(1)
    world.evaluate(alerting=world.another())
    assert [(name, code) for name, code, _ in world.open] == [("", Code.DISK_LOW), ("emea", Code.LICENSE_EXPIRING)]


def test_what_a_check_found_of_a_paused_instance_is_not_told(world: World) -> None:
    """As nothing of it is."""
    world.store.save_decision(a_decision(what=Decided.PAUSED, run_id=None))
    world.alerting.heed({"emea": [a_finding(Code.LICENSE_EXPIRING)]})
    world.evaluate()
    assert world.open == []


# ---------------------------------------------------------------- channels that fail


def test_what_nobody_took_is_told_later(world: World) -> None:
    """The channel gets a pause; a message is not lost with the process, and not told twice."""
    world.channels[0].fail = [DOWN]
    world.fails()
    assert world.evaluate()
    assert world.open == [("emea", Code.UNAUTHORIZED, False)]
    world.clock.advance(PAUSE_S - 1)
    world.evaluate()
    assert world.told() == []
    world.evaluate(alerting=world.another())
    assert world.told() == [(Event.OPENED, "emea")]
    world.clock.advance(1)
    world.evaluate()
    assert (world.open, world.told()) == ([("emea", Code.UNAUTHORIZED, True)], [(Event.OPENED, "emea")])


def test_an_alert_that_was_never_told_ends_in_silence(world: World) -> None:
    """Nobody hears of an opening after it is over, nor of an end without a beginning."""
    world.channels[0].fail = [DOWN]
    world.fails()
    world.evaluate()
    world.ends()
    world.clock.advance(PAUSE_S)
    world.evaluate()
    assert (world.open, world.told()) == ([], [])


def test_an_end_that_nobody_took_is_told_later(world: World) -> None:
    """For a day; by another process as well."""
    world.fails()
    world.evaluate()
    world.ends()
    world.channels[0].fail = [DOWN]
    world.evaluate()
    assert (world.open, world.told()) == ([], [(Event.OPENED, "emea")])
    world.clock.advance(3600)
    world.evaluate(alerting=world.another())
    world.evaluate(alerting=world.another())
    assert world.told() == [(Event.OPENED, "emea"), (Event.CLOSED, "emea")]


def test_an_end_of_long_ago_is_not_told(world: World) -> None:
    """After a day it would only confuse."""
    world.store.save_alert(an_alert(notified_at=T0 - DAY, closed_at=T0))
    world.clock.advance(86400)
    world.evaluate()
    assert world.told() == []


def test_a_channel_that_keeps_failing_gets_longer_pauses(world: World) -> None:
    """Doubled each time, up to an hour; from the first success on it is asked at once again."""
    world.channels[0].fail = [DOWN] * 6
    world.fails()
    world.evaluate()
    for left, pause_s in enumerate((PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S, 8 * PAUSE_S, LONGEST_PAUSE_S), start=1):
        world.clock.advance(pause_s - 1)
        world.evaluate()
        assert len(world.channels[0].fail) == 6 - left
        world.clock.advance(1)
        world.evaluate()
        assert len(world.channels[0].fail) == 5 - left
    world.clock.advance(LONGEST_PAUSE_S)
    world.evaluate()
    world.ends()
    world.channels[0].fail = [DOWN]
    world.evaluate()
    world.clock.advance(PAUSE_S)
    world.evaluate()
    assert world.told() == [(Event.OPENED, "emea"), (Event.CLOSED, "emea")]


def limited(seconds: float | None) -> RemoteError:
    wait = None if seconds is None else timedelta(seconds=seconds)
    return RemoteError(Code.RATE_LIMITED, "too many", "wait", transient=True, retry_after=wait)


class OneEach(FakeChannel):
    """Accepts one message in so many seconds, and answers the others 429."""

    def __init__(self, clock: FakeClock, every_s: float, stated_s: float | None) -> None:
        super().__init__()
        self._clock, self._every_s, self._stated_s = clock, every_s, stated_s
        self._next_s = 0.0

    async def send(self, message: Any) -> None:
        if self._clock.monotonic() < self._next_s:
            raise limited(self._stated_s)
        await super().send(message)
        self._next_s = self._clock.monotonic() + self._every_s


@pytest.mark.parametrize(("every_s", "stated_s"), [(1, 1), (1, 0), (1, 0.5), (2, 2), (4, 4), (1, None)])
def test_twelve_alerts_against_a_limit_arrive_within_a_minute(world: World, every_s: float, stated_s: float | None) -> None:
    """A short stated wait is waited for; nobody waits five minutes for the second message."""
    world.channels = [OneEach(world.clock, every_s, stated_s)]
    messages = {(("emea", code),): a_message(code) for code in list(Code)[:12]}
    outgoing, sent, began = Outgoing(world.channels[0]), set(), world.clock.monotonic()
    asyncio.run(send_all([outgoing], messages, world.clock, sent))
    assert (len(sent), len(world.channels[0].told), outgoing.failures) == (12, 12, 0)
    assert world.clock.monotonic() - began < 60


def test_a_pause_is_as_long_as_the_stated_wait_and_ends_with_progress(world: World) -> None:
    """A limit longer than one evaluation; a failure behind a success; then failures alone."""
    channel = world.channels[0]
    outgoing, sent = Outgoing(channel), set()
    one, other = ({(("emea", code),): a_message(code)} for code in (Code.LATE, Code.OVERDUE))

    def pause_s(*faults: BaseException | None, messages: dict[Any, Message]) -> float:
        channel.fail = [fault for fault in faults if fault is not None]
        world.clock.advance(max(0.0, outgoing.not_before_s - world.clock.monotonic()))
        asyncio.run(send_all([outgoing], messages, world.clock, sent))
        outgoing.pending |= messages
        return round(max(0.0, outgoing.not_before_s - world.clock.monotonic()))

    assert pause_s(limited(90), messages=one) == 90
    assert pause_s(limited(90), messages=one) == 2 * PAUSE_S
    assert pause_s(limited(9000), messages=one) == LONGEST_PAUSE_S
    outgoing.pending.clear()
    assert pause_s(RemoteError(Code.REJECTED, "spam", "look"), messages=one | other) == SHORT_PAUSE_S
    assert outgoing.failures == 1


def test_one_channel_is_enough_and_the_other_gets_it_later(two: World) -> None:
    """It counts as told; what it was is owed to the one that failed, in its newest form."""
    two.channels[1].fail = [DOWN]
    two.fails()
    two.evaluate()
    assert (two.open, two.told(0), two.told(1)) == ([("emea", Code.UNAUTHORIZED, True)], [(Event.OPENED, "emea")], [])
    two.clock.advance(PAUSE_S)
    two.evaluate()
    assert (two.told(0), two.told(1)) == ([(Event.OPENED, "emea")], [(Event.OPENED, "emea")])


def test_what_is_owed_for_too_long_is_forgotten(two: World) -> None:
    """A day later the state of things is another."""
    two.channels[1].fail = [DOWN]
    two.fails()
    two.evaluate()
    two.clock.advance(86400)
    two.evaluate()
    assert two.told(1) == []


@pytest.mark.parametrize(
    ("fault", "told"), [(RemoteError(Code.REJECTED, "spam", "look"), [(Event.OPENED, "apac")]), (DOWN, [])], ids=["refused", "down"]
)
def test_a_refused_message_does_not_keep_back_the_others(world: World, fault: RemoteError, told: list[tuple[Event, str]]) -> None:
    """A server that refuses one content may take the next; of one that is down nothing more is asked."""
    world.channels[0].fail = [fault]
    world.fails("emea")
    world.fails("apac")
    world.evaluate()
    assert world.told() == told


def test_a_channel_that_breaks_is_logged_and_harms_nobody(two: World) -> None:
    """A bug in one channel: the other is told, and the evaluation ends well."""
    two.channels[0].fail = [KeyError("x")]
    two.fails()
    with structlog.testing.capture_logs() as logged:
        assert two.evaluate()
    assert two.told(1) == [(Event.OPENED, "emea")]
    assert {one["event"] for one in logged} >= {"alert.opened", "notify.crashed", "notify.failed", "notify.told"}


def test_a_failure_is_logged_with_its_next_step(world: World) -> None:
    """Once, where it is handled."""
    world.channels[0].fail = [DOWN]
    world.fails()
    with structlog.testing.capture_logs() as logged:
        world.evaluate()
    (failed,) = [one for one in logged if one["event"] == "notify.failed"]
    assert failed == {
        "event": "notify.failed", "log_level": "error", "channel": "channel0", "code": Code.UNREACHABLE, "cause": "it is down",
        "next_step": "look", "owed": 1, "again_in_s": 300,
    }  # fmt: skip


class Stuck(FakeChannel):
    """Takes one message and hangs on the next."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = asyncio.Event()

    async def send(self, message: Any) -> None:
        if self.told:
            self.hangs.set()
            await asyncio.Event().wait()
        await super().send(message)


def test_a_channel_that_hangs_is_left_after_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it took counts; what it did not is told later."""
    monkeypatch.setattr("licsync_daemon.monitoring.outgoing.SEND_S", 0.05)
    world.channels = [Stuck()]
    world.fails("emea")
    world.fails("apac")
    world.evaluate(alerting=world.another())
    assert sorted(told for _, _, told in world.open) == [False, True]


def test_what_was_taken_before_a_stop_is_not_told_again(world: World) -> None:
    """Canceled in the midst of telling, it still writes down what was taken."""
    stuck = Stuck()
    world.channels = [stuck]
    world.fails("emea")
    world.fails("apac")

    async def main() -> None:
        task = asyncio.create_task(world.another().evaluate())
        await stuck.hangs.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert sorted(told for _, _, told in world.open) == [False, True]


# ---------------------------------------------------------------- two processes, a full disk


def test_two_processes_do_not_tell_the_same_twice(world: World) -> None:
    """Who comes second does nothing, and says so."""
    world.fails()
    lock = FileLock.take(world.folder / "alerts.lock")
    assert lock is not None
    with lock:
        assert world.evaluate() is False
    assert world.open == []
    assert world.evaluate() is True


def test_a_command_that_ends_waits_for_another_process(world: World) -> None:
    """Up to half a minute; the other may have begun before our run ended."""
    world.fails()
    lock = FileLock.take(world.folder / "alerts.lock")
    assert lock is not None
    began = world.clock.monotonic()
    asyncio.run(world.alerting.evaluate_at_last())
    assert world.clock.monotonic() - began == pytest.approx(AGAIN_S, abs=1)
    assert world.told() == []
    lock.release()
    asyncio.run(world.alerting.evaluate_at_last())
    assert world.told() == [(Event.OPENED, "emea")]


@pytest.mark.parametrize(
    "fault", [StateUnwritableError("disk full"), OSError("read-only"), KeyError("x")], ids=lambda one: type(one).__name__
)
def test_a_command_ends_well_whatever_happens_to_its_alerts(world: World, fault: Exception) -> None:
    """It is logged, once."""

    def broken() -> Any:
        raise fault

    world.store.open_alerts = broken  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as logged:
        asyncio.run(world.alerting.evaluate_at_last())
    assert len([line for line in logged if line["event"] == "alerts.not_evaluated"]) == 1


# ---------------------------------------------------------------- in the daemon


def serving(world: World, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        task = asyncio.create_task(world.alerting.serve())
        try:
            await act()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(main())


async def until(world: World, what: Callable[[], bool]) -> None:
    """Let time pass until it is so."""
    async with asyncio.timeout(5):
        while not what():
            world.clock.advance(0.01)
            await asyncio.sleep(0.001)


def test_the_daemon_looks_at_what_is_noted_as_soon_as_it_is(world: World) -> None:
    """At those instances only; at everything where somebody else has written."""

    async def act() -> None:
        world.fails("emea")
        world.fails("apac")
        await asyncio.sleep(0.01)
        assert world.open == []
        world.alerting.note(["emea"])
        await until(world, lambda: len(world.told()) == 1)
        assert [name for name, _, _ in world.open] == ["emea"]
        world.alerting.note()
        await until(world, lambda: len(world.told()) == 2)

    serving(world, act)


@pytest.mark.parametrize("steps", range(6))
def test_it_ends_at_once_also_with_something_to_do(world: World, steps: int) -> None:
    """At a stop the runs end, and note that, in about the moment in which it is canceled."""

    async def act() -> None:
        await asyncio.sleep(0.001)
        world.alerting.note(["emea"])
        for _ in range(steps):
            await asyncio.sleep(0)

    serving(world, act)


def test_the_daemon_looks_at_everything_now_and_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing is noted: time alone makes an instance overdue."""
    monkeypatch.setattr("licsync_daemon.monitoring.alerting.EVERY_S", 0.01)
    world.ends("emea")
    world.clock.advance(9 * 86400)

    async def act() -> None:
        await until(world, lambda: [code for _, code, _ in world.open] == [Code.OVERDUE])

    serving(world, act)


def test_the_daemon_tries_again_when_the_pause_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the next full evaluation, ten minutes later."""
    monkeypatch.setattr("licsync_daemon.monitoring.outgoing.PAUSE_S", 0.05)
    world.channels[0].fail = [DOWN]
    world.fails()
    began = world.clock.monotonic()

    async def act() -> None:
        world.alerting.note(["emea"])
        await until(world, lambda: bool(world.told()))

    serving(world, act)
    assert world.clock.monotonic() - began < EVERY_S / 2


def test_the_daemon_goes_on_after_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full for a moment costs a moment."""
    monkeypatch.setattr("licsync_daemon.monitoring.alerting.AGAIN_S", 0.01)
    works = world.store.open_alerts
    world.fails()

    def broken() -> Any:
        world.store.open_alerts = works  # type: ignore[method-assign]
        raise StateUnwritableError("disk full")

    world.store.open_alerts = broken  # type: ignore[method-assign]

    async def act() -> None:
        world.alerting.note(["emea"])
        await until(world, lambda: bool(world.told()))

    serving(world, act)
    assert world.told() == [(Event.OPENED, "emea")]


def test_another_configuration_is_followed(world: World) -> None:
    """Its channels, and its instances: what is gone from it is closed."""
    world.fails("apac")
    world.evaluate()
    new = FakeChannel("new")
    world.clock.advance(1)
    world.alerting.follow(replace(world.config, instances=(an_instance("emea"),)), [new])
    world.evaluate()
    assert (world.open, [(one.event, one.alert and one.alert.instance) for one in new.told]) == ([], [(Event.CLOSED, "apac")])


# ---------------------------------------------------------------- a state that cannot be written


def test_a_state_that_cannot_be_written_is_reported_once_and_when_it_is_over(world: World) -> None:
    """From memory: no alert can be stored. A channel that failed gets the message later."""
    world.store.full = True
    world.channels[0].fail = [DOWN]
    for _ in range(3):
        with suppress(StateUnwritableError):
            world.evaluate()
        world.clock.advance(PAUSE_S + 1)
    assert [(one.event, one.alert and one.alert.code, one.alert and one.alert.instance) for one in world.channels[0].told] == [
        (Event.OPENED, Code.STATE_UNWRITABLE, "")
    ]
    assert "disk is full" in world.channels[0].told[0].lines[0]
    world.store.full = False
    world.evaluate()
    world.evaluate()
    assert [one for one, _ in world.told()] == [Event.OPENED, Event.CLOSED]


def test_a_small_write_that_fits_is_no_recovery(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file system has no space left, the alert stays open; a fault that only looks possible opens none."""
    full: list[str] = ["no space is left"]
    monkeypatch.setattr("licsync_daemon.monitoring.alerting.write_fault", lambda _: full[0] if full else None)
    world.evaluate()
    assert world.told() == []
    world.store.full = True
    with suppress(StateUnwritableError):
        world.evaluate()
    world.store.full = False
    world.evaluate()
    assert [one for one, _ in world.told()] == [Event.OPENED]
    full.clear()
    world.evaluate()
    assert [one for one, _ in world.told()] == [Event.OPENED, Event.CLOSED]


def test_a_lock_that_cannot_be_made_is_reported(world: World) -> None:
    """Without it no alert is evaluated at all."""
    (world.folder / "alerts.lock").mkdir()
    for _ in range(2):
        with pytest.raises(OSError):
            world.evaluate()
    assert world.told() == [(Event.OPENED, "")]


# ---------------------------------------------------------------- one outage


def fleet(world: World, count: int) -> list[str]:
    names = [f"site{number}" for number in range(count)]
    world.alerting.follow(a_config(*(an_instance(name) for name in names), state_dir=world.folder), world.channels)
    return names


@pytest.mark.parametrize(("count", "messages"), [(2, 2), (3, 1), (30, 1)])
def test_one_message_tells_of_one_outage(world: World, count: int, messages: int) -> None:
    """Three or more openings, or closings, of one code at once; each instance has an alert of its own, which was told."""
    names = fleet(world, count)
    for name in names:
        world.fails(name)
    world.evaluate()
    told = world.channels[0].told
    assert len(told) == messages
    assert sorted(world.open) == sorted((name, Code.UNAUTHORIZED, True) for name in names)
    if messages == 1:
        found = as_json(told[0])
        assert (found["instance"], found["instances"], found["code"]) == (None, names, "unauthorized")
        assert told[0].subject == f"[licsync] alert: {count} instances: unauthorized"
        assert all(name in "\n".join(told[0].lines) for name in names)
    for name in names:
        world.ends(name)
    world.evaluate()
    assert len(told) == 2 * messages
    world.evaluate()
    assert len(told) == 2 * messages
    assert world.open == []


def test_an_outage_that_no_channel_took_is_told_later(two: World) -> None:
    """To each channel once, also where one of them was down."""
    names = fleet(two, 4)
    for name in names:
        two.fails(name)
    two.channels[0].fail, two.channels[1].fail = [DOWN], [DOWN]
    two.evaluate()
    assert {is_told for _, _, is_told in two.open} == {False}
    two.clock.advance(PAUSE_S + 1)
    two.channels[1].fail = [DOWN]
    two.evaluate()
    two.clock.advance(2 * PAUSE_S + 1)
    two.evaluate()
    assert [len(one.told) for one in two.channels] == [1, 1]


def test_other_codes_and_instances_have_messages_of_their_own(world: World) -> None:
    names = fleet(world, 4)
    for name in names:
        world.fails(name, code=Code.TLS_FAILED if name == "site0" else Code.UNAUTHORIZED)
    world.evaluate()
    assert sorted(one.instances for one in world.channels[0].told) == [(), ("site1", "site2", "site3")]


def test_an_instance_that_cannot_be_evaluated_keeps_no_one_elses_alerts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an alert of its own, which closes with the next evaluation that succeeds; what it had stays open meanwhile."""
    world.fails("emea")
    world.fails("apac")
    world.evaluate("apac")

    def broken(view: Any, *args: Any) -> Any:
        if view.instance.name == "apac":
            raise ZeroDivisionError
        return concerns(view, *args)

    with monkeypatch.context() as patch:
        patch.setattr("licsync_daemon.monitoring.alerting.concerns", broken)
        world.evaluate()
    assert [(name, code) for name, code, _ in world.open] == [
        ("apac", Code.INTERNAL),
        ("apac", Code.UNAUTHORIZED),
        ("emea", Code.UNAUTHORIZED),
    ]
    world.evaluate()
    assert [(name, code) for name, code, _ in world.open] == [("apac", Code.UNAUTHORIZED), ("emea", Code.UNAUTHORIZED)]
