"""What others deliver: GitHub Connect, supervised from one token; and a person, who is told what to do and watched until it has arrived."""

import json
import os
import re
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model.run import RunState
from licsync_daemon.practice.sandbox.clock import iso
from licsync_daemon.rules.next_run import CONNECT_CHECK
from tests.acceptance.support import Command, Done, Site, started, wait_for

STATUS = "/enterprises/octo-enterprise/license-sync-status"


def only_connect(site: Site) -> None:
    """The cheapest useful set-up: one token of the cloud, and the names of the instances."""
    site.config.write_text(
        f'state_dir = "{site.state_dir}"\n'
        f'credentials_dir = "{site.credentials}"\n'
        f'[cloud]\nenterprise = "{site.box.enterprise}"\napi_url = "{site.box.cloud_api_url}"\n'
        '[defaults]\ndelivery = { kind = "connect" }\n'
        + "".join(f'[instances.{name}]\nhostname = "{one.hostname}"\n' for name, one in site.box.instances.items())
    )
    for path in site.credentials.glob("*"):
        if path.name != "cloud__token":
            path.unlink()


def by_hand(site: Site, tmp_path: Path, source: str = '{ kind = "none" }') -> Path:
    """Let a person upload the usage of emea; answer the outbox."""
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    site.extend("emea", f'delivery = {{ kind = "manual", outbox = {{ path = "{outbox}" }} }}', f"source = {source}")
    return outbox


def as_json(done: Done) -> Any:
    return json.loads(done.out)


def test_connect_from_one_token(site: Site) -> None:
    """No instance is contacted; each has its standing, the next step is GitHub's own label, and the exit code says how the fleet is."""
    only_connect(site)
    site.box.push("emea")
    done = site.run("--run-now")
    assert done.code == 3
    assert "emea: nothing sent: GitHub Connect syncs this instance; last sync" in done.out
    assert "amer: never_synced: the cloud lists no server with this hostname" in done.out
    assert done.out.count("*Sync now*") == 2
    assert site.asked("emea", "/") == site.asked("amer", "/") == []
    assert site.run("--run-now", "emea").code == 0
    state = {one["instance"]: one for one in as_json(site.run("status", "--json"))["instances"]}
    assert (state["emea"]["state"], state["emea"]["delivery"], state["emea"]["overdue"]) == ("current", "connect", False)
    assert (state["amer"]["last_run"]["code"], state["amer"]["overdue"]) == ("never_synced", True)
    assert state["emea"]["next"]["reason"] == "Connect check"


def test_nothing_leaves_the_machine(site: Site) -> None:
    """What would be sent for an instance that is not read is nothing, and that is said."""
    only_connect(site)
    for words in (("payload", "emea"), ("--run-now", "--dry-run")):
        done = site.run(*words)
        assert done.code == 2
        assert "this instance has no source, so nothing is read or sent" in done.err


def test_run_now_waits_for_the_button(site: Site) -> None:
    """With `--wait` it watches until the newer sync appears that somebody's press of *Sync now* makes."""
    only_connect(site)
    site.box.push("emea")
    site.box.clock.advance(2)
    running = site.start("--run-now", "emea", "--wait", "60s")
    wait_for(lambda: site.asked("cloud", "/enterprises"))
    site.box.sync_now("emea")
    assert running.wait(50) == 0
    assert "current" in running.out


def test_the_daemon_watches_the_whole_fleet_with_one_request(site: Site) -> None:
    """Soon after its start, by itself; what it saw is in `status`."""
    only_connect(site)
    for name in site.box.instances:
        site.box.push(name)
    for name in site.box.instances:  # both are due two seconds after the start
        run = replace(site.earlier(name, 0, RunState.CURRENT), slot=None)
        site.record(replace(run, started_at=run.started_at - timedelta(hours=6) + timedelta(seconds=3)))
    daemon = started(site)
    wait_for(
        lambda: all(
            run is not None and run.reason == CONNECT_CHECK and run.state == "current" for run in map(site.last, site.box.instances)
        )
    )
    assert daemon.end()[0] == 0
    assert len(site.asked("cloud", STATUS)) == 1


