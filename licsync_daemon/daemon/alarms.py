"""One alarm for each instance. The only module that imports APScheduler.

APScheduler is used only as an alarm clock. Its own wall-clock triggers skip whole weeks at daylight-saving changes, its default store is
not durable, and its executor cancels running work when it stops. So each instance has one job with a fixed date, the state determines
what is due, and the runs are tasks of the daemon.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger


class Alarms:
    """Calls `ring` with the name of an instance when its alarm goes off."""

    def __init__(self, ring: Callable[[str], Awaitable[None]]) -> None:
        self._ring = ring
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1})

    @property
    def is_on(self) -> bool:
        return bool(self._scheduler.running)

    def start(self, *, paused: bool = False) -> None:
        self._scheduler.start(paused=paused)

    def set(self, name: str, at: datetime) -> None:
        """Set the alarm of an instance, replacing its previous one.

        Args:
            name: The instance.
            at: When it rings, at least a second ahead: a date trigger in the past hangs APScheduler 3.
        """
        self._scheduler.add_job(self._ring, DateTrigger(at, timezone=UTC), args=[name], id=name, replace_existing=True)

    def silence(self, name: str) -> None:
        if self.is_set(name):
            self._scheduler.remove_job(name)

    def is_set(self, name: str) -> bool:
        return self._scheduler.get_job(name) is not None

    def planned(self) -> dict[str, datetime]:
        """Return when each alarm rings, by instance."""
        return {job.id: job.next_run_time for job in self._scheduler.get_jobs() if job.next_run_time is not None}

    def check(self) -> None:
        """Compare the alarms with the wall clock again, which may have been set, or the machine suspended."""
        self._scheduler.wakeup()

    def pause(self) -> None:
        self._scheduler.pause()

    def shut_down(self) -> None:
        self._scheduler.shutdown(wait=False)
