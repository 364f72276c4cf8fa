"""The preflight of every day: when it is due, and what of it is new. A weekly sync hides Monday's breakage until Sunday."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import structlog

from licsync_daemon.configured import Config
from licsync_daemon.ports import Clock
from licsync_daemon.preflight.rows import Outcome, Row
from licsync_daemon.preflight.run import preflight

DAY = timedelta(days=1)

log = structlog.get_logger()


class Daily:
    """Knows when the next preflight is due, and what earlier ones have told. `name` decides the minute of the day."""

    def __init__(self, name: str, now: datetime) -> None:
        self._name = name
        self._next_at = next_daily(name, now)
        self._told: frozenset[Row] = frozenset()

    def is_due(self, now: datetime) -> bool:
        """Answer whether it is time. A clock that was ahead of time is not waited for."""
        return now >= self._next_at or self._next_at - now > DAY

    async def run(self, config: Config, environ: Mapping[str, str], clock: Clock) -> tuple[Row, ...]:
        """Test everything, log what is new, and answer the rows."""
        self._next_at = next_daily(self._name, clock.now())
        rows = await preflight(config, environ, clock)
        self._told = tell_new(rows, self._told)
        return rows


def next_daily(name: str, after: datetime) -> datetime:
    """Answer the next moment after `after` at a minute of the day (UTC) that is the name's own."""
    minute = int.from_bytes(hashlib.sha256(f"preflight {name}".encode()).digest()[:4], "big") % (24 * 60)
    today = after.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=minute)
    return today if today > after else today + DAY


def tell_new(rows: Iterable[Row], told: frozenset[Row]) -> frozenset[Row]:
    """Log each failure and warning that was not told before; answer what stands now, so that what comes back is told again."""
    now = [row for row in rows if row.outcome is not Outcome.OK]
    for row in now:
        if row not in told:
            event, write = ("preflight.failed", log.error) if row.outcome is Outcome.FAIL else ("preflight.warned", log.warning)
            write(event, place=row.place, test=row.test, code=row.code, cause=row.seen, next_step=row.fix)
    return frozenset(now)