def test_a_person_uploads_what_lies_ready(site: Site, tmp_path: Path) -> None:
    """An export that a courier brought is laid into the outbox unchanged; when the cloud has it, the run is confirmed and the outbox empty."""
    brought = tmp_path / "brought"
    brought.mkdir()
    (brought / "export.json").write_text(json.dumps(site.box.export("emea")))
    os.utime(brought / "export.json", (1_764_000_000, 1_764_000_000))
    outbox = by_hand(site, tmp_path, f'{{ kind = "file", path = "{brought}" }}')
    site.extend("emea", 'guards = { max_usage_age = "3650d" }')
    done = site.run("--run-now", "emea")
    assert done.code == 6, done.all
    assert f"waiting for someone to upload the export: {outbox}/emea" in done.out
    assert re.search(r"^total +- +- +- +- *$", done.out, re.MULTILINE)  # nothing could be counted, which is not zero
    (waiting,) = as_json(site.run("outbox", "--json"))["waiting"]
    assert (waiting["instance"], waiting["state"], waiting["folder"]) == ("emea", "awaiting_upload", f"{outbox}/emea")
    assert "upload the export" in site.run("outbox").out
    (export,) = (outbox / "emea").glob("usage-*.json")
    assert export.read_bytes() == (brought / "export.json").read_bytes()
    assert export.stat().st_mode & 0o777 == 0o640
    assert site.run("--run-now", "emea").code == 6
    site.box.clock.advance(2)
    site.box.person_upload(json.loads(export.read_bytes()))
    done = site.run("--run-now", "emea")
    assert (done.code, "confirmed" in done.out) == (0, True)
    assert not (outbox / "emea").exists()
    assert "nothing to upload" in site.run("outbox").out
    again = site.run("--run-now", "emea")
    assert again.code == 4
    assert "no_new_export" in again.out


def test_an_instance_that_was_taken_out_leaves_no_export(site: Site, tmp_path: Path) -> None:
    """The daemon that starts without it empties its outbox: nobody uploads what nobody looks after."""
    source = f'{{ kind = "command", command = ["/bin/cat", "{tmp_path}/export.json"] }}'
    (tmp_path / "export.json").write_text(json.dumps(site.box.export("emea")))
    outbox = by_hand(site, tmp_path, source)
    assert site.run("--run-now", "emea").code == 6
    assert (outbox / "emea").exists()
    text = site.config.read_text(encoding="utf-8")
    site.config.write_text(text.replace("[instances.emea]", "[instances.other]"), encoding="utf-8")

    daemon = started(site)
    wait_for(lambda: not (outbox / "emea").exists())

    assert daemon.end()[0] == 0
    assert [one["state"] for one in as_json(site.run("history", "emea", "--json"))["runs"]] == ["superseded"]


def test_what_waits_is_compared_each_time_it_is_shown(site: Site, tmp_path: Path) -> None:
    """`status`, `outbox` and `check` name the file that is gone or changed and the next step; the next run puts the export back."""
    (tmp_path / "export.json").write_text(json.dumps(site.box.export("emea")))
    outbox = by_hand(site, tmp_path, f'{{ kind = "command", command = ["/bin/cat", "{tmp_path}/export.json"] }}')
    assert site.run("--run-now", "emea").code == 6
    (export,) = (outbox / "emea").glob("usage-*.json")
    content = export.read_bytes()
    assert as_json(site.run("outbox", "--json"))["waiting"][0]["outbox_fault"] is None
    assert "was changed" not in site.run("status").out
    export.write_bytes(content[:-1])
    (outbox / "emea" / "manifest.json").unlink()
    os.mkfifo(outbox / "emea" / "manifest.json")
    for words in (["status"], ["outbox"], ["check", "--offline"]):
        done = site.run(*words)
        assert f"not ready for upload: {outbox}/emea/manifest.json cannot be read: not a regular file" in " ".join(done.out.split())
        assert "--run-now emea" in done.out
    assert "not a regular file" in as_json(site.run("outbox", "--json"))["waiting"][0]["outbox_fault"]
    assert "not a regular file" in as_json(site.run("status", "--json"))["instances"][0]["outbox_fault"]
    (tmp_path / "export.json").unlink()  # even if it cannot be collected again
    assert "emea" in site.run("--run-now", "emea").out
    assert export.read_bytes() == content
    assert as_json(site.run("outbox", "--json"))["waiting"][0]["outbox_fault"] is None


