"""`check` as a person runs it: the table, the next steps, the exit code, JSON."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, ConfigError, RunError
from licsync_daemon.monitoring.preflight.in_child import preflight_in_child
from licsync_daemon.monitoring.preflight.rows import Outcome
from licsync_daemon.practice.sandbox import Fault, Fleet, Sandbox
from tests.acceptance.support import COMMAND, Command, Site, environment
from tests.tools import unshare


def test_everything_is_fine(site: Site) -> None:
    """Exit 0, every row ok, the last line counts them; nothing on stderr, no upload, and no state was made."""
    done, short = site.run("check", "--all"), site.run("check")

    assert (done.code, done.err, short.code, short.err) == (0, "", 0, "")
    table, _, summary = done.out.rstrip().rpartition("\n\n")
    lines = table.splitlines()
    assert lines[0].split() == ["place", "test", "result", "details"]
    assert {line.split("  ok  ")[0].split("  ")[0] for line in lines[1:]} == {
        "this machine", "cloud", "instance emea", "instance amer", "delivery of emea and 1 more",
    }  # fmt: skip
    assert summary == f"{len(lines) - 1} ok, 0 warnings, 0 failed"
    places, _, end = short.out.rstrip().rpartition("\n\n")
    assert [line.split("  ")[0] for line in places.splitlines()] == [
        "place", "this machine", "cloud", "instance emea", "instance amer", "delivery of emea and 1 more",
    ]  # fmt: skip
    assert re.fullmatch(rf"every test: licsync-daemon .* check --all\n{summary}", end)
    assert {seen.method for seen in site.box.requests} == {"GET"}
    assert not site.state_dir.exists()


def test_a_revoked_token(site: Site) -> None:
    """Exit 2; the row fails, and under the table stands what to do; the rest is tested."""
    site.box.cloud_app.token = replace(site.box.cloud_app.token, value="ghp_" + "y" * 36)

    done = site.run("check")

    assert done.code == 2
    lines = done.out.splitlines()
    here = next(number for number, line in enumerate(lines) if line.startswith("fail: cloud, token: unauthorized: "))
    assert lines[here + 1].startswith("      next step: create a classic token with the scope `read:enterprise`")
    assert lines[-1].endswith(" ok, 0 warnings, 1 failed")
    (cloud,) = [line for line in lines if line.startswith("cloud ")]
    assert (cloud.split()[1], cloud.split()[-2:]) == ("fail", ["1", "failed"])


def test_json_and_nothing_but_json(site: Site) -> None:
    """Every row with its place, its instance and its code; the exit code is the same."""
    site.box.instances["emea"].license_ends_in = 10
    warned = site.run("check", "--json")
    site.box.instances["emea"].token = "ghp_" + "y" * 36
    failed = site.run("check", "--json")

    assert (warned.code, failed.code, warned.err, failed.err) == (0, 2, "", "")
    found = [json.loads(done.out) for done in (warned, failed)]
    assert [one["ok"] for one in found] == [True, False]
    assert set(found[0]["tests"][0]) == {"place", "instance", "test", "outcome", "text", "next_step", "code"}
    bad = [[(row["instance"], row["test"], row["code"]) for row in one["tests"] if row["outcome"] != "ok"] for one in found]
    assert bad == [[("emea", "license", "license_expiring")], [("emea", "token", "unauthorized")]]


def test_an_account_with_usage_based_billing_and_no_verified_domain(fleet: Fleet, tmp_path: Path, command: Command) -> None:
    """Each instance without GitHub Connect is a warning, and so is the lack of verified domains, with GitHub's own words for the step."""
    metered = replace(fleet, seats_purchased=0, verified_domains=frozenset())
    with Sandbox(metered, processing_delay=0.0) as box:
        site = Site(box, tmp_path / "practice", command)
        site.extend("amer", 'delivery = { kind = "manual" }', 'source = { kind = "none" }')
        done = site.run("check", "--json")

    rows = {(row["place"], row["test"]): row for row in json.loads(done.out)["tests"]}
    billing = {place: row for (place, test), row in rows.items() if test == "billing"}
    domains = rows["cloud", "verified domains"]
    assert done.code == 0
    assert {place: row["outcome"] for place, row in billing.items()} == {"instance emea": "warn", "instance amer": "warn"}
    assert all("*Enterprise settings* > *GitHub Connect* > *Enable GitHub Connect*" in row["next_step"] for row in billing.values())
    assert ("manual" in billing["instance amer"]["text"], "http" in billing["instance emea"]["text"]) == (True, True)
    assert (domains["outcome"], "*Verified & approved domains*" in domains["next_step"]) == ("warn", True)


