"""No credential in what people and programs are sent and shown, even if an earlier build recorded it."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from licsync_daemon.model import secrets
from licsync_daemon.model.alert import Alert, Event, Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import MailNotifier
from licsync_daemon.monitoring.alerts import Change, as_json, messages_of
from licsync_daemon.monitoring.channels.mail import letter
from licsync_daemon.system.log import redact_event
from tests.fakes import T0, a_config

TOKEN = "relay-Key_0123456789/abc+def"
FORMS = {
    "raw": TOKEN,
    "base64": base64.b64encode(f"reader:{TOKEN}".encode()).decode(),
    "URL": quote(TOKEN, safe=""),
    "JSON": json.dumps(TOKEN).replace("/", "\\/"),
}


@pytest.fixture(autouse=True)
def _remembered() -> Iterator[None]:
    secrets.forget_all()
    secrets.remember(TOKEN)
    yield
    secrets.forget_all()


def hidden_in(text: str) -> bool:
    return not any(form.strip('"')[5:20] in text for form in (*FORMS.values(), FORMS["base64"][4:]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("instances", [1, 3], ids=["one", "several"])
@pytest.mark.parametrize("event", [Event.OPENED, Event.CLOSED, Event.REMINDER])
def test_messages_repeat_no_credential(form: str, instances: int, event: Event) -> None:
    """By mail, headers included, and by webhook."""
    said = f"the endpoint said: {FORMS[form]}"
    changes = [
        Change(
            Alert(
                instance=f"i{number}",
                code=Code.FORBIDDEN,
                severity=Severity.ALERT,
                text=said,
                next_step=f"look for {FORMS[form]}",
                opened_at=T0,
                changed_at=T0,
            ),
            event,
        )
        for number in range(instances)
    ]
    for message in messages_of(changes, {}, a_config(), machine="m", now=datetime(2026, 11, 24, tzinfo=UTC)).values():
        assert hidden_in(json.dumps(as_json(message)))
        assert hidden_in("\n".join((message.subject, *message.lines)))
        assert hidden_in(str(letter(message, MailNotifier(host="m", sender="a@b.example", to=("c@d.example",)))))
        assert hidden_in(str(redact_event(None, "", {"event": "x", "cause": said, "deep": {"list": [said]}})))