def test_two_fleets_do_not_share_a_folder(site: Site, tmp_path: Path) -> None:
    """The second one is refused with the place, the other fleet and the next step, by `check` as well; the first one's files stay."""
    outbox = by_hand(site, tmp_path)
    assert site.run("--run-now", "emea").code == 6
    before = {path.name: path.read_bytes() for path in (outbox / "emea").iterdir()}
    text = site.config.read_text()
    site.config.write_text(text.replace(str(site.state_dir), f"{site.state_dir}-other"))
    done = site.run("--run-now", "emea")
    assert done.code == 4
    assert f"outbox_unwritable: {outbox}/emea is in use by another fleet" in done.out
    assert f"with the state directory {site.state_dir}" in done.out
    assert "an outbox of its own" in done.out
    assert "in use by another fleet" in site.run("check", "--offline").out
    assert {path.name: path.read_bytes() for path in (outbox / "emea").iterdir()} == before
    site.config.write_text(text)
    assert site.run("--run-now", "emea").code == 6


def test_without_a_source_a_person_gets_both_links(site: Site, tmp_path: Path) -> None:
    """The instance is never contacted; the steps stand in the outbox and on the screen."""
    outbox = by_hand(site, tmp_path)
    site.extend("emea", "reachable = false")
    done = site.run("--run-now", "emea")
    assert (done.code, site.asked("emea", "/")) == (6, [])
    text = (outbox / "emea" / "README.txt").read_text()
    assert "*Export license usage*" in text
    assert "*Add server usage*" in text
    site.box.clock.advance(2)
    site.box.upload("emea")
    assert site.run("--run-now", "emea").code == 0


def test_an_instance_that_is_never_synced(site: Site) -> None:
    """Listed with its reason, never overdue, never run."""
    site.extend("emea", "sync = false", 'reason = "usage may not leave the country"')
    assert site.run("--run-now").code == 0
    out = site.run("status").out
    assert "emea: excluded from sync: usage may not leave the country" in out
    assert site.asked("emea", "/") == []
    refused = site.run("--run-now", "emea")
    assert refused.code == 2
    assert "usage may not leave the country" in refused.err


@pytest.mark.parametrize("as_json_too", [False, True], ids=["text", "json"])
def test_the_demo_of_connect(command: Command, as_json_too: bool) -> None:
    """Six instances, one late, one failed, one never synced, what to do about each, and the exit code of a fleet with failures."""
    done = command.run("demo", "--delivery", "connect", *(["--json"] if as_json_too else []))
    assert done.code == 3
    if as_json_too:
        codes = [one["code"] for one in as_json(done)["instances"]]
        assert codes == [None, None, None, "late", "sync_failed", "never_synced"]
        return
    assert done.out.startswith("All of this works against github.com today")
    for words in ("late: the last successful sync is 9 days old", "sync_failed: the latest sync by GitHub Connect (", "never_synced"):
        assert words in done.out


def test_ages_are_those_of_the_cloud(site: Site) -> None:
    """A sync of five days ago is five days old, whatever was looked at when."""
    only_connect(site)
    site.box.push("emea")
    date = iso(site.box.clock.now - timedelta(days=5, hours=1))
    site.box.set_sync_entry("emea", {"date": date, "status": "success", "error": ""})
    assert "last sync 5d 1h ago" in site.run("--run-now", "emea").out


def test_an_export_goes_to_an_endpoint_unchanged(site: Site, tmp_path: Path) -> None:
    """From a folder, opaque as GitHub wrote it; the cloud confirms it, and the same file is not used again."""
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "usage.json").write_text(json.dumps(site.box.export("emea")))
    os.utime(folder / "usage.json", (time.time() - 60,) * 2)
    site.extend("emea", f'source = {{ kind = "file", path = "{folder}" }}')

    assert site.run("--run-now", "emea").code == 0

    assert site.uploads("emea") == 1
    assert site.state("emea") == "confirmed"
    assert "no_new_export" in site.run("--run-now", "emea").out
