"""One pipeline for every log line, without secrets and addresses."""

import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from licsync_daemon.model.text import Invocation
from licsync_daemon.system.log import MAX_VALUE, redact_event, set_up
from licsync_daemon.system.log_writer import FLUSH_S, MAX_LINES

TOKEN = "ghp_" + "a1B2" * 9
ADDRESS = "mona@example.com"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "apscheduler")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture(params=["json", "terminal"])
def stream(request: pytest.FixtureRequest) -> io.StringIO:
    found = Terminal() if request.param == "terminal" else io.StringIO()
    set_up("debug", stream=found)
    return found


@pytest.fixture
def lines() -> io.StringIO:
    found = io.StringIO()
    set_up("info", stream=found)
    return found


def last(stream: io.StringIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return found


def test_commands_are_written_as_a_person_types_them() -> None:
    """Next steps and lists of problems; in JSON and on a terminal."""
    typed = Invocation(config=Path("/srv/fleet.toml"), owner="licsync")
    for stream in (io.StringIO(), Terminal()):
        set_up("info", typed, stream=stream)
        structlog.get_logger().error("run.failed", next_step="see: $licsync history", problems=["see: $licsync check"])
        assert stream.getvalue().count("see: sudo -u licsync licsync-daemon --config /srv/fleet.toml ") == 2


def test_an_event_is_one_json_object(lines: io.StringIO) -> None:
    """Key, level, time and bound fields, and nothing else."""
    with structlog.contextvars.bound_contextvars(run_id="r1", instance="emea"):
        structlog.get_logger().info("run.confirmed", sent=3, text="früher")
    found = last(lines)
    assert found.pop("timestamp").endswith("Z")
    assert found == {"event": "run.confirmed", "level": "info", "run_id": "r1", "instance": "emea", "sent": 3, "text": "früher"}
    assert "früher" in lines.getvalue()


def test_foreign_loggers_go_through_the_same_pipeline(lines: io.StringIO) -> None:
    """Records of libraries have the same format, with their arguments and extra fields, redacted."""
    with structlog.contextvars.bound_contextvars(instance="emea"):
        logging.getLogger("apscheduler.scheduler").error("job %s failed for %s", "emea", ADDRESS, extra={"attempt": 2, "sent_token": "x"})
    found = last(lines)
    assert (found["event"], found["level"], found["instance"], found["attempt"]) == ("job emea failed for [address]", "error", "emea", 2)
    assert found["sent_token"] == "[secret]"


def test_chatter_of_the_libraries_is_left_out(subtests: pytest.Subtests, lines: io.StringIO) -> None:
    """Requests and wake-ups are not logged; warnings are."""
    for name in ("httpx", "httpcore", "apscheduler", "apscheduler.scheduler", "apscheduler.executors.default"):
        with subtests.test(name=name):
            before = lines.getvalue()
            logging.getLogger(name).info("HTTP Request: GET https://api.github.com")
            assert lines.getvalue() == before
            logging.getLogger(name).warning("%s is slow", name)
            assert last(lines)["event"] == f"{name} is slow"


def test_the_level_is_obeyed(subtests: pytest.Subtests) -> None:
    """Events below the level are not written."""
    for level, seen in (("debug", 4), ("info", 3), ("warning", 2), ("error", 1), ("critical", 0)):
        with subtests.test(level=level, seen=seen):
            stream = io.StringIO()
            set_up(level, stream=stream)
            for name in ("debug", "info", "warning", "error"):
                getattr(structlog.get_logger(), name)("some.event")
            assert len(stream.getvalue().splitlines()) == seen


class Odd:
    def __repr__(self) -> str:
        return f"<Odd {TOKEN} {ADDRESS}>"


def test_no_secret_and_no_address_in_any_field(subtests: pytest.Subtests, stream: io.StringIO) -> None:
    """Tokens and addresses are removed from every field, at any depth."""
    for name, fields in {
        "text": {"cause": f"{TOKEN} and {ADDRESS}"},
        "named": {"token": TOKEN, "password": ADDRESS},
        "nested": {"nested": {"list": [TOKEN, {"deep": ADDRESS}]}},
        "tuple": {"pair": (TOKEN, ADDRESS)},
        "exception": {"error": ValueError(f"{TOKEN} {ADDRESS}")},
        "object": {"odd": Odd()},
        "object in a list": {"odd": [Odd()]},
        "bytes": {"raw": f"{TOKEN} {ADDRESS}".encode()},
        "set": {"some": {TOKEN, ADDRESS}},
        "numbered": {"numbered": {1: TOKEN}},
        "keyed": {"keyed": {ADDRESS: 1}},
    }.items():
        with subtests.test(name):
            structlog.get_logger().warning("some.event", **fields)
            text = stream.getvalue()
            assert "some.event" in text
            assert TOKEN not in text
            assert ADDRESS not in text


def test_no_secret_in_the_event_itself(stream: io.StringIO) -> None:
    """The message of a foreign record is redacted like any field."""
    logging.getLogger("some.library").error("could not use %s for %s", TOKEN, ADDRESS)
    assert "could not use [token] for [address]" in stream.getvalue()


def fail(secret: str) -> None:
    hidden_local = f"local {secret}"
    try:
        _ = {}[hidden_local]
    except KeyError as error:
        raise ValueError(f"cannot use {secret} of {ADDRESS}") from error


@pytest.mark.parametrize("logger", ["ours", "foreign"])
def test_tracebacks_show_lines_and_no_values(stream: io.StringIO, logger: str) -> None:
    """An exception is written with its place, without local variables, and its words redacted, its causes included."""
    secret = TOKEN
    try:
        fail(secret)
    except ValueError:
        if logger == "ours":
            structlog.get_logger().critical("run.crashed", exc_info=True)
        else:
            logging.getLogger("some.library").exception("crashed")
    text = stream.getvalue()
    assert "ValueError" in text
    assert "KeyError" in text
    assert "test_log.py" in text
    assert "cannot use [token] of [address]" in text
    assert "locals" not in text
    assert TOKEN not in text
    assert ADDRESS not in text


def test_colors_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colors unless NO_COLOR is set."""
    found = []
    for no_color in (None, "1"):
        if no_color:
            monkeypatch.setenv("NO_COLOR", no_color)
        else:
            monkeypatch.delenv("NO_COLOR", raising=False)
        stream = Terminal()
        set_up("info", stream=stream)
        structlog.get_logger().info("some.event", a=1)
        found.append("\x1b[" in stream.getvalue())
    assert found == [True, False]


def test_long_values_are_cut() -> None:
    """A value takes one bounded piece of a line."""
    event = redact_event(None, "", {"at": "x" * MAX_VALUE, "past": "x" * (MAX_VALUE + 1)})
    assert event["at"] == "x" * MAX_VALUE
    assert event["past"] == "x" * MAX_VALUE + "…"


def test_plain_values_stay_what_they_are() -> None:
    """Numbers, flags and nothing are not turned into text."""
    event = {"a": 1, "b": 1.5, "c": True, "d": None, "e": [1, None]}
    assert redact_event(None, "", dict(event)) == event


def test_a_reader_that_stalls_blocks_nothing() -> None:
    """What does not fit is dropped and counted, and the count is logged once the reader goes on."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        set_up("info", stream=stream, background=True)
        for number in range(2 * MAX_LINES):
            structlog.get_logger().info("tick", number=number, padding="x" * 500)
        began = time.monotonic()
        logging.getLogger().handlers[0].flush()  # gives up on a reader that stalls
        assert time.monotonic() - began < FLUSH_S + 3
        read = Reading(ours)
        logging.getLogger().handlers[0].flush()
        structlog.get_logger().info("last")
        logging.getLogger().handlers[0].close()
    lines = read.lines()
    ticks = [line["number"] for line in lines if line["event"] == "tick"]
    dropped = sum(line["lines"] for line in lines if line["event"] == "log.lines_dropped")
    assert ticks == sorted(ticks)
    assert dropped > 0
    assert len(ticks) + dropped == 2 * MAX_LINES
    assert "last" in [line["event"] for line in lines]


class Reading(threading.Thread):
    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self._descriptor = descriptor
        self._text = b""
        self.start()

    def run(self) -> None:
        while data := os.read(self._descriptor, 65536):
            self._text += data
        os.close(self._descriptor)

    def lines(self) -> list[dict[str, Any]]:
        self.join(10)
        return [json.loads(line) for line in self._text.decode().splitlines()]
