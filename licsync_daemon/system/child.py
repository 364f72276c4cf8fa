"""Run a program without a shell, limited in time and output, and end it in every case.

The program has no terminal and no input, and a session of its own. At a timeout, at too much output and at a stop, all that it started is
ended with it (`family.py`). By default its environment has only `PATH` and `HOME`, and a fixed `LANG` for English messages.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.text import clean
from licsync_daemon.system.family import family_of, kill, send

log = structlog.get_logger()

MESSAGES_BYTES = 4 * 1024  # kept from the end of standard error
GRACE_S = 0.4  # between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended by itself: its exit code (negative: the signal), its output, and its last messages."""

    code: int
    output: bytearray
    messages: str

    @property
    def last_message(self) -> str:
        """The last line on standard error, safe to show; "" if there is none."""
        return last_line(self.messages)


def last_line(text: str) -> str:
    """Return the last line of a text that is not blank, safe to show."""
    return clean(next((line for line in reversed(text.splitlines()) if line.strip()), ""))


async def run_child(
    words: Sequence[str], *, what: str, within: timedelta, max_bytes: int, again: str, environ: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end.

    Args:
        words: The path, and the arguments.
        what: The program, for messages: "the command /usr/local/bin/export-usage".
        within: The time limit.
        max_bytes: The output limit; a program that prints more is ended, and its output discarded.
        again: The next step if the program fails.
        environ: The environment; None for a clean one.

    Raises:
        RunError: `COMMAND_FAILED` if it cannot be started, `COMMAND_TIMEOUT`, `EXPORT_TOO_LARGE`.
    """
    child = _Child(max_bytes)
    try:
        transport = await _start(words, child, clean_environment() if environ is None else environ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a valid path"
        raise RunError(Code.COMMAND_FAILED, f"{what} cannot be started: {reason.lower()}", again) from error
    try:
        async with asyncio.timeout(within.total_seconds()):
            await child.over.wait()
    except TimeoutError:
        raise RunError(Code.COMMAND_TIMEOUT, f"{what} did not finish within {within.total_seconds():g} seconds", again) from None
    finally:
        await _leave(transport, child)
    if child.too_large:
        mib = max_bytes / 1024 / 1024
        step = "check that the command prints only an export; if so, raise `max_export_bytes`"
        raise RunError(Code.EXPORT_TOO_LARGE, f"{what} printed more than {mib:g} MiB and was stopped", step)
    ended = Ended(transport.get_returncode() or 0, child.output, child.messages.decode("utf-8", "replace"))
    if ended.messages.strip():
        log.debug("source.messages", of=what, messages=clean(ended.messages, MESSAGES_BYTES))
    return ended


@dataclass(slots=True)
class _Child(asyncio.SubprocessProtocol):
    """Collects a program's output up to the limit; `over` is set when waiting can end."""

    max_bytes: int
    output: bytearray = field(default_factory=bytearray)
    messages: bytes = b""
    too_large: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)  # it exited, and no process holds its output open

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self.messages = (self.messages + data)[-MESSAGES_BYTES:]
        elif not self.too_large:
            self.too_large = len(self.output) + len(data) > self.max_bytes
            if self.too_large:
                self.output = bytearray()
                self.over.set()
            else:
                self.output += data

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.closed.set()
        self.over.set()


def clean_environment() -> dict[str, str]:
    """Return the environment for other programs."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


async def _start(words: Sequence[str], child: _Child, environ: Mapping[str, str]) -> asyncio.SubprocessTransport:
    starting = asyncio.create_task(
        asyncio.get_running_loop().subprocess_exec(
            lambda: child, *words, stdin=asyncio.subprocess.DEVNULL, env=environ, cwd="/", start_new_session=True
        )
    )
    try:
        transport, _ = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # On cancellation asyncio would end only the program, and wait for its child processes.
        with suppress(OSError, ValueError):
            transport, _ = await starting
            await _leave(transport, child)
        raise
    return transport


async def _leave(transport: asyncio.SubprocessTransport, child: _Child) -> None:
    """End a program and all that it started within a second unless it has ended, and close the transport."""
    try:
        if not child.closed.is_set():
            await _end(transport.get_pid(), child)
    finally:
        transport.close()


async def _end(pid: int, child: _Child) -> None:
    found = family_of(pid)
    try:
        send(found, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await child.exited.wait()
    finally:
        kill(pid, found)  # on a second cancellation as well
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await child.exited.wait()
