"""Alerts, and the messages about them, as values; the rules in `usage.py` apply."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from licsync_daemon.model.errors import Code


class Severity(StrEnum):
    """The severity of an alert."""

    WARNING = "warning"  # needs attention eventually
    ALERT = "alert"  # a sync is missing, or will be soon


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that someone should know about: opened once, updated as it changes, closed on recovery.

    Attributes:
        instance: The instance; "" for the whole fleet. At most one alert is open for each instance and code.
        next_step: What to do now; for a closed alert, the reason it was closed.
        changed_at: When its meaning last changed; a changed number or date does not count.
        notified_at: When a notification was last sent; None if none was sent.
    """

    instance: str
    code: Code
    severity: Severity
    text: str
    next_step: str
    opened_at: datetime
    changed_at: datetime
    notified_at: datetime | None = None
    closed_at: datetime | None = None


class Event(StrEnum):
    """The reason for a message about an alert."""

    OPENED = "opened"
    CHANGED = "changed"
    REMINDER = "reminder"
    CLOSED = "closed"
    TEST = "test"  # no alert: someone tests the channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message for the notification channels.

    Attributes:
        event: Why it is sent.
        alert: The alert it is about; None for a test.
        subject: One line for people.
        instances: Of a message about several alerts with one code, whose they are; `alert` then describes them together.
        lines: The full text for people; each line is a paragraph or a list item.
        at: When it was written.
    """

    event: Event
    alert: Alert | None
    subject: str
    lines: tuple[str, ...]
    at: datetime
    instances: tuple[str, ...] = ()
