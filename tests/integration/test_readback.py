"""Only the cloud confirms a sync, whatever its clock does and whoever else syncs at the same time."""

from datetime import datetime, timedelta

import pytest

from licsync_daemon.model.run import DeliveryOutcome, RunState
from licsync_daemon.practice.sandbox import Fault, Processing
from tests.integration.support import OK, OPEN, SOME_FAILED, START, SYNC_STATUS, UPLOADS, Practice

SECOND = timedelta(seconds=1)
UPLOAD_STATES = f"{UPLOADS}/"


def entry(at: datetime, status: str = "success", error: str = "") -> dict[str, str]:
    return {"date": f"{at:%Y-%m-%dT%H:%M:%SZ}", "status": status, "error": error}


def test_a_confirmed_run_keeps_its_four_times_apart(practice: Practice) -> None:
    """Collected, delivered and confirmed are our times, the last sync is the cloud's, and they come in this order."""
    run = practice.run("emea")["emea"]

    assert run.collected_at
    assert run.delivered_at
    assert run.confirmed_at
    assert run.last_sync
    assert run.started_at <= run.collected_at <= run.delivered_at <= run.confirmed_at
    assert run.last_sync == run.last_sync.replace(microsecond=0)
    with practice.recording() as parts:
        known = parts.store.instance("emea")
        assert known is not None
        assert known.last_sync == run.last_sync
        seats = parts.store.seats()
        assert seats is not None
        assert seats.consumed == practice.box.cloud.seats()
        assert [step.state for step in parts.store.transitions(run.run_id)] == ["running", "delivered", "confirmed"]


def test_a_cloud_that_never_confirms(practice: Practice) -> None:
    """After `confirm_timeout` the run has failed, and its delivery is closed as never confirmed."""
    practice.box.cloud.processing = Processing(mode="never")
    practice.override(instances__emea__delivery__confirm_timeout="90s")

    outcome = practice.run("emea", wait=timedelta(minutes=10))

    assert (outcome["emea"].state, outcome["emea"].code) == (RunState.FAILED, "not_confirmed")
    assert outcome["emea"].confirmed_at is None
    assert [record.outcome for record in practice.deliveries("emea")] == [DeliveryOutcome.NOT_CONFIRMED]
    assert practice.clock.monotonic() >= 90


def test_before_the_timeout_it_is_open(practice: Practice) -> None:
    """When the wait is over first, the run stays delivered, which is no success and no failure."""
    practice.box.cloud.processing = Processing(mode="never")

    outcome = practice.run("emea", wait=timedelta(seconds=30))

    assert outcome.states == {"emea": "delivered"}
    assert outcome.exit == OPEN
    assert outcome["emea"].waiting_for == "the cloud lists no sync of this instance yet"


@pytest.mark.parametrize(
    ("processing", "code", "result"),
    [
        (Processing(mode="failure", delay_s=0, error="quota"), "upload_failed", DeliveryOutcome.UPLOAD_FAILED),
        (Processing(delay_s=0, status="failure", error="quota"), "sync_failed", DeliveryOutcome.SYNC_FAILED),
        (Processing(delay_s=0, status="ERROR"), "sync_failed", DeliveryOutcome.SYNC_FAILED),
    ],
    ids=["the_upload_failed", "the_newest_sync_failed", "another_spelling"],
)
def test_a_sync_that_failed_is_a_failure(practice: Practice, processing: Processing, code: str, result: DeliveryOutcome) -> None:
    """The cloud's or the endpoint's own failure ends the run at once, with their words, and never as a success."""
    practice.box.cloud.processing = processing

    outcome = practice.run()

    for name in ("emea", "amer"):
        assert (outcome[name].state, outcome[name].code) == (RunState.FAILED, code)
        assert (processing.error or "") in (outcome[name].cause or "")
    assert [record.outcome for record in practice.deliveries("emea")] == [result]


def test_one_failed_sync_leaves_the_other_instance_alone(practice: Practice) -> None:
    """A failed sync of one instance says nothing about the other."""
    practice.box.cloud.processing = Processing(mode="failure", delay_s=0)
    assert practice.run("emea")["emea"].code == "upload_failed"
    practice.box.cloud.processing = Processing(delay_s=0)
    practice.box.faults.add(Fault("emea", "/api/", "status", status=404))

    outcome = practice.run()

    assert outcome.states == {"emea": "failed", "amer": "confirmed"}
    assert outcome.exit == SOME_FAILED


