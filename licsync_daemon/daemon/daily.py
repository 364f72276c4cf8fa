"""The daily check by the daemon, so that a problem is found before the next weekly run.

A problem is logged once, when it appears, and is reported to the alerts until the next check.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from licsync_daemon.model.errors import ConfigError, RunError
from licsync_daemon.monitoring.concerns import Concern, same_meaning
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, alerts
from licsync_daemon.system.contain import contained

log = structlog.get_logger()

STARTUP_DELAY_S = 120.0  # after a start or a reload, so that services starting at the same time are up
EVERY_S = 24 * 3600.0

Check = Callable[[], Awaitable[Sequence[CheckRow]]]
Publish = Callable[[Mapping[str, Sequence[Concern]]], None]


class DailyCheck:
    """Checks soon after a start, after each reload, and then every day."""

    def __init__(self, check: Check, publish: Publish, *, startup_delay_s: float = STARTUP_DELAY_S, every_s: float = EVERY_S) -> None:
        self._check = check
        self._publish = publish
        self._startup_delay_s = startup_delay_s
        self._every_s = every_s
        self._reported: list[CheckRow] = []
        self._changed = asyncio.Event()

    def soon(self) -> None:
        """Check soon, since the configuration has changed."""
        self._changed.set()

    async def serve(self) -> None:
        """Check until canceled."""
        wait_s = self._startup_delay_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            if self._changed.is_set():
                self._changed.clear()
                wait_s = self._startup_delay_s
                continue
            await self._once()
            wait_s = self._every_s

    async def _once(self) -> None:
        """Check once, and report problems. If the check itself fails, it is retried the next day."""
        try:
            rows = await self._check()
        except ConfigError as error:  # an edit that is not loaded yet: earlier findings remain
            log.error("preflight.config_refused", problems=[str(problem) for problem in error.problems])  # noqa: TRY400 - sentences
            return
        except RunError as error:
            log.error("preflight.failed", code=error.code, cause=error.cause, next_step=error.next_step)  # noqa: TRY400 - a sentence
            return
        except Exception:
            log.critical("preflight.crashed", exc_info=True)
            return
        wrong = [row for row in rows if row.outcome is not Outcome.OK]
        for row in wrong:
            if not any(_same(row, known) for known in self._reported):
                write = log.error if row.outcome is Outcome.FAIL else log.warning
                write("preflight.found", place=row.place, test=row.test, code=row.code, seen=row.seen, next_step=row.fix)
        self._reported = wrong
        with contained("preflight.not_published"):
            self._publish(alerts(rows))
        log.info("preflight.done", tests=len(rows), wrong=len(wrong))


def _same(one: CheckRow, other: CheckRow) -> bool:
    """Return whether two rows report the same problem; a place may have several for one test, and numbers in the text may vary."""
    return (one.place, one.test, one.outcome) == (other.place, other.test, other.outcome) and same_meaning(one.seen, other.seen)
