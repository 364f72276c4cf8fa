"""What an operator decides: a held run looked at, approved, rejected; an instance paused; and who may do that."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox import Fault, Fleet, Sandbox
from tests.acceptance.support import META, Command, Done, Site, started, wait_for
from tests.tools import skip, tool

QUICK_HEARTBEAT = {"WATCHDOG_USEC": "1000000"}  # twice within that time, instead of once in 30 s
MONA = {"SUDO_USER": "mona"}


def status_of(site: Site, name: str = "emea") -> dict[str, object]:
    """Return what `status --json` says of an instance."""
    found = json.loads(site.run("status", "--json").out)
    return next(one for one in found["instances"] if one["instance"] == name)


def decisions(site: Site) -> list[dict[str, object]]:
    """Return the decisions in `history --json`, newest first."""
    return json.loads(site.run("history", "--json").out)["decisions"]


def next_step(shown: str) -> str:
    """Return the command that a text for people gives as the next step."""
    found = re.search(r"next step: .*(licsync-daemon .*)$", shown, re.MULTILINE)
    assert found, shown
    return found[1]


def typed(site: Site, line: str) -> Done:
    """Run a line exactly as it was printed: it names the configuration that was not in its default place."""
    name, *arguments = shlex.split(line)
    assert name == "licsync-daemon"
    return site.command.run(*arguments)


def held(site: Site, name: str = "emea", keep: int = 10) -> str:
    """Have an instance shrink since last week, and answer the run that is held for it."""
    site.confirm_last_week(name)
    site.shrink(name, keep)
    assert site.run("--run-now", name).code == 5
    run = site.last(name)
    assert run is not None
    return run.run_id


def test_from_a_guard_to_the_confirmed_usage(site: Site) -> None:
    """Status shows what tripped, before and after, and the command that releases it; run as printed, it is sent, and only once."""
    there = site.confirm_last_week("emea")
    addresses = {account.email.encode() for account in site.box.instances["emea"].accounts if account.email}
    left = site.shrink("emea")

    done = site.run("--run-now", "emea")

    figures = f"{left} accounts, {there - left} fewer than before ({there})"
    assert done.code == 5
    assert f"emea: held: shrunk_usage: {figures}" in done.out
    shown, as_json = site.run("status").out, status_of(site)
    assert shown.count(f"alert: emea: shrunk_usage: held, and nothing was sent: {figures}") == 1
    assert re.search(r"^emea +held ", shown, re.MULTILINE)
    (guard,) = as_json["held_run"]["tripped"]  # type: ignore[index]
    assert (guard["code"], guard["before"], guard["after"]) == ("shrunk_usage", there, left)
    assert site.uploads("emea") == 0
    kept = b"".join(path.read_bytes() for path in site.state_dir.rglob("*") if path.is_file())
    assert len(addresses) > left
    assert [address for address in addresses if address.lower() in kept.lower()] == []
    assert as_json["held_run"]["content_hash"].encode() in kept  # type: ignore[index]

    approval = next_step(shown)
    assert approval == next_step(done.out)
    approved = typed(site, approval)

    assert approved.code == 0, approved.err
    shown = site.run("status").out
    assert "emea: approved by " in shown
    assert approval not in shown
    assert site.uploads("emea") == 0  # nothing has happened by that alone
    again = typed(site, approval)
    assert again.code == 2
    assert "already approved by " in again.err
    release = next_step(shown)
    assert release in approved.out
    sent = typed(site, release)

    assert sent.code == 0, sent.all
    assert site.uploads("emea") == 1
    assert len(site.box.cloud.holdings(site.box.instances["emea"].server_id)) == left
    assert "held" not in site.run("status").out
    once_more = typed(site, approval)
    assert once_more.code == 2
    assert re.search(r"run \w+: cannot be approved: the approval by \w+ was already used", once_more.err)
    runs = json.loads(site.run("history", "emea", "--json").out)["runs"]
    assert [run["state"] for run in runs] == ["confirmed", "superseded", "confirmed"]


def test_what_went_beyond_the_approved_is_held_again(site: Site) -> None:
    """The approval is of what was shown; who, when, why and the ticket stay in the history, with when it was used."""
    run_id = held(site)
    site.run("approve", run_id, "--reason", "site  closed\n", "--ticket", "CHG-1042", env=MONA)
    site.shrink("emea", keep=5)

    done = site.run("--run-now", "emea")

    assert done.code == 5
    assert site.uploads("emea") == 0
    assert run_id not in done.out
    (decision,) = decisions(site)
    now = datetime.now(UTC)
    times = {name: datetime.fromisoformat(str(decision.pop(name))) for name in ("at", "until", "used_at")}
    assert decision == {
        "instance": "emea", "run_id": run_id, "what": "approved", "actor": "mona", "reason": "site closed", "ticket": "CHG-1042",
    }  # fmt: skip
    assert now - timedelta(minutes=2) < times["at"] <= times["used_at"] <= now
    assert times["until"] - times["at"] == timedelta(days=7)
    told = site.run("history", "emea").out
    assert re.search(rf"emea +approved +mona +{run_id} +CHG-1042 +site closed$", told, re.MULTILINE)


def test_a_daemon_sends_what_was_approved_at_its_heartbeat(site: Site) -> None:
    """The daemon holds what is due, and sends it by itself once somebody has approved it."""
    site.confirm_last_week("emea")
    site.shrink("emea")
    site.make_due("emea")
    daemon = started(site, **QUICK_HEARTBEAT)
    wait_for(lambda: site.state("emea") == "held")
    run = site.last("emea")
    assert run is not None

    assert site.run("approve", run.run_id, "--reason", "site closed", env=MONA).code == 0

    wait_for(lambda: site.state("emea") == "delivered")
    sender = site.last("emea")
    assert sender is not None
    assert (sender.trigger, sender.reason) == ("schedule", "approved by mona")
    assert site.uploads("emea") == 1
    assert daemon.end()[0] == 0
    assert "Traceback" not in daemon.err


def test_a_rejected_run_is_over(site: Site) -> None:
    """Nothing was sent and nothing will be before the next slot; status says what became of it, and it cannot be approved any more."""
    run_id = held(site)

    done = site.run("reject", run_id, "--reason", "the report is broken", "--ticket", "INC-1")

    assert (done.code, done.err) == (0, "")
    assert "nothing was sent" in done.out
    shown = site.run("status").out
    assert "emea: note: was held, then rejected: shrunk_usage: " in shown
    assert "approve" not in shown
    found = status_of(site)
    assert (found["state"], found["held_run"], found["next"]["reason"]) == ("rejected", None, "weekly slot")  # type: ignore[index]
    late = site.run("approve", run_id, "--reason", "it was right after all")
    assert late.code == 2
    assert f"run {run_id}: cannot be approved: the run is rejected" in late.err
    assert [(one["what"], one["reason"], one["ticket"]) for one in decisions(site)] == [("rejected", "the report is broken", "INC-1")]
    assert site.uploads("emea") == 0


def test_what_cannot_be_approved(site: Site) -> None:
    """Unknown, superseded, not held, too old, without a reason: each is refused with its cause and 2, and nothing is recorded."""
    older = held(site)
    assert site.run("--run-now", "emea").code == 5
    newer = site.last("emea")
    assert newer is not None
    site.record(site.earlier("amer", 8, RunState.HELD))

    for run_id in ("nothing", older, "emea8days", "amer8days"):  # each cause has its unit test
        done = site.run("approve", run_id, "--reason", "it is right")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"licsync-daemon: refused (1 problem)\n  run {run_id}: ")
    silent = site.run("approve", newer.run_id, "--reason", " ")
    assert silent.code == 2
    assert "--reason: a reason is required" in silent.err
    assert decisions(site) == []


def test_a_failure_is_acknowledged(site: Site) -> None:
    """That a person has seen it goes to the history; nothing else changes."""
    site.box.faults.add(Fault("emea", META, "status", status=404))
    site.run("--run-now", "emea")
    run = site.last("emea")
    assert run is not None

    done = site.run("acknowledge", run.run_id, "--reason", "the instance is gone until May", env=MONA)

    assert (done.code, done.out) == (0, "acknowledged by mona: noted\n")
    (decision,) = decisions(site)
    assert (decision["what"], decision["run_id"], decision["reason"]) == ("acknowledged", run.run_id, "the instance is gone until May")
    assert site.last("emea") == run
    assert site.run("acknowledge", "nothing", "--reason", "x").code == 2


def test_a_paused_instance_is_left_alone_until_it_is_resumed(site: Site) -> None:
    """The daemon skips it and does the others; status says until when, by whom and why; after `resume` it is done at the heartbeat."""
    done = site.run("pause", "emea", "--until", "3d", "--reason", "hardware is replaced", "--ticket", "CHG-7", env=MONA)
    assert (done.code, done.err) == (0, "")
    site.make_due("emea", "amer")

    daemon = started(site, **QUICK_HEARTBEAT)
    wait_for(lambda: site.state("amer") == "delivered")

    assert site.asked("emea") == []
    found = status_of(site)
    until = datetime.fromisoformat(str(found["paused"]["until"]))  # type: ignore[index]
    assert abs(until - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=2)
    assert found["next"]["at"] == found["paused"]["until"]  # type: ignore[index]
    assert found["next"]["reason"].endswith("paused until then: hardware is replaced")  # type: ignore[index]
    shown = site.run("status").out
    assert re.search(r"^emea +paused ", shown, re.MULTILINE)
    assert f"emea: paused by mona until {until:%Y-%m-%d %H:%M}: hardware is replaced (CHG-7)" in shown

    done = site.run("resume", "emea", "--reason", "ready early", "--ticket", "CHG-8", env=MONA)
    assert done.out == "resumed by mona: emea follows its schedule again\n"
    wait_for(lambda: site.state("emea") == "delivered")
    assert daemon.end()[0] == 0
    assert status_of(site)["paused"] is None
    told = [(one["what"], one["actor"], one["reason"], one["ticket"], one["run_id"]) for one in decisions(site)]
    assert told == [("resumed", "mona", "ready early", "CHG-8", None), ("paused", "mona", "hardware is replaced", "CHG-7", None)]
    assert re.search(r"emea +paused +mona +- +CHG-7 +hardware is replaced$", site.run("history").out, re.MULTILINE)


def test_a_pause_ends_on_the_wall_clock_of_the_schedule(site: Site) -> None:
    """A date and time without a zone is that of the instance's schedule; a person who asks for a run gets it all the same."""
    site.extend("emea", 'schedule = { timezone = "Asia/Tokyo" }')

    assert site.run("pause", "emea", "--until", "2099-12-24 18:00", "--reason", "x").code == 0

    assert status_of(site)["paused"]["until"] == "2099-12-24T09:00:00Z"  # type: ignore[index]
    assert site.run("--run-now", "emea").code == 0