def test_an_unknown_status_keeps_waiting(practice: Practice) -> None:
    """An undocumented status is neither success nor failure; when it becomes a success, the next check confirms."""
    practice.box.cloud.processing = Processing(delay_s=0, status="importing")
    open_ = practice.run("emea", wait=timedelta(seconds=20))
    assert open_.exit == OPEN
    assert open_["emea"].waiting_for == "the cloud's latest sync has the status importing"

    practice.box.set_sync_entry("emea", entry(practice.box.clock.now))
    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert outcome["emea"].run_id == open_["emea"].run_id
    assert practice.uploads("emea") == 1


@pytest.mark.parametrize(
    "shown",
    [None, {}, {"date": "yesterday", "status": "success", "error": ""}, {"status": "success"}, "never"],
    ids=["null", "empty", "no_date_in_it", "date_absent", "text"],
)
def test_an_entry_without_a_date_confirms_nothing(practice: Practice, shown: object) -> None:
    """Whatever an odd entry may mean, it is not the proof of a sync."""
    practice.box.cloud.processing = Processing(mode="never")
    practice.run("emea", wait=timedelta(0))
    practice.box.set_sync_entry("emea", shown)
    practice.box.faults.add(Fault("cloud", UPLOAD_STATES, "body", body='{"sync_state": "SUCCESS"}', content_type="application/json"))

    assert practice.run("emea", wait=timedelta(seconds=10)).states == {"emea": "delivered"}


def test_a_lost_response_is_sent_again_with_the_same_key(practice: Practice) -> None:
    """The endpoint accepted the first upload though its response was lost: the second changes nothing, and one is confirmed."""
    practice.box.faults.add(Fault("cloud", UPLOADS, "lost_reply", times=1))

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.asked("cloud", UPLOADS, "POST") == [0, 202]
    assert practice.uploads("emea") == 1
    assert len(practice.deliveries("emea")) == 1


def test_unchanged_usage_is_delivered_again_and_counted_once(practice: Practice) -> None:
    """A second `--run-now` is a second upload with its own key; people, seats and accounts stay the same."""
    first = practice.run()
    held, seats = {name: practice.sent(name) for name in ("emea", "amer")}, practice.box.cloud.seats()

    second = practice.run()

    assert (first.exit, second.exit) == (OK, OK)
    assert second["emea"].content_hash == first["emea"].content_hash
    assert second["emea"].last_sync > first["emea"].last_sync  # type: ignore[operator]
    assert {name: practice.sent(name) for name in ("emea", "amer")} == held
    assert practice.box.cloud.seats() == seats
    assert [practice.uploads(name) for name in ("emea", "amer")] == [2, 2]
    assert len({record.key for record in practice.deliveries("emea")}) == 2


def test_a_sync_of_this_very_second_is_waited_out(practice: Practice) -> None:
    """Dates have whole seconds: after another's sync in this second, sending waits for the next one."""
    now = practice.box.clock.now
    practice.box.clock.set(now)
    practice.box.push("emea")

    outcome = practice.run("emea")

    run = outcome["emea"]
    assert outcome.exit == OK
    assert run.last_sync is not None
    assert run.last_sync >= now + SECOND


@pytest.mark.parametrize("hours", [-48, -1, 1, 48], ids=["two_days_back", "an_hour_back", "an_hour_ahead", "two_days_ahead"])
def test_the_clouds_clock_may_be_set(practice: Practice, hours: int) -> None:
    """After its clock was set, a sync is confirmed by the changed entry and the upload's own success."""
    before = practice.run("emea")["emea"]
    practice.box.clock.advance(hours * 3600)

    outcome = practice.run("emea")

    run = outcome["emea"]
    assert outcome.exit == OK
    assert run.last_sync is not None
    assert before.last_sync is not None
    assert abs(run.last_sync - before.last_sync - timedelta(hours=hours)) < timedelta(minutes=3)
    assert practice.uploads("emea") == 2


def test_incomparable_dates_need_the_uploads_own_success(practice: Practice) -> None:
    """With a baseline from the future and an unknown upload state, nothing is ever confirmed."""
    practice.box.set_sync_entry("emea", entry(START + timedelta(days=1)))
    practice.box.faults.add(Fault("cloud", UPLOAD_STATES, "status", status=404))
    practice.override(instances__emea__delivery__confirm_timeout="2m")

    outcome = practice.run("emea", wait=timedelta(minutes=10))

    assert outcome["emea"].code == "not_confirmed"
    assert "cannot be compared" in (outcome["emea"].cause or "")


