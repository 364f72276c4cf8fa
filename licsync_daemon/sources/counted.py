"""An encrypted export, with counts and accounts from a second source for the guards and forecasts."""

from dataclasses import replace

from licsync_daemon.model.ports import AccountSink, UsageSource
from licsync_daemon.model.usage import Collected


class CountedUsageSource:
    """Reads one instance (the `UsageSource` port): `export` is delivered, `counts` is counted.

    A clear export or a report can be counted itself and needs no second source. If the second source fails, the run fails: without counts,
    a guard would pass what it should hold.
    """

    def __init__(self, export: UsageSource, counts: UsageSource) -> None:
        self._export = export
        self._counts = counts

    async def collect(self, spool: AccountSink) -> Collected:
        exported = await self._export.collect(spool)
        if exported.counts.counted:
            return exported
        counted = await self._counts.collect(spool)
        ages = [at for at in (exported.newest_activity, counted.newest_activity) if at is not None]
        return replace(
            exported,
            version=exported.version or counted.version,
            counts=counted.counts,
            newest_activity=min(ages, default=None),  # both must be recent enough
            notices=exported.notices + counted.notices,
        )
