"""Play stories: the real program against its own sandbox, over real sockets, on simulated time.

The driver does what the daemon does, without APScheduler: ask the state what is planned next, move the time there, and run it.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.daemon.wiring import Parts, recording, with_config
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Decision, Run, RunState, Trigger
from licsync_daemon.model.store import StateStore
from licsync_daemon.monitoring.heartbeat import DaemonView
from licsync_daemon.monitoring.status import fleet_view
from licsync_daemon.practice.sandbox import Fleet, Sandbox
from licsync_daemon.practice.stories.clock import SimulatedClock
from licsync_daemon.practice.stories.events import Decided, Event, Happened, Ran, Shown, Told
from licsync_daemon.rules.next_run import Planned, next_run
from licsync_daemon.settings import load_config
from licsync_daemon.state.history import recorded
from licsync_daemon.sync import decisions
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.context import hold_free
from licsync_daemon.sync.decisions import Author
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.housekeeping import expire
from licsync_daemon.sync.run import run_instance
from licsync_daemon.system.filelock import this_process

TOGETHER = timedelta(seconds=1)  # runs due within this time start together
SHOWN_WAIT = timedelta(seconds=30)  # shorter waits inside a run are not shown
OPERATOR, HOST = "mona", "ghes-tools"
WAIT = timedelta(minutes=2)  # the default of `--run-now --wait`


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The start of a story.

    Attributes:
        tables: Lines to add to the instances' tables in the configuration, by instance.
        prepare: A further change to the configuration's text.
    """

    start: datetime
    fleet: Fleet
    tables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[str], str] = str


