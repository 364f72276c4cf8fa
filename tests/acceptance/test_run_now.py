"""`--run-now`: what it does, what it shows, and its exit codes."""

import base64
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from licsync_daemon.practice.sandbox import Fault, Processing
from tests.acceptance.support import META, REPORT, UPLOADS, Evidence, Site, wait_for


@contextmanager
def locked(site: Site, name: str) -> Iterator[None]:
    """Hold an instance's lock as another process would."""
    (site.state_dir / "locks").mkdir(parents=True, exist_ok=True)
    site.state_dir.chmod(0o700)
    descriptor = os.open(site.state_dir / "locks" / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def states(out: str) -> dict[str, str]:
    return {one["instance"]: one["state"] for one in json.loads(out)["instances"]}


def test_everything(site: Site) -> None:
    """Without names every enabled instance is synced: a table with totals, exit 0."""
    done = site.run("--run-now")

    assert done.code == 0, done.err
    header, emea, amer, total = done.out.splitlines()
    assert header.split() == [
        "instance",
        "accounts",
        "sent",
        "suspended",
        "unusable",
        "state",
        "collected",
        "delivered",
        "confirmed",
        "last",
        "sync",
    ]
    assert [line.split()[0] for line in (emea, amer, total)] == ["emea", "amer", "total"]
    figures = [[int(figure) for figure in line.split()[1:5]] for line in (emea, amer, total)]
    assert figures[2] == [one + other for one, other in zip(figures[0], figures[1], strict=True)]
    assert figures[0][0] == sum(figures[0][1:])
    assert site.uploads("emea") == site.uploads("amer") == 1


def test_a_disabled_instance_is_not_among_everything(site: Site) -> None:
    """`enabled = false` takes an instance out; naming it all the same is a mistake."""
    site.extend("amer", "enabled = false")

    assert states(site.run("--run-now", "--json").out) == {"emea": "confirmed"}
    named = site.run("--run-now", "amer")
    assert named.code == 2
    assert "amer: this instance is disabled" in named.err


def test_a_named_instance(site: Site) -> None:
    """Only the named instance is synced, also when it is named twice."""
    done = site.run("--run-now", "amer", "amer", "--json")

    assert done.code == 0
    assert states(done.out) == {"amer": "confirmed"}
    assert site.asked("emea") == []
    assert site.uploads("amer") == 1


def test_an_unknown_name(site: Site) -> None:
    """A name that is not configured stops everything before it starts, and the configured ones are listed."""
    done = site.run("--run-now", "emea", "nowhere")

    assert done.code == 2
    assert "nowhere: no such instance is configured (configured: emea, amer)" in done.err
    assert list(site.box.requests) == []
    assert not site.state_dir.exists()


def test_some_and_all_failed(site: Site) -> None:
    """Exit 3 when one of two failed, 4 when all did; each with its code, cause and next step."""
    site.box.faults.add(Fault("emea", META, "status", status=404))
    some = site.run("--run-now")
    site.box.faults.add(Fault("amer", META, "status", status=401))
    every = site.run("--run-now")
    alone = site.run("--run-now", "emea", "--json")

    assert (some.code, every.code, alone.code) == (3, 4, 4)
    assert "emea: not_found: " in some.out
    assert "next step: check the token's owner and scope (GitHub returns 404" in some.out
    assert json.loads(alone.out)["instances"][0]["code"] == "not_found"


def test_open_when_the_wait_is_over(site: Site) -> None:
    """Delivered and not confirmed within --wait is exit 6; the next --run-now joins that delivery and sends nothing anew."""
    site.box.cloud.processing = Processing(delay_s=3600)
    first = site.run("--run-now", "--wait", "0s", "--json")
    assert first.code == 6
    assert states(first.out) == {"emea": "delivered", "amer": "delivered"}

    site.box.clock.advance(3600)
    second = site.run("--run-now", "--json")

    assert second.code == 0
    assert [one["run_id"] for one in json.loads(second.out)["instances"]] == [one["run_id"] for one in json.loads(first.out)["instances"]]
    assert site.asked("cloud", UPLOADS).count(202) == 2


def test_a_named_instance_that_is_locked(site: Site) -> None:
    """Exit 11, the holder is named, and nothing is asked of it."""
    with locked(site, "emea"):
        done = site.run("--run-now", "emea")

    assert done.code == 11
    assert "emea: locked: " in done.out
    assert site.asked("emea") == []


def test_an_unnamed_instance_that_is_locked(site: Site) -> None:
    """The others run, and the whole is open (6): not everything asked for is confirmed."""
    with locked(site, "emea"):
        done = site.run("--run-now", "--json")

    assert done.code == 6
    assert states(done.out) == {"emea": "locked", "amer": "confirmed"}


def test_dry_run(site: Site) -> None:
    """It shows what would leave and leaves nothing behind: no upload, no state."""
    done = site.run("--run-now", "--dry-run")

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "would send" in lines[0]
    assert [line.split()[0] for line in lines[1:3]] == ["emea", "amer"]
    assert lines[-1] == "Nothing was sent and nothing was recorded."
    assert site.box.cloud.uploads() == []
    assert site.asked("cloud", UPLOADS) == []
    assert not site.state_dir.exists()


def test_an_instance_may_stand_behind_an_option(site: Site) -> None:
    """`--run-now --dry-run emea` means what it says: emea alone, and nothing is sent."""
    done = site.run("--run-now", "--dry-run", "emea")

    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()[1:2]] == ["emea"]
    assert "amer" not in done.out
    assert site.asked("cloud", UPLOADS) == []


