"""Decode single values of foreign JSON, headers and files into values that can be stored, compared and printed. Pure.

Everything that comes from a server, a program or a file passes through here before any other code uses it. A value that cannot be used is
None, "not reported"; only a date distinguishes *never* (None) from *unreadable* (`ValueError`).
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from licsync_daemon.model.secrets import conceal

MAX_COUNT = 2**53  # larger whole numbers are not exact in JSON
MAX_DAYS = 366_000  # a thousand years
MAX_TEXT = 200
MAX_NAME = 255
MAX_ADDRESS = 1000
MAX_VERSION = 60
SECRET_IN_NAME = 16  # characters: the length from which a credential within a name is none by coincidence
FIRST_YEAR = 1000  # of a date; an earlier one means never
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # a later date counts as this one, which leaves room for calculations

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]")
_BEFORE_YEAR_1000 = re.compile(r"0\d{3}[-/]|(?:\w+, ?)?\d{1,2}[ -]\w{3}[ -]0\d{3} |\w{3} \w{3} [ \d]\d [\d:]{8} 0\d{3}$")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,9})?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)(?:[T ]\s*(\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?))?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?(?:\s+(?:UTC|GMT))?",
    re.ASCII | re.IGNORECASE,
)
HTTP_DATE = re.compile(  # RFC 9110, 5.6.7, with its two obsolete forms, and numeric zones as in mail
    r"(?:[A-Za-z]{3,9}, ?)?\d{1,2}[ -][A-Za-z]{3}[ -](?:\d{4}|\d\d) \d\d:\d\d:\d\d ?(?:GMT|UTC|UT|Z|[+-]\d{4})"
    r"|[A-Za-z]{3} [A-Za-z]{3} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.ASCII,
)
_NEVER = frozenset({"", "never", "none", "null", "-", "n/a"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = 10**11  # a larger number of seconds would be after the year 5138

# ---------------------------------------------------------------- dates


def date_of(value: Any) -> datetime | None:
    """Read a date in any known form as aware UTC; None if it means never: null, empty, zero, or before the year 1000.

    Known are ISO 8601, also with `/`, a space, a suffix `UTC` or an offset; HTTP dates (RFC 9110); seconds and milliseconds since 1970.
    Without a zone, UTC is assumed. Go's zero time is `0001-01-01T00:00:00Z`.

    Raises:
        ValueError: It is not a date.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _since_epoch(value)
    if not isinstance(value, str):
        raise ValueError("not a date")  # noqa: TRY004 - one error for whatever cannot be read
    text = value.strip()
    if text.lower() in _NEVER or _BEFORE_YEAR_1000.match(text):
        return None
    if len(text) != 8 and _NUMBER.fullmatch(text):  # eight digits are a date in ISO's basic form
        return _since_epoch(float(text) if "." in text else int(text))
    if HTTP_DATE.fullmatch(text):
        return _usable(parsedate_to_datetime(text))
    if found := _DATE.fullmatch(text):
        year, month, day, time, zone = found.groups()
        offset = (zone or "Z").upper().replace("UTC", "Z").replace("GMT", "Z")
        text = f"{year}-{month}-{day}T{time or '00:00'}{offset}"
    return _usable(datetime.fromisoformat(text))


def read_date(value: Any) -> datetime | None:
    """Read a date as `date_of` does; None also if it is not a date."""
    try:
        return date_of(value)
    except ValueError:
        return None


def http_date(text: str) -> datetime | None:
    """Read an HTTP date as aware UTC; None if it is not one."""
    return read_date(text) if HTTP_DATE.fullmatch(text.strip()) else None


def moment_of(nanoseconds: int) -> datetime:
    """Return the time of a file; one that no date can express becomes the earliest or the latest."""
    return _EPOCH + min(max(timedelta(microseconds=nanoseconds // 1000), timedelta(0)), LATEST - _EPOCH)


def _since_epoch(number: float) -> datetime | None:
    if number == 0 or -(10**14) < number < -3 * 10**10:  # Go's zero time, in seconds or milliseconds
        return None
    if not 0 < number < 2 * 10**14:
        raise ValueError("not a time since 1970")
    return _EPOCH + timedelta(seconds=number if number < _MILLISECONDS else number / 1000)


def _usable(moment: datetime) -> datetime | None:
    if moment.year < FIRST_YEAR:
        return None
    try:
        found = min((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC), LATEST)
    except OverflowError as error:
        raise ValueError("too far in the future") from error
    return found if found.year >= FIRST_YEAR else None  # the offset can lead to the year before


# ---------------------------------------------------------------- numbers


def count_of(value: Any) -> int | None:
    """Read a count from 0 to 2^53, which may be a string of digits; None if it is not one ("unlimited" counts as unknown)."""
    number = _whole(value)
    return number if number is not None and 0 <= number <= MAX_COUNT else None


def days_of(value: Any) -> int | None:
    """Read a number of days, which may be negative; None if it is not one."""
    number = _whole(value)
    return number if number is not None and abs(number) <= MAX_DAYS else None


def unusable_count(value: Any) -> str | None:
    """Return a quotation of a number that is not a usable count, such as -5; None if nothing, a word, or a usable count is reported."""
    if value is None or count_of(value) is not None or (isinstance(value, str) and not re.search(r"\d", value)):
        return None
    return quoted(value, 40)


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if not isinstance(value, float) or value.is_integer() else None


# ---------------------------------------------------------------- texts


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """Return text as one printable line of at most `limit` characters, without control characters, bidi controls and escape sequences."""
    line = " ".join(_ESCAPE.sub("", text[: 50 * limit]).split())
    line = line if line.isprintable() else "".join(char for char in line if char.isprintable())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def shown(text: str) -> str:
    """Return text for output: lines stay, everything else that cannot be printed is removed."""
    if text.isprintable():
        return text
    return "".join(char for char in _ESCAPE.sub("", text) if char.isprintable() or char in "\n\t")


def text_of(value: Any, limit: int = MAX_NAME) -> str:
    """Return a string without what cannot be printed, blanks as they are; "" for anything else."""
    text = value[:limit] if isinstance(value, str) else ""
    return text if text.isprintable() else "".join(char for char in text if char.isprintable())


def quoted(value: Any, limit: int = 60) -> str:
    """Return a short quotation of any JSON value."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    return printable(conceal(printable(str(value), 10 * limit)), limit)  # concealed before it is cut


def release_of(value: Any) -> str:
    """Read the version of a server, without what cannot be printed; "" if there is none."""
    return text_of(conceal(value[:MAX_NAME]), MAX_VERSION) if isinstance(value, str) else ""


def name_of(value: Any) -> str | None:
    """Read an identifier, such as a server id; what cannot be part of one becomes `?`. None if there is none."""
    text = _name(value)
    return "".join(char if char.isprintable() and not char.isspace() else "?" for char in text) or None


def host_of(value: Any) -> str | None:
    """Read a hostname, possibly with a port; what cannot be part of one becomes `?`, so that a name cannot imitate a sentence."""
    text = _name(value)
    return "".join(char if char.isalnum() or char in ".-_:[]" else "?" for char in text) or None


def _name(value: Any) -> str:
    return conceal(value.strip()[: 2 * MAX_NAME], shortest=SECRET_IN_NAME)[:MAX_NAME] if isinstance(value, str) else ""


def word_of(value: Any) -> str | None:
    """Read a state, such as `success`, in lower case; a value of another type is quoted. None if there is none."""
    return None if value is None else quoted(value).lower() or None
