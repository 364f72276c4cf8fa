"""SIGHUP: the daemon follows another configuration without losing anything, and keeps the old one where the new one is bad."""

import json
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from licsync_daemon.practice.sandbox import Fault
from tests.acceptance.support import META, REPORT, UPLOADS, Running, Site, events, started, supervisor, wait_for

QUICK_HEARTBEAT = {"WATCHDOG_USEC": "1000000"}  # twice within that time, instead of once in 30 s


def in_days(number: int) -> tuple[str, str]:
    """Return a weekly schedule whose next slot is in so many days, and that slot."""
    then = (datetime.now(UTC) + timedelta(days=number)).replace(hour=3, minute=17)
    return f'schedule = {{ day = "{then.strftime("%A").lower()}", time = "03:17" }}', f"{then:%Y-%m-%d} 03:17:00"


def without(text: str, name: str) -> str:
    """Return a configuration without an instance."""
    before, after = text.split(f"[instances.{name}]\n")
    return before + "".join(after.partition("[instances.")[1:])


def reload(running: Running) -> None:
    """Send SIGHUP and wait until it was heeded."""
    before = running.err.count("daemon.reload")
    running.process.send_signal(signal.SIGHUP)
    wait_for(lambda: running.err.count("daemon.reload") > before)


def test_another_schedule_and_a_new_instance(site: Site) -> None:
    """Both apply at once, what was recorded stays, and systemd hears of it: RELOADING, READY, and what comes next now."""
    (before, slot), (after, new_slot) = in_days(3), in_days(2)
    site.extend("emea", before)
    both = site.config.read_text(encoding="utf-8")
    site.config.write_text(without(both, "amer"), encoding="utf-8")
    assert site.run("--run-now").code == 0
    confirmed = site.last("emea")
    with supervisor(abstract=True) as (address, read):
        daemon = started(site, NOTIFY_SOCKET=address, **QUICK_HEARTBEAT)
        wait_for(lambda: f"WATCHDOG=1\nSTATUS=next: emea at {slot} UTC" in read())
        heard = len(read())

        site.config.write_text(without(both, "amer").replace(before, after), encoding="utf-8")
        reload(daemon)
        wait_for(lambda: f"WATCHDOG=1\nSTATUS=next: emea at {new_slot} UTC" in read())

        told = [message for message in read()[heard:] if not message.startswith("WATCHDOG=1")]
        site.config.write_text(both.replace(before, after), encoding="utf-8")
        site.make_due("amer")
        reload(daemon)
        wait_for(lambda: read() and site.state("amer") == "delivered")
        assert daemon.end()[0] == 0
    assert told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[1:] == ["READY=1"]
    assert site.last("emea") == confirmed
    assert (site.uploads("emea"), site.uploads("amer")) == (1, 1)
    told_us = [event for event in events(daemon) if event.startswith("daemon.")]
    assert told_us == ["daemon.started", "daemon.reloaded", "daemon.reloaded", "daemon.stopped"]


def _unknown_key(site: Site) -> None:
    site.extend("emea", "hostnam = 1")


def _no_toml(site: Site) -> None:
    site.config.write_bytes(b"[instances\n")


def _no_text(site: Site) -> None:
    site.config.write_bytes(b"\xff\xfe\x00")


def _gone(site: Site) -> None:
    site.config.unlink()


def _folder(site: Site) -> None:
    site.config.unlink(missing_ok=True)
    site.config.mkdir()


def _other_state(site: Site) -> None:
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(text.replace(str(site.state_dir), str(site.folder / "elsewhere")), encoding="utf-8")


BAD: Sequence[tuple[Callable[[Site], None], str]] = (
    (_unknown_key, "instances.emea.hostnam"),
    (_no_toml, "config.toml"),
    (_no_text, "not UTF-8 text"),
    (_gone, "no such file"),
    (_folder, "is a folder, not a file"),
    (_other_state, "state_dir: cannot change while the daemon runs (restart it instead)"),
)


def test_a_bad_configuration_changes_nothing(site: Site) -> None:
    """Each mistake is told, the old configuration stays in force, and the daemon does what is due with it; systemd sees it ready again."""
    good = site.config.read_bytes()
    with supervisor(abstract=True) as (address, read):
        daemon = started(site, NOTIFY_SOCKET=address, **QUICK_HEARTBEAT)
        for make, words in BAD:
            make(site)
            reload(daemon)
            read()  # a supervisor that does not listen holds its daemon up
            refused = json.loads(daemon.err.splitlines()[-1])
            assert (refused["event"], refused["level"]) == ("daemon.reload_refused", "error")
            assert any(words in problem for problem in refused["problems"]), refused
            if site.config.is_dir():
                site.config.rmdir()
            site.config.write_bytes(good)
        site.make_due("emea")
        site.config.write_bytes(b"still bad")
        reload(daemon)

        wait_for(lambda: read() and site.state("emea") == "delivered")

        assert read().count("READY=1") == 1 + len(BAD) + 1
        assert daemon.end()[0] == 0
    assert "Traceback" not in daemon.err


