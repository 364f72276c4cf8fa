"""The kinds of value a setting can have. Each check raises `Mistake` with an example of a good value."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from licsync_daemon.model.blackout import parse_window
from licsync_daemon.settings.addresses import normal_hostname, normal_proxy, normal_url, webhook_url, without_port
from licsync_daemon.settings.mistakes import Mistake, did_you_mean, listed

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")  # cron counts them from 0
LOG_LEVELS = ("debug", "info", "warning", "error")
SOURCE_KINDS = ("none", "file", "report", "command", "ssh")
COUNTS_KINDS = ("report", "file")
DELIVERY_KINDS = ("connect", "manual", "http")
MAIL_SECURITY = ("starttls", "tls", "none")


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


def one_of(known: tuple[str, ...], noun: str) -> Callable[[str], str]:
    """Return a check that accepts one of a few words, in any case."""

    def check(text: str) -> str:
        word = text.strip().lower()
        if word not in known:
            raise Mistake(f"this is not {noun}", did_you_mean(word, known) or f"one of {listed(known, 'or')}")
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


def login(text: str) -> str:
    """Accept the login of an organization, as it stands in its address."""
    name = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?", name):
        raise Mistake("this is not the login of an organization", "of github.com/NAME write only NAME")
    return name


def server(text: str) -> str:
    """Accept a server as the cloud lists it: a host name (what has a dot; put into normal form), or a server id."""
    return domain(text) if "." in text else server_id(text)


def domain(text: str) -> str:
    """Accept a name without a port."""
    return without_port(normal_hostname(text))


def watch(span: timedelta) -> timedelta:
    """Accept an interval that asks the cloud no more often than every minute."""
    if span < timedelta(minutes=1):
        raise Mistake("the cloud is not asked more often than every minute", 'the default is "6h"')
    return span


def weeks(span: timedelta) -> timedelta:
    """Accept a whole number of weeks, up to a year of them."""
    if span % timedelta(days=7) or span > timedelta(days=364):
        raise Mistake("an instance is due every so many whole weeks", 'write "7d", "14d", "21d" or "28d"; for other times there is `cron`')
    return span


def words(value: object) -> object:
    """Refuse a command that is one text: nothing here splits it, because no shell is ever asked to."""
    if isinstance(value, str):
        raise Mistake("a list of words is wanted: no shell takes part", 'for example ["/usr/local/bin/print-export", "--quiet"]')
    return value


def command(value: list[str]) -> list[str]:
    """Accept the words of a command."""
    if not value or not value[0].strip() or any(ord(sign) < 32 for word in value for sign in word):
        raise Mistake("this is not a command", 'a program and its arguments, such as ["/usr/local/bin/print-export", "--quiet"]')
    return value


def unix_name(text: str) -> str:
    """Accept a name of a Unix user or group."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", text.strip()):
        raise Mistake("this is not the name of a Unix user or group", 'letters, digits, hyphens and underscores, such as "admin"')
    return text.strip()


def said(text: str) -> str:
    """Accept one line of words."""
    if not text.strip() or not text.strip().isprintable():
        raise Mistake("one line of text is wanted", 'such as reason = "data must stay on site, ticket SEC-12"')
    return text.strip()


def mailbox(text: str) -> str:
    """Accept a plain mail address."""
    if not re.fullmatch(r"[!-?A-~]{1,64}@[!-?A-~]{1,255}", text.strip()):
        raise Mistake("this is not a mail address", 'the address alone, such as "licsync@example.com"')
    return text.strip()


def mailboxes(value: list[str]) -> list[str]:
    """Accept at least one address."""
    if not value:
        raise Mistake("there is nobody to send mail to", 'for example to = ["github-admins@example.com"]')
    return value


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
WebhookUrl = Annotated[str, AfterValidator(webhook_url)]
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
    str, AfterValidator(one_of(SOURCE_KINDS, "a kind of source")), WithJsonSchema({"type": "string", "enum": list(SOURCE_KINDS)})
]
CountsKind = Annotated[
    str, AfterValidator(one_of(COUNTS_KINDS, "a kind of counts")), WithJsonSchema({"type": "string", "enum": list(COUNTS_KINDS)})
]
DeliveryKind = Annotated[
    str, AfterValidator(one_of(DELIVERY_KINDS, "a kind of delivery")), WithJsonSchema({"type": "string", "enum": list(DELIVERY_KINDS)})
]
MailSecurity = Annotated[
    str, AfterValidator(one_of(MAIL_SECURITY, "a kind of security")), WithJsonSchema({"type": "string", "enum": list(MAIL_SECURITY)})
]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
WatchEvery = Annotated[Duration, AfterValidator(watch)]
Weeks = Annotated[Duration, AfterValidator(weeks)]
Login = Annotated[str, AfterValidator(login)]
Server = Annotated[str, AfterValidator(server)]
Domain = Annotated[str, AfterValidator(domain)]
Command = Annotated[list[str], BeforeValidator(words), AfterValidator(command)]
UnixName = Annotated[str, AfterValidator(unix_name)]
Said = Annotated[str, AfterValidator(said)]
Mailbox = Annotated[str, AfterValidator(mailbox)]
Mailboxes = Annotated[list[Mailbox], AfterValidator(mailboxes)]
Port = Annotated[int, Field(ge=1, le=65535)]
