"""When alerts open, change and close, and which messages they send. Pure: takes concerns, open alerts and the time.

Each instance and code has at most one open alert. A message is sent when it opens, when its meaning or severity changes, and when it
closes; for usage that waits for a person, reminders follow every two days.
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

TOGETHER = 3  # openings or closings of one code in one evaluation are one message
LISTED = 20  # texts of single instances in such a message


@dataclass(frozen=True, slots=True)
class Change:
    """The new version of an alert, and the event to send a message about; None: no message."""

    alert: Alert
    event: Event | None


def plan(found: Mapping[str, Sequence[Concern]], alerts: Sequence[Alert], now: datetime, views: Mapping[str, InstanceView]) -> list[Change]:
    """Return what changes.

    Args:
        found: The concerns of each evaluated instance.
        alerts: The open alerts of those instances, and of instances no longer configured.
        now: The time.
        views: The views of the configured instances, for the reason why an alert closes.
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
    notified_at = alert.notified_at
    worse = (alert.severity, concern.severity) == (Severity.WARNING, Severity.ALERT)
    restarted = concern.since is not None and notified_at is not None and notified_at < concern.since <= now
    news = worse or restarted or not same_meaning(alert.text, concern.text)
    changed = replace(
        alert,
        severity=concern.severity,
        text=concern.text,
        next_step=concern.next_step,
        changed_at=now if news else alert.changed_at,
    )
    if notified_at is None:
        return Change(changed, Event.OPENED)
    if news or notified_at < changed.changed_at:
        return Change(changed, Event.CHANGED)
    is_time = concern.remind is not None and now - notified_at >= concern.remind
    return Change(changed, Event.REMINDER if is_time else None)


def _at_most_now(alert: Alert, now: datetime) -> Alert:
    """Discard times recorded while the clock was ahead."""
    if alert.notified_at is None or alert.notified_at <= now + CLOCK_SLACK:
        return alert
    changed_at = min(alert.changed_at, now)
    return replace(alert, changed_at=changed_at, notified_at=changed_at)


def _close(alert: Alert, view: InstanceView | None, now: datetime) -> Change:
    closed = replace(alert, closed_at=now, next_step=f"no action needed: {why_over(alert, view)}")
    return Change(closed, Event.CLOSED if alert.notified_at is not None else None)


def why_over(alert: Alert, view: InstanceView | None) -> str:
    """Return why an alert closes: not every problem that ends has recovered."""
    if alert.code is Code.OUTBOX_NOT_CLEANED:
        return "the exports are gone"
    if not alert.instance:
        return "the daily check no longer finds this problem"
    if view is None:
        return "the instance is no longer configured"
    if not view.instance.is_active:
        return "the instance is disabled" if not view.instance.enabled else "the instance is excluded from sync"
    if view.pause is not None:
        return f"the instance is paused until {view.pause.until:%Y-%m-%d %H:%M} UTC" if view.pause.until else "the instance is paused"
    if alert.code in ONLY_CHECKED:
        return "the daily check no longer finds this problem"
    seen = next((by for _, one in noticed(view) if one.code is alert.code and (by := acknowledgment(view, one)) is not None), None)
    if seen is not None:
        return f"acknowledged by {seen.actor}: {seen.reason}"
    if view.held is not None and view.held.code is alert.code and view.approval is not None:
        return f"approved by {view.approval.actor}"
    last = verdict(view.runs)
    if last is not None and last.state is RunState.REJECTED and last.code is alert.code:
        return "the held run was rejected"
    if last is not None and last.state is RunState.FAILED and last.code is not alert.code:
        return f"the newest run failed for another reason: {words(last.code)}"
    return "recovered" if last is not None and last.state.is_good else "this is no longer the case"


# ---------------------------------------------------------------- messages


def message_of(change: Change, view: InstanceView | None, config: Config, *, machine: str, now: datetime) -> Message:
    """Return the message about a change, for people and for programs. `machine` is the name of this machine."""
    assert change.event is not None
    typed = config.invocation
    alert = replace(change.alert, text=command(change.alert.text, typed), next_step=command(change.alert.next_step, typed))
    head = {Event.REMINDER: "reminder", Event.CLOSED: "resolved"}.get(change.event, str(alert.severity))
    where = alert.instance or "the fleet"
    if change.event is Event.CLOSED:
        lines = [f"Resolved; {alert.next_step}", "", f"The alert was: {alert.text}"]
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
        f"Sent by licsync-daemon on {machine}",
    ]
    return Message(event=change.event, alert=alert, subject=f"[licsync] {head}: {where}: {words(alert.code)}", lines=tuple(lines), at=now)


