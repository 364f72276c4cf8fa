"""Alerts, and the messages that tell of them, as values; the rules of `model.py` hold."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from licsync_daemon.model.errors import Code


class Severity(StrEnum):
    """How much an alert matters."""

    WARNING = "warning"  # somebody should look at it some day
    ALERT = "alert"  # a sync is missing, or soon will be


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that a person has to know of: opened once, changed, closed on recovery.

    Attributes:
        instance: Whose; "" for the whole fleet. Of each instance and code at most one is open.
        next_step: What to do now; of a closed one, why it is over.
        changed_at: When its meaning changed last; a changed number or date is no news.
        notified_at: When the notifiers were told last; None: not yet.
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
    """What is told of an alert."""

    OPENED = "opened"
    CHANGED = "changed"
    REMINDER = "reminder"
    CLOSED = "closed"
    TEST = "test"  # of nothing: somebody tries the channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a notifier tells.

    Attributes:
        event: Why it is told.
        alert: What it is about; None for a test.
        subject: One line for people.
        lines: The whole text for people, a paragraph or a list item each.
        at: When it was written.
    """

    event: Event
    alert: Alert | None
    subject: str
    lines: tuple[str, ...]
    at: datetime
