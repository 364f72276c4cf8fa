"""The state in one small SQLite file (the durable `StateStore`). What the file is opened with is in `files.py`."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from licsync_daemon.errors import StateUnwritableError
from licsync_daemon.lock import FileLock
from licsync_daemon.model import KEEP, DeliveryRecord, InstanceRecord, Run, RunState, SeatRecord, Transition
from licsync_daemon.store import rows

T = TypeVar("T")


class SqliteStore:
    """Every method is one transaction; a writing one is durable when it returns (`synchronous=EXTRA`)."""

    def __init__(self, db: sqlite3.Connection, lock: FileLock | None = None) -> None:
        self._db = db
        self._db.row_factory = sqlite3.Row
        self._lock = lock
        self._version = self._data_version()

    def save_run(self, run: Run, at: datetime, *, delivery: DeliveryRecord | None = None, identity: InstanceRecord | None = None) -> None:
        with self._transaction():
            there = self._one(_read_state, "SELECT state FROM run WHERE run_id = ?", run.run_id)
            if there is not None and there.is_final and there is not run.state:
                return
            if delivery is not None:
                self._put("delivery", "key", rows.delivery_row(delivery))
            if identity is not None:
                self._put("instance", "name", rows.instance_row(identity))
            self._put("run", "run_id", rows.run_row(run))
            if there is not run.state:
                self._db.execute("INSERT INTO transition VALUES (?, ?, ?, ?)", (run.run_id, rows.instant(at), run.state, run.code))
            before = rows.instant(at - KEEP)
            self._db.execute("DELETE FROM run WHERE ended_at < ?", (before,))
            self._db.execute("DELETE FROM delivery WHERE closed_at < ?", (before,))
            self._db.execute("DELETE FROM seats WHERE read_at < ?", (before,))

    def open_run(self, instance: str) -> Run | None:
        return self._one(rows.read_run, "SELECT * FROM run WHERE instance = ? AND state IN ('running', 'delivered')", instance)

    def run(self, run_id: str) -> Run | None:
        return self._one(rows.read_run, "SELECT * FROM run WHERE run_id = ?", run_id)

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        sql = "SELECT * FROM run WHERE ?1 IS NULL OR instance = ?1 ORDER BY seq DESC LIMIT ?2"
        return self._all(rows.read_run, sql, instance, limit)

    def last_run(self, instance: str, *, confirmed: bool = False) -> Run | None:
        sql = "SELECT * FROM run WHERE instance = ? AND (NOT ? OR state = 'confirmed') ORDER BY seq DESC LIMIT 1"
        return self._one(rows.read_run, sql, instance, confirmed)

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        return self._all(rows.read_transition, "SELECT * FROM transition WHERE run_id = ? ORDER BY rowid", run_id)

    def save_delivery(self, record: DeliveryRecord) -> None:
        with self._transaction():
            self._put("delivery", "key", rows.delivery_row(record))

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        return self._one(rows.read_delivery, "SELECT * FROM delivery WHERE instance = ? AND closed_at IS NULL", instance)

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        return self._all(rows.read_delivery, "SELECT * FROM delivery WHERE instance = ? ORDER BY rowid", instance)

    def save_instance(self, record: InstanceRecord) -> None:
        with self._transaction():
            self._put("instance", "name", rows.instance_row(record))

    def instance(self, name: str) -> InstanceRecord | None:
        return self._one(rows.read_instance, "SELECT * FROM instance WHERE name = ?", name)

    def save_seats(self, record: SeatRecord) -> None:
        with self._transaction():
            row = rows.seat_row(record)
            self._db.execute("INSERT INTO seats (read_at, consumed, purchased) VALUES (:read_at, :consumed, :purchased)", row)

    def seats(self) -> SeatRecord | None:
        return self._one(rows.read_seats, "SELECT * FROM seats ORDER BY seq DESC LIMIT 1")

    def changed_elsewhere(self) -> bool:
        before, self._version = self._version, self._data_version()
        return before != self._version

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    def _data_version(self) -> int:
        version = self._one(lambda row: int(row["data_version"]), "PRAGMA data_version")
        assert version is not None
        return version

    def _put(self, table: str, key: str, row: rows.Row) -> None:
        """Insert `row`, or replace the columns of the row with the same key. Table and columns are our own names, never input."""
        columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
        changes = ", ".join(f"{column} = excluded.{column}" for column in row if column != key)
        self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}", row)  # noqa: S608

    def _one(self, read: Callable[[rows.Row], T], sql: str, *values: Any) -> T | None:
        found = self._all(read, sql, *values)
        return found[0] if found else None

    def _all(self, read: Callable[[rows.Row], T], sql: str, *values: Any) -> tuple[T, ...]:
        with _translated():
            try:
                return tuple(read(dict(row)) for row in self._db.execute(sql, values))
            except (
                ValueError,
                TypeError,
                KeyError,
            ) as error:  # a row that nobody here wrote: the file was damaged between its pages' checks
                raise sqlite3.DataError(f"a row cannot be read ({error})") from error

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


def _read_state(row: rows.Row) -> RunState:
    return RunState(row["state"])
