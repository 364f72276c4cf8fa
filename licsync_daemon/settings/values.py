"""The types of a setting's value. Each check raises `Mistake` with an example of a valid value."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from licsync_daemon.model.blackout import parse_window
from licsync_daemon.settings.addresses import cloud_url, instance_url, normal_hostname, normal_proxy, normal_url, webhook_url, without_port
from licsync_daemon.settings.mistakes import Mistake, did_you_mean, listed

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")  # cron counts them from 0
LOG_LEVELS = ("debug", "info", "warning", "error")
MAIL_SECURITY = ("starttls", "tls", "none")

_DURATION = r"^(?=.)([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_DURATION_EXAMPLE = 'for example "90s", "15m", "12h", "8d" or "1d12h"'
LONGEST = timedelta(days=3650)  # beyond it, "now minus this" can leave the calendar


def parse_duration(value: object) -> timedelta:
    """Turn `1d12h` into a time span.

    Raises:
        Mistake: Not text, not of that form, zero, negative, or longer than ten years.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, str):
        raise Mistake("a duration is a string with a unit", _DURATION_EXAMPLE)
    text = value.strip()
    if text.startswith("-"):
        raise Mistake("a duration cannot be negative", _DURATION_EXAMPLE)
    found = re.fullmatch(_DURATION, text)
    if found is None:
        bare = re.fullmatch(r"[0-9]{1,9}", text)
        raise Mistake("a duration needs a unit" if bare else "not a valid duration", _DURATION_EXAMPLE)
    total_s = sum(int(count[:-1]) * size_s for count, (_, size_s) in zip(found.groups(), _UNITS, strict=True) if count)
    if total_s == 0:
        raise Mistake("a duration must be longer than zero", _DURATION_EXAMPLE)
    if total_s > LONGEST.total_seconds():
        raise Mistake(f"the duration is too long: at most {format_duration(LONGEST)}", _DURATION_EXAMPLE)
    return timedelta(seconds=total_s)


