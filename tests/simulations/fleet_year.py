"""A fleet over a simulated clock: the rules of the package decide when each instance runs; an event queue moves the time. No network."""

import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance, Schedule
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.rules.next_run import Recorded, next_run
from licsync_daemon.settings.convert import stable_cron
from tests.fakes import a_run, an_instance

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
RUN = timedelta(minutes=3)  # an assumption: from the first request to the confirmation
FAILURE = timedelta(seconds=10)  # an assumption: until an unreachable cloud fails a run
KEPT = 3  # latest runs of an instance; the newest failure carries the count of its slot


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without the cloud, or without the daemon, which then starts again."""

    start: datetime
    end: datetime

    def includes(self, at: datetime) -> bool:
        return self.start <= at < self.end


@dataclass(slots=True)
class Year:
    """What happened. `waits` has the start of each confirmed run and its time after its slot."""

    confirmed: dict[str, list[datetime]] = field(default_factory=dict)  # slots by instance
    waits: list[tuple[datetime, timedelta]] = field(default_factory=list)
    failed: int = 0
    peak: int = 0

    @property
    def succeeded(self) -> int:
        return sum(map(len, self.confirmed.values()))


def fleet(count: int) -> list[Instance]:
    """Return `count` instances at the default minute of the week of their names, in UTC."""
    names = [f"site-{number:04}" for number in range(count)]
    return [an_instance(name, schedule=Schedule(cron=stable_cron(name), timezone="UTC")) for name in names]


def simulate(
    instances: Sequence[Instance], end: datetime, *, at_a_time: int, cloud: Sequence[Outage] = (), daemon: Sequence[Outage] = ()
) -> Year:
    """Return what happens from START to `end` with at most `at_a_time` runs in progress.

    A run that is in progress when the daemon stops is finished; none starts before the daemon is back.
    """
    year, order, ids = Year({one.name: [] for one in instances}), itertools.count(), itertools.count()
    records: dict[str, list[Run]] = {one.name: [] for one in instances}
    events: list[tuple[datetime, int, int, Instance | None, Run | None]] = []  # the second number voids plans of an earlier start
    ready: deque[tuple[Instance, datetime]] = deque()
    up_since, starts, running = START, 0, set[str]()

    def plan(one: Instance, now: datetime) -> None:
        planned = next_run(one, Recorded(runs=records[one.name]), now, up_since=up_since, changed_at=START)
        assert planned is not None
        assert planned.slot is not None
        heapq.heappush(events, (max(planned.at, now), next(order), starts, one, a_run("", instance=one.name, slot=planned.slot)))

    def begin(now: datetime) -> None:
        if any(outage.includes(now) for outage in daemon):
            return
        while ready and len(running) < at_a_time:
            one, slot = ready.popleft()
            running.add(one.name)
            year.peak = max(year.peak, len(running))
            run = a_run(f"run{next(ids)}", instance=one.name, slot=slot, started_at=now)
            if any(outage.includes(now) for outage in cloud):
                last = records[one.name][0]
                failures = last.failures + 1 if last.slot == slot else 1
                run = run.ended(RunState.FAILED, now + FAILURE, code=Code.UNREACHABLE, failures=failures)
            else:
                run = run.ended(RunState.CONFIRMED, now + RUN)
            assert run.ended_at is not None
            heapq.heappush(events, (run.ended_at, next(order), starts, one, run))

    for one in instances:  # the week before START is confirmed
        records[one.name] = [a_run(instance=one.name, slot=None, state=RunState.CONFIRMED, started_at=START, ended_at=START)]
        plan(one, START)
    for outage in daemon:
        heapq.heappush(events, (outage.end, next(order), 0, None, None))
    while events and events[0][0] < end:
        now, _, planned_in, one, run = heapq.heappop(events)
        if one is None or run is None:
            up_since, starts = now, starts + 1
            ready.clear()
            for each in instances:
                if each.name not in running:
                    plan(each, now)
        elif run.state is RunState.RUNNING:
            if planned_in == starts and run.slot is not None:
                ready.append((one, run.slot))
        else:
            running.remove(one.name)
            records[one.name] = [run, *records[one.name]][:KEPT]
            if run.state is RunState.FAILED:
                year.failed += 1
            elif run.slot is not None:
                year.confirmed[one.name].append(run.slot)
                year.waits.append((run.started_at, run.started_at - run.slot))
            plan(one, now)
        begin(now)
    return year
