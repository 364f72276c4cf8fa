"""The daemon as a process: what it tells its supervisor, and how it ends, whatever is going on."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from licsync_daemon.practice.sandbox import Fault, Processing
from tests.acceptance.support import META, REPORT, UPLOADS, Site, events, started, supervisor, wait_for
from tests.tools import unshare

STOP_WITHIN_S = 10
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl_c"])


def is_alive(site: Site) -> bool:
    return site.run("status", "--alive").code == 0


def test_alive_while_it_serves(site: Site) -> None:
    """`status --alive` is 0 as soon as it serves and 1 once it is gone; status names its process and what is planned."""
    running = started(site)

    assert is_alive(site)
    found = json.loads(site.run("status", "--json").out)
    assert found["daemon"]["alive"] is True
    assert found["daemon"]["pid"] == running.process.pid
    assert {one["next"]["reason"] for one in found["instances"]} == {"first sync"}
    assert f"daemon: process {running.process.pid} on " in site.run("status").out

    assert running.end()[0] == 0
    assert not is_alive(site)
    assert events(running) == ["daemon.started", "daemon.stopped"]
    assert running.out == ""


def test_alive_after_a_kill(site: Site) -> None:
    """A daemon that was killed is not alive, though its heartbeat is fresh; the next one takes its place at once."""
    running = started(site)
    running.end(signal.SIGKILL)

    assert not is_alive(site)
    second = started(site)
    assert is_alive(site)
    assert second.end()[0] == 0


def test_a_second_daemon_is_refused(site: Site) -> None:
    """Exit 11 at once, naming the process that holds the state directory; the first one is not disturbed."""
    first = started(site)

    second = site.run()

    assert second.code == 11
    assert f"is held by process {first.process.pid} on " in second.err
    assert is_alive(site)
    assert first.end()[0] == 0


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_what_it_tells_systemd(site: Site, abstract: bool) -> None:
    """READY once it serves, WATCHDOG with a STATUS at least twice per interval, STOPPING at the end, in this order."""
    with supervisor(abstract=abstract) as (address, read):
        running = started(site, NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000")
        wait_for(lambda: sum("WATCHDOG=1" in message for message in read()) >= 3, within_s=5)
        assert running.end()[0] == 0

        messages = read()
    assert messages[0] == "READY=1"
    assert all(message.startswith("WATCHDOG=1\nSTATUS=next: ") for message in messages[1:-1])
    assert messages[-1] == "STOPPING=1\nSTATUS=stopping"


def test_a_due_instance_is_synced_by_itself(site: Site) -> None:
    """What is due is collected, delivered and confirmed without anybody asking, and the log tells it event by event."""
    site.make_due("emea")
    running = started(site)

    wait_for(lambda: site.state("emea") == "confirmed")

    assert running.end()[0] == 0
    assert events(running) == ["daemon.started", "run.started", "run.collected", "run.delivered", "run.confirmed", "daemon.stopped"]
    assert site.uploads("emea") == 1
    run = json.loads(site.run("history", "emea", "--json").out)["runs"][0]
    assert (run["trigger"], run["reason"]) == ("schedule", "retry 1 after unreachable")


@BOTH
def test_a_stop_when_idle(site: Site, number: int) -> None:
    """An idle daemon ends with 0 at once."""
    code, seconds = started(site).end(number)

    assert code == 0
    assert seconds < 2


def _report_not_ready(site: Site) -> None:
    site.box.instances["emea"].report_ready_after = float("inf")


def _fault(fault: Fault) -> Callable[[Site], None]:
    return lambda site: site.box.faults.add(fault)


def _phase(phase: str) -> Callable[[Site], object]:
    return lambda site: (run := site.last("emea")) and run.state == "running" and run.phase == phase


def _polled(site: Site) -> bool:
    return site.asked("emea", REPORT).count(202) >= 2


def _waiting(site: Site) -> object:
    return (run := site.last("emea")) and run.waiting_until


@pytest.mark.parametrize(
    ("prepare", "moment", "number"),
    [
        (_report_not_ready, _polled, signal.SIGTERM),
        (_report_not_ready, _polled, signal.SIGINT),
        (_fault(Fault("emea", META, "hang")), _phase("collecting"), signal.SIGTERM),
        (_fault(Fault("emea", REPORT, "slow")), _phase("collecting"), signal.SIGTERM),
        (_fault(Fault("cloud", "/enterprises/", "hang")), _phase("comparing"), signal.SIGTERM),
        (_fault(Fault("cloud", UPLOADS, "hang")), _phase("delivering"), signal.SIGTERM),
        (_fault(Fault("cloud", UPLOADS, "hang")), _phase("delivering"), signal.SIGINT),
        (_fault(Fault("emea", META, "status", status=429, headers={"Retry-After": "600"})), _waiting, signal.SIGTERM),
        (_fault(Fault("cloud", UPLOADS, "status", status=503, headers={"Retry-After": "600"})), _waiting, signal.SIGINT),
    ],
    ids=[
        "while_the_report_is_built", "while_the_report_is_built_ctrl_c", "instance_hangs", "report_trickles", "cloud_hangs", "upload_hangs",
        "upload_hangs_ctrl_c", "rate_limit", "endpoint_wants_peace_ctrl_c",
    ],
)  # fmt: skip
def test_a_stop_in_mid_run(site: Site, prepare: Callable[[Site], None], moment: Callable[[Site], object], number: int) -> None:
    """Exit 0 within ten seconds; the run is interrupted, its slot still due, and the next run works."""
    prepare(site)
    site.make_due("emea")
    running = started(site)
    wait_for(lambda: moment(site))

    code, seconds = running.end(number)

    assert code == 0, running.err
    assert seconds < STOP_WITHIN_S
    assert site.state("emea") == "interrupted"
    assert "run.interrupted" in events(running)
    assert "Traceback" not in running.err
    site.box.faults.clear()
    site.box.instances["emea"].report_ready_after = 0.0
    assert site.run("--run-now", "emea").code == 0
    assert site.uploads("emea") == 1


def test_a_delivered_run_outlives_the_daemon(site: Site) -> None:
    """A stop while the cloud is thinking leaves the run delivered; the next daemon settles it and sends nothing."""
    site.box.cloud.processing = Processing(delay_s=3600)
    site.make_due("emea")
    first = started(site)
    wait_for(lambda: site.state("emea") == "delivered")
    assert first.end()[0] == 0
    assert site.state("emea") == "delivered"

    site.box.clock.advance(3600)
    second = started(site)
    wait_for(lambda: site.state("emea") == "confirmed")

    assert second.end()[0] == 0
    assert site.asked("cloud", UPLOADS).count(202) == 1
    assert [run["state"] for run in json.loads(site.run("history", "emea", "--json").out)["runs"]] == ["confirmed", "failed"]


@pytest.fixture
def silent_dns(site: Site) -> list[str]:
    """Let emea's address be a name, and answer a program that starts a command where the only name server never answers."""
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(text.replace(site.box.instances["emea"].url, "https://ghes.nowhere.example.com"), encoding="utf-8")
    return [*unshare("-n", "-m"), sys.executable, str(Path(__file__).with_name("silent_dns.py"))]


