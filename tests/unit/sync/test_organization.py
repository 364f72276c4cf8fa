"""An organization has no sync status: what its endpoint accepts is enough, and is never called confirmed."""

import asyncio
from datetime import timedelta
from pathlib import Path

from licsync_daemon.model.run import DeliveryOutcome, RunState, Trigger
from licsync_daemon.model.usage import UploadState
from licsync_daemon.rules.next_run import next_run
from licsync_daemon.state.history import recorded
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.run import run_instance
from tests.fakes import T0, FakeClock, FakeWorld, FlakyStore, a_context, an_instance

EMEA = an_instance()


def test_accepted_satisfies_the_slot_and_closes_the_record(tmp_path: Path) -> None:
    """While the endpoint still works on it, it is waited for; a failure there is a failure here."""
    clock = FakeClock()
    world, store = FakeWorld(clock, organization=True, processes=False), FlakyStore()
    context = a_context(world, tmp_path, store)
    run = asyncio.run(run_instance(context, EMEA, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=T0))
    assert run.state is RunState.DELIVERED
    (waiting,) = asyncio.run(check_open_deliveries(context, (EMEA,)))
    assert waiting.state is RunState.DELIVERED
    world.process_all()
    (done,) = asyncio.run(check_open_deliveries(context, (EMEA,)))
    record = store.delivery_of(run.run_id)
    assert record is not None
    assert (done.state, done.confirmed_at, done.last_sync, record.outcome) == (RunState.ACCEPTED, None, None, DeliveryOutcome.ACCEPTED)
    planned = next_run(EMEA, recorded(store, "emea"), clock.now(), up_since=T0, changed_at=T0)
    assert planned is not None
    assert planned.slot == T0 + timedelta(days=7)


def test_where_no_state_can_be_asked_the_202_is_enough(tmp_path: Path) -> None:
    clock = FakeClock()
    world = FakeWorld(clock, organization=True, processes=False, tells_states=False)
    context = a_context(world, tmp_path)
    asyncio.run(run_instance(context, EMEA, trigger=Trigger.SCHEDULE, reason="weekly slot", slot=T0))
    assert [run.state for run in asyncio.run(check_open_deliveries(context, (EMEA,)))] == [RunState.ACCEPTED]
    world.uploads["x"] = next(iter(world.uploads.values()))
    assert world.uploads["x"].state is UploadState.PENDING
