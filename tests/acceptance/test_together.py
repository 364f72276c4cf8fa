"""Several processes on one state directory: an instance is delivered by one at a time."""

import json
import os
import pty
import re
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from licsync_daemon.practice.sandbox import Processing
from tests.acceptance.support import COMMAND, REPORT, UPLOADS, Site, environment, wait_for


def test_a_second_run_now_leaves_alone_what_the_first_is_at(site: Site) -> None:
    """While one process is at an instance, the other reports it as locked, by whom, and settles the rest; both confirm the same uploads."""
    site.box.instances["emea"].report_ready_after = float("inf")
    site.box.cloud.processing = Processing(delay_s=4.0)  # amer stays delivered while the second begins
    first = site.start("--run-now", "--json")
    wait_for(lambda: (run := site.last("emea")) and run.phase == "collecting" and site.state("amer") == "delivered")

    second = site.run("--run-now", "--json")

    assert second.code == 6
    emea, amer = json.loads(second.out)["instances"]
    assert emea["state"] == "locked"
    assert emea["locked_by"].startswith(f"process {first.process.pid} on ")
    assert amer["state"] == "confirmed"
    site.box.instances["emea"].report_ready_after = 0.0
    assert first.wait() == 0
    assert {run["state"] for run in json.loads(first.out)["instances"]} == {"confirmed"}
    assert (site.uploads("emea"), site.uploads("amer")) == (1, 1)


def test_many_at_once(site: Site) -> None:
    """Five processes at the same moment: each run that delivered made one upload, no two of an instance overlapped, nothing broke."""
    running = [site.start("--run-now", "--json") for _ in range(5)]
    codes = [one.wait() for one in running]

    assert set(codes) <= {0, 6}  # whoever found an instance locked says so
    runs = json.loads(site.run("history", "--limit", "50", "--json").out)["runs"]
    assert {run["state"] for run in runs} == {"confirmed"}
    for name in ("emea", "amer"):
        mine = [run for run in runs if run["instance"] == name]
        assert len(mine) == site.uploads(name)
        starts = sorted((run["started_at"], run["delivered_at"]) for run in mine)
        assert all(end <= start for (_, end), (start, _) in pairwise(starts))
    for one in running:
        assert "Traceback" not in one.err


def test_a_run_now_joins_what_another_has_delivered(site: Site) -> None:
    """What one process delivered, a second confirms for both; there is one upload."""
    site.box.cloud.processing = Processing(delay_s=3600)
    first = site.start("--run-now", "emea", "--json")
    wait_for(lambda: site.state("emea") == "delivered")
    second = site.start("--run-now", "emea", "--json")
    wait_for(lambda: Counter(seen.path for seen in tuple(site.box.requests))["/enterprises/octo-enterprise/license-sync-status"] > 5)
    site.box.clock.advance(3600)

    assert (first.wait(), second.wait()) == (0, 0)
    assert {json.loads(one.out)["instances"][0]["state"] for one in (first, second)} == {"confirmed"}
    assert len({json.loads(one.out)["instances"][0]["run_id"] for one in (first, second)}) == 1
    assert site.asked("cloud", UPLOADS).count(202) == 1


def test_a_daemon_and_a_run_now(site: Site) -> None:
    """A daemon at work is not doubled by --run-now, and the other way round it notices what was done for it."""
    site.box.instances["emea"].report_ready_after = float("inf")
    site.make_due("emea", "amer")
    daemon = site.start()
    wait_for(lambda: REPORT in str([seen for seen in tuple(site.box.requests) if seen.server == "emea"]))

    named = site.run("--run-now", "emea")

    assert named.code == 11
    assert f"emea: locked: skipped: in use by process {daemon.process.pid} on " in named.out
    site.box.instances["emea"].report_ready_after = 0.0
    wait_for(lambda: {site.state("emea"), site.state("amer")} == {"confirmed"}, within_s=40)
    assert (site.uploads("emea"), site.uploads("amer")) == (1, 1)

    assert site.run("--run-now", "emea").code == 0
    assert site.uploads("emea") == 2
    assert daemon.end()[0] == 0
    assert "Traceback" not in daemon.err


def test_waiting_for_a_lock_is_seen(site: Site) -> None:
    """With --wait-lock it says for whom it waits, since when that one is at it, and until when; stdout stays JSON. Others lose at once."""
    site.box.instances["emea"].report_ready_after = float("inf")
    first = site.start("--run-now", "emea", "--json")
    wait_for(lambda: (run := site.last("emea")) and run.phase == "collecting")
    holder = re.compile(rf"process {first.process.pid} on \S+ since (\S+ \S+) UTC")

    second = site.start("--run-now", "--wait-lock", "emea", "--json")
    wait_for(lambda: "run.waiting_for_lock" in second.err)
    loser = site.run("--run-now", "emea")

    (told,) = [line for line in map(json.loads, second.err.splitlines()) if line["event"] == "run.waiting_for_lock"]
    since = holder.fullmatch(told["held_by"])
    assert since
    assert abs(datetime.fromisoformat(f"{since[1]}+00:00") - datetime.now(UTC)) < timedelta(minutes=2)
    assert timedelta(minutes=58) < datetime.fromisoformat(told["until"]) - datetime.now(UTC) <= timedelta(hours=1)
    assert second.out == ""
    assert loser.code == 11
    assert holder.search(loser.out)
    site.box.instances["emea"].report_ready_after = 0.0
    assert (first.wait(), second.wait()) == (0, 0)
    runs = [json.loads(one.out)["instances"][0] for one in (first, second)]
    assert [run["state"] for run in runs] == ["confirmed", "confirmed"]


def test_waiting_for_a_lock_is_seen_on_a_terminal(site: Site) -> None:
    """The line of the instance says it as long as it waits."""
    site.box.instances["emea"].report_ready_after = float("inf")
    first = site.start("--run-now", "emea")
    wait_for(lambda: (run := site.last("emea")) and run.phase == "collecting")
    ours, theirs = pty.openpty()
    words = [COMMAND, "--config", site.config, "--run-now", "--wait-lock", "emea"]
    second = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(COLUMNS="200"), start_new_session=True)
    os.close(theirs)
    try:
        waiting = re.compile(rf"locked: waiting until \d\d:\d\d:\d\d UTC \(process {first.process.pid} on \S+ since ")
        shown = ""
        while not waiting.search(shown):
            shown += os.read(ours, 65536).decode(errors="replace")
    finally:
        second.terminate()
        second.wait(20)
        os.close(ours)
    assert first.end()[0] == 143