class Stage:
    """A practice fleet, the program that syncs it, and an operator who types commands."""

    def __init__(self, scene: Scene, box: Sandbox, path: Path, clock: SimulatedClock, tell: Callable[[Event], None]) -> None:
        self.box = box
        self.clock = clock
        self._scene = scene
        self._path = path
        self._tell = tell
        self._parts: Parts
        self.config = load_config(path, {}).config
        self._holder = replace(this_process(scene.start), host=HOST)
        self._changed_at = scene.start
        self._shown: set[tuple[str, object]] = set()
        self._failing: dict[str, Code | None] = {}
        self._quiet = False  # while `--run-now` prints its own result

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def begin(self, parts: Parts) -> None:
        """Start with these parts of the program."""
        self._parts = replace(parts, context=replace(parts.context, holder=self._holder))

    def tell(self, text: str) -> None:
        """Tell what happens outside the program."""
        self._tell(Told(text))

    # ---------------------------------------------------------------- what the daemon does

    async def play(self, until: datetime) -> None:
        """Act as the daemon until the given time."""
        while (due := self._due(until)) is not None:
            at, work = due
            self.clock.move_to(at)
            with self.clock.workers(len(work)):
                async with asyncio.TaskGroup() as group:
                    for instance, planned in work:
                        group.create_task(self._work(instance, planned), name=instance.name)
        self.clock.move_to(until)

    def _due(self, until: datetime) -> tuple[datetime, list[tuple[Instance, Planned]]] | None:
        """Return what is planned next before `until`, and when. One confirmation check serves all instances."""
        plans = [(one, planned) for one in self.config.instances if (planned := self._planned(one)) is not None]
        first = min((planned.at for _, planned in plans), default=until)
        if first >= until:
            return None
        together = [(one, planned) for one, planned in plans if planned.at <= first + TOGETHER]
        checks = [pair for pair in together if pair[1].is_confirm_check]
        return max(first, self.now), checks[:1] or together

    def _planned(self, instance: Instance) -> Planned | None:
        known = recorded(self._parts.store, instance.name)
        return next_run(instance, known, self.now, up_since=self._scene.start, changed_at=self._changed_at)

    async def _work(self, instance: Instance, planned: Planned) -> None:
        context = self._parts.context
        try:
            await self.clock.sleep(0)  # until every task has started
            if planned.is_confirm_check:
                with hold_free(context.leases, self.config.instances) as free:
                    await check_open_deliveries(context, free)
                return
            lease = context.leases.instance(instance.name)
            assert lease is not None, "no other process works on this fleet"
            with lease:
                expire(context, instance.name)
                run = await run_instance(context, instance, trigger=Trigger.SCHEDULE, reason=planned.reason, slot=planned.slot)
            if run.state is RunState.FAILED:
                self._tell_failure(instance, run)
        finally:
            self.clock.one_done()

    def _tell_failure(self, instance: Instance, run: Run) -> None:
        """Tell why a run failed and when it is retried; repeat no cause."""
        planned = self._planned(instance)
        assert planned is not None, "a failed run is planned again"
        when = f"next {planned.at:%d %b %H:%M}, in {_span(planned.at - self.now)}"
        if self._failing.get(run.instance) == run.code:
            self._happened(instance.name, f"{run.reason} → failed again; {when}")
        else:
            self._happened(instance.name, f"{run.reason} → failed ({run.code}): {run.cause}")
            self._happened(instance.name, f"{when}: {planned.reason}")
        self._failing[run.instance] = run.code

    def observe(self, run: Run) -> None:
        """Tell what an operator would see of a run."""
        news = (run.run_id, run.waiting_until or run.state)
        if news in self._shown:
            return
        self._shown.add(news)
        if run.waiting_until is not None:
            if run.waiting_until - self.now > SHOWN_WAIT:
                self._happened(run.instance, f"{run.reason}: waiting until {run.waiting_until:%H:%M:%S} for: {run.waiting_for}")
        elif run.state is RunState.CONFIRMED:
            self._failing.pop(run.instance, None)
            self._happened(run.instance, f"{run.reason} → confirmed, {run.counts.sent:,} accounts")
        elif run.state is RunState.HELD:
            self._happened(run.instance, f"{run.reason} → held ({run.code}): {run.cause}")

    def _happened(self, instance: str, text: str) -> None:
        if not self._quiet:
            self._tell(Happened(self.now, instance, text))

    # ---------------------------------------------------------------- what an operator does

    def status(self) -> None:
        """Type `status`."""
        now = self.now
        daemon = DaemonView(alive=True, holder=self._holder, heartbeat_at=now)
        self._tell(Shown(fleet_view(self.config, self._parts.store, now, daemon, lambda _: True)))

    def held(self, name: str) -> Run:
        """Return the held run of an instance."""
        run = self._parts.store.held_run(name)
        assert run is not None, f"{name} has no held run"
        return run

    def confirmed(self, name: str) -> list[Run]:
        """Return the confirmed runs of an instance, oldest first."""
        runs = self._parts.store.runs(name, limit=1000)
        return [run for run in reversed(runs) if run.state is RunState.CONFIRMED]

    async def run_now(self, *names: str) -> Exit:
        """Type `--run-now`."""
        chosen = tuple(one for one in self.config.instances if one.name in names or not names)
        parts = self._parts
        at, self._quiet = self.now, True
        try:
            results = await run_now(
                chosen, parts.context, max_concurrent_runs=self.config.max_concurrent_runs,
                wait=WAIT,
            )  # fmt: skip
        finally:
            self._quiet = False
        code = exit_code(results, named=bool(names))
        self._tell(Ran(at, " ".join(("licsync-daemon --run-now", *names)), results, code))
        return code

    def approve(self, run: Run, reason: str, ticket: str) -> None:
        """Type `approve`."""
        self._decide("approve", decisions.approve, run, reason, ticket)

    def reject(self, run: Run, reason: str, ticket: str) -> None:
        """Type `reject`."""
        self._decide("reject", decisions.reject, run, reason, ticket)

    def _decide(self, verb: str, decide: Callable[[StateStore, str, Author], Decision], run: Run, reason: str, ticket: str) -> None:
        decision = decide(self._parts.store, run.run_id, Author(actor=OPERATOR, at=self.now, reason=reason, ticket=ticket))
        self._tell(Decided(f'licsync-daemon {verb} {run.run_id} --reason "{reason}" --ticket {ticket}', decision))

    def edit(self, change: Callable[[str], str]) -> None:
        """Edit the configuration and reload it, as SIGHUP does."""
        self._path.write_text(change(self.text), encoding="utf-8")
        self.config = load_config(self._path, {}).config
        self._changed_at = self.now
        self._parts = replace(self._parts, config=self.config, context=with_config(self._parts.context, self.config, {}))

    @property
    def text(self) -> str:
        """Return the text of the configuration file."""
        return self._path.read_text(encoding="utf-8")


@contextmanager
def on_stage(scene: Scene, tell: Callable[[Event], None]) -> Iterator[Stage]:
    """Set up a stage, and remove everything that it starts and writes afterwards."""
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
        with recording(stage.config, clock, {}, stage.observe) as parts:
            stage.begin(parts)
            yield stage


def utc(text: str) -> datetime:
    """Read "2027-03-28 01:30" as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _span(wait: timedelta) -> str:
    minutes = round(wait / timedelta(minutes=1))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
