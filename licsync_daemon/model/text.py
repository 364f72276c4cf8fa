"""Make texts safe to show: foreign ones shortened to one clean line, our own with commands that a person can type. Pure."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from licsync_daemon.model.errors import Code
from licsync_daemon.model.secrets import conceal, redact

PROGRAM = "$licsync"  # stands for this program in the commands that messages name; `command` replaces it where a message is shown or sent


def clean(text: str, limit: int = 200) -> str:
    """Make foreign text safe to show: redacted, printable characters only, one line, at most `limit` of them."""
    printable = "".join(char for char in " ".join(text.split()) if char.isprintable())
    safe = redact(printable)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """How a person starts this program on this machine.

    Attributes:
        program: Its name, or its path if it is not on the PATH.
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
    """Return `text` with its commands as a person types them, and without any credential."""
    return conceal(text.replace(PROGRAM, str(invocation)) if PROGRAM in text else text)


def commands(value: Any, invocation: Invocation) -> Any:
    """Return a value of JSON with all its texts as `command` returns them."""
    match value:
        case str():
            return command(value, invocation)
        case dict():
            return {key: commands(one, invocation) for key, one in value.items()}
        case list() | tuple():
            return [commands(one, invocation) for one in value]
        case _:
            return value


def words(code: Code | None) -> str:
    """Say a code in words: `rate_limited` is "rate limited"."""
    return (code or Code.INTERNAL).replace("_", " ")


def iso(moment: datetime | None) -> str | None:
    """Write an instant for a machine: ISO 8601, UTC, whole seconds."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z" if moment is not None else None


def read_date(value: Any) -> datetime | None:
    """Read one of GitHub's dates as aware UTC (20): ISO 8601 with `Z` or an offset, epoch milliseconds, or `2016/02/06 12:41:52 -0600`.

    None if it is none of them.
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
