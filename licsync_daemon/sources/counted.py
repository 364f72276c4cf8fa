"""An opaque export with numbers and accounts from a second source beside it, so that guards and forecasts have something to go by."""

from dataclasses import replace

from licsync_daemon.model.ports import UsageSource
from licsync_daemon.model.usage import Collected
from licsync_daemon.state.spool import AccountSpool


class CountedUsageSource:
    """Reads one instance (the `UsageSource` port): what is delivered comes from `export`, what is counted from `counts`.

    What can be counted by itself, a clear export or a report, needs no second source. Where the second source fails, so does the run:
    without its numbers a guard would let pass what it should hold.
    """

    def __init__(self, export: UsageSource, counts: UsageSource) -> None:
        self._export = export
        self._counts = counts

    async def collect(self, spool: AccountSpool) -> Collected:
        exported = await self._export.collect(spool)
        if exported.counts.counted:
            return exported
        counted = await self._counts.collect(spool)
        ages = [at for at in (exported.newest_activity, counted.newest_activity) if at is not None]
        return replace(
            exported,
            version=exported.version or counted.version,
            counts=counted.counts,
            newest_activity=min(ages, default=None),  # both must be young enough
            notices=exported.notices + counted.notices,
        )
