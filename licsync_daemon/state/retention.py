"""How long runs, delivery records, seat totals and alerts are kept: 400 days, by a time that the cloud confirmed."""

from datetime import datetime, timedelta

from licsync_daemon.model.run import KEEP
from licsync_daemon.state.columns import instant, read_instant
from licsync_daemon.state.database import Database

PRUNE_EVERY = timedelta(days=1)
PRUNED_AT_ONCE = 200  # rows in one transaction: other processes, and other tasks, get their turn
PRUNED = (("run", "ended_at"), ("delivery", "closed_at"), ("seats", "read_at"), ("alert", "closed_at"))

NOTE = 'INSERT INTO pruned VALUES (1, ?) ON CONFLICT ("only") DO UPDATE SET at = excluded.at'


class Retention(Database):
    """Deletes what is too old."""

    def prune(self, confirmed: datetime) -> bool:
        pruned = self._one(lambda row: read_instant(row["at"]), "SELECT at FROM pruned")
        if pruned is not None and pruned <= confirmed < pruned + PRUNE_EVERY:
            return False
        before = instant(confirmed - KEEP)
        with self._transaction():
            for table, column in PRUNED:
                some = f"SELECT rowid FROM {table} WHERE {column} < ? LIMIT {PRUNED_AT_ONCE}"  # noqa: S608 - our own names
                deleted = self._db.execute(f"DELETE FROM {table} WHERE rowid IN ({some})", (before,)).rowcount  # noqa: S608
                if deleted == PRUNED_AT_ONCE:
                    return True
            self._db.execute(NOTE, (instant(confirmed),))
        return False