def test_a_pause_that_cannot_be(site: Site, subtests: pytest.Subtests) -> None:
    """A time that is past or not a time, and an unknown instance, are mistakes; nothing is recorded."""
    for name, until, words in (
        ("emea", "2020-01-01 00:00", "--until: "),
        ("emea", "soon", '--until: "soon" is not a valid time (examples: "3d", "2026-12-24 18:00")'),
        ("nowhere", "3d", "nowhere: no such instance is configured (configured: emea, amer)"),
    ):
        with subtests.test(name=name, until=until):
            done = site.run("pause", name, "--until", until, "--reason", "x")
            assert (done.code, words in done.err) == (2, True)
    assert decisions(site) == []


WRITING = [
    ("--run-now", "emea"), ("--run-now",), (), ("approve", "run1", "--reason", "x"), ("reject", "run1", "--reason", "x"),
    ("acknowledge", "run1", "--reason", "x"), ("pause", "emea", "--until", "3d", "--reason", "x"), ("resume", "emea"),
]  # fmt: skip


SWITCH = "sudo -u {}" if shutil.which("sudo") else "runuser -u {} --"  # as root


@pytest.fixture
def open_site(fleet: Fleet, command: Command) -> Iterator[Site]:
    """A practice fleet whose state belongs to somebody else, and whose configuration another user can read."""
    tool("setpriv")
    if os.geteuid() != 0:
        skip("needs root")
    with tempfile.TemporaryDirectory() as folder, Sandbox(fleet) as box:
        site = Site(box, Path(folder), command)
        site.state_dir.mkdir(mode=0o700)
        os.chown(site.state_dir, 65534, 65534)
        site.folder.chmod(0o755)
        site.config.chmod(0o644)
        yield site
        command.close()


