"""Runs over days of failures, crashes and jumping clocks: what must hold whatever happens."""

import asyncio
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.housekeeping import close_stale
from licsync_daemon.sync.run import run_instance
from tests.fakes import Died, FakeClock, FakeWorld, FlakyStore, a_context, an_account, an_instance, permanent, transient

INSTANCES = (an_instance("emea"), an_instance("apac"))
STEPS = ["open cloud", "open delivery", "open source", "collect", "sync_status", "send", "answer", "ask", "seats"]
instances = st.sampled_from(INSTANCES)


class Fleet(RuleBasedStateMachine):
    """Two instances, one endpoint, one cloud; everything may fail at any step, and the process may die at any step or write."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock)
        self.world.accounts = {one.name: [an_account(1), an_account(2)] for one in INSTANCES}
        self.store = FlakyStore()
        self.confirmed_before: dict[str, Run] = {}
        self.hash_of_key: dict[str, str] = {}

    def teardown(self) -> None:
        self.directory.cleanup()

    # ---------------------------------------------------------------- what the process does

    def _run(self, instance: Instance) -> None:
        """Do what the daemon and `--run-now` do under the instance's lock; a dead process leaves everything as it is."""
        context = a_context(self.world, Path(self.directory.name), self.store)
        now = self.clock.now()
        try:
            close_stale(context, instance)
            if context.store.open_run(instance.name) is not None:
                return
            slot = slot_at(instance.schedule, now)
            asyncio.run(run_instance(context, instance, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=slot))
        except Died:
            pass
        finally:
            self._calm()

    def _calm(self) -> None:
        self.world.fail.clear()
        self.world.interfere = lambda step, number: None
        self.store.before_write = self.store.after_write = lambda: None

    @rule(instance=instances)
    def runs(self, instance: Instance) -> None:
        self._run(instance)

    @rule(instance=instances, step=st.sampled_from(STEPS), lasting=st.booleans())
    def runs_with_a_failure(self, instance: Instance, step: str, lasting: bool) -> None:
        self.world.fail[step] = [permanent() if lasting else transient()]
        self._run(instance)

    @rule(instance=instances, step=st.integers(1, 9))
    def dies_at_a_request(self, instance: Instance, step: int) -> None:
        last = len(self.world.calls) + step

        def die(_: str, number: int) -> None:
            if number == last:
                raise Died

        self.world.interfere = die
        self._run(instance)

    @rule(instance=instances, count=st.integers(1, 8), after=st.booleans())
    def dies_at_a_write(self, instance: Instance, count: int, after: bool) -> None:
        left = [count]

        def die() -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Died

        if after:
            self.store.after_write = die
        else:
            self.store.before_write = die
        self._run(instance)

    @rule(fails=st.sampled_from([None, "sync_status", "ask", "seats", "open cloud"]))
    def checks(self, fails: str | None) -> None:
        if fails:
            self.world.fail[fails] = [transient()]
        asyncio.run(check_open_deliveries(a_context(self.world, Path(self.directory.name), self.store), INSTANCES))
        self._calm()

    # ---------------------------------------------------------------- what happens around it

    @rule(seconds=st.sampled_from([1, 5, 60, 3600, 86_400, 7 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(days=st.sampled_from([-400, -8, -1, 1, 8, 400]))
    def our_clock_jumps(self, days: int) -> None:
        """Set our clock; the cloud's dates move along here, for both read the same one, as after a jump of the whole machine."""
        self.clock.jump(timedelta(days=days))

    @rule(instance=instances, number=st.integers(3, 6))
    def usage_changes(self, instance: Instance, number: int) -> None:
        self.world.accounts[instance.name] = [an_account(1), an_account(number)]

    @rule(processes=st.booleans())
    def the_endpoint_changes_its_pace(self, processes: bool) -> None:
        self.world.processes = processes

    @rule()
    def the_endpoint_catches_up(self) -> None:
        self.world.process_all()

    @rule()
    def the_endpoint_rejects(self) -> None:
        self.world.reject_all()

    @rule(instance=instances, status=st.sampled_from(["success", "failure", "processing"]))
    def somebody_else_syncs(self, instance: Instance, status: str) -> None:
        """GitHub Connect, or a person, syncs the same server: the date changes and proves nothing about the upload."""
        assert instance.server_id is not None
        self.world.sync(instance.server_id, status=status)

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def at_most_one_open_run_and_record(self) -> None:
        for instance in INSTANCES:
            runs = [run for run in self.store.runs(instance.name, limit=10_000) if not run.state.is_final]
            records = [record for record in self.store.deliveries(instance.name) if record.closed_at is None]
            assert len(runs) <= 1
            assert len(records) <= 1
            if runs and runs[0].state is RunState.DELIVERED:
                assert records
                assert (records[0].run_id, records[0].content_hash) == (runs[0].run_id, runs[0].content_hash)
                assert records[0].upload_id is not None

    @invariant()
    def confirmed_means_that_the_cloud_took_exactly_this(self) -> None:
        for instance in INSTANCES:
            confirmed = [run for run in self.store.runs(instance.name, limit=10_000) if run.state is RunState.CONFIRMED]
            for run in confirmed:
                assert (instance.server_id, run.content_hash) in self.world.processed
                assert run.last_sync is not None
                assert self.confirmed_before.setdefault(run.run_id, run) == run

    @invariant()
    def a_key_is_used_for_one_hash_only(self) -> None:
        for instance in INSTANCES:
            for record in self.store.deliveries(instance.name):
                assert self.hash_of_key.setdefault(record.key, record.content_hash) == record.content_hash
        for key, upload in self.world.uploads.items():
            assert self.hash_of_key.setdefault(key, upload.content_hash) == upload.content_hash

    @invariant()
    def final_runs_have_their_end(self) -> None:
        for run in self.store.runs(limit=10_000):
            assert (run.ended_at is not None) == run.state.is_final
            states = [one.state for one in self.store.transitions(run.run_id)]
            assert states[0] is RunState.RUNNING
            assert states[-1] is run.state
            assert all(not state.is_final for state in states[:-1])
            assert (run.state is RunState.FAILED) == (run.code is not None)

    @precondition(lambda self: any(self.store.open_delivery(one.name) for one in INSTANCES))
    @rule()
    def everything_is_confirmed_in_the_end(self) -> None:
        """From any state, a machine and servers that work again bring every instance to `confirmed` within two runs."""
        self._calm()
        self.world.processes = True
        self.world.process_all()
        for instance in INSTANCES:
            for _ in range(3):
                self.clock.advance(3600)
                self._run(instance)
                self.clock.advance(5)
                self.checks(None)
            newest = self.store.last_run(instance.name)
            assert newest is not None
            assert newest.state is RunState.CONFIRMED, replace(newest)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=max(10, settings.default.max_examples // 2), stateful_step_count=25, deadline=None)
