"""The samples in docs/notifications.md are what the program sends and prints."""

import argparse
import json
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from licsync_daemon.cli import notify
from licsync_daemon.http.advice import Side, refusal
from licsync_daemon.model.alert import Message
from licsync_daemon.model.instance import CloudAccount, Config, Destination, Instance, MailNotifier, ManualDelivery, WebhookNotifier
from licsync_daemon.model.ports import Channel
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.monitoring.alerts import as_json, message_of, plan
from licsync_daemon.monitoring.channels.mail import letter
from licsync_daemon.monitoring.concerns import concerns
from licsync_daemon.monitoring.status import instance_view
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, FakeChannel, a_config, a_run, an_ended_run, an_instance

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
SENT_AT = datetime(2026, 11, 24, 2, 0, 41, tzinfo=UTC)
CLOUD = CloudAccount(at=Destination(url="https://api.github.com"), enterprise="octo-enterprise")
MAIL = MailNotifier(host="smtp.example.com", sender="licsync@example.com", to=("github-admins@example.com",))
WEBHOOK = WebhookNotifier(at=Destination(url="https://alerts.example.com/licsync"))


def shown(beginning: str) -> str:
    """Return the code block of the page that begins with `beginning`, a regular expression."""
    found = re.search(rf"```\w*\n({beginning}.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def opened(instance: Instance, run: Run) -> Message:
    """Return the message that is sent when `run` is the only one of an instance."""
    store = MemoryStore()
    store.save_run(run, T0)
    view = instance_view(instance, store, SENT_AT, SENT_AT, lambda _: True, can_confirm=True)
    opened_at = SENT_AT - timedelta(seconds=1)
    (change,) = plan({instance.name: concerns(view, CLOUD, opened_at)}, [], opened_at, {instance.name: view})
    return message_of(change, view, a_config(instance, cloud=CLOUD), machine="ghes-tools", now=SENT_AT)


def as_shown(mail: EmailMessage) -> str:
    """Return a mail as text, without the headers that differ each time or only describe the encoding."""
    headers = [f"{name}: {value}" for name, value in mail.items() if name in {"From", "To", "Subject", "Auto-Submitted"}]
    return "\n".join([*headers, "", mail.get_content()])


def test_the_mail_is_what_is_sent() -> None:
    """An export waits in the outbox of `gov` for someone to upload it."""
    instance = an_instance("gov", delivery=ManualDelivery(outbox=Path("/srv/licsync-outbox")))
    run = a_run(instance="gov", state=RunState.AWAITING_UPLOAD, collected_at=T0, delivered_at=T0)

    assert shown("From: ") == as_shown(letter(opened(instance, run), MAIL))


def test_the_webhooks_message_is_what_is_sent() -> None:
    """The token for `emea` is refused."""
    operation = "/api/v3/meta of https://ghes-emea.example.com"
    error = refusal(Side.INSTANCE, operation, 401, {}, b'{"message": "Bad credentials"}')
    failed = an_ended_run(state=RunState.FAILED, code=error.code, cause=error.cause, next_step=error.next_step, permanent=True, failures=1)

    assert shown("{") == json.dumps(as_json(opened(an_instance(), failed)), indent=2, ensure_ascii=False) + "\n"


def test_the_lines_of_a_test_are_what_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`notify --test` with both channels, which accept the message."""

    def fakes(*_: object) -> list[Channel]:
        return [FakeChannel("mail"), FakeChannel("webhook")]

    def configured(_: argparse.Namespace) -> Config:
        return a_config(notify=(MAIL, WEBHOOK))

    monkeypatch.setattr(notify, "channels", fakes)
    monkeypatch.setattr(notify, "load", configured)

    assert notify.notify(argparse.Namespace()) == 0
    assert shown(r"\$ licsync-daemon notify").partition("\n")[2] == capsys.readouterr().out