def test_status_after_a_refused_reload(site: Site) -> None:
    """What looks still works, with the configuration of the daemon, which says that it is the older one, and why; without it, nothing does."""
    good = site.config.read_bytes()
    daemon = started(site)
    accepted = site.state_dir / "accepted.toml"
    assert (accepted.read_bytes(), accepted.stat().st_mode & 0o777) == (good, 0o600)
    assert "older configuration" not in site.run("status").out

    for make, words in BAD[:-1]:
        make(site)
        done = site.run("status", env={"LICSYNC_STATE_DIR": str(site.state_dir)} if make is not _unknown_key else None)
        assert (done.code, done.err) == (0, ""), done.all
        assert "the daemon runs with the older configuration that it accepted on " in done.out
        assert f"{site.config} was changed since, and is refused: " in done.out
        assert words in done.out
        assert done.out.splitlines()[1].startswith("emea ")
        if site.config.is_dir():
            site.config.rmdir()
        site.config.write_bytes(good)

    _unknown_key(site)
    reload(daemon)
    assert accepted.read_bytes() == good
    assert site.run("status", "--alive").out == "alive\n"
    checked = site.run("status", "--check")
    assert (checked.code, checked.out.count("\n")) == (1, 1)
    assert checked.out.startswith("WARNING: the daemon runs with the older configuration")
    for words in ("history", "outbox"):
        done = site.run(words)
        assert (done.code, "the configuration of the running daemon is used: " in done.err) == (0, True)
    daemon.end()
    refused, unreadable = site.run("status"), site.run("status", "--check")
    assert (refused.code, refused.out, unreadable.code) == (2, "", 3)
    assert unreadable.out.startswith("UNKNOWN: the configuration cannot be used: instances.emea.hostnam")


def test_a_changed_configuration_that_is_not_loaded_yet(site: Site) -> None:
    """It says that a reload is missing, until it was done."""
    daemon = started(site)
    site.config.write_bytes(site.config.read_bytes() + b"# seen\n")

    assert "was changed since, and is not loaded yet" in site.run("status").out
    reload(daemon)
    assert "not loaded yet" not in site.run("status").out


def test_a_removed_instance_is_kept_as_retired(site: Site) -> None:
    """Also one for which nothing was ever sent; its history can be read. One that comes back is what it was before."""
    site.run("--run-now", "emea")
    site.box.faults.add(Fault("amer", META, "status", status=404))
    site.run("--run-now", "amer")
    both = site.config.read_text(encoding="utf-8")
    daemon = started(site)

    site.config.write_text(without(both, "amer"), encoding="utf-8")
    reload(daemon)

    found = json.loads(site.run("status", "--json").out)
    (retired,) = found["retired"]
    assert [one["instance"] for one in found["instances"]] == ["emea"]
    assert (retired["instance"], retired["hostname"]) == ("amer", None)
    assert datetime.now(UTC) - datetime.fromisoformat(retired["retired_at"]) < timedelta(minutes=2)
    assert f"amer: retired since {retired['retired_at'][:10]}: no longer configured; its history is kept" in site.run("status").out
    assert "not_found" in site.run("history", "amer").out

    site.config.write_text(without(both, "emea"), encoding="utf-8")
    reload(daemon)

    found = json.loads(site.run("status", "--json").out)
    assert [(one["instance"], one["state"]) for one in found["instances"]] == [("amer", "failed")]
    assert [(one["instance"], one["hostname"]) for one in found["retired"]] == [("emea", site.box.instances["emea"].hostname)]
    site.config.write_text(both, encoding="utf-8")
    reload(daemon)
    found = json.loads(site.run("status", "--json").out)
    assert found["retired"] == []
    assert [one["state"] for one in found["instances"]] == ["confirmed", "failed"]
    assert daemon.end()[0] == 0
    site.box.faults.clear()
    assert site.run("--run-now", "amer").code == 0  # nothing is left of its retirement that would hold it


def test_a_run_in_progress_ends_with_what_it_began_with(site: Site) -> None:
    """A reload cuts nothing short: the run goes on to the endpoint it knew, though the new configuration names another."""
    site.box.instances["emea"].report_ready_after = float("inf")
    site.make_due("emea")
    daemon = started(site)
    wait_for(lambda: site.asked("emea", REPORT).count(202) >= 1)
    run = site.last("emea")
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(text.replace(site.box.delivery_url, "http://127.0.0.1:9/uploads"), encoding="utf-8")

    reload(daemon)
    site.box.instances["emea"].report_ready_after = 0.0

    wait_for(lambda: site.state("emea") == "delivered")
    after = site.last("emea")
    assert run is not None
    assert after is not None
    assert after.run_id == run.run_id
    assert site.asked("cloud", UPLOADS).count(202) == 1
    assert events(daemon).count("run.started") == 1
    assert daemon.end()[0] == 0


@pytest.mark.parametrize("level", ["debug", "error"])
def test_another_log_level(site: Site, level: str) -> None:
    """It applies at once: `debug` tells what is planned, `error` not even that the daemon stops."""
    daemon = started(site)
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(f'log_level = "{level}"\n{text}', encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)

    if level == "debug":
        wait_for(lambda: "daemon.planned" in events(daemon))
    assert daemon.end()[0] == 0
    assert ("daemon.stopped" in events(daemon)) == (level == "debug")


def test_another_outbox_gets_what_waits(site: Site, tmp_path: Path) -> None:
    """With the reload nothing lies in the old one any more, and the next run lays it into the new one."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    site.extend("emea", f'delivery = {{ kind = "manual", outbox = {{ path = "{old}" }} }}', 'source = { kind = "none" }')
    assert site.run("--run-now", "emea").code == 6
    daemon = started(site)

    site.config.write_text(site.config.read_text().replace(str(old), str(new)))
    reload(daemon)
    wait_for(lambda: not list(old.iterdir()))

    assert site.run("--run-now", "emea").code == 6
    assert [one.name for one in new.iterdir()] == ["emea"]
    assert daemon.end()[0] == 0
