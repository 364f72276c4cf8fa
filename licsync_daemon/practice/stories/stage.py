"""Where stories are played: the real program against a sandbox of its own, over real sockets, on simulated time.

The driver does what the daemon does, without its alarm clock: it asks the state what comes next, moves the time there, and does it.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.daemon.wiring import Parts, recording, with_config
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.run import Decision, Run, RunState, Trigger
from licsync_daemon.monitoring.status import DaemonView, fleet_view
from licsync_daemon.practice.sandbox import Fleet, Sandbox
from licsync_daemon.practice.stories.clock import SimulatedClock
from licsync_daemon.practice.stories.events import Decided, Event, Happened, Ran, Shown, Told
from licsync_daemon.rules.schedule import Planned, next_run
from licsync_daemon.settings import load_config
from licsync_daemon.state.history import recorded
from licsync_daemon.sync import decisions
from licsync_daemon.sync.decisions import Author
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.system.filelock import this_process

TOGETHER = timedelta(seconds=1)  # what is due within this is started together
TOLD_WAIT = timedelta(seconds=30)  # shorter waits inside a run are not worth a line
OPERATOR, HOST = "mona", "ghes-tools"
WAIT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a story begins.

    Attributes:
        tables: Lines to add to instances of the configuration.
        prepare: What else to change in its text.
        zone: The zone of the schedule's wall clock, where a story is about that.
    """

    start: datetime
    fleet: Fleet
    tables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[str], str] = str
    zone: str = ""


