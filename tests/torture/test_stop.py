"""SIGTERM at every step of a daemon's run: it ends within 10 seconds, the state is whole, and the next process carries on."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from licsync_daemon.practice.sandbox import Fault, Processing
from licsync_daemon.state.files import open_for_reading
from licsync_daemon.system.filelock import FileLock
from tests.acceptance.support import META, REPORT, UPLOADS, Site, wait_for

STOP_WITHIN_S = 10
SYNC_STATUS = "/enterprises/octo-enterprise/license-sync-status"


@dataclass(frozen=True)
class Step:
    """Where a run is stopped: what keeps it there, how it is seen that it is there, and what is left of it."""

    name: str
    keep: Callable[[Site], object]
    there: Callable[[Site], object]
    phase: str
    left: str = "interrupted"
    carries_on: bool = True


def fault(server: str, path: str, kind: str, **more: object) -> Callable[[Site], object]:
    return lambda site: site.box.faults.add(Fault(server, path, kind, **more))  # type: ignore[arg-type]


def asked(server: str, path: str, times: int = 1) -> Callable[[Site], object]:
    return lambda site: len(site.asked(server, path)) >= times


def in_phase(phase: str) -> Callable[[Site], object]:
    return lambda site: (run := site.last("emea")) is not None and run.state == "running" and run.phase == phase


def waiting(site: Site) -> object:
    run = site.last("emea")
    return run is not None and run.waiting_until is not None


def report_is_never_built(site: Site) -> None:
    site.box.instances["emea"].report_ready_after = float("inf")
    site.box.instances["emea"].set_report(site.box.instances["emea"].report.csv)


def uploads_are_never_processed(site: Site) -> None:
    site.box.cloud.processing = Processing(mode="never")


STEPS = [
    Step("the_first_request", fault("emea", META, "hang"), in_phase("collecting"), "collecting"),
    Step("a_wait_for_the_far_side", fault("emea", META, "status", status=429, headers={"Retry-After": "300"}), waiting, "collecting"),
    Step("the_report_is_being_built", report_is_never_built, asked("emea", REPORT, 3), "collecting"),
    Step("the_report_hangs", fault("emea", REPORT, "hang"), asked("emea", "/api/v3/enterprise/settings"), "collecting"),
    Step("the_report_trickles", fault("emea", REPORT, "slow"), asked("emea", REPORT), "collecting"),
    Step("the_cloud_hangs", fault("cloud", SYNC_STATUS, "hang"), in_phase("comparing"), "comparing"),
    Step("the_upload_hangs", fault("cloud", UPLOADS, "hang"), in_phase("delivering"), "delivering"),
    Step("the_upload_is_taken_and_not_answered", fault("cloud", UPLOADS, "slow"), lambda site: site.uploads("emea"), "delivering"),
    Step(
        "the_upload_is_watched", uploads_are_never_processed, lambda site: site.state("emea") == "delivered", "waiting for confirmation",
        left="delivered", carries_on=False,
    ),
    Step(
        "a_look_hangs", lambda site: [uploads_are_never_processed(site), fault("cloud", f"{UPLOADS}/", "hang")(site)],
        lambda site: len(site.asked("cloud", SYNC_STATUS)) >= 2, "waiting for confirmation", left="delivered", carries_on=False,
    ),
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_sigterm_at_every_step(site: Site, step: Step) -> None:
    """Exit 0 within 10 s; the run is recorded as what it is; the next `--run-now` brings it to its end with one upload."""
    step.keep(site)
    site.make_due("emea")
    daemon = site.start()
    wait_for(lambda: step.there(site), within_s=30)
    run = site.last("emea")
    assert run is not None
    assert run.phase == step.phase

    code, seconds = daemon.end(within_s=30)

    print(f"{step.name}: {seconds:.2f} s")
    assert code == 0, daemon.err
    assert seconds < STOP_WITHIN_S
    assert "Traceback" not in daemon.err
    assert site.state("emea") == step.left
    with FileLock.take(site.state_dir / "locks" / "emea.lock"):  # type: ignore[union-attr] # free: nothing of it is left
        pass
    site.box.faults.clear()
    site.box.instances["emea"].report_ready_after = 0.0
    if step.carries_on:
        done = site.run("--run-now", "emea")
        assert done.code == 0, done.all
        assert site.uploads("emea") == 1
    store = open_for_reading(site.state_dir)
    assert store is not None
    open_records = store.open_delivery("emea")
    store.close()
    assert (open_records is None) == step.carries_on


def test_sigterm_while_another_process_is_at_it(site: Site) -> None:
    """A daemon that waits for an instance which another process has ends as quickly, and leaves it to that process."""
    site.make_due("emea")
    with FileLock.take(site.state_dir / "locks" / "emea.lock"):  # type: ignore[union-attr]
        daemon = site.start()
        wait_for(lambda: "run.skipped" in daemon.err)

        code, seconds = daemon.end(within_s=30)

    assert (code, seconds < STOP_WITHIN_S) == (0, True), daemon.err
    assert site.uploads("emea") == 0
