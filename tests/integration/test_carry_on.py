"""What an interrupted process leaves behind is carried on without a second upload."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from licsync_daemon.model.run import DeliveryOutcome, Run, RunState
from licsync_daemon.practice.sandbox import Fault, Processing
from licsync_daemon.practice.sandbox.http import Reply
from tests.integration.support import META, OK, REPORT, UPLOADS, FastClock, Practice, report, rows


async def until(what: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def cancel_when(practice: Practice, ready: Callable[[list[Run]], bool]) -> Run:
    """Start a run of emea, cancel it when `ready` accepts one of its changes, and return the recorded run."""
    seen: list[Run] = []

    async def work() -> Run:
        with practice.recording(seen.append) as parts:
            task = asyncio.create_task(practice.run_with(parts, "emea"))
            await until(lambda: ready(seen) or task.done())
            assert not task.done(), "it ended before it could be cancelled"
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            run = parts.store.last_run("emea")
            assert run is not None
            return run

    return asyncio.run(work())


def upload_without_record(practice: Practice) -> Run:
    """Let the endpoint accept an upload whose response is lost, and end the process in the wait that follows."""
    practice.box.faults.add(Fault("cloud", UPLOADS, "lost_reply", times=1))
    practice.clock = FastClock(practice.box, practice.clock.now(), longest_s=3600)
    run = cancel_when(practice, lambda _: practice.uploads("emea") == 1 and practice.clock.sleeping > 0)
    practice.clock = FastClock(practice.box, practice.clock.now())
    return run


def test_an_unrecorded_upload_is_sent_again_with_its_key(practice: Practice) -> None:
    """Stopped between acceptance and its record, the next run repeats the same delivery: one upload in total."""
    run = upload_without_record(practice)
    (record,) = practice.deliveries("emea")
    assert (run.state, record.upload_id, record.closed_at) == (RunState.INTERRUPTED, None, None)

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.asked("cloud", UPLOADS, "POST") == [0, 202]
    assert practice.uploads("emea") == 1
    (closed,) = practice.deliveries("emea")
    assert (closed.key, closed.baseline, closed.outcome) == (record.key, record.baseline, DeliveryOutcome.CONFIRMED)
    assert closed.run_id == outcome["emea"].run_id


def test_usage_that_changed_since_is_another_delivery(practice: Practice) -> None:
    """After the same crash, a collection with other content: the old record is closed, and the cloud has the new content."""
    upload_without_record(practice)
    practice.box.instances["emea"].set_report(report(*rows(5)).encode())

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.sent("emea") == {(n, f"user{n}@example.com") for n in range(1, 6)}
    assert [record.outcome for record in practice.deliveries("emea")] == [DeliveryOutcome.USAGE_CHANGED, DeliveryOutcome.CONFIRMED]


def test_a_record_of_a_past_slot_is_not_taken_up(practice: Practice) -> None:
    """A week later the old delivery is given up, and a new one with a new baseline is opened."""
    upload_without_record(practice)
    practice.clock.advance(8 * 24 * 3600)

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert [record.outcome for record in practice.deliveries("emea")] == [DeliveryOutcome.SLOT_PAST, DeliveryOutcome.CONFIRMED]
    assert practice.uploads("emea") == 2


def test_a_transient_failure_keeps_the_record_open(practice: Practice) -> None:
    """Five lost responses fail the run, but the upload may have arrived: the next run sends it under the same key."""
    practice.box.faults.add(Fault("cloud", UPLOADS, "lost_reply", times=5))
    failed = practice.run("emea")
    assert failed["emea"].code == "connection_lost"

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.uploads("emea") == 1
    assert len(practice.deliveries("emea")) == 1


@pytest.mark.parametrize(
    ("fault", "phase"),
    [
        (Fault("emea", META, "hang"), "collecting"),
        (Fault("emea", REPORT, "hang"), "collecting"),
        (Fault("cloud", "/enterprises/", "hang"), "comparing"),
        (Fault("cloud", UPLOADS, "hang"), "delivering"),
    ],
    ids=["meta", "report", "sync_status", "upload"],
)
def test_a_run_that_hangs_is_cancelled_at_once_and_stays_due(practice: Practice, fault: Fault, phase: str) -> None:
    """Wherever a server hangs, a stop is quick, the run is recorded as interrupted, and the next one works."""
    practice.box.faults.add(fault)
    began = time.monotonic()

    run = cancel_when(practice, lambda seen: bool(seen) and seen[-1].phase == phase)

    assert run.state is RunState.INTERRUPTED
    assert run.ended_at is not None
    assert time.monotonic() - began < 5
    practice.box.faults.clear()
    assert practice.run("emea").exit == OK


def test_a_delivered_run_stays_delivered(practice: Practice) -> None:
    """A process that stops while it waits for the cloud leaves the run open; the next one joins it and sends nothing."""
    practice.box.cloud.processing = Processing(delay_s=3600)
    practice.clock = FastClock(practice.box, practice.clock.now(), longest_s=3600)
    run = cancel_when(practice, lambda seen: bool(seen) and seen[-1].state is RunState.DELIVERED)
    assert run.state is RunState.DELIVERED

    practice.clock = FastClock(practice.box, practice.clock.now())
    practice.clock.advance(3700)
    practice.override(instances__emea__delivery__confirm_timeout="2h")
    outcome = practice.run("emea", wait=timedelta(seconds=30))

    assert outcome.exit == OK
    assert outcome["emea"].run_id == run.run_id
    assert practice.uploads("emea") == 1


def test_a_token_replaced_on_disk_is_used_by_the_next_run(practice: Practice) -> None:
    """Credentials are read again for each run, in the same process."""

    async def work() -> None:
        emea = practice.box.instances["emea"]
        with practice.recording() as parts:
            assert (await practice.run_with(parts, "emea")).exit == OK
            emea.token = "ghp_" + "rotated" * 5
            assert (await practice.run_with(parts, "emea"))["emea"].code == "unauthorized"
            (practice.folder / "credentials" / "instances__emea__source__token").write_text(emea.token + "\n")
            assert (await practice.run_with(parts, "emea")).exit == OK

    asyncio.run(work())


class RefuseOnce:
    """An instance's rate limit that refuses the first request with 401, as if the token had just been replaced."""

    def __init__(self, replaced: Callable[[], None]) -> None:
        self._replaced = replaced
        self._used = False

    def take(self) -> Reply | None:
        if self._used:
            return None
        self._used = True
        self._replaced()
        return Reply(401)

    def headers(self) -> tuple[tuple[str, str], ...]:
        return ()


def test_a_token_replaced_during_a_request_is_read_once_more(practice: Practice) -> None:
    """After a 401 the credential is read again; a fresh one is tried once, and the run goes on."""
    emea = practice.box.instances["emea"]

    def replace() -> None:
        emea.token = "ghp_" + "rotated" * 5
        (practice.folder / "credentials" / "instances__emea__source__token").write_text(emea.token + "\n")

    emea.rate_limit = RefuseOnce(replace)  # type: ignore[assignment]

    assert practice.run("emea").exit == OK
    assert practice.asked("emea", META) == [401, 200]
