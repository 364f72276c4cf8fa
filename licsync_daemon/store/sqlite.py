"""The state in one small SQLite file (the durable `StateStore`). What the file is opened with is in `files.py`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from licsync_daemon.errors import StateUnwritableError
from licsync_daemon.lock import FileLock
from licsync_daemon.model import DeliveryRecord, InstanceRecord, Run, RunState, SeatRecord, Transition
from licsync_daemon.store import rows

KEEP = timedelta(days=400)


class SqliteStore:
    """Every method is one transaction; a writing one is durable when it returns (`synchronous=EXTRA`)."""

    def __init__(self, db: sqlite3.Connection, lock: FileLock | None = None) -> None:
        self._db = db
        self._db.row_factory = sqlite3.Row
        self._lock = lock
        self._version = self._data_version()

    def save_run(self, run: Run, at: datetime, *, delivery: DeliveryRecord | None = None, identity: InstanceRecord | None = None) -> None:
        with self._transaction():
            there = self._one("SELECT state FROM run WHERE run_id = ?", run.run_id)
            if there is not None and RunState(there["state"]).is_final and there["state"] != run.state:
                return
            if delivery is not None:
                self._put("delivery", "key", rows.delivery_row(delivery))
            if identity is not None:
                self._put("instance", "name", rows.instance_row(identity))
            self._put("run", "run_id", rows.run_row(run))
            if there is None or there["state"] != run.state:
                self._db.execute("INSERT INTO transition VALUES (?, ?, ?, ?)", (run.run_id, rows.instant(at), run.state, run.code))
            before = rows.instant(at - KEEP)
            self._db.execute("DELETE FROM run WHERE ended_at < ?", (before,))
            self._db.execute("DELETE FROM delivery WHERE closed_at < ?", (before,))
            self._db.execute("DELETE FROM seats WHERE read_at < ?", (before,))

    def open_run(self, instance: str) -> Run | None:
        row = self._one("SELECT * FROM run WHERE instance = ? AND state IN ('running', 'delivered')", instance)
        return rows.read_run(row) if row else None

    def run(self, run_id: str) -> Run | None:
        row = self._one("SELECT * FROM run WHERE run_id = ?", run_id)
        return rows.read_run(row) if row else None

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        found = self._all("SELECT * FROM run WHERE ?1 IS NULL OR instance = ?1 ORDER BY seq DESC LIMIT ?2", instance, limit)
        return tuple(map(rows.read_run, found))

    def last_run(self, instance: str, *, confirmed: bool = False) -> Run | None:
        row = self._one(
            "SELECT * FROM run WHERE instance = ? AND (NOT ? OR state = 'confirmed') ORDER BY seq DESC LIMIT 1", instance, confirmed
        )
        return rows.read_run(row) if row else None

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        return tuple(map(rows.read_transition, self._all("SELECT * FROM transition WHERE run_id = ? ORDER BY rowid", run_id)))

    def save_delivery(self, record: DeliveryRecord) -> None:
        with self._transaction():
            self._put("delivery", "key", rows.delivery_row(record))

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        row = self._one("SELECT * FROM delivery WHERE instance = ? AND closed_at IS NULL", instance)
        return rows.read_delivery(row) if row else None

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        return tuple(map(rows.read_delivery, self._all("SELECT * FROM delivery WHERE instance = ? ORDER BY rowid", instance)))

    def save_instance(self, record: InstanceRecord) -> None:
        with self._transaction():
            self._put("instance", "name", rows.instance_row(record))

    def instance(self, name: str) -> InstanceRecord | None:
        row = self._one("SELECT * FROM instance WHERE name = ?", name)
        return rows.read_instance(row) if row else None

    def save_seats(self, record: SeatRecord) -> None:
        with self._transaction():
            row = rows.seat_row(record)
            self._db.execute("INSERT INTO seats (read_at, consumed, purchased) VALUES (:read_at, :consumed, :purchased)", row)

    def seats(self) -> SeatRecord | None:
        row = self._one("SELECT * FROM seats ORDER BY seq DESC LIMIT 1")
        return rows.read_seats(row) if row else None

    def changed_elsewhere(self) -> bool:
        before, self._version = self._version, self._data_version()
        return before != self._version

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    def _data_version(self) -> int:
        row = self._one("PRAGMA data_version")
        assert row is not None
        return int(row["data_version"])

    def _put(self, table: str, key: str, row: rows.Row) -> None:
        """Insert `row`, or replace the columns of the row with the same key. Table and columns are our own names, never input."""
        columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
        changes = ", ".join(f"{column} = excluded.{column}" for column in row if column != key)
        self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}", row)  # noqa: S608

    def _one(self, sql: str, *values: Any) -> rows.Row | None:
        found = self._all(sql, *values)
        return found[0] if found else None

    def _all(self, sql: str, *values: Any) -> list[rows.Row]:
        with _translated():
            return [dict(row) for row in self._db.execute(sql, values)]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Everything inside or nothing. The write lock is taken first, so that what was read inside still holds when it is written."""
        with _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateUnwritableError(f"the state file cannot be used: {error}") from error
