"""One pipeline for all log lines, including those of APScheduler and httpx. Logs go to stderr, results of commands to stdout.

JSON for journald and pipes, colored text on a terminal. Events are constant past-tense keys with `run_id`, `instance` and `slot` bound. The
last step before rendering removes everything that looks like a secret or a mail address.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from licsync_daemon.model.decode import shown
from licsync_daemon.model.secrets import SECRET_KEYS, redact
from licsync_daemon.model.text import PLAIN, Invocation, commands
from licsync_daemon.system.log_writer import BackgroundHandler

MAX_VALUE = 2000


def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Remove secrets and mail addresses from an event, and shorten long values."""
    return {key: "[secret]" if SECRET_KEYS.search(str(key)) else _clean(value) for key, value in event.items()}


def _event_first(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Move the keys that all lines have to the front, for readability."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        value = redact(value)
        return value if len(value) <= MAX_VALUE else value[:MAX_VALUE] + "…"
    if isinstance(value, dict):
        return redact_event(None, "", {redact(str(key)): one for key, one in value.items()})
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean(shown(str(value)))  # the renderer does the same, but after redaction


def set_up(level: str = "info", invocation: Invocation = PLAIN, *, stream: TextIO | None = None, background: bool = False) -> None:
    """Route every logger through one structlog pipeline to `stream`; commands in texts are formatted for `invocation`.

    Args:
        level: The lowest level that is written.
        invocation: How a person starts this program.
        stream: None for standard error.
        background: Whether a thread writes the lines, so that a reader that stalls blocks nothing.
    """
    stream = sys.stderr if stream is None else stream

    def typed(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return {key: commands(value, invocation) for key, value in event.items()}

    pretty = stream.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Local variables contain tokens and rows: a traceback shows code lines, never values.
    if pretty:
        colors = "NO_COLOR" not in os.environ
        plain = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        ending: list[Any] = [structlog.processors.format_exc_info, typed, redact_event, plain]
    else:
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        as_json = structlog.processors.JSONRenderer(ensure_ascii=False)
        ending = [structlog.processors.ExceptionRenderer(tracebacks), typed, redact_event, _event_first, as_json]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = BackgroundHandler(stream) if background else logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    for earlier in root.handlers:
        if isinstance(earlier, BackgroundHandler):
            earlier.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # At INFO, httpx logs every address and APScheduler every wake-up; the events of this program suffice.
    for name in ("httpx", "httpcore", "apscheduler"):
        logging.getLogger(name).setLevel(logging.WARNING)