def format_duration(span: timedelta) -> str:
    """Turn a time span of whole seconds back into its shortest form, `1d12h`."""
    rest = int(span.total_seconds())
    parts = []
    for unit, size_s in _UNITS:
        count, rest = divmod(rest, size_s)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def ensure(is_valid: Callable[[Any], object], what: str, hint: str) -> Callable[[Any], Any]:
    """Return a check that accepts a value for which `is_valid` holds."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise Mistake(what, hint)
        return value

    return check


def matching(pattern: str, what: str, hint: str) -> Callable[[str], str]:
    """Return a check that accepts text of one form, without the white space around it."""
    check = ensure(re.compile(pattern).fullmatch, what, hint)
    return lambda text: str(check(text.strip()))


def one_of(known: tuple[str, ...], noun: str) -> Any:
    """Return the checks and the JSON schema of one of a few words, in any case."""

    def check(text: str) -> str:
        word = text.strip().lower()
        if word not in known:
            raise Mistake(f"not a valid {noun}", did_you_mean(word, known) or f"use {listed(known, 'or')}")
        return word

    return Annotated[str, AfterValidator(check), WithJsonSchema({"type": "string", "enum": list(known)})]


_SLUG_HINT = "from github.com/enterprises/NAME, use only NAME"
_COMMAND_EXAMPLE = 'for example ["/usr/local/bin/print-export", "--quiet"]'
_slug = matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "not a valid enterprise slug", _SLUG_HINT)
_login = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?"
_api_version = matching(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", "an API version is a date", 'for example "2022-11-28"')
unix_name = matching(
    r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "not a valid Unix user or group name", 'use letters, digits, hyphens and underscores, like "admin"'
)
server_id = matching(r"[!-~]{1,255}", "not a valid server ID", "copy it from the cloud's license sync status or from an export")


def zone(text: str) -> str:
    """Accept a name of the IANA time zone database."""
    name = text.strip()
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a key at all; a folder of zones such as "Europe"
        raise Mistake("unknown time zone", did_you_mean(name, available_timezones()) or 'for example "Europe/Berlin"') from None
    return name


def cron(text: str) -> str:
    """Accept a five-field cron expression."""
    fields = text.split()
    if len(fields) != 5:
        hint = 'minute, hour, day of the month, month, weekday: "30 2 * * 0" is Sunday 02:30'
        raise Mistake(f"a cron expression has five fields, this one has {len(fields)}", hint)
    expression = " ".join(fields)
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))  # also refuses a day that never comes, such as 30 February
    except CronSimError:
        raise Mistake("not a valid cron expression", '"30 2 * * 0" is Sunday 02:30') from None
    return expression


def slug(text: str) -> str:
    """Accept the slug of an enterprise, as in its address."""
    if "/" in text:
        raise Mistake("this is an address, not an enterprise slug", _SLUG_HINT)
    return _slug(text)


def domain(text: str) -> str:
    """Accept a hostname; drop its port."""
    return without_port(normal_hostname(text))


def server(text: str) -> str:
    """Accept a server as the cloud lists it: a hostname (it has a dot; put into normal form), or a server ID."""
    return domain(text) if "." in text else server_id(text)


def api_version_or_none(text: str) -> str | None:
    """Accept a date; the empty string means that no version is sent."""
    return _api_version(text) if text.strip() else None


def blackout(text: str) -> str:
    """Accept a blackout window; it stays text here and is parsed where it is used."""
    try:
        parse_window(text)
    except ValueError as error:
        raise Mistake("not a valid time window", str(error)) from None
    return text


def _is_printable(words: Iterable[str]) -> bool:
    return all(ord(sign) >= 32 for word in words for sign in word)


Blackout = Annotated[str, AfterValidator(blackout)]
Share = Annotated[
    float,
    BeforeValidator(ensure(lambda value: not isinstance(value, bool), "must be a number", "0.2 is 20%")),  # it would count as 1 or 0
    AfterValidator(ensure(lambda value: 0 <= value <= 1, "a share is a number from 0 to 1", "0.2 is 20%")),
]
Count = Annotated[int, AfterValidator(ensure(lambda value: value >= 0, "a number of accounts cannot be negative", "for example 25"))]
Hostname = Annotated[str, AfterValidator(normal_hostname)]
Domain = Annotated[str, AfterValidator(domain)]
Url = Annotated[str, AfterValidator(normal_url)]
InstanceUrl = Annotated[str, AfterValidator(instance_url)]
CloudUrl = Annotated[str, AfterValidator(cloud_url)]
WebhookUrl = Annotated[str, AfterValidator(webhook_url)]
Proxy = Annotated[str, AfterValidator(normal_proxy)]
Port = Annotated[int, Field(ge=1, le=65535)]
_ABSOLUTE_HINT = "begin the path with a slash"
AbsolutePath = Annotated[
    Path,
    AfterValidator(ensure(lambda path: path.is_absolute() and _is_printable([str(path)]), "the path must be absolute", _ABSOLUTE_HINT)),
]
Zone = Annotated[str, AfterValidator(zone)]
Cron = Annotated[str, AfterValidator(cron)]
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
TimeOfDay = Annotated[
    str,
    AfterValidator(matching(_TIME, "not a valid time of day", 'use hours and minutes, 00:00 to 23:59, for example "02:30"')),
    WithJsonSchema({"type": "string", "pattern": f"^{_TIME}$"}),
]
Weekday = one_of(WEEKDAYS, "weekday")
LogLevel = one_of(LOG_LEVELS, "log level")
MailSecurity = one_of(MAIL_SECURITY, "mail security")
Slug = Annotated[str, AfterValidator(slug)]
Login = Annotated[str, AfterValidator(matching(_login, "not a valid organization login", "from github.com/NAME, use only NAME"))]
ApiVersion = Annotated[str, AfterValidator(_api_version)]
ApiVersionOrNone = Annotated[str, AfterValidator(api_version_or_none)]
Username = Annotated[
    str,
    AfterValidator(
        matching(r"[!-9;-~]{1,255}", "not a valid user name", "use the site administrator's login, without white space or a colon")
    ),
]
ServerId = Annotated[str, AfterValidator(server_id)]
Server = Annotated[str, AfterValidator(server)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": _DURATION}),
]
_MINUTE, _WEEK, _YEAR = timedelta(minutes=1), timedelta(days=7), timedelta(days=364)
WatchEvery = Annotated[
    Duration, AfterValidator(ensure(lambda span: span >= _MINUTE, "the cloud is queried at most once a minute", 'use "1m" or longer'))
]
_WEEKS_HINT = 'use "7d", "14d", "21d" or "28d"; for other times use `cron`'
Weeks = Annotated[
    Duration,
    AfterValidator(ensure(lambda span: not span % _WEEK and span <= _YEAR, "`every` must be a whole number of weeks", _WEEKS_HINT)),
]
Command = Annotated[
    tuple[str, ...],
    BeforeValidator(
        ensure(lambda value: not isinstance(value, str), "a command must be a list of words; no shell is used", _COMMAND_EXAMPLE)
    ),
    AfterValidator(ensure(lambda words: words and words[0].strip() and _is_printable(words), "not a valid command", _COMMAND_EXAMPLE)),
]
UnixName = Annotated[str, AfterValidator(unix_name)]
_REASON_EXAMPLE = 'for example reason = "data must stay on site, ticket SEC-12"'
OneLine = Annotated[
    str,
    AfterValidator(str.strip),
    AfterValidator(ensure(lambda text: text and text.isprintable(), "must be one line of text", _REASON_EXAMPLE)),
]
_ADDRESS_HINT = 'use the address alone, like "licsync@example.com"'
Mailbox = Annotated[str, AfterValidator(matching(r"[!-?A-~]{1,64}@[!-?A-~]{1,255}", "not a valid email address", _ADDRESS_HINT))]
Mailboxes = Annotated[tuple[Mailbox, ...], AfterValidator(ensure(bool, "no recipients", 'for example to = ["github-admins@example.com"]'))]