def messages_of(
    changes: Sequence[Change], views: Mapping[str, InstanceView], config: Config, *, machine: str, now: datetime
) -> dict[tuple[tuple[str, Code], ...], Message]:
    """Return the messages about changes, by what each is about: three or more openings, or closings, of one code are one message."""
    together: dict[tuple[object, ...], list[Change]] = {}
    for one in changes:
        if one.event is not None:
            alert = one.alert
            is_common = alert.instance and one.event in {Event.OPENED, Event.CLOSED}
            key = (one.event, alert.code) if is_common else (one.event, alert.code, alert.instance)
            together.setdefault(key, []).append(one)
    found = {}
    for group in together.values():
        if len(group) >= TOGETHER:
            found[tuple((one.alert.instance, one.alert.code) for one in group)] = _common_message(group, config, machine=machine, now=now)
        else:
            for one in group:
                view = views.get(one.alert.instance)
                found[((one.alert.instance, one.alert.code),)] = message_of(one, view, config, machine=machine, now=now)
    return found


def _common_message(group: Sequence[Change], config: Config, *, machine: str, now: datetime) -> Message:
    """Return one message about several instances that have the same problem, or no longer have it."""
    alerts, first, event = [one.alert for one in group], group[0].alert, group[0].event
    assert event is not None
    names = tuple(one.instance for one in alerts)
    steps = tuple(dict.fromkeys(one.next_step for one in alerts))
    more = f" (and {len(steps) - 1} more, one for each instance: $licsync status)" if len(steps) > 1 else ""
    alert = replace(
        first,
        instance="",
        severity=Severity.ALERT if any(one.severity is Severity.ALERT for one in alerts) else Severity.WARNING,
        text=command(f"{len(names)} instances ({', '.join(names)}): {first.text}", config.invocation),
        next_step=command(f"{steps[0]}{more}", config.invocation),
        opened_at=min(one.opened_at for one in alerts),
    )
    is_over = event is Event.CLOSED
    listed = [f"{one.instance}: {command(one.next_step if is_over else one.text, config.invocation)}" for one in alerts[:LISTED]]
    lines = [
        f"{'Resolved for' if is_over else 'The same problem at'} {len(names)} instances: {', '.join(names)}",
        "",
        *listed,
        *([f"and {len(names) - LISTED} more"] if len(names) > LISTED else []),
        "",
        *([] if is_over else [f"Next step: {alert.next_step}", ""]),
        f"Code: {alert.code} (docs/runbook.md#{alert.code})",
        f"Since: {alert.opened_at:%Y-%m-%d %H:%M} UTC",
        f"Sent by licsync-daemon on {machine}",
    ]
    head = "resolved" if is_over else str(alert.severity)
    subject = f"[licsync] {head}: {len(names)} instances: {words(alert.code)}"
    return Message(event=event, alert=alert, subject=subject, lines=tuple(lines), at=now, instances=names)


def trial(*, machine: str, now: datetime) -> Message:
    """Return a message for testing the channels."""
    lines = ("This is a test. Nothing is wrong; no action needed.", "", f"Sent by licsync-daemon on {machine}")
    return Message(event=Event.TEST, alert=None, subject="[licsync] test: this channel works", lines=lines, at=now)


def as_json(message: Message) -> dict[str, object]:
    """Return a message as JSON values; docs/notifications.md describes the format."""
    alert = message.alert
    return {
        "version": 1,
        "event": message.event,
        "instance": alert.instance or None if alert else None,
        **({"instances": list(message.instances)} if message.instances else {}),
        "code": alert.code if alert else None,
        "severity": alert.severity if alert else None,
        "subject": message.subject,
        "text": alert.text if alert else message.lines[0],
        "next_step": alert.next_step if alert else None,
        "opened_at": iso(alert.opened_at) if alert else None,
        "at": iso(message.at),
    }
