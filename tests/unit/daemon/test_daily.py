"""The daemon's daily check: soon after a start, after a reload, and then every day."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from licsync_daemon.daemon.daily import DailyCheck
from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError
from licsync_daemon.monitoring.concerns import Concern
from licsync_daemon.monitoring.preflight.rows import CheckRow, Place

EMEA = Place("instance emea", "emea")
GOOD = EMEA.ok("token", "it belongs to license-reader")
BAD = EMEA.fail("token", "it was refused", "make a new one", Code.UNAUTHORIZED)


class Stage:
    """A scripted check, and what became of its findings."""

    def __init__(self, *answers: Sequence[CheckRow] | Exception, every_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.checked = 0
        self.called = asyncio.Event()
        self.heeded: list[Mapping[str, Sequence[Concern]]] = []
        self.daily = DailyCheck(self.check, self.heeded.append, startup_delay_s=0.0, every_s=every_s)

    async def check(self) -> Sequence[CheckRow]:
        self.checked += 1
        self.called.set()
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def serve(self) -> list[str]:
        """Serve until the script ends; return the logged findings."""
        with capture_logs() as logged, suppress(asyncio.CancelledError):
            asyncio.run(self.daily.serve())
        return [line["test"] for line in logged if line["event"] == "preflight.found"]


def test_a_problem_is_logged_when_it_appears_and_reported_to_the_alerts() -> None:
    """The same problem is logged once; when it is fixed it is gone, and when it returns it is logged again."""
    stage = Stage([GOOD], [BAD], [BAD], [GOOD], [BAD])
    assert stage.serve() == ["token", "token"]
    assert [[one.code for one in found.get("emea", ())] for found in stage.heeded] == [
        [],
        [Code.UNAUTHORIZED],
        [Code.UNAUTHORIZED],
        [],
        [Code.UNAUTHORIZED],
    ]


def test_a_check_that_fails_itself_changes_nothing_and_comes_again() -> None:
    """Earlier findings stay."""
    stage = Stage([BAD], RuntimeError("a bug"), [BAD])
    stage.serve()
    assert (len(stage.heeded), stage.checked) == (2, 4)


def test_a_second_problem_of_one_test_is_also_logged() -> None:
    """A place may have several rows for one test; the same problem with other numbers is the same."""
    second = EMEA.fail("token", "it lacks a scope", "add it", Code.SCOPE_MISSING)
    slow, slower = (EMEA.warn("clock", f"it is {by} s off", "set it", Code.CLOCK_WRONG) for by in (95, 97))
    assert Stage([BAD], [BAD, second], [second, slow], [slower]).serve() == ["token", "token", "clock"]


def test_a_mistake_in_an_edit_closes_no_alert() -> None:
    """The running configuration is another one, and findings about it stay."""
    stage = Stage([BAD], ConfigError((Problem("cloud", "unknown key"),)), [BAD])
    with capture_logs() as logged, suppress(asyncio.CancelledError):
        asyncio.run(stage.daily.serve())
    assert [line["problems"] for line in logged if line["event"] == "preflight.config_refused"] == [["cloud: unknown key"]]
    assert [len(found) for found in stage.heeded] == [1, 1]
    assert sum(line["event"] == "preflight.found" for line in logged) == 1


def test_a_check_without_a_result_is_logged() -> None:
    """The daemon's own check may fail like any program; that is no crash."""
    stage = Stage(RunError(Code.COMMAND_TIMEOUT, "the daily check did not end", "look"), [BAD])
    with capture_logs() as logged, suppress(asyncio.CancelledError):
        asyncio.run(stage.daily.serve())
    assert [(line["event"], line.get("cause")) for line in logged if line["log_level"] in ("error", "critical")] == [
        ("preflight.failed", "the daily check did not end"), ("preflight.found", None),
    ]  # fmt: skip


@pytest.mark.timeout(10)
def test_a_reload_is_checked_soon() -> None:
    """And not only a day later."""
    stage = Stage([GOOD], [BAD], every_s=3600.0)

    async def main() -> None:
        serving = asyncio.create_task(stage.daily.serve())
        for _ in range(2):
            await stage.called.wait()
            stage.called.clear()
            stage.daily.soon()
        await stage.called.wait()
        with suppress(asyncio.CancelledError):
            await serving

    asyncio.run(main())
    assert stage.checked == 3
