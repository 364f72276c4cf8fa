"""Convert the value of one column to text, and back. What cannot be read raises `ValueError` or `TypeError`."""

import json
from datetime import UTC, datetime
from typing import Any, TypeVar

from licsync_daemon.model.text import PROGRAM

T = TypeVar("T")
EMPTY = "[]"  # most runs have no notices and tripped no guard: their lists need no parser


def instant(value: datetime | None) -> str | None:
    """Return an instant as UTC text that sorts by time; every year has four digits."""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z" if value is not None else None


def read_instant(text: str | None) -> datetime | None:
    return instant_of(text) if text is not None else None


def instant_of(text: str) -> datetime:
    """Read an instant. Raises `ValueError`, also without a time zone: such an instant cannot be compared with others."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found


def listed(text: str) -> list[Any]:
    found: list[Any] = json.loads(text) if text != EMPTY else []
    return found


def typed(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def with_placeholder(text: str) -> str:
    """Return a next step with the placeholder for the program, which texts of earlier builds spell out."""
    return text.replace("licsync-daemon ", f"{PROGRAM} ")
