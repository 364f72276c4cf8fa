"""People are told: by a webhook and by mail, from a command and from the daemon; `notify --test` tries the channels."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model import github_labels as github
from licsync_daemon.practice.sandbox import Fault
from tests.acceptance.support import META, Site, started, wait_for
from tests.contract.smtp_server import Mailbox, mail_server

TOKEN, SIGNATURE = "webhook-token-6f1c", "webhook-signature-2b7d"
QUICK_HEARTBEAT = {"WATCHDOG_USEC": "1000000"}  # twice within that time, instead of once in 30 s
MONA = {"SUDO_USER": "mona"}


class Hook:
    """A receiver of messages on loopback."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.targets: set[str] = set()
        self.status = 204
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.targets.add(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                if hook.status == 204:
                    hook.got.append(json.loads(body))
                    hook.tokens.append(self.headers["authorization"])
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(one["event"], one["instance"], one["code"]) for one in self.got]


@pytest.fixture
def hook(site: Site) -> Iterator[Hook]:
    """A webhook that the configuration names, with a token and a signature in its address that must not be seen anywhere."""
    hook = Hook()
    thread = threading.Thread(target=hook.server.serve_forever)
    thread.start()
    with site.config.open("a", encoding="utf-8") as file:
        file.write(f'\n[notify.webhook]\nurl = "http://127.0.0.1:{hook.server.server_port}/services/T0"\n')
    (site.credentials / "notify__webhook__token").write_text(TOKEN)
    (site.credentials / "notify__webhook__secret_path").write_text(f"?sig={SIGNATURE}\n")
    site.command.evidence.secrets |= {TOKEN, SIGNATURE}
    yield hook
    hook.server.shutdown()
    thread.join()
    hook.server.server_close()


