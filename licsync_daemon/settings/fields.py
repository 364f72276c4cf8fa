"""The kinds of value a setting can have. Each check raises `Mistake` with an example of a good value."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from licsync_daemon.settings.addresses import normal_hostname, normal_proxy, normal_url
from licsync_daemon.settings.durations import PATTERN, format_duration, parse_duration
from licsync_daemon.settings.words import Mistake, did_you_mean, listed
from licsync_daemon.windows import parse_window

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")  # cron counts them from 0
LOG_LEVELS = ("debug", "info", "warning", "error")
SOURCE_KINDS = ("none", "file", "report", "command", "ssh")
DELIVERY_KINDS = ("connect", "manual", "http")


def one_of(known: tuple[str, ...], noun: str) -> Callable[[str], str]:
    """Return a check that accepts one of a few words, in any case."""

    def check(text: str) -> str:
        word = text.strip().lower()
        if word not in known:
            raise Mistake(f"this is not {noun}", did_you_mean(word, known) or f"one of {listed(known, 'or')}")
        return word

    return check


def built_kind(built: str, known: tuple[str, ...], noun: str) -> Callable[[str], str]:
    """Return a check that accepts the one kind that is built, and tells a planned one from a misspelled one."""

    def check(text: str) -> str:
        word = text.strip().lower()
        if word != built and word in known:
            raise Mistake(f'not yet: the {noun} kind "{word}" is planned, but this version only has "{built}"', f'write kind = "{built}"')
        if word != built:
            raise Mistake(f"this is not a kind of {noun}", did_you_mean(word, known) or f'write kind = "{built}"')
        return word

    return check


def zone(text: str) -> str:
    """Accept a name of the IANA time zone database."""
    name = text.strip()
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a key at all; a folder of zones such as "Europe"
        raise Mistake("this time zone is not known", did_you_mean(name, available_timezones()) or 'for example "Europe/Berlin"') from None
    return name


def cron(text: str) -> str:
    """Accept a five-field cron expression."""
    fields = text.split()
    if len(fields) != 5:
        raise Mistake(
            f"a cron expression has five fields, this has {len(fields)}",
            'minute, hour, day of the month, month, weekday: "30 2 * * 0" is Sunday 02:30',
        )
    expression = " ".join(fields)
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))  # also refuses a day that never comes, such as 30 February
    except CronSimError:
        raise Mistake("this is not a valid cron expression", '"30 2 * * 0" is Sunday 02:30') from None
    return expression


def time_of_day(text: str) -> str:
    """Accept `HH:MM`, 00:00 to 23:59."""
    if not re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", text.strip()):
        raise Mistake("this is not a time of day", 'hours and minutes, 00:00 to 23:59, such as "02:30"')
    return text.strip()


def absolute(path: Path) -> Path:
    """Accept a path that does not depend on where the program was started."""
    if not path.is_absolute() or any(ord(sign) < 32 for sign in str(path)):
        raise Mistake("the path must be absolute", "begin it with a slash: a daemon has no folder of its own to start from")
    return path


def slug(text: str) -> str:
    """Accept the short name of an enterprise, as it stands in its address."""
    name = text.strip()
    if "/" in name:
        raise Mistake("this is an address, the short name is wanted", "of github.com/enterprises/NAME write only NAME")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        raise Mistake("this is not the short name of an enterprise", "of github.com/enterprises/NAME write only NAME")
    return name


def api_version(text: str) -> str:
    """Accept a date, as `X-GitHub-Api-Version` has it."""
    if not re.fullmatch(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", text.strip()):
        raise Mistake("an API version is a date", 'such as "2022-11-28"')
    return text.strip()


def api_version_or_none(text: str) -> str:
    """Accept a date, or nothing for "send no such header"."""
    return api_version(text) if text.strip() else ""


def username(text: str) -> str:
    """Accept a login that basic authentication can carry."""
    if not re.fullmatch(r"[!-9;-~]{1,255}", text.strip()):
        raise Mistake("this is not a user name", "the site administrator's login, without white space or a colon")
    return text.strip()


def server_id(text: str) -> str:
    """Accept an id as the cloud lists it: printable, without white space."""
    if not re.fullmatch(r"[!-~]{1,255}", text.strip()):
        raise Mistake("this is not a server id", "copy it as the cloud's license sync status or an export shows it")
    return text.strip()


def blackout(text: str) -> str:
    """Accept a blackout window; it stays text here and is parsed again where it is used."""
    try:
        parse_window(text)
    except ValueError as error:
        raise Mistake("this is not a window", str(error)) from None
    return text


def no_bool(value: object) -> object:
    """Refuse true and false, which would count as 1 and 0."""
    if isinstance(value, bool):
        raise Mistake("a number is wanted", "0.2 is a fifth")
    return value


def share(value: float) -> float:
    """Accept a share of a whole."""
    if not 0 <= value <= 1:
        raise Mistake("a share is a number from 0 to 1", "0.2 is a fifth")
    return value


def count(value: int) -> int:
    """Accept a number of accounts."""
    if value < 0:
        raise Mistake("a number of accounts is not negative", "for example 25")
    return value


Blackout = Annotated[str, AfterValidator(blackout)]
Share = Annotated[float, BeforeValidator(no_bool), AfterValidator(share)]
Count = Annotated[int, AfterValidator(count)]
Hostname = Annotated[str, AfterValidator(normal_hostname)]
Url = Annotated[str, AfterValidator(normal_url)]
Proxy = Annotated[str, AfterValidator(normal_proxy)]
AbsolutePath = Annotated[Path, AfterValidator(absolute)]
Zone = Annotated[str, AfterValidator(zone)]
Cron = Annotated[str, AfterValidator(cron)]
TimeOfDay = Annotated[str, AfterValidator(time_of_day), WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"})]
Weekday = Annotated[str, AfterValidator(one_of(WEEKDAYS, "a weekday")), WithJsonSchema({"type": "string", "enum": list(WEEKDAYS)})]
LogLevel = Annotated[str, AfterValidator(one_of(LOG_LEVELS, "a log level")), WithJsonSchema({"type": "string", "enum": list(LOG_LEVELS)})]
Slug = Annotated[str, AfterValidator(slug)]
ApiVersion = Annotated[str, AfterValidator(api_version)]
ApiVersionOrNone = Annotated[str, AfterValidator(api_version_or_none)]
Username = Annotated[str, AfterValidator(username)]
ServerId = Annotated[str, AfterValidator(server_id)]
SourceKind = Annotated[
    str, AfterValidator(built_kind("report", SOURCE_KINDS, "source")), WithJsonSchema({"type": "string", "enum": ["report"]})
]
DeliveryKind = Annotated[
    str, AfterValidator(built_kind("http", DELIVERY_KINDS, "delivery")), WithJsonSchema({"type": "string", "enum": ["http"]})
]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