def test_an_entry_from_the_future_that_does_not_change_confirms_nothing(practice: Practice) -> None:
    """The cloud shows the same future date before and after: that confirms nothing, even if the upload succeeded."""
    practice.box.cloud.processing = Processing(mode="never")
    practice.box.set_sync_entry("emea", entry(START + timedelta(days=1)))
    practice.box.faults.add(Fault("cloud", UPLOAD_STATES, "body", body='{"sync_state": "SUCCESS"}', content_type="application/json"))

    outcome = practice.run("emea", wait=timedelta(seconds=30))

    assert outcome.states == {"emea": "delivered"}
    assert outcome["emea"].waiting_for == "the cloud's latest sync is still the previous one"


def test_an_endpoint_without_upload_states(practice: Practice) -> None:
    """Where the endpoint cannot be asked (404), the read-back alone decides."""
    practice.box.faults.add(Fault("cloud", UPLOAD_STATES, "status", status=404))

    assert practice.run("emea").exit == OK


def test_a_sync_by_connect_in_between_confirms_nothing(practice: Practice) -> None:
    """GitHub Connect syncs after the upload: its newer date does not confirm the pending upload; the upload's success does."""
    practice.box.cloud.processing = Processing(delay_s=600)
    practice.run("emea", wait=timedelta(0))
    practice.clock.advance(5)
    practice.box.push("emea")

    waiting = practice.run("emea", wait=timedelta(seconds=30))
    assert waiting.states == {"emea": "delivered"}
    assert waiting["emea"].waiting_for == "the upload is still being processed"

    practice.clock.advance(600)
    outcome = practice.run("emea")
    assert outcome.exit == OK
    assert practice.asked("cloud", UPLOADS, "POST") == [202]


def test_a_sync_by_connect_before_the_baseline_confirms_nothing(practice: Practice) -> None:
    """A sync from before the baseline never counts."""
    practice.box.push("emea")
    practice.clock.advance(10)
    practice.box.cloud.processing = Processing(mode="never")

    outcome = practice.run("emea", wait=timedelta(seconds=30))

    assert outcome.states == {"emea": "delivered"}
    assert outcome["emea"].waiting_for == "the cloud's latest sync is still the previous one"


def test_a_cloud_that_cannot_be_read_keeps_a_delivered_run(practice: Practice) -> None:
    """A failed read-back is no failed sync: the run stays delivered, and the next check confirms it."""
    practice.box.cloud.processing = Processing(delay_s=30)
    practice.run("emea", wait=timedelta(0))
    practice.clock.advance(30)
    practice.box.faults.add(Fault("cloud", SYNC_STATUS, "status", status=403, times=1))

    outcome = practice.run("emea")

    assert outcome.exit == OK
    assert practice.asked("cloud", SYNC_STATUS)[-2:] == [403, 200]


def test_one_response_serves_every_delivered_instance(practice: Practice) -> None:
    """While two instances wait, each check is one `license-sync-status` for both."""
    practice.box.cloud.processing = Processing(delay_s=3600)
    practice.run(wait=timedelta(0))
    before = len(practice.asked("cloud", SYNC_STATUS))
    practice.clock.advance(3600)

    outcome = practice.run()

    assert outcome.exit == OK
    assert len(practice.asked("cloud", SYNC_STATUS)) == before + 1


def test_a_hostname_in_capitals_with_a_port_is_the_same_server(practice: Practice) -> None:
    """Entries without a server ID match by hostname, in any case, with or without a port."""
    host = practice.box.instances["emea"].hostname.upper()
    shown = '{{"server_instances": [{{"hostname": "{host}:443", "last_sync": {{"date": "{date}", "status": "success", "error": ""}}}}]}}'
    practice.box.cloud.processing = Processing(delay_s=3600)
    practice.run("emea", wait=timedelta(0))
    practice.clock.advance(3600)
    body = shown.format(host=host, date=f"{practice.box.clock.now:%Y-%m-%dT%H:%M:%SZ}")
    practice.box.faults.add(Fault("cloud", SYNC_STATUS, "body", body=body, content_type="application/json"))

    assert practice.run("emea").exit == OK