def test_an_ending_api_version_has_the_next_one_as_its_step(site: Site) -> None:
    """The cloud takes it at once; an instance before GHES 3.21 is upgraded first."""
    headers = {"Deprecation": "@1", "Sunset": "Fri, 10 Mar 2028 00:00:00 GMT"}
    site.box.cloud_app.extra_headers = tuple(headers.items())
    path = "/api/v3/enterprise/settings/license"
    site.box.faults.add(Fault("emea", path, "status", status=200, headers=headers, body="{}", content_type="application/json"))

    rows = {(row["place"], row["test"]): row for row in json.loads(site.run("check", "--json").out)["tests"]}

    assert rows["cloud", "interface"]["next_step"].startswith('set `api_version = "2026-03-10"` in [cloud]')
    assert rows["instance emea", "interface"]["next_step"].startswith("upgrade the instance to GHES 3.21 or later, then set")


def test_a_configuration_that_cannot_be_used(site: Site) -> None:
    """Its mistakes are listed as by every command, and nobody is asked."""
    site.config.write_text(site.config.read_text().replace('hostname = "', 'hostnam = "'))

    done = site.run("check")

    assert (done.code, "did you mean hostname?" in done.err, done.out) == (2, True, "")
    assert list(site.box.requests) == []


def test_a_silent_name_server_delays_nobody(site: Site) -> None:
    """Names that are not answered fail after their time, together, and the command ends without waiting for the resolver's threads."""
    silent = [*unshare("-n", "-m"), sys.executable, str(Path(__file__).with_name("silent_dns.py"))]
    text = site.config.read_text()
    for name in ("emea", "amer"):
        text = text.replace(site.box.instances[name].url, f"https://{name}.nowhere.example.com")
    site.config.write_text(text)

    began = time.monotonic()
    running = site.start("check", before=silent)
    code = running.wait(40)

    assert (code, running.out.count(".nowhere.example.com: no response in time")) == (2, 2)
    assert time.monotonic() - began < 20


def test_on_a_terminal(site: Site) -> None:
    """The table has colors, and nothing of the progress is left behind in what was printed."""
    site.box.instances["emea"].license_ends_in = 10
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "--config", site.config, "check"],
        stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL, env=environment(COLUMNS="160"),
    )  # fmt: skip
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(master)

    assert process.wait(10) == 0
    assert b"\x1b[32mok" in said
    assert b"\x1b[33mwarn" in said
    assert b"within 14 days" in said


def test_the_daemon_s_own_check_is_this_command(site: Site) -> None:
    """It runs apart, with the daemon's environment, and answers the same rows, or what is wrong with an edit of the configuration."""
    site.box.instances["emea"].token = "ghp_" + "y" * 36
    printed = json.loads(site.run("check", "--json").out)["tests"]
    rows = asyncio.run(preflight_in_child(site.config))
    assert [row.code for row in rows if row.outcome is not Outcome.OK] == [Code.UNAUTHORIZED]
    assert [(row.place, row.test, row.outcome) for row in rows] == [(row["place"], row["test"], row["outcome"]) for row in printed]

    site.config.write_text(site.config.read_text().replace('hostname = "', 'hostnam = "'))
    with pytest.raises(ConfigError, match=r"did you mean hostname\?"):
        asyncio.run(preflight_in_child(site.config))


def test_the_daemon_s_own_check_comes_to_no_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that is broken under the running daemon is said with its last words."""
    (site.folder / "licsync_daemon").mkdir()
    (site.folder / "licsync_daemon" / "__init__.py").touch()
    (site.folder / "licsync_daemon" / "__main__.py").write_text("raise SystemExit('half of it is gone')")
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    with pytest.raises(RunError, match=r"ended with exit code 1 and no result: half of it is gone"):
        asyncio.run(preflight_in_child(site.config))


def test_a_refused_relay_token_is_a_failure(site: Site) -> None:
    """Every upload would be refused too: exit 2, with what to do."""
    (site.credentials / "defaults__delivery__token").write_text("lsd_" + "y" * 36)

    done = site.run("check")

    assert done.code == 2
    assert "fail: delivery of emea and 1 more, endpoint: unauthorized: token rejected (401)" in done.out


def test_a_row_for_each_connect_server(site: Site) -> None:
    """The last sync of each as the cloud reports it; one that is late is a warning with the step of the daemon."""
    for name in ("emea", "amer"):
        site.extend(name, 'source = { kind = "none" }', 'delivery = { kind = "connect" }')
        site.box.push(name)
    site.box.set_sync_entry("amer", {"date": "2026-01-02T03:04:05Z", "status": "success", "error": ""})

    rows = {row["instance"]: row for row in json.loads(site.run("check", "--json").out)["tests"] if row["test"] == "last sync"}

    assert (rows["emea"]["outcome"], rows["emea"]["text"][-13:]) == ("ok", " UTC, success")
    assert (rows["amer"]["outcome"], "days old (2026-01-02 03:04 UTC)" in rows["amer"]["text"]) == ("warn", True)
    assert "*Sync now*" in rows["amer"]["next_step"]
