"""What people look at: status, history, payload, the configuration, help; in a pipe, on a terminal, and as JSON."""

import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from licsync_daemon import __version__
from licsync_daemon.practice.sandbox import Fault
from tests.acceptance.support import COMMAND, META, Command, Running, Site, environment, shown_on

ESCAPE = "\x1b"
COLOR = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|4[0-7])(?:;[0-9]+)*m")


def on_terminal(site: Site, *arguments: str, **more: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; answer its exit code and everything it showed there."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [COMMAND, "--config", site.config, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(COLUMNS="200", **more),
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    shown = shown_on(ours)
    return process.wait(30), shown.decode()


def test_status_before_anything_happened(site: Site) -> None:
    """Status of a new installation shows every instance as never run, creates nothing, and exits 0."""
    done = site.run("status")

    assert (done.code, done.err) == (0, "")
    header, emea, amer, *rest = done.out.splitlines()
    assert header.split() == ["instance", "state", "last", "sync", "age", "sent", "next", "why"]
    assert emea.split()[0] == "emea"
    assert amer.split()[0] == "amer"
    assert "first sync" in emea
    assert rest[-1].startswith("daemon: not running; scheduled runs will not start")
    assert not site.state_dir.exists()


def test_status_after_a_sync(site: Site) -> None:
    """Last sync, age, what was sent, the next planned time and its reason, and the seats."""
    site.run("--run-now")

    done = site.run("status")

    assert "confirmed" in done.out
    assert "weekly slot" in done.out
    assert re.search(r"^seats: \d+ consumed of \d+ purchased, read \d+s ago$", done.out, re.MULTILINE)
    assert ESCAPE not in done.out


def test_status_as_json(site: Site) -> None:
    """JSON and nothing else, with the four times apart and what comes next."""
    site.run("--run-now", "emea")
    site.box.faults.add(Fault("amer", META, "status", status=404))
    site.run("--run-now", "amer")

    done = site.run("status", "--json")

    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    emea, amer = found["instances"]
    assert found["daemon"] == {"alive": False, "pid": None, "started_at": None, "heartbeat_at": None}
    assert (emea["state"], emea["overdue"], emea["next"]["reason"]) == ("confirmed", False, "weekly slot")
    assert all(emea["last_run"][name] for name in ("collected_at", "delivered_at", "confirmed_at", "last_sync"))
    assert emea["last_run"]["run_id"] == emea["last_confirmed_run"]["run_id"]
    assert (amer["state"], amer["overdue"], amer["next"]["reason"]) == ("failed", True, "retry after a restart or reload")
    assert amer["last_confirmed_run"] is None
    assert found["seats"]["consumed"] == site.box.cloud.seats()


def test_alive_without_a_daemon(site: Site) -> None:
    """`status --alive` is 1 without a daemon, before and after a state exists."""
    assert site.run("status", "--alive").code == 1
    site.run("--run-now", "emea")

    assert site.run("status", "--alive").code == 1


def test_history(site: Site) -> None:
    """Newest first, of all instances or of one, as many as asked for, with their transitions in JSON."""
    assert site.run("history").out == "no runs recorded yet\n"
    site.run("--run-now")
    site.box.faults.add(Fault("emea", META, "status", status=404))
    site.run("--run-now", "emea")

    every = site.run("history")
    one = site.run("history", "emea")
    limited = site.run("history", "--limit", "1", "--json")
    as_json = site.run("history", "emea", "--json")

    assert every.code == 0
    assert len(every.out.splitlines()) == 4
    assert [line.split()[1:4] for line in one.out.splitlines()[1:3]] == [["emea", "failed", "not_found"], ["emea", "confirmed", "-"]]
    assert "next step: " in one.out
    assert ESCAPE not in every.out
    assert [run["state"] for run in json.loads(limited.out)["runs"]] == ["failed"]
    failed, confirmed = json.loads(as_json.out)["runs"]
    assert [step["state"] for step in failed["transitions"]] == ["running", "failed"]
    assert [step["state"] for step in confirmed["transitions"]] == ["running", "delivered", "confirmed"]


def test_history_of_an_unknown_instance(site: Site) -> None:
    """A name that is neither configured nor recorded is a mistake."""
    done = site.run("history", "nowhere")

    assert done.code == 2
    assert "nowhere: no such instance is configured or recorded" in done.err


def test_payload_is_what_the_endpoint_receives(site: Site) -> None:
    """Payload prints the usage document: what the cloud then holds, and of a person nothing but id and addresses."""
    done = site.run("payload", "emea", secret_output=True)
    assert done.code == 0, done.err
    assert site.box.cloud.uploads() == []
    assert not site.state_dir.exists()

    site.run("--run-now", "emea")

    document = json.loads(done.out)
    emea = site.box.instances["emea"]
    assert document["users"] == site.box.cloud.holdings(emea.server_id) == emea.as_sent()
    assert set(document) == {"format", "collected_at", "instance", "totals", "users"}
    assert document["instance"] == {"server_id": emea.server_id, "host_name": emea.hostname, "version": emea.version, "http_only": True}
    assert {key for user in document["users"] for key in user} == {"id", "emails"}


def test_payload_that_cannot_be_made(site: Site) -> None:
    """A failure is said on stderr, and stdout stays empty; an unknown name is a mistake."""
    site.box.faults.add(Fault("emea", META, "status", status=404))
    failed = site.run("payload", "emea")
    unknown = site.run("payload", "nowhere")

    assert (failed.code, failed.out) == (4, "")
    assert "licsync-daemon: emea: not_found: " in failed.err
    assert (unknown.code, unknown.out) == (2, "")


def test_config_init_is_a_configuration(command: Command, tmp_path: Path) -> None:
    """The sample is TOML that our own checks accept."""
    done = command.run("config", "init")
    path = tmp_path / "config.toml"
    path.write_text(done.out, encoding="utf-8")

    assert done.code == 0
    assert set(tomllib.loads(done.out)["instances"]) == {"emea", "labs"}
    shown = command.run("--config", path, "config", "show")
    assert shown.code == 0, shown.err


def test_config_schema_describes_the_sample(command: Command) -> None:
    """The JSON schema is one, and the sample keeps it."""
    schema = json.loads(command.run("config", "schema").out)
    sample = tomllib.loads(command.run("config", "init").out)

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(sample, schema)


def test_config_show(site: Site) -> None:
    """Every setting in force with its origin; of a credential its place, never its value."""
    site.extend("emea", 'schedule = { day = "sunday", time = "02:30" }')

    done = site.run("config", "show", env={"LICSYNC_LOG_LEVEL": "warning"})
    rows = json.loads(site.run("config", "show", "--json").out)

    assert done.code == 0
    assert re.search(r"^log_level +warning +environment$", done.out, re.MULTILINE)
    assert re.search(r"^cloud\.token +\S+ +.*credentials/cloud__token", done.out, re.MULTILINE)
    assert ESCAPE not in done.out
    assert {row["path"] for row in rows} >= {"cloud.enterprise", "instances.emea.source.token", "instances.emea.hostname"}


@pytest.mark.parametrize("place", ["before", "after"])
def test_config_may_stand_before_or_after_the_command(site: Site, place: str) -> None:
    """`--config FILE status` and `status --config FILE` are the same; so is $LICSYNC_CONFIG."""
    arguments = ["--config", str(site.config), "status"] if place == "before" else ["status", "--config", str(site.config)]

    assert site.command.run(*arguments).code == 0
    assert site.command.run("status", env={"LICSYNC_CONFIG": str(site.config)}).code == 0


def test_help_and_version(command: Command) -> None:
    """Help names every command and exit code; the version is the package's; the module runs like the command."""
    shown = command.run("--help")
    assert shown.code == 0
    for word in (
        "status",
        "history",
        "payload",
        "config",
        "check",
        "demo",
        "sandbox",
        "--run-now",
        "--dry-run",
        "exit codes",
        "  11   locked",
    ):
        assert word in shown.out
    assert command.run("--version").out == f"licsync-daemon {__version__}\n"
    module = subprocess.run([sys.executable, "-m", "licsync_daemon", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == f"licsync-daemon {__version__}\n"
    for name in ("status", "history", "payload", "config", "check", "demo", "sandbox"):
        assert command.run(name, "--help").code == 0


def test_colors_on_a_terminal_only(site: Site) -> None:
    """A terminal gets colors, NO_COLOR and a dumb terminal do not, and JSON never does."""
    code, shown = on_terminal(site, "--run-now")
    assert code == 0
    assert COLOR.search(shown)
    assert "confirmed" in shown

    assert COLOR.search(on_terminal(site, "status")[1])
    assert not COLOR.search(on_terminal(site, "status", NO_COLOR="1")[1])
    assert ESCAPE not in on_terminal(site, "status", TERM="dumb")[1]
    code, shown = on_terminal(site, "status", "--json")
    assert ESCAPE not in shown
    json.loads(shown)


def test_progress_on_a_terminal_leaves_stdout_clean(site: Site) -> None:
    """In a pipe nothing of the progress is in the result, and log lines are on stderr only."""
    done = site.run("--run-now", "--json")

    json.loads(done.out)
    assert ESCAPE not in done.all
    for line in done.err.splitlines():
        assert set(json.loads(line)) >= {"timestamp", "level", "event"}


def started_into(site: Site, arguments: list[str], out: int) -> Running:
    """Start a command that prints into a file of ours, and close our end of it."""
    try:
        return site.command.start("--config", site.config, *arguments, stdout=out)
    finally:
        os.close(out)


def test_a_reader_that_leaves_early(site: Site) -> None:
    """`licsync-daemon history | head -1`: no traceback and no complaint when nobody reads to the end."""
    site.run("--run-now")
    for arguments in (["history"], ["status"], ["status", "--json"], ["config", "schema"], ["--help"]):
        ours, theirs = os.pipe()
        os.close(ours)
        running = started_into(site, arguments, theirs)
        assert running.wait() == 0
        assert running.err == ""


@pytest.mark.parametrize("arguments", [["status"], ["check", "--offline", "--json"], ["config", "schema"]], ids=" ".join)
def test_a_disk_without_room_for_the_output(site: Site, arguments: list[str]) -> None:
    """Half a result is no result: one line says so, and the exit code."""
    running = started_into(site, arguments, os.open("/dev/full", os.O_WRONLY))
    assert running.wait() == 1
    assert running.err == "licsync-daemon: cannot write the output: no space left on device\n"
