"""When an alert is opened, told, told again and closed; and what is said then."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.alert import Alert, Event, Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance, ManualDelivery
from licsync_daemon.model.run import Decided, Run, RunState
from licsync_daemon.model.text import Invocation
from licsync_daemon.model.usage import Notice
from licsync_daemon.monitoring.alerts import Change, as_json, message_of, plan, trial
from licsync_daemon.monitoring.concerns import Concern
from licsync_daemon.monitoring.status import InstanceView, instance_view
from licsync_daemon.state.memory import MemoryStore
from tests.fakes import T0, a_config, a_decision, a_run, an_alert, an_ended_run, an_instance

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
CONFIG = a_config()


def a_concern(**changes: object) -> Concern:
    """What `an_alert` is about."""
    return Concern(
        **{  # type: ignore[arg-type]
            "code": Code.UNREACHABLE,
            "severity": Severity.ALERT,
            "text": "it cannot be reached",
            "next_step": "look at the network",
            **changes,
        }
    )


def a_view(*runs: Run, instance: Instance | None = None, store: MemoryStore | None = None) -> InstanceView:
    store = store or MemoryStore()
    for run in runs:
        store.save_run(run, T0)
    return instance_view(instance or an_instance(), store, T0, T0, lambda _: True, can_confirm=True)


def planned(concern: Concern | None, alert: Alert | None, after: timedelta = HOUR, view: InstanceView | None = None) -> Change | None:
    """Return what changes of one alert."""
    name = alert.instance if alert else "emea"
    found = {name: [concern] if concern else []}
    changes = plan(found, [alert] if alert else [], T0 + after, {"emea": view} if view else {})
    assert len(changes) <= 1
    return changes[0] if changes else None


# ---------------------------------------------------------------- opened


def test_a_concern_opens_an_alert() -> None:
    """Once for its instance and code, from now on; it is to be told."""
    expected = an_alert(opened_at=T0 + HOUR, changed_at=T0 + HOUR)
    assert planned(a_concern(), None) == Change(expected, Event.OPENED)


def test_what_is_not_bad_enough_opens_nothing() -> None:
    """But what is open already stays so."""
    assert planned(a_concern(opens=False), None) is None
    assert planned(a_concern(opens=False), an_alert(notified_at=T0)) == Change(an_alert(notified_at=T0), None)


def test_what_nobody_was_told_is_told_as_opened() -> None:
    """However long ago it was opened, and whatever has changed meanwhile."""
    change = planned(a_concern(text="in other words"), an_alert(), 9 * DAY)
    assert change == Change(an_alert(text="in other words", changed_at=T0 + 9 * DAY), Event.OPENED)


def test_alerts_are_apart_by_instance_and_code() -> None:
    """Each instance has its own; a second code of one instance is a second alert."""
    found = {"emea": [a_concern(), a_concern(code=Code.OVERDUE)], "apac": [a_concern()]}
    changes = plan(found, [an_alert(notified_at=T0)], T0, {})
    assert [(one.alert.instance, one.alert.code, one.event) for one in changes] == [
        ("emea", Code.UNREACHABLE, None),
        ("emea", Code.OVERDUE, Event.OPENED),
        ("apac", Code.UNREACHABLE, Event.OPENED),
    ]


# ---------------------------------------------------------------- changed


def test_what_is_news(subtests: pytest.Subtests) -> None:
    """Another meaning is, or that it began anew: a newer export, another held run. What is told stays as it was told."""
    for name, (concern, event) in {
        "the same": (a_concern(), None),
        "more words": (a_concern(text="it cannot be reached for 3 days"), Event.CHANGED),
        "other words": (a_concern(text="it was refused"), Event.CHANGED),
        "another step": (a_concern(next_step="do something else"), None),
        "began before": (a_concern(since=T0 - SECOND), None),
        "began anew": (a_concern(since=T0 + SECOND), Event.CHANGED),
        "began in the future": (a_concern(since=T0 + DAY), None),
    }.items():
        with subtests.test(name):
            change = planned(concern, an_alert(notified_at=T0))
            changed_at = T0 + HOUR if event else T0
            text, step = concern.text, concern.next_step
            assert change == Change(an_alert(notified_at=T0, changed_at=changed_at, text=text, next_step=step), event)


def test_numbers_change_silently() -> None:
    """The text is brought up to date, and nobody is told."""
    alert = an_alert(text="silent since 3 days", notified_at=T0)
    change = planned(a_concern(text="silent since 4 days"), alert)
    assert change == Change(replace(alert, text="silent since 4 days"), None)


@pytest.mark.parametrize(
    ("before", "now", "event"),
    [(Severity.WARNING, Severity.ALERT, Event.CHANGED), (Severity.ALERT, Severity.WARNING, None)],
    ids=["worse", "better"],
)
def test_what_becomes_worse_is_told(before: Severity, now: Severity, event: Event | None) -> None:
    """A warning that becomes an alert is news."""
    change = planned(a_concern(severity=now), an_alert(severity=before, notified_at=T0))
    assert change is not None
    assert (change.alert.severity, change.event) == (now, event)


def test_a_change_that_nobody_was_told_is_told_later() -> None:
    """Also when nothing has changed since: what counts is what was told last."""
    alert = an_alert(changed_at=T0 + SECOND, notified_at=T0)
    assert planned(a_concern(), alert) == Change(alert, Event.CHANGED)
    assert planned(a_concern(), replace(alert, notified_at=T0 + SECOND)) == Change(replace(alert, notified_at=T0 + SECOND), None)


@pytest.mark.parametrize(
    ("after", "remind", "event"),
    [
        (2 * DAY - SECOND, 2 * DAY, None),
        (2 * DAY, 2 * DAY, Event.REMINDER),
        (99 * DAY, None, None),
    ],
    ids=["just before", "two days", "no reminder"],
)
def test_what_waits_for_a_person_is_told_again(after: timedelta, remind: timedelta | None, event: Event | None) -> None:
    """Counted from when it was told last."""
    assert planned(a_concern(remind=remind), an_alert(notified_at=T0), after) == Change(an_alert(notified_at=T0), event)


def test_a_clock_that_was_ahead_silences_nothing() -> None:
    """An alert told years from now is reminded of two days from now, and its news is told."""
    ahead = an_alert(notified_at=T0 + 999 * DAY, changed_at=T0 + 999 * DAY)
    change = planned(a_concern(remind=2 * DAY), ahead)
    assert change is not None
    assert (change.event, change.alert.notified_at) == (None, T0 + HOUR)
    again = planned(a_concern(remind=2 * DAY), change.alert, HOUR + 2 * DAY)
    assert again is not None
    assert again.event is Event.REMINDER
    news = planned(a_concern(text="in other words"), ahead)
    assert news is not None
    assert news.event is Event.CHANGED


# ---------------------------------------------------------------- closed


@pytest.mark.parametrize(("notified_at", "event"), [(T0, Event.CLOSED), (None, None)], ids=["notified", "never notified"])
def test_an_alert_is_closed_when_it_is_over(notified_at: object, event: Event | None) -> None:
    """Who heard of it hears that, once; who did not, does not."""
    good = a_view(an_ended_run())
    change = planned(None, an_alert(notified_at=notified_at), view=good)
    assert change == Change(an_alert(notified_at=notified_at, closed_at=T0 + HOUR, next_step="no action needed: recovered"), event)


def a_store(*decisions: object) -> MemoryStore:
    store = MemoryStore()
    for decision in decisions:
        store.save_decision(decision)  # type: ignore[arg-type]
    return store


SHRUNK = {"code": Code.SHRUNK_USAGE, "cause": "300 fewer"}


def test_it_says_why_it_is_over(subtests: pytest.Subtests) -> None:
    """Not everything that ends has recovered."""
    for name, (alert, view, why) in {
        "unknown": (an_alert(), None, "the instance is no longer configured"),
        "the fleet": (an_alert(instance=""), None, "the daily check no longer finds this problem"),
        "checked": (an_alert(Code.LICENSE_EXPIRING), a_view(), "the daily check no longer finds this problem"),
        "disabled": (an_alert(), a_view(instance=an_instance(enabled=False)), "the instance is disabled"),
        "unsynced": (an_alert(), a_view(instance=an_instance(unsynced_because="x")), "the instance is excluded from sync"),
        "paused": (
            an_alert(),
            a_view(store=a_store(a_decision(what=Decided.PAUSED, run_id=None))),
            "the instance is paused until 2026-12-01 02:00 UTC",
        ),
        "acknowledged": (
            an_alert(Code.LATE),
            a_view(
                an_ended_run("held", RunState.CURRENT, notices=(Notice(code=Code.LATE, text="late"),)),
                store=a_store(a_decision(what=Decided.ACKNOWLEDGED)),
            ),
            "acknowledged by mona: site closed",
        ),
        "approved": (
            an_alert(Code.SHRUNK_USAGE),
            a_view(a_run("held", state=RunState.HELD, **SHRUNK), store=a_store(a_decision())),
            "approved by mona",
        ),
        "rejected": (an_alert(Code.SHRUNK_USAGE), a_view(an_ended_run("held", RunState.REJECTED, **SHRUNK)), "the held run was rejected"),
        "fails otherwise": (
            an_alert(),
            a_view(an_ended_run(state=RunState.FAILED, code=Code.RATE_LIMITED)),
            "the newest run failed for another reason: rate limited",
        ),
        "handed over": (an_alert(), a_view(a_run(state=RunState.AWAITING_UPLOAD)), "this is no longer the case"),
        "another was": (an_alert(), a_view(an_ended_run("held", RunState.REJECTED, **SHRUNK)), "this is no longer the case"),
    }.items():
        with subtests.test(name):
            change = planned(None, replace(alert, notified_at=T0), view=view)
            assert change is not None
            assert (change.alert.next_step, change.alert.closed_at, change.event) == (f"no action needed: {why}", T0 + HOUR, Event.CLOSED)


# ---------------------------------------------------------------- messages


def test_a_message_says_what_is_wrong_and_what_to_do() -> None:
    """For people in lines, for programs in one flat object."""
    change = Change(an_alert(Code.SHRUNK_USAGE, opened_at=T0 - HOUR), Event.OPENED)
    message = message_of(change, a_view(), CONFIG, machine="ghes-tools", now=T0)
    assert message.subject == "[licsync] alert: emea: shrunk usage"
    assert message.lines == (
        "it cannot be reached",
        "",
        "Next step: look at the network",
        "",
        "Instance: emea (ghes-emea.example.com)",
        "Code: shrunk_usage (docs/runbook.md#shrunk_usage)",
        "Since: 2026-11-24 01:00 UTC",
        "Sent by licsync-daemon on ghes-tools",
    )
    assert as_json(message) == {
        "version": 1,
        "event": "opened",
        "instance": "emea",
        "code": "shrunk_usage",
        "severity": "alert",
        "subject": message.subject,
        "text": "it cannot be reached",
        "next_step": "look at the network",
        "opened_at": "2026-11-24T01:00:00Z",
        "at": "2026-11-24T02:00:00Z",
    }


def test_the_subject_says_what_it_is(subtests: pytest.Subtests) -> None:
    """Seen in a list of mails it tells whether somebody has to get up."""
    for event, severity, subject in (
        (Event.OPENED, Severity.WARNING, "[licsync] warning: emea: unreachable"),
        (Event.CHANGED, Severity.ALERT, "[licsync] alert: emea: unreachable"),
        (Event.REMINDER, Severity.ALERT, "[licsync] reminder: emea: unreachable"),
        (Event.CLOSED, Severity.ALERT, "[licsync] resolved: emea: unreachable"),
    ):
        with subtests.test(event=event, severity=severity):
            message = message_of(Change(an_alert(severity=severity), event), None, CONFIG, machine="m", now=T0)
            assert (message.subject, as_json(message)["event"]) == (subject, event)


def test_an_alert_of_the_fleet_names_no_instance() -> None:
    """In JSON its instance is null."""
    message = message_of(Change(an_alert(instance=""), Event.OPENED), None, CONFIG, machine="m", now=T0)
    assert message.subject == "[licsync] alert: the fleet: unreachable"
    assert "Instance: the fleet" in message.lines
    assert as_json(message)["instance"] is None


@pytest.mark.parametrize(
    ("state", "first"),
    [
        (
            RunState.AWAITING_UPLOAD,
            "1. Take the file usage-emea-20261124T020000Z.json\n   from the folder /srv/outbox/emea on ghes-tools.",
        ),
        (RunState.AWAITING_EXPORT, "1. On https://ghes-emea.example.com/ click your profile photo, then\n   open *Enterprise settings* > "),
    ],
)
@pytest.mark.parametrize(("event", "told"), [(Event.OPENED, True), (Event.REMINDER, True), (Event.CLOSED, False)])
def test_a_person_who_has_to_act_gets_every_step(state: RunState, first: str, event: Event, told: bool) -> None:
    """With the page to go to; whoever reads the mail need not log in to the machine to know what to do."""
    instance = an_instance(delivery=ManualDelivery(outbox=Path("/srv/outbox")))
    view = a_view(a_run(state=state, collected_at=T0), instance=instance)
    message = message_of(Change(an_alert(Code.NOT_UPLOADED), event), view, CONFIG, machine="ghes-tools", now=T0)
    assert (f"\n{first}" in "\n".join(message.lines)) is told
    assert any("https://github.com/enterprises/octo" in line for line in message.lines) is told
    other = message_of(Change(an_alert(), event), view, CONFIG, machine="ghes-tools", now=T0)
    assert not any(line.startswith("1. ") for line in other.lines)


def test_a_message_names_commands_as_its_reader_types_them() -> None:
    """Whoever reads it is not on the machine: the configuration and the user stand in every command, in the mail and for the webhook."""
    instance = an_instance(delivery=ManualDelivery(outbox=Path("/srv/outbox")))
    view = a_view(a_run(state=RunState.AWAITING_EXPORT), instance=instance)
    alert = an_alert(Code.NOT_UPLOADED, next_step="see: $licsync outbox")
    config = replace(CONFIG, invocation=Invocation(config=Path("/srv/fleet.toml"), owner="licsync"))
    message = message_of(Change(alert, Event.OPENED), view, config, machine="m", now=T0)
    typed = "sudo -u licsync licsync-daemon --config /srv/fleet.toml"
    assert as_json(message)["next_step"] == f"see: {typed} outbox"
    assert message.lines[2] == f"Next step: see: {typed} outbox"
    assert any(line.endswith(f"{typed} status") for line in message.lines)
    assert not any("$licsync" in line for line in message.lines)


def test_a_test_is_about_nothing() -> None:
    """It says so, and every field of an alert is null."""
    message = trial(machine="ghes-tools", now=T0)
    found = as_json(message)
    assert (found["event"], found["version"], found["at"]) == ("test", 1, "2026-11-24T02:00:00Z")
    assert found["text"] == message.lines[0] == "This is a test. Nothing is wrong; no action needed."
    assert [found[key] for key in ("instance", "code", "severity", "next_step", "opened_at")] == [None] * 5