def test_a_writing_command_by_root(open_site: Site, subtests: pytest.Subtests) -> None:
    """Root's files in the state directory would lock its owner out: nothing is written, and the command that works is printed."""
    owner = subprocess.run(["id", "-nu", "65534"], capture_output=True, text=True, check=True).stdout.strip()
    for arguments in WRITING:
        with subtests.test(arguments=arguments):
            done = open_site.run(*arguments)
            assert (done.code, done.out) == (2, "")
            typed = f"{SWITCH.format(owner)} licsync-daemon --config {open_site.config} "
            assert f"belongs to user {owner}, but you are root (run the command as that user: {typed}" in done.err
    assert list(open_site.state_dir.iterdir()) == []
    assert list(open_site.box.requests) == []


def test_a_check_by_root(open_site: Site) -> None:
    """It says how to run it as the daemon's user, with the configuration that was named."""
    done = open_site.run("check", "--offline")

    owner = subprocess.run(["id", "-nu", "65534"], capture_output=True, text=True, check=True).stdout.strip()
    assert f"{SWITCH.format(owner)} licsync-daemon --config {open_site.config} check" in done.out


def test_a_writing_command_by_somebody_else(open_site: Site) -> None:
    """Any other user is told the same."""
    other = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--"]
    running = open_site.start("approve", "run1", "--reason", "x", before=other)
    code = running.wait()
    if code == 127 or "ermission denied" in running.err:
        skip(f"other users cannot read the program's own folder: {running.err}")

    assert code == 2
    assert f"user: you are 65533, who may not use {open_site.state_dir} (run: " in running.err
    assert f"licsync-daemon --config {open_site.config} approve run1 --reason x" in running.err
