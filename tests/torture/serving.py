"""A model of years of service: everything that can happen, in any order, on a real state file; what must hold always does.

Runs by the schedule, by a person and after an approval; failures at every step, crashes at every request and write, restarts, clocks
that jump years in both directions, changes of the configuration, usage that shrinks, endpoints that are slow or refuse.

A program of its own, so that two can run at once: `python -m tests.torture.serving FOLDER COUNT SEED`. It prints one JSON object with the
counts of what was seen; a violation ends it with the shortest story that leads to it.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from licsync_daemon.model.errors import ConfigError
from licsync_daemon.model.instance import Guards, Instance, ManualDelivery, Schedule, SshSource
from licsync_daemon.model.run import AWAITING, Decided, DeliveryOutcome, Run, RunState, Trigger
from licsync_daemon.model.usage import Export, UploadState
from licsync_daemon.rules.next_run import Planned, next_run, satisfies
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.state.files import open_state, prepare_state_dir
from licsync_daemon.state.held_exports import HELD, PREPARED, FileHeldExports
from licsync_daemon.state.history import recorded
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.state.workspace import DiskWorkspace
from licsync_daemon.sync import decisions
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.context import RunContext
from licsync_daemon.sync.decisions import Author
from licsync_daemon.sync.housekeeping import close_stale, expire
from licsync_daemon.sync.run import run_instance
from tests.fakes import Died, FakeClock, FakeWorld, a_holder, an_account, an_instance, permanent, transient

NAMES = ("emea", "apac", "gov")  # a person uploads the export of gov
SCHEDULES = ("0 2 * * 2", "30 4 * * *", "15 23 * * 0", "0 2 1 * *")
STEPS = ("open cloud", "open delivery", "open source", "collect", "sync_status", "send", "answer", "ask", "seats")
SOONEST = timedelta(seconds=1)
STARTS_AN_HOUR = 6  # the ladder begins with 15 minutes; more than this is a loop
LOOKS_AN_HOUR = 90
LONG_ENOUGH = timedelta(hours=40)  # the longest wait between two tries is a day, and a catch-up settles for minutes
STOPPED = {RunState.HELD, RunState.REJECTED, RunState.EXPIRED}
names = st.sampled_from(NAMES)
SEEN: Counter[str] = Counter()
HERE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # it is the order of writes that counts here, not the disk


def an_export(count: int) -> Export:
    """An opaque export; with one account it is empty, which a guard holds."""
    content = f'{{"users": "{count}"}}'.encode()
    return Export(content=content, server_id="server-gov", hostname=None, version=None, is_clear=False, is_empty=count == 1)


class MortalStore:
    """A store whose process may die before or after a write."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.writes = 0
        self.dies_at = 0
        self.after = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._mortal(found) if name.startswith(("save_", "stage_")) else found

    def _mortal(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            Died.again()
            self.writes += 1
            if self.writes == self.dies_at and not self.after:
                raise Died
            answer = write(*args, **kwargs)
            if self.writes == self.dies_at and self.after:
                raise Died
            return answer

        return wrapped


class Service(RuleBasedStateMachine):
    """Two instances, one endpoint, one cloud, a daemon and an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=HERE)
        self.state_dir = Path(self.folder.name) / "state"
        prepare_state_dir(self.state_dir)
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock)
        self.world.interfere = self._interfere
        self.instances = {name: an_instance(name, guards=Guards(shrink_accounts=2)) for name in NAMES}
        outbox = Path(self.folder.name) / "outbox"
        outbox.mkdir()
        source = SshSource(host="ghes-gov.example.com", known_hosts=Path("/etc/licsync/known_hosts"))
        self.instances["gov"] = replace(self.instances["gov"], source=source, delivery=ManualDelivery(outbox=outbox))
        self.world.accounts = {name: [an_account(number) for number in range(1, 13)] for name in NAMES}
        self.world.exports["gov"] = an_export(12)
        self.broken: dict[str, bool] = {}  # a step that fails, and whether for good
        self.dies_at_call = 0
        self.calls = 0
        self.confirmed: dict[str, Run] = {}
        self.hash_of_key: dict[str, str] = {}
        self.foreign: set[tuple[str, datetime]] = set()  # syncs that were none of ours
        self.counted_from = 0  # how many runs were recorded when a clock was set back
        self.known_keys: set[str] = set()  # of records from before a clock or a schedule was set
        self._open()
        self.up_since = self.changed_at = self.clock.now()

    def teardown(self) -> None:
        SEEN["examples"] += 1
        SEEN.update(f"ended {run.state}" for run in self.store.runs(limit=100_000))
        self.store.close()
        self.folder.cleanup()

    # ---------------------------------------------------------------- the process

    def _open(self) -> None:
        opened = open_state(self.state_dir, self.clock.now())
        assert opened.set_aside is None, "the state was damaged"
        self.store = MortalStore(opened.store)

    def _interfere(self, step: str, _: int) -> None:
        self.calls += 1
        if step == "send":
            self._nothing_suspicious_leaves_unseen()
        if self.calls == self.dies_at_call:
            raise Died
        if step in self.broken:
            raise permanent() if self.broken[step] else transient()

    def _nothing_suspicious_leaves_unseen(self) -> None:
        """What is so much smaller than what was confirmed before is sent only where a person's approval was used for it."""
        for name in NAMES:
            run, record, before = self.store.open_run(name), self.store.open_delivery(name), self.store.last_run(name, good=True)
            if run is None or run.phase != "delivering" or before is None:
                continue
            lost, guards = before.counts.sent - record.sent, self.instances[name].guards
            if lost > guards.shrink_accounts and lost > before.counts.sent * guards.shrink_share:
                used = [one.used_at for one in self.store.decisions(name) if one.what is Decided.APPROVED and one.used_at is not None]
                assert used, f"{record.sent} of {before.counts.sent} accounts were sent unseen"

    def _context(self) -> RunContext:
        return RunContext(
            store=self.store, adapters=self.world, clock=self.clock, workspace=DiskWorkspace(self.state_dir),
            exports=FileHeldExports(self.state_dir / HELD), prepared=FileHeldExports(self.state_dir / PREPARED),
            leases=FileLeases(self.state_dir, self.clock), holder=a_holder(), digest_key=b"key",
            fleet=tuple(self.instances.values()),
        )  # fmt: skip

    def _dies(self, call: int, write: int, *, after: bool) -> None:
        self.dies_at_call = self.calls + call if call else 0
        self.store.dies_at, self.store.after = (self.store.writes + write if write else 0), after

    def _restart(self) -> None:
        self.store.close()
        self._open()
        self.dies_at_call = 0
        self.up_since = self.changed_at = self.clock.now()

    def _by_hand(self, name: str) -> None:
        """`--run-now` of one instance, without waiting for its confirmation."""
        context, instance = self._context(), self.instances[name]
        try:
            close_stale(context, self.instances[name])
            if self.store.open_run(name) is None and instance.enabled:
                slot = slot_at(instance.schedule, self.clock.now())
                asyncio.run(run_instance(context, instance, trigger=Trigger.PERSON, reason="started by --run-now", slot=slot))
        except Died:
            self._restart()

    def _live(self, until: datetime) -> None:
        """Be the daemon until a moment; a process that dies is started again a minute later."""
        starts, checks, began = dict.fromkeys(NAMES, 0), 0, self.clock.now()
        while True:
            try:
                due = self._next()
                if due is None or due[0] >= until:
                    break
                at, name, planned = due
                self.clock.advance(max(0.0, (at - self.clock.now()).total_seconds()))
                context = self._context()
                close_stale(context, self.instances[name])
                expire(context, name)
                if planned.is_confirm_check:
                    checks += 1
                    asyncio.run(check_open_deliveries(context, self.instances.values()))
                else:
                    starts[name] += 1
                    asyncio.run(
                        run_instance(context, self.instances[name], trigger=Trigger.SCHEDULE, reason=planned.reason, slot=planned.slot)
                    )
            except Died:
                self.clock.advance(60)
                self._restart()
            hours = (self.clock.now() - began) / timedelta(hours=1) + 1
            assert max(starts.values()) <= STARTS_AN_HOUR * hours, f"a loop: {starts} starts in {hours:.1f} hours"
            assert checks <= LOOKS_AN_HOUR * hours, f"a loop: {checks} checks in {hours:.1f} hours"
        self.clock.advance(max(0.0, (until - self.clock.now()).total_seconds()))

    def _next(self) -> tuple[datetime, str, Planned] | None:
        """Return what the daemon does next: an instance whose process is gone first, then what is planned first."""
        plans = []
        for name, instance in self.instances.items():
            planned = self._planned(instance)
            if planned is None and instance.enabled:
                close_stale(self._context(), self.instances[name])
                planned = self._planned(instance)
            if planned is not None:
                plans.append((max(planned.at, self.clock.now() + SOONEST), name, planned))
        return min(plans, key=lambda plan: plan[:2], default=None)

    def _planned(self, instance: Instance) -> Planned | None:
        known = recorded(self.store, instance.name)  # type: ignore[arg-type]
        return next_run(instance, known, self.clock.now(), up_since=self.up_since, changed_at=self.changed_at)

    # ---------------------------------------------------------------- what happens

    @initialize(hours=st.sampled_from([0, 24]))
    def has_been_in_service(self, hours: int) -> None:
        self._live(self.clock.now() + timedelta(hours=hours))

    @rule(hours=st.sampled_from([1, 5, 24, 24, 7 * 24]))
    def the_daemon_lives(self, hours: int) -> None:
        self._live(self.clock.now() + timedelta(hours=hours))

    @rule(hours=st.sampled_from([1, 24]), call=st.integers(0, 12), write=st.integers(0, 12), after=st.booleans())
    def the_daemon_dies_somewhere(self, hours: int, call: int, write: int, after: bool) -> None:
        self._dies(call, write, after=after)
        self._live(self.clock.now() + timedelta(hours=hours))
        self._dies(0, 0, after=False)

    @rule(name=names)
    def a_person_runs_it(self, name: str) -> None:
        self._by_hand(name)

    @rule(name=names, call=st.integers(0, 9), write=st.integers(0, 9), after=st.booleans())
    def a_run_by_hand_dies(self, name: str, call: int, write: int, after: bool) -> None:
        self._dies(call, write, after=after)
        self._by_hand(name)
        self._dies(0, 0, after=False)

    @rule(step=st.sampled_from(STEPS), for_good=st.booleans())
    def something_breaks(self, step: str, for_good: bool) -> None:
        self.broken[step] = for_good

    @rule()
    def everything_is_mended(self) -> None:
        self.broken.clear()

    @rule()
    def restarts(self) -> None:
        self._restart()

    @rule(hours=st.sampled_from([1, 30, 9 * 24]))
    def the_machine_is_off(self, hours: int) -> None:
        self.clock.advance(hours * 3600)
        self._restart()

    @rule(days=st.sampled_from([-800, -8, -1, 1, 8, 800]))
    def the_clock_jumps(self, days: int) -> None:
        """Set our clock, as a machine without a battery has it; the next heartbeat sees it."""
        self.clock.jump(timedelta(days=days))
        self._forget_records()
        if days < 0:
            self.counted_from = len(self.store.runs(limit=100_000))

    @rule(name=names, cron=st.sampled_from(SCHEDULES))
    def the_schedule_changes(self, name: str, cron: str) -> None:
        self.instances[name] = replace(self.instances[name], schedule=Schedule(cron=cron, timezone="Europe/Berlin"))
        self._forget_records()
        self.changed_at = self.clock.now()

    def _forget_records(self) -> None:
        self.known_keys |= {record.key for name in NAMES for record in self.store.deliveries(name)}

    @rule(name=names)
    def it_is_switched(self, name: str) -> None:
        self.instances[name] = replace(self.instances[name], enabled=not self.instances[name].enabled)
        self.changed_at = self.clock.now()

    @rule(name=names, hours=st.sampled_from([1, 24]))
    def it_is_paused(self, name: str, hours: int) -> None:
        now = self.clock.now()
        with suppress(ConfigError):  # a pause that ends no later than the one in force is refused
            decisions.pause(self.store, name, now + timedelta(hours=hours), Author(actor="mona", at=now, reason="maintenance"))  # type: ignore[arg-type]

    @rule(name=names, count=st.integers(1, 14))
    def usage_changes(self, name: str, count: int) -> None:
        self.world.accounts[name] = [an_account(number) for number in range(1, count + 1)]
        if name == "gov":
            self.world.exports["gov"] = an_export(count)

    @rule(name=names, yes=st.booleans())
    def a_person_decides(self, name: str, yes: bool) -> None:
        held, now = self.store.held_run(name), self.clock.now()
        if held is not None and (not yes or self.store.approval(held.run_id) is None):
            decide = decisions.approve if yes else decisions.reject
            decide(self.store, held.run_id, Author(actor="mona", at=now, reason="looked at it"))  # type: ignore[arg-type]

    @rule(processes=st.booleans())
    def the_endpoint_changes_its_pace(self, processes: bool) -> None:
        self.world.processes = processes

    @rule(accepts=st.booleans())
    def the_endpoint_catches_up(self, accepts: bool) -> None:
        if accepts:
            self.world.process_all()
        else:
            self.world.reject_all()

    @rule(name=names, status=st.sampled_from(["success", "failure", "processing"]))
    def somebody_else_syncs(self, name: str, status: str) -> None:
        """GitHub Connect or a person syncs the same server: the date moves, and proves nothing about our upload."""
        self.world.sync(f"server-{name}", status=status)
        self.foreign.add((f"server-{name}", self.clock.now().replace(microsecond=0)))

    @rule()
    def a_person_uploads_what_lies_ready(self) -> None:
        self.somebody_else_syncs("gov", "success")

    @rule(tells=st.booleans())
    def the_endpoint_tells_what_became_of_uploads(self, tells: bool) -> None:
        self.world.tells_states = tells

    @rule()
    def all_is_well_for_a_while(self) -> None:
        """With a machine that is up and far sides that answer, every slot is satisfied, or a person is asked."""
        self.broken.clear()
        self.world.processes = True
        self.world.process_all()
        self._live(self.clock.now() + LONG_ENOUGH)
        now = self.clock.now()
        for name, instance in self.instances.items():
            slot = slot_at(instance.schedule, now)
            known = recorded(self.store, name)  # type: ignore[arg-type]
            paused = known.pause is not None and known.pause.until is not None and known.pause.until > now - LONG_ENOUGH
            if not instance.enabled or paused or now - slot < timedelta(minutes=10):
                continue
            states = [(run.state, run.slot, run.started_at, run.code) for run in known.runs[:6]]
            asked = STOPPED | AWAITING
            assert any(satisfies(run, slot, now) or (run.slot == slot and run.state in asked) for run in known.runs), (now, slot, states)

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def at_most_one_of_what_is_open(self) -> None:
        for name in NAMES:
            runs = self.store.runs(name, limit=100_000)
            active = [run for run in runs if run.state in {RunState.RUNNING, RunState.DELIVERED}]
            records = [record for record in self.store.deliveries(name) if record.closed_at is None]
            assert len(active) <= 1
            assert len([run for run in runs if run.state is RunState.HELD]) <= 1
            awaiting = [run for run in runs if run.state in AWAITING]
            assert len(awaiting) <= 1
            assert all((record := self.store.delivery_of(run.run_id)) and record.content_hash == run.content_hash for run in awaiting)
            assert len(records) <= 1
            if active and active[0].state is RunState.DELIVERED:
                assert (records[0].run_id, records[0].content_hash) == (active[0].run_id, active[0].content_hash)
                assert records[0].upload_id is not None

    @invariant()
    def confirmed_means_that_the_cloud_took_exactly_this(self) -> None:
        for run in self.store.runs(limit=100_000):
            if run.state is not RunState.CONFIRMED:
                continue
            if run.run_id not in self.confirmed:
                record = next(one for one in self.store.deliveries(run.instance) if one.run_id == run.run_id)
                assert (record.outcome, record.content_hash) == (DeliveryOutcome.CONFIRMED, run.content_hash)
                assert run.last_sync is not None
                # Where the endpoint cannot be asked, a sync of somebody else's is taken for ours: the cloud does not say whose it was.
                ours = record.key in self.world.uploads and self.world.uploads[record.key].state is UploadState.SUCCESS
                assert ours or (f"server-{run.instance}", run.last_sync) in self.foreign
            assert self.confirmed.setdefault(run.run_id, run) == run, "a final run was changed"

    @invariant()
    def a_key_is_used_for_one_content_only(self) -> None:
        for name in NAMES:
            for record in self.store.deliveries(name):
                assert self.hash_of_key.setdefault(record.key, record.content_hash) == record.content_hash
        for key, upload in self.world.uploads.items():
            assert self.hash_of_key.setdefault(key, upload.content_hash) == upload.content_hash

    @invariant()
    def what_is_not_settled_is_sent_again_under_its_key(self) -> None:
        for name in NAMES:
            records = [record for record in self.store.deliveries(name) if record.key not in self.known_keys]
            for earlier, later in pairwise(records):
                if (earlier.slot, earlier.content_hash) == (later.slot, later.content_hash):
                    assert earlier.outcome not in {None, DeliveryOutcome.SLOT_PAST, DeliveryOutcome.USAGE_CHANGED}, (earlier, later)

    @invariant()
    def one_scheduled_confirmed_run_a_slot(self) -> None:
        """Since a clock was last set back: what it did while it was ahead does not count then."""
        seen: set[tuple[str, datetime | None]] = set()
        runs = self.store.runs(limit=100_000)
        for run in runs[: max(0, len(runs) - self.counted_from)]:
            if run.trigger is Trigger.SCHEDULE and run.state is RunState.CONFIRMED and not run.reason.startswith("approved"):
                assert (run.instance, run.slot) not in seen, f"{run.instance} was confirmed twice for {run.slot}"
                seen.add((run.instance, run.slot))

    @invariant()
    def what_is_held_was_not_sent(self) -> None:
        for run in self.store.runs(limit=100_000):
            if run.state in STOPPED:
                assert run.tripped
                assert run.delivered_at is None
                assert all(record.run_id != run.run_id for record in self.store.deliveries(run.instance))

    @invariant()
    def every_end_is_written_once(self) -> None:
        for run in self.store.runs(limit=100_000):
            assert (run.ended_at is not None) == run.state.is_final
            states = [one.state for one in self.store.transitions(run.run_id)]
            assert states[0] is RunState.RUNNING
            assert states[-1] is run.state
            assert all(not state.is_final for state in states[:-1])


def main(count: int, which: int) -> dict[str, int]:
    seed(which)(Service)
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=count,
            stateful_step_count=12,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=True,
        ),
    )
    return dict(SEEN)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    # Every death is logged with a traceback on its way; drawing them takes longer than all the rest.
    structlog.configure(processors=[lambda *_: ""], logger_factory=structlog.ReturnLoggerFactory())
    print(json.dumps(main(int(sys.argv[2]), int(sys.argv[3]))))