class Stage:
    """A practice fleet, the program at work on it, and an operator at a keyboard."""

    def __init__(self, scene: Scene, box: Sandbox, path: Path, clock: SimulatedClock, tell: Callable[[Event], None]) -> None:
        self.box = box
        self.clock = clock
        self._scene = scene
        self._path = path
        self._tell = tell
        self._parts: Parts
        self._config = load_config(path, {}).config
        self._holder = replace(this_process(scene.start), host=HOST)
        self._changed_at = scene.start
        self._told: set[tuple[str, object]] = set()
        self._failing: dict[str, Code | None] = {}
        self.quiet = False  # whether what happens is not told
        self.show_next_wait = False  # whether `status` is looked at while a run waits

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def begin(self, parts: Parts) -> None:
        """Take the parts to play with."""
        self._parts = replace(parts, runner=replace(parts.runner, holder=self._holder))

    def tell(self, text: str) -> None:
        """Say what happens around the program."""
        self._tell(Told(text))

    def tell_more(self, text: str) -> None:
        """Say one more line of what was said last."""
        self._tell(Told(text, goes_on=True))

    # ---------------------------------------------------------------- what the daemon does

    async def play(self, until: datetime) -> None:
        """Be the daemon until a moment."""
        while (due := self._due(until)) is not None:
            at, work = due
            self.clock.move_to(at)
            with self.clock.workers(len(work)):
                async with asyncio.TaskGroup() as group:
                    for instance, planned in work:
                        group.create_task(self._work(instance, planned), name=instance.name)
        self.clock.move_to(until)

    def _due(self, until: datetime) -> tuple[datetime, list[tuple[Instance, Planned]]] | None:
        """Return what comes next before `until`: when, and what is done together then. One look serves all instances."""
        plans = [(one, planned) for one in self._config.instances if (planned := self._planned(one)) is not None]
        first = min((planned.at for _, planned in plans), default=until)
        if first >= until:
            return None
        together = [(one, planned) for one, planned in plans if planned.at <= first + TOGETHER]
        looks = [pair for pair in together if pair[1].is_confirm_look]
        return max(first, self.now), looks[:1] or together

    def _planned(self, instance: Instance) -> Planned | None:
        known = recorded(self._parts.store, instance.name)
        return next_run(instance, known, self.now, up_since=self._scene.start, changed_at=self._changed_at)

    async def _work(self, instance: Instance, planned: Planned) -> None:
        runner = self._parts.runner
        try:
            await self.clock.sleep(0)  # until everybody has come
            if planned.is_confirm_look:
                with self._parts.locks.those_free(self._config.instances) as free:
                    await runner.look(free)
                return
            lock = self._parts.locks.take(instance.name)
            assert lock is not None, "nobody else is on this stage"
            with lock:
                runner.expire(instance.name)
                run = await runner.run(instance, trigger=Trigger.SCHEDULE, reason=planned.reason, slot=planned.slot)
            if run.state is RunState.FAILED:
                self._tell_failure(instance, run)
        finally:
            self.clock.one_done()

    def _tell_failure(self, instance: Instance, run: Run) -> None:
        """Tell why a run failed and when it is tried again; the same cause only once."""
        planned = self._planned(instance)
        assert planned is not None, "what failed is planned again"
        when = f"next {planned.at:%d %b %H:%M}, in {_span(planned.at - self.now)}"
        if self._failing.get(run.instance) == run.code:
            self._happened(instance.name, f"{run.reason} → failed again; {when}")
        else:
            self._happened(instance.name, f"{run.reason} → failed ({run.code}): {run.cause}")
            self._happened(instance.name, f"{when}: {planned.reason}")
        self._failing[run.instance] = run.code

    def heard(self, run: Run) -> None:
        """Tell of a run when something happens to it that an operator would see."""
        news = (run.run_id, run.waiting_until or run.state)
        if news in self._told:
            return
        self._told.add(news)
        if run.waiting_until is not None:
            if run.waiting_until - self.now > TOLD_WAIT:
                self._happened(run.instance, f"{run.reason}: waiting until {run.waiting_until:%H:%M:%S} for: {run.waiting_for}")
                if self.show_next_wait and self._everybody_waits():
                    self.show_next_wait = False
                    self.status()
        elif run.state is RunState.CONFIRMED:
            self._failing.pop(run.instance, None)
            self._happened(run.instance, f"{run.reason} → confirmed, {run.counts.sent:,} accounts")
        elif run.state is RunState.HELD:
            self._happened(run.instance, f"{run.reason} → held ({run.code}): {run.cause}")

    def _everybody_waits(self) -> bool:
        runs = [self._parts.store.open_run(one.name) for one in self._config.instances]
        return all(run is not None and run.waiting_until is not None for run in runs)

    def _happened(self, instance: str, text: str) -> None:
        if self.quiet:
            return
        now = self.now
        local = f"{now.astimezone(ZoneInfo(self._scene.zone)):%a %H:%M %Z}" if self._scene.zone else ""
        self._tell(Happened(now, instance, text, local))

    # ---------------------------------------------------------------- what an operator does

    def status(self) -> None:
        """Look at `status`."""
        now = self.now
        daemon = DaemonView(alive=True, holder=self._holder, heartbeat_at=now)
        self._tell(Shown(fleet_view(self._config, self._parts.store, now, daemon, lambda _: True)))

    def held(self, name: str) -> Run:
        """Return the run that is held for an instance."""
        run = self._parts.store.held_run(name)
        assert run is not None, f"nothing is held for {name}"
        return run

    def last(self, name: str) -> Run:
        """Return the run of an instance that was recorded last."""
        run = self._parts.store.last_run(name)
        assert run is not None, f"{name} never ran"
        return run

    def confirmed(self, name: str) -> list[Run]:
        """Return the confirmed runs of an instance, oldest first."""
        runs = self._parts.store.runs(name, limit=1000)
        return [run for run in reversed(runs) if run.state is RunState.CONFIRMED]

    async def run_now(self, *names: str) -> Exit:
        """Type `--run-now`."""
        chosen = tuple(one for one in self._config.instances if one.name in names or not names)
        parts = self._parts
        at, was, self.quiet = self.now, self.quiet, True
        try:
            results = await run_now(
                chosen, runner=parts.runner, locks=parts.locks, clock=self.clock, max_concurrent_runs=self._config.max_concurrent_runs,
                wait=WAIT,
            )  # fmt: skip
        finally:
            self.quiet = was
        code = exit_code(results, named=bool(names))
        self._tell(Ran(at, " ".join(("licsync-daemon --run-now", *names)), results, code))
        return code

    def approve(self, run: Run, reason: str, ticket: str) -> None:
        """Type `approve`."""
        self._decide("approve", run, decisions.approve(self._parts.store, run.run_id, self._voice(reason, ticket)))

    def reject(self, run: Run, reason: str, ticket: str) -> None:
        """Type `reject`."""
        self._decide("reject", run, decisions.reject(self._parts.store, run.run_id, self._voice(reason, ticket)))

    def _voice(self, reason: str, ticket: str) -> Author:
        return Author(actor=OPERATOR, at=self.now, reason=reason, ticket=ticket)

    def _decide(self, verb: str, run: Run, decision: Decision) -> None:
        self._tell(Decided(f'licsync-daemon {verb} {run.run_id} --reason "{decision.reason}" --ticket {decision.ticket}', decision))

    def edit(self, change: Callable[[str], str]) -> None:
        """Edit the configuration and reload it, as SIGHUP does."""
        self._path.write_text(change(self.text), encoding="utf-8")
        self._config = load_config(self._path, {}).config
        self._changed_at = self.now
        self._parts = replace(self._parts, config=self._config, runner=with_config(self._parts.runner, self._config, {}))

    @property
    def config(self) -> Config:
        return self._config

    @property
    def text(self) -> str:
        """Return the configuration as it is written."""
        return self._path.read_text(encoding="utf-8")


@contextmanager
def on_stage(scene: Scene, tell: Callable[[Event], None]) -> Iterator[Stage]:
    """Set a stage up and yield it; everything it starts and writes is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="licsync-demo-") as folder, Sandbox(scene.fleet) as box:
        clock = SimulatedClock(box, scene.start)
        for instance in box.instances.values():
            instance.report_ready_after = 0.0
        path = box.write_config(Path(folder))
        text = path.read_text(encoding="utf-8")
        for name, lines in scene.tables.items():
            text = text.replace(f"[instances.{name}]\n", f"[instances.{name}]\n{lines}\n")
        path.write_text(scene.prepare(text), encoding="utf-8")
        stage = Stage(scene, box, path, clock, tell)
        with recording(stage.config, clock, {}, stage.heard) as parts:
            stage.begin(parts)
            yield stage


def utc(text: str) -> datetime:
    """Read "2027-03-28 01:30" as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _span(wait: timedelta) -> str:
    minutes = round(wait / timedelta(minutes=1))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
