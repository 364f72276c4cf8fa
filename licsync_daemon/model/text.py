"""Text helpers: remove secrets and email addresses from foreign text, fill in commands, and read and write dates. Pure."""

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from licsync_daemon.model.errors import Code

PROGRAM = "$licsync"  # stands for this program in the commands that messages name; `command` replaces it where a message is shown or sent

SECRET_KEYS = re.compile(r"token|secret|password|authorization|proxy_auth", re.IGNORECASE)
PATTERNS = (
    (re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{10,}"), "[token]"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "[token]"),  # the form of GitHub's tokens before they had prefixes
    (re.compile(r"\b(Bearer|Basic|token)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 [token]"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+@"), "[credentials]@"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+"), "[address]"),
)


def redact(text: str) -> str:
    """Return `text` without tokens, passwords in URLs, and email addresses."""
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def clean(text: str, limit: int = 200) -> str:
    """Make foreign text safe to show: redacted, on one line, at most `limit` printable characters."""
    one_line = " ".join(redact(text).split())
    printable = "".join(char for char in one_line if char.isprintable())
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The command line that starts this program on this machine.

    Attributes:
        program: The program's name, or its path if it is not on the PATH.
        config: The configuration file; None if it is the default.
        owner: The user to switch to; None if no switch is needed.
    """

    program: tuple[str, ...] = ("licsync-daemon",)
    config: Path | None = None
    owner: str | None = None

    def __str__(self) -> str:
        sudo = ("sudo", "-u", self.owner) if self.owner is not None else ()
        config = ("--config", str(self.config)) if self.config is not None else ()
        return shlex.join((*sudo, *self.program, *config))


PLAIN = Invocation()


def command(text: str, invocation: Invocation) -> str:
    """Return `text` with its commands ready to be typed."""
    return text.replace(PROGRAM, str(invocation))


def commands(value: Any, invocation: Invocation) -> Any:
    """Return a JSON value in which the commands in all texts are ready to be typed."""
    match value:
        case str():
            return command(value, invocation) if PROGRAM in value else value
        case dict():
            return {key: commands(one, invocation) for key, one in value.items()}
        case list() | tuple():
            return [commands(one, invocation) for one in value]
        case _:
            return value


def words(code: Code | None) -> str:
    """Return a code as words: `rate_limited` is "rate limited"."""
    return (code or Code.INTERNAL).replace("_", " ")


def iso(moment: datetime | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, with whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment is not None else None


def read_date(value: Any) -> datetime | None:
    """Read one of GitHub's dates as aware UTC: ISO 8601 with `Z` or an offset, epoch milliseconds, or `2016/02/06 12:41:52 -0600`.

    Return None for anything else.
    """
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000, UTC)
        if isinstance(value, str) and value.strip():
            text = value.strip()
            moment = datetime.strptime(text, "%Y/%m/%d %H:%M:%S %z") if "/" in text else datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
