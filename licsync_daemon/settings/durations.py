"""Durations as an administrator writes them: `90s`, `15m`, `12h`, `8d`, and combined `1d12h`."""

import re
from datetime import timedelta

from licsync_daemon.settings.words import Mistake

PATTERN = r"^(?=.)([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
_FORM = re.compile(r"(?:(?P<days>[0-9]{1,9})d)?(?:(?P<hours>[0-9]{1,9})h)?(?:(?P<minutes>[0-9]{1,9})m)?(?:(?P<seconds>[0-9]{1,9})s)?")
_EXAMPLE = 'write for example "90s", "15m", "12h", "8d" or "1d12h"'
LONGEST = timedelta(days=3650)  # beyond it, "now minus this" can leave the calendar


def parse_duration(value: object) -> timedelta:
    """Turn `1d12h` into a time span.

    Raises:
        Mistake: Not text, not of that form, zero, negative, or longer than ten years.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, str):
        raise Mistake("a duration is text in quotes with a unit", _EXAMPLE)
    text = value.strip()
    if text.startswith("-"):
        raise Mistake("a duration cannot be negative", _EXAMPLE)
    found = _FORM.fullmatch(text)
    if not text or found is None:
        bare = re.fullmatch(r"[0-9]{1,9}", text)
        raise Mistake("a duration needs a unit" if bare else "this is not a duration", _EXAMPLE)
    days, hours, minutes, seconds = (int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
    total_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total_s == 0:
        raise Mistake("a duration must be longer than zero", _EXAMPLE)
    if total_s > LONGEST.total_seconds():
        raise Mistake(f"this is too long: at most {format_duration(LONGEST)}", _EXAMPLE)
    return timedelta(seconds=total_s)


def format_duration(span: timedelta) -> str:
    """Turn a time span of whole seconds back into its shortest form, `1d12h`."""
    rest = int(span.total_seconds())
    parts = []
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size_s)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
