"""What a person has to know of, and when it is told. Pure: concerns, open alerts and the time go in, changes and messages come out.

An alert is opened once for each instance and code, changes while it lasts, and is closed when it is over. It is told when it is opened,
when its meaning or its severity changes, and when it is over; what waits for a person is told again every two days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from licsync_daemon.model.alert import Alert, Event, Message, Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import RunState
from licsync_daemon.model.text import command, iso, words
from licsync_daemon.model.usage import CLOCK_SLACK
from licsync_daemon.monitoring.concerns import ONLY_CHECKED, Concern, acknowledgment, exported, noticed, same_meaning, verdict
from licsync_daemon.monitoring.status import InstanceView
from licsync_daemon.rules.handover import folder_of, steps, upload_page


@dataclass(frozen=True, slots=True)
class Change:
    """An alert as it is from now on, and what is to be told of it; None: nothing."""

    alert: Alert
    event: Event | None


def plan(found: Mapping[str, Sequence[Concern]], alerts: Sequence[Alert], now: datetime, views: Mapping[str, InstanceView]) -> list[Change]:
    """Return what changes.

    Args:
        found: The concerns of each instance that was looked at.
        alerts: The open alerts of those instances, and of those that are not configured any more.
        now: The time.
        views: The views of the instances that are configured, for the words with which an alert is closed.
    """
    there = {(alert.instance, alert.code): alert for alert in alerts}
    wrong = {(name, one.code): one for name, every in found.items() for one in every}
    changes = [_open_or_change(name, one, there.get((name, code)), now) for (name, code), one in wrong.items()]
    over = [_close(alert, views.get(alert.instance), now) for key, alert in there.items() if key not in wrong]
    return [*over, *(change for change in changes if change is not None)]


def _open_or_change(name: str, concern: Concern, alert: Alert | None, now: datetime) -> Change | None:
    if alert is None:
        if not concern.opens:
            return None
        opened = Alert(
            instance=name,
            code=concern.code,
            severity=concern.severity,
            text=concern.text,
            next_step=concern.next_step,
            opened_at=now,
            changed_at=now,
        )
        return Change(opened, Event.OPENED)
    alert = _at_most_now(alert, now)
    told_at = alert.told_at
    worse = (alert.severity, concern.severity) == (Severity.WARNING, Severity.ALERT)
    anew = concern.since is not None and told_at is not None and told_at < concern.since <= now
    news = worse or anew or not same_meaning(alert.text, concern.text)
    changed = replace(
        alert,
        severity=concern.severity,
        text=concern.text,
        next_step=concern.next_step,
        changed_at=now if news else alert.changed_at,
    )
    if told_at is None:
        return Change(changed, Event.OPENED)
    if news or told_at < changed.changed_at:
        return Change(changed, Event.CHANGED)
    is_time = concern.remind is not None and now - told_at >= concern.remind
    return Change(changed, Event.REMINDER if is_time else None)


def _at_most_now(alert: Alert, now: datetime) -> Alert:
    """Let nothing wait for a moment that only a clock ahead of time knew."""
    if alert.told_at is None or alert.told_at <= now + CLOCK_SLACK:
        return alert
    changed_at = min(alert.changed_at, now)
    return replace(alert, changed_at=changed_at, told_at=changed_at)


def _close(alert: Alert, view: InstanceView | None, now: datetime) -> Change:
    closed = replace(alert, closed_at=now, next_step=f"nothing to do: {why_over(alert, view)}")
    return Change(closed, Event.CLOSED if alert.told_at is not None else None)


def why_over(alert: Alert, view: InstanceView | None) -> str:
    """Say why an alert is over; not everything that ends has recovered."""
    if not alert.instance:
        return "the daily check finds nothing wrong any more"
    if view is None:
        return "the instance is not configured any more"
    if not view.instance.is_active:
        return "the instance is disabled" if not view.instance.enabled else "the instance is not synced on purpose"
    if view.pause is not None:
        return f"the instance is paused until {view.pause.until:%Y-%m-%d %H:%M} UTC" if view.pause.until else "the instance is paused"
    if alert.code in ONLY_CHECKED:
        return "the daily check finds nothing wrong any more"
    seen = next((by for _, one in noticed(view) if one.code is alert.code and (by := acknowledgment(view, one)) is not None), None)
    if seen is not None:
        return f"acknowledged by {seen.actor}: {seen.reason}"
    if view.held is not None and view.held.code is alert.code and view.approval is not None:
        return f"approved by {view.approval.actor}"
    last = verdict(view.runs)
    if last is not None and last.state is RunState.REJECTED and last.code is alert.code:
        return "the held run was rejected"
    if last is not None and last.state is RunState.FAILED and last.code is not alert.code:
        return f"the newest run failed in another way: {words(last.code)}"
    return "recovered" if last is not None and last.state.is_good else "it is over"


# ---------------------------------------------------------------- messages


def message_of(change: Change, view: InstanceView | None, config: Config, *, machine: str, now: datetime) -> Message:
    """Write the message about a change, for people and for programs. `machine` is the name of this one."""
    assert change.event is not None
    typed = config.invocation
    alert = replace(change.alert, text=command(change.alert.text, typed), next_step=command(change.alert.next_step, typed))
    head = {Event.REMINDER: "reminder", Event.CLOSED: "over"}.get(change.event, str(alert.severity))
    where = alert.instance or "the fleet"
    if change.event is Event.CLOSED:
        lines = [f"This is over; {alert.next_step}", "", f"It was: {alert.text}"]
    else:
        lines = [alert.text, "", f"Next step: {alert.next_step}"]
    if view is not None and view.awaiting is not None and alert.code is Code.NOT_UPLOADED and change.event is not Event.CLOSED:
        place = f"the folder {folder_of(view.instance)} on {machine}"
        text = steps(view.instance, exported(view, view.awaiting), place=place, upload_page=upload_page(config.cloud))
        lines += ["", *command(text, typed).splitlines()]
    host = f" ({view.instance.hostname})" if view is not None else ""
    lines += [
        "",
        f"Instance: {where}{host}",
        f"Code: {alert.code} (docs/runbook.md#{alert.code})",
        f"Since: {alert.opened_at:%Y-%m-%d %H:%M} UTC",
        f"Told by licsync-daemon on {machine}",
    ]
    return Message(event=change.event, alert=alert, subject=f"[licsync] {head}: {where}: {words(alert.code)}", lines=tuple(lines), at=now)


def trial(*, machine: str, now: datetime) -> Message:
    """Write a message with which somebody tries the channels."""
    lines = ("This is a test. Nothing is wrong, and nothing is to be done.", "", f"Told by licsync-daemon on {machine}")
    return Message(event=Event.TEST, alert=None, subject="[licsync] test: this channel works", lines=lines, at=now)


def as_json(message: Message) -> dict[str, object]:
    """Return a message for a program; docs/notifications.md describes the form."""
    alert = message.alert
    return {
        "version": 1,
        "event": message.event,
        "instance": alert.instance or None if alert else None,
        "code": alert.code if alert else None,
        "severity": alert.severity if alert else None,
        "subject": message.subject,
        "text": alert.text if alert else message.lines[0],
        "next_step": alert.next_step if alert else None,
        "opened_at": iso(alert.opened_at) if alert else None,
        "at": iso(message.at),
    }
