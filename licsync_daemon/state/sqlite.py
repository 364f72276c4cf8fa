"""The state in one small SQLite file (the durable `StateStore`). `files.py` opens it."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import TypeVar

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.run import (
    AWAITING,
    Decision,
    DeliveryOutcome,
    DeliveryRecord,
    InstanceRecord,
    Run,
    RunState,
    SeatRecord,
    Transition,
)
from licsync_daemon.model.usage import Listing
from licsync_daemon.state import rows
from licsync_daemon.state.columns import instant, instant_of, read_instant
from licsync_daemon.state.retention import Retention
from licsync_daemon.system.filelock import FileLock

T = TypeVar("T")

CHUNKS_AT_ONCE = 16  # chunks of digests in one transaction: more than fits SQLite's cache would lock out readers before the commit


class SqliteStore(Retention):
    """Every method is one transaction; writes are durable when it returns (`synchronous=EXTRA`)."""

    def __init__(self, db: sqlite3.Connection, path: Path | None = None, lock: FileLock | None = None) -> None:
        super().__init__(db, path)
        self._lock = lock
        self._version = self._data_version()

    def save_run(
        self,
        run: Run,
        at: datetime,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
    ) -> None:
        obsolete = None
        with self._transaction():
            there = self._one(_read_state, "SELECT state FROM run WHERE run_id = ?", run.run_id)
            if there is not None and there.is_final and there is not run.state:
                return
            if instead_of is not None:
                other = self._one(rows.read_run, "SELECT * FROM run WHERE run_id = ?", instead_of.run_id)
                if other is not None and other.state in {RunState.HELD} | AWAITING:
                    self._end(other.ended(RunState.SUPERSEDED, at), at)
                self._db.execute(
                    "UPDATE decision SET used_at = ? WHERE run_id = ? AND what = 'approved' AND used_at IS NULL",
                    (instant(at), instead_of.run_id),
                )
            if delivery is not None:
                self._put("delivery", "key", rows.delivery_row(delivery))
                obsolete = self._promote_digests(delivery)
            if remember is not None:
                self._put("instance", "name", rows.instance_row(remember))
            self._put("run", "run_id", rows.run_row(run))
            if there is not run.state:
                self._transition(run, at)
        if delivery is not None:
            self._drop_digests(delivery.instance, obsolete)

    def _end(self, run: Run, at: datetime) -> None:
        self._put("run", "run_id", rows.run_row(run))
        self._transition(run, at)

    def _transition(self, run: Run, at: datetime) -> None:
        self._db.execute("INSERT INTO transition VALUES (?, ?, ?, ?)", (run.run_id, instant(at), run.state, run.code))

    def _promote_digests(self, delivery: DeliveryRecord) -> str | None:
        """Make the digests staged under a confirmed delivery the confirmed ones. Return the usage that is obsolete.

        This changes only a name, not a million accounts.
        """
        if delivery.closed_at is None:
            return None
        staged = self._db.execute("SELECT 1 FROM digest WHERE instance = ? AND usage = ? LIMIT 1", (delivery.instance, delivery.key))
        before = self._confirmed_usage(delivery.instance)
        if before == delivery.key:
            return None
        if delivery.outcome is not DeliveryOutcome.CONFIRMED or staged.fetchone() is None:
            return delivery.key
        self._db.execute("INSERT OR REPLACE INTO confirmed_usage VALUES (?, ?)", (delivery.instance, delivery.key))
        return before

    def _confirmed_usage(self, instance: str) -> str | None:
        return self._one(lambda row: str(row["usage"]), "SELECT usage FROM confirmed_usage WHERE instance = ?", instance)

    def _drop_digests(self, instance: str, usage: str | None) -> None:
        """Delete the digests of a usage, a few chunks at a time so that `status` need not wait. Any left are deleted the next time."""
        with suppress(StateUnwritableError):
            while usage is not None:
                with self._transaction():
                    sql = "DELETE FROM digest WHERE rowid IN (SELECT rowid FROM digest WHERE instance = ? AND usage = ? LIMIT ?)"
                    if self._db.execute(sql, (instance, usage, CHUNKS_AT_ONCE)).rowcount < CHUNKS_AT_ONCE:
                        return

    def open_run(self, instance: str) -> Run | None:
        return self._one(rows.read_run, "SELECT * FROM run WHERE instance = ? AND state IN ('running', 'delivered')", instance)

    def instances_with_open_runs(self) -> frozenset[str]:
        states = "('running', 'delivered')", "('awaiting_upload', 'awaiting_export')"  # as the indexes say them
        sql = " UNION ".join(f"SELECT instance FROM run WHERE state IN {one}" for one in states)  # noqa: S608 - our own words
        return frozenset(self._all(lambda row: str(row["instance"]), sql))

    def sync_dates(self, instance: str, *, limit: int) -> tuple[datetime, ...]:
        sql = "SELECT DISTINCT last_sync FROM (SELECT last_sync FROM run WHERE instance = ? ORDER BY seq DESC LIMIT ?)"
        found = self._all(lambda row: read_instant(row["last_sync"]), sql, instance, limit)
        return tuple(sorted(one for one in found if one is not None))

    def run(self, run_id: str) -> Run | None:
        return self._one(rows.read_run, "SELECT * FROM run WHERE run_id = ?", run_id)

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        sql, of_instance = "SELECT * FROM run {} ORDER BY seq DESC LIMIT ?", "WHERE instance = ?"  # an OR of both would read every run
        if instance is None:
            return self._all(rows.read_run, sql.format(""), limit)
        return self._all(rows.read_run, sql.format(of_instance), instance, limit)

    def last_run(self, instance: str, *, good: bool = False, counted: bool = False) -> Run | None:
        where = ["instance = ?"]
        if good:
            where.append("state IN ('confirmed', 'current', 'accepted')")  # as the index says it
        if counted:
            where.append("counted = 1 AND collected_at IS NOT NULL")
        sql = f"SELECT * FROM run WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT 1"  # noqa: S608 - our own words
        return self._one(rows.read_run, sql, instance)

    def first_run_at(self, instance: str) -> datetime | None:
        sql = "SELECT started_at FROM run WHERE instance = ? ORDER BY seq LIMIT 1"
        return self._one(lambda row: instant_of(row["started_at"]), sql, instance)

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        return self._all(rows.read_transition, "SELECT * FROM transition WHERE run_id = ? ORDER BY rowid", run_id)

    def held_run(self, instance: str) -> Run | None:
        return self._one(rows.read_run, "SELECT * FROM run WHERE instance = ? AND state = 'held'", instance)

    def awaiting_run(self, instance: str) -> Run | None:
        sql = "SELECT * FROM run WHERE instance = ? AND state IN ('awaiting_upload', 'awaiting_export')"
        return self._one(rows.read_run, sql, instance)

    def save_delivery(self, record: DeliveryRecord) -> None:
        with self._transaction():
            self._put("delivery", "key", rows.delivery_row(record))
            obsolete = self._promote_digests(record)
        self._drop_digests(record.instance, obsolete)

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        return self._one(rows.read_delivery, "SELECT * FROM delivery WHERE instance = ? AND closed_at IS NULL", instance)

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        return self._all(rows.read_delivery, "SELECT * FROM delivery WHERE instance = ? ORDER BY rowid", instance)

    def delivery_of(self, run_id: str) -> DeliveryRecord | None:
        return self._one(rows.read_delivery, "SELECT * FROM delivery WHERE run_id = ? ORDER BY rowid DESC LIMIT 1", run_id)

    def save_instance(self, record: InstanceRecord) -> None:
        with self._transaction():
            self._put("instance", "name", rows.instance_row(record))

    def instance(self, name: str) -> InstanceRecord | None:
        return self._one(rows.read_instance, "SELECT * FROM instance WHERE name = ?", name)

    def save_listing(self, listing: Listing) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM listed")
            columns = "read_at, server_id, hostname, date, status, error"
            marks = ":read_at, :server_id, :hostname, :date, :status, :error"
            # An empty list is stored as one row without a server, which records when it was read.
            listed = rows.listed_rows(listing) or [dict.fromkeys(columns.split(", ")) | {"read_at": instant(listing.read_at)}]
            self._db.executemany(f"INSERT INTO listed ({columns}) VALUES ({marks})", listed)  # noqa: S608 - constant names

    def listing(self) -> Listing | None:
        return rows.read_listing(self._all(dict, "SELECT * FROM listed ORDER BY number"))

    def save_alert(self, alert: Alert) -> None:
        with self._transaction():
            row = rows.alert_row(alert)
            columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
            sql = (
                "DELETE FROM alert WHERE instance = :instance AND code = :code"
                " AND (opened_at = :opened_at OR (closed_at IS NULL AND :closed_at IS NULL))"
            )
            self._db.execute(sql, row)
            self._db.execute(f"INSERT INTO alert ({columns}) VALUES ({marks})", row)  # noqa: S608 - constant names

    def open_alerts(self) -> tuple[Alert, ...]:
        return self._all(rows.read_alert, "SELECT * FROM alert WHERE closed_at IS NULL ORDER BY instance, code")

    def write_fault(self, *, try_it: bool = False) -> str | None:
        if try_it or self.fault is not None:
            with suppress(StateUnwritableError), self._transaction():
                self._db.execute("INSERT INTO seats (seq, read_at) VALUES (-1, '')")
                self._db.execute("DELETE FROM seats WHERE seq = -1")
        return self.fault

    def unsent_closings(self, since: datetime) -> tuple[Alert, ...]:
        sql = "SELECT * FROM alert WHERE closed_at > ? AND closed_at > told_at ORDER BY closed_at"
        return self._all(rows.read_alert, sql, instant(since))

    def save_seats(self, record: SeatRecord) -> None:
        with self._transaction():
            row = rows.seat_row(record)
            self._db.execute("INSERT INTO seats (read_at, consumed, purchased) VALUES (:read_at, :consumed, :purchased)", row)

    def seats(self) -> SeatRecord | None:
        return self._one(rows.read_seats, "SELECT * FROM seats ORDER BY seq DESC LIMIT 1")

    def transaction(self) -> AbstractContextManager[None]:
        return self._transaction()

    def save_decision(self, decision: Decision, *, ends: Run | None = None) -> bool:
        with self._transaction():
            if ends is not None:
                there = self._one(_read_state, "SELECT state FROM run WHERE run_id = ?", ends.run_id)
                if there is None or there.is_final:
                    return False
                self._end(ends, decision.at)
            row = rows.decision_row(decision)
            columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
            self._db.execute(f"INSERT INTO decision ({columns}) VALUES ({marks})", row)  # noqa: S608 - constant names
        return True

    def decisions(self, instance: str | None = None, *, limit: int = 100) -> tuple[Decision, ...]:
        sql, of_instance = "SELECT * FROM decision {} ORDER BY seq DESC LIMIT ?", "WHERE instance = ?"
        if instance is None:
            return self._all(rows.read_decision, sql.format(""), limit)
        return self._all(rows.read_decision, sql.format(of_instance), instance, limit)

    def pause(self, instance: str) -> Decision | None:
        sql = "SELECT * FROM decision WHERE instance = ? AND what IN ('paused', 'resumed') ORDER BY seq DESC LIMIT 1"
        return self._one(rows.read_decision, sql, instance)

    def approval(self, run_id: str) -> Decision | None:
        sql = "SELECT * FROM decision WHERE run_id = ? AND what = 'approved' AND used_at IS NULL ORDER BY seq DESC LIMIT 1"
        return self._one(rows.read_decision, sql, run_id)

    def stage_digests(self, instance: str, key: str, chunks: Iterable[bytes]) -> None:
        sql = "SELECT DISTINCT usage FROM digest WHERE instance = ?"
        for usage in {*self._all(lambda row: str(row["usage"]), sql, instance)} - {self._confirmed_usage(instance)}:
            self._drop_digests(instance, usage)
        numbered = ((instance, key, number, chunk) for number, chunk in enumerate(chunks))
        while some := list(islice(numbered, CHUNKS_AT_ONCE)):
            with self._transaction():
                self._db.executemany("INSERT INTO digest VALUES (?, ?, ?, ?)", some)

    def confirmed_digests(self, instance: str) -> Iterator[bytes] | None:
        key = self._confirmed_usage(instance)
        return self._chunks(instance, key) if key is not None else None

    def _chunks(self, instance: str, key: str) -> Iterator[bytes]:
        """Read one chunk at a time, so that no read transaction stays open in between."""
        for number in count():
            sql = "SELECT data FROM digest WHERE instance = ? AND usage = ? AND chunk = ?"
            chunk = self._one(lambda row: bytes(row["data"]), sql, instance, key, number)
            if chunk is None:
                return
            yield chunk

    def instances(self) -> tuple[InstanceRecord, ...]:
        known = self._all(rows.read_instance, "SELECT * FROM instance")
        sql = (  # one step in the index for each instance, not for each run
            "WITH RECURSIVE known (instance) AS (SELECT min(instance) FROM run UNION ALL"
            " SELECT (SELECT min(instance) FROM run WHERE instance > known.instance) FROM known WHERE known.instance IS NOT NULL)"
            " SELECT instance FROM known WHERE instance IS NOT NULL AND instance NOT IN (SELECT name FROM instance)"
        )
        only_runs = self._all(lambda row: InstanceRecord(name=row["instance"], identity=None), sql)
        return tuple(sorted((*known, *only_runs), key=lambda one: one.name))

    def changed_elsewhere(self) -> bool:
        before, self._version = self._version, self._data_version()
        return before != self._version

    def _data_version(self) -> int:
        version = self._one(lambda row: int(row["data_version"]), "PRAGMA data_version")
        assert version is not None
        return version

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.release()


def _read_state(row: rows.DbRow) -> RunState:
    return RunState(row["state"])
