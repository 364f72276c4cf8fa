"""Writes log lines in a thread, so that a reader of the log that stalls (a stopped terminal, a full pipe) never blocks the daemon."""

import logging
import os
import queue
import threading
from contextlib import suppress
from typing import TextIO

import structlog

MAX_LINES = 1000  # that wait to be written; what comes then is dropped and counted
FLUSH_S = 2.0  # at the end of the process

log = structlog.get_logger()


class BackgroundHandler(logging.Handler):
    """Formats a line where it is logged and leaves writing it to a thread. The number of lines that found no room is logged."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_LINES)
        self._dropped = 0
        self._idle = threading.Condition()
        self._left = 0  # lines that are not yet written
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as the standard handlers do
            self.handleError(record)
            return
        with self._idle:
            try:
                self._lines.put_nowait(f"{line}\n")
                self._left += 1
            except queue.Full:
                self._dropped += 1

    def flush(self) -> None:
        """Wait for the lines that wait, but not for a reader that stalls."""
        with self._idle:
            self._idle.wait_for(lambda: self._left == 0, FLUSH_S)

    def close(self) -> None:
        self.flush()
        with suppress(queue.Full):  # else the thread is stuck, and ends with the process
            self._lines.put_nowait(None)
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            with self._idle:
                self._left -= 1
                dropped, self._dropped = (self._dropped, 0) if self._left < MAX_LINES // 2 else (0, self._dropped)
                if self._left == 0:
                    self._idle.notify_all()
            if dropped:
                log.warning("log.lines_dropped", lines=dropped, cause="the reader of the log did not keep up")

    def _write(self, line: str) -> None:
        with suppress(OSError, ValueError):
            try:
                descriptor = self._stream.fileno()
            except (OSError, ValueError, AttributeError):
                self._stream.write(line)
                return
            data = line.encode("utf-8", "backslashreplace")
            while data:  # not through the stream: its lock would hold up the end of the process
                data = data[os.write(descriptor, data) :]