def test_dry_run_as_json(site: Site) -> None:
    """The same as JSON, with the hash that a real run then records."""
    dry = site.run("--run-now", "emea", "--dry-run", "--json")
    real = site.run("--run-now", "emea", "--json")

    (would,), (did,) = json.loads(dry.out)["instances"], json.loads(real.out)["instances"]
    assert would["state"] == "would_send"
    assert would["counts"] == did["counts"]
    assert would["content_hash"] == did["content_hash"]


def test_dry_run_that_fails(site: Site) -> None:
    """A fault is found in a dry run as well, with the exit code of a real one."""
    site.box.faults.add(Fault("emea", REPORT, "body", body="<html>\n</html>\n"))

    assert site.run("--run-now", "--dry-run").code == 3
    done = site.run("--run-now", "emea", "--dry-run", "--json")
    assert done.code == 4
    assert json.loads(done.out)["instances"][0]["code"] == "report_not_csv"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl_c", "sigterm"])
def test_cut_short(site: Site, number: int, code: int) -> None:
    """A signal ends it at once with the signal's own code; the unfinished run is recorded as interrupted."""
    site.box.faults.add(Fault("emea", META, "hang"))
    running = site.start("--run-now", "emea")
    wait_for(lambda: (run := site.last("emea")) and run.phase == "collecting")

    ended, seconds = running.end(number)

    assert ended == code
    assert seconds < 5
    assert "Traceback" not in running.err
    assert site.state("emea") == "interrupted"


def test_killed_in_mid_run(site: Site) -> None:
    """After a kill -9 status says interrupted, the lock is free at once, and the next --run-now works."""
    site.box.instances["emea"].report_ready_after = float("inf")
    running = site.start("--run-now", "emea")
    wait_for(lambda: REPORT in str(site.box.requests))
    assert running.end(signal.SIGKILL)[0] == -signal.SIGKILL

    shown = json.loads(site.run("status", "--json").out)["instances"][0]
    assert shown["state"] == "interrupted"
    assert "its process is gone" in site.run("status").out
    site.box.instances["emea"].report_ready_after = 0.0
    done = site.run("--run-now", "emea", "--json")

    assert done.code == 0
    assert states(done.out) == {"emea": "confirmed"}
    runs = json.loads(site.run("history", "emea", "--json").out)["runs"]
    assert [run["state"] for run in runs] == ["confirmed", "interrupted"]


def test_a_wait_is_visible_in_status_with_its_end(site: Site) -> None:
    """While a run waits for a rate limit, status says until when and for what."""
    site.box.faults.add(Fault("emea", META, "status", status=429, headers={"Retry-After": "120"}))
    running = site.start("--run-now", "emea")
    wait_for(lambda: (run := site.last("emea")) and run.waiting_until)

    shown = json.loads(site.run("status", "--json").out)["instances"][0]
    words = site.run("status").out

    assert shown["state"] == "running"
    assert shown["last_run"]["waiting_until"] is not None
    assert "returned 429" in shown["last_run"]["waiting_for"]
    assert f"process {running.process.pid} on " in words
    assert ", waiting until " in words
    assert running.end()[0] == 143


def test_an_organization(site: Site) -> None:
    """What its endpoint has processed is accepted, never confirmed, and enough; no sync status is asked for, and nothing is overdue."""
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(text.replace("enterprise =", "organization ="), encoding="utf-8")
    done = site.run("--run-now", "--json")
    assert done.code == 0
    assert {one["state"] for one in json.loads(done.out)["instances"]} == {"accepted"}
    shown = json.loads(site.run("status", "--json").out)
    assert [(one["state"], one["overdue"]) for one in shown["instances"]] == [("accepted", False)] * len(shown["instances"])
    assert shown["seats"]["consumed"] == site.box.cloud.seats()
    assert [one.path for one in site.box.requests if one.path.startswith("/enterprises/")] == []


def test_the_scanner_finds_what_it_looks_for(site: Site, evidence: Evidence) -> None:
    """The search for secrets and people, which every test here ends with, is not blind."""
    site.run("--run-now", "emea")
    assert evidence.leaks() == []
    planted = site.state_dir / "planted"
    token = site.box.instances["emea"].token

    for content in (token.encode(), base64.b64encode(f"license-reader:{token}".encode()), b"Mona-Lisa-12@example.com"):
        planted.write_bytes(b"x" + content + b"y")
        assert len(evidence.leaks()) == 1
    planted.unlink()