@contextmanager
def mail_served(site: Site) -> Iterator[Mailbox]:
    """An SMTP server on loopback, in a thread of its own, that the configuration names."""
    box, ready, stop = Mailbox(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with mail_server(box):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        assert ready.wait(10)
        with site.config.open("a", encoding="utf-8") as file:
            file.write(
                f'\n[notify.mail]\nhost = "127.0.0.1"\nport = {box.port}\nsecurity = "none"\n'
                'from = "licsync@example.org"\nto = ["ops@example.org"]\n'
            )
        yield box
    finally:
        stop.set()
        thread.join()


def alerts(site: Site) -> list[dict[str, Any]]:
    return json.loads(site.run("status", "--json").out)["alerts"]


def test_a_command_tells_what_it_met_and_that_it_is_over(site: Site, hook: Hook) -> None:
    """A refused token is told at once, once, with the next step; status shows the alert until the next run is confirmed."""
    site.box.faults.add(Fault("emea", META, "status", status=401))
    for _ in range(2):
        assert site.run("--run-now", "emea").code == 4
    (opened,) = hook.got
    assert hook.told == [("opened", "emea", "unauthorized")]
    assert (opened["version"], opened["severity"], hook.tokens) == (1, "alert", [f"Bearer {TOKEN}"])
    assert "site_admin" in opened["next_step"]
    (alert,) = alerts(site)
    assert (alert["instance"], alert["code"], alert["text"]) == ("emea", "unauthorized", opened["text"])
    assert alert["notified_at"] is not None
    assert f"alert: emea: unauthorized: {opened['text']} (since " in site.run("status").out

    site.box.faults.clear()
    assert site.run("--run-now", "emea").code == 0
    assert hook.told[1:] == [("closed", "emea", "unauthorized")]
    assert hook.got[1]["next_step"] == "no action needed: recovered"
    assert alerts(site) == []


def test_a_dead_channel_changes_no_result(site: Site, hook: Hook) -> None:
    """The run is what it is; the log says that nobody could be told, and status that nobody was."""
    hook.status = 503
    done = site.run("--run-now")
    assert (done.code, "notify." in done.err) == (0, False)
    site.box.faults.add(Fault("emea", META, "status", status=401))
    done = site.run("--run-now", "emea")
    assert done.code == 4
    (failed,) = [json.loads(line) for line in done.err.splitlines() if '"notify.failed"' in line]
    assert (failed["channel"], failed["code"]) == ("webhook", "server_error")
    assert "T0" not in failed["cause"]
    assert "(since " in site.run("status").out
    assert ", no notification sent)" in site.run("status").out

    hook.status = 204
    assert site.run("--run-now", "emea").code == 4
    assert hook.told == [("opened", "emea", "unauthorized")]


def test_the_daemon_tells_of_a_held_run_until_somebody_decides(site: Site, hook: Hook) -> None:
    """The message holds the command that lets it pass; once it is approved the alert is over, and that is told too."""
    site.confirm_last_week("emea")
    site.shrink("emea")
    site.make_due("emea")
    site.extend("amer", "enabled = false")
    running = started(site, **QUICK_HEARTBEAT)
    wait_for(lambda: hook.told)
    assert hook.told == [("opened", "emea", "shrunk_usage")]
    run = site.last("emea")
    assert run is not None
    assert f"licsync-daemon --config {site.config} approve {run.run_id} --reason" in hook.got[0]["next_step"]

    assert site.run("approve", run.run_id, "--reason", "site closed", env=MONA).code == 0
    assert alerts(site) == []
    wait_for(lambda: len(hook.told) > 1)
    assert hook.told[1:] == [("closed", "emea", "shrunk_usage")]
    assert hook.got[1]["next_step"] == "no action needed: approved by mona"
    assert running.end()[0] == 0


def test_a_person_is_told_what_to_do_and_that_it_has_arrived(site: Site, hook: Hook, tmp_path: Path) -> None:
    """A hand-over by a command is told with both pages, once; after the upload it is over."""
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    site.extend("emea", f'delivery = {{ kind = "manual", outbox = {{ path = "{outbox}" }} }}', 'source = { kind = "none" }')
    for _ in range(2):
        assert site.run("--run-now", "emea").code == 6
    (opened,) = hook.got
    assert (opened["event"], opened["code"], opened["severity"]) == ("opened", "not_uploaded", "warning")
    host = site.box.instances["emea"].hostname
    assert f"as an enterprise owner, on https://{host}/, {github.EXPORT}; then on https://" in opened["next_step"]
    assert opened["next_step"].endswith(f"/enterprises/{site.box.enterprise}, {github.UPLOAD}")
    site.box.clock.advance(2)
    site.box.upload("emea")
    assert site.run("--run-now", "emea").code == 0
    assert hook.told[1:] == [("closed", "emea", "not_uploaded")]


def test_a_warning_is_acknowledged(site: Site, hook: Hook) -> None:
    """What GitHub Connect sends cannot be held; the warning is told until somebody says that it may stay so."""
    site.extend("emea", 'delivery = { kind = "connect" }')
    site.box.push("emea")
    site.confirm_last_week("emea")
    site.shrink("emea")
    assert site.run("--run-now", "emea").code == 0
    assert hook.told == [("opened", "emea", "shrunk_usage")]
    run = site.last("emea")
    assert run is not None
    assert hook.got[0]["severity"] == "warning"
    assert f"licsync-daemon --config {site.config} acknowledge {run.run_id} --reason" in hook.got[0]["next_step"]
    assert site.run("acknowledge", run.run_id, "--reason", "site closed", env=MONA).code == 0
    assert alerts(site) == []
    assert site.run("--run-now", "amer").code == 0
    assert hook.told[1:] == [("closed", "emea", "shrunk_usage")]
    assert hook.got[1]["next_step"] == "no action needed: acknowledged by mona: site closed"


def test_every_channel_can_be_tried(site: Site, hook: Hook) -> None:
    """0 where all took the test, 3 where some did not, 4 where none did; each failure with its cause and its next step."""
    with mail_served(site) as box:
        done = site.run("notify", "--test")
        assert (done.code, done.out.splitlines()) == (
            0,
            [
                f"mail: test message accepted (127.0.0.1:{box.port}, for 1 recipient)",
                f"webhook: test message accepted (127.0.0.1:{hook.server.server_port})",
            ],
        )
        (letter,) = box.letters
        assert letter["Subject"] == "[licsync] test: this channel works"
        assert ([one["event"] for one in hook.got], hook.targets) == (["test"], {f"/services/T0?sig={SIGNATURE}"})
        hook.status = 403
        done = site.run("notify", "--test")
        assert done.code == 3
        assert "webhook: forbidden: the webhook at 127.0.0.1 returned 403\n         next step: check that" in done.out
    done = site.run("notify", "--test")
    assert (done.code, "mail: unreachable: mail through 127.0.0.1: " in done.out) == (4, True)


def test_without_a_channel_there_is_nothing_to_try(site: Site) -> None:
    """It says how to get one."""
    done = site.run("notify", "--test")
    assert done.code == 2
    assert "no channel is configured (add [notify.mail] or [notify.webhook])" in done.err