@BOTH
def test_a_stop_while_a_name_server_is_silent(site: Site, silent_dns: list[str], number: int) -> None:
    """A resolver thread that waits for an answer does not hold up the end of the process."""
    site.make_due("emea")
    running = site.start(before=silent_dns)
    wait_for(lambda: "asked" in running.out or running.process.poll() is not None)

    code, seconds = running.end(number)

    assert code == 0, running.err
    assert seconds < STOP_WITHIN_S
    assert site.state("emea") == "interrupted"


def test_a_command_while_a_name_server_is_silent(site: Site, silent_dns: list[str]) -> None:
    """`--run-now` cut short in the same place ends as quickly."""
    running = site.start("--run-now", "emea", before=silent_dns)
    wait_for(lambda: "asked" in running.out or running.process.poll() is not None)

    code, seconds = running.end()

    assert code == 143, running.err
    assert seconds < STOP_WITHIN_S
    assert site.state("emea") == "interrupted"


def test_the_log_says_when_it_looks_next(site: Site) -> None:
    """Which instance, when and why, as `status` says it; once, not at every heartbeat. Nothing is in use by the daemon's own process."""
    for name in ("emea", "amer"):
        site.extend(name, 'source = { kind = "none" }', 'delivery = { kind = "connect" }')
        site.box.push(name)
    assert site.run("--run-now").code == 0
    daemon = started(site, WATCHDOG_USEC="1000000")
    wait_for(lambda: "run.planned" in daemon.err)
    first = min((one["next"] for one in json.loads(site.run("status", "--json").out)["instances"]), key=lambda one: one["at"])
    daemon.end()

    (planned,) = [one for one in map(json.loads, daemon.err.splitlines()) if one["event"] == "run.planned"]
    assert (planned["at"], planned["reason"], planned["level"]) == (first["at"], first["reason"], "info")
    assert "locked by" not in daemon.err
    assert f"process {daemon.process.pid} " not in daemon.err
