"""Make texts safe to show: foreign ones shortened to one clean line, the program's own with commands that a person can type. Pure."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from licsync_daemon.model.decode import printable, shown
from licsync_daemon.model.errors import Code
from licsync_daemon.model.secrets import conceal, redact

PROGRAM = "$licsync"  # stands for this program in the commands that messages name; `command` replaces it where a message is shown or sent


def clean(text: str, limit: int = 200) -> str:
    """Make foreign text safe to show: redacted, on one line, at most `limit` printable characters."""
    return printable(redact(printable(text, 10 * limit)), limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The command line that starts this program on this machine.

    Attributes:
        program: The program's name, or its path if it is not on the PATH.
        config: The configuration file; None if it is the default.
        owner: The user to switch to; None if no switch is needed, or none is possible.
        has_sudo: Whether `sudo` is installed; without it root switches by `runuser`.
    """

    program: tuple[str, ...] = ("licsync-daemon",)
    config: Path | None = None
    owner: str | None = None
    has_sudo: bool = True

    def __str__(self) -> str:
        switch = (("sudo", "-u", self.owner) if self.has_sudo else ("runuser", "-u", self.owner, "--")) if self.owner is not None else ()
        config = ("--config", str(self.config)) if self.config is not None else ()
        return shlex.join((*switch, *self.program, *config))


PLAIN = Invocation()


def command(text: str, invocation: Invocation) -> str:
    """Return `text` as it is shown or sent: with commands ready to be typed, without credentials and unprintable characters."""
    return conceal(shown(text.replace(PROGRAM, str(invocation)) if PROGRAM in text else text))


def commands(value: Any, invocation: Invocation) -> Any:
    """Return a JSON value with all its texts as `command` returns them."""
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
    """Return a code as words: `rate_limited` is "rate limited"."""
    return (code or Code.INTERNAL).replace("_", " ")


def iso(moment: datetime | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, with whole seconds."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z" if moment is not None else None
