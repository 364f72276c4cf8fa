"""The only module that reads the wall clock, and the only one that sleeps."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clocks (the `Clock` port)."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
