"""Standard input, output and error that cannot break a command: closed ones, closed pipes, full disks, other encodings.

A command goes on and keeps its exit code whatever becomes of its output; what cannot be written is discarded. Only a disk that is full is
a failure of its own.
"""

import errno
import io
import os
import select
import sys
from typing import Any, TextIO


class Guarded(io.FileIO):
    """An open descriptor whose first failure is remembered in `failure`; from then on everything is discarded."""

    failure: int | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        while self.failure is None:
            try:
                written = super().write(view)
            except OSError as error:
                self.failure = error.errno
                break
            if written is not None:
                return written
            select.select([], [self.fileno()], [])  # somebody else made it non-blocking
        return len(view)


_output: Guarded | None = None  # as long as `guard` has not been called


def guard() -> None:
    """Make the standard streams of this process safe. Call this before anything else opens a file: it might become a standard stream."""
    global _output
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed; the lowest free number is this one
            os.open(os.devnull, os.O_RDWR)
    _output, errors = Guarded(1, "w", closefd=False), Guarded(2, "w", closefd=False)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 - for as long as the process
    sys.stdout = _text(_output, sys.stdout, line_buffering=_output.isatty())
    sys.stderr = _text(errors, sys.stderr, line_buffering=True)


def failed_output() -> str | None:
    """Flush standard output, and say why some of it could not be written; None if all was, or if its reader has left."""
    sys.stdout.flush()
    failure = _output.failure if _output is not None else None
    return None if failure is None or failure == errno.EPIPE else os.strerror(failure).lower()


def _text(raw: Guarded, before: TextIO | None, *, line_buffering: bool) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=line_buffering)
