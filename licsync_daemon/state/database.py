"""An open SQLite database: transactions, rows, and errors."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from licsync_daemon.model.errors import StateDamagedError, StateReplacedError, StateUnwritableError
from licsync_daemon.state.damage import UNREADABLE, is_undecodable, set_aside_unreadable
from licsync_daemon.state.migration import VERSION
from licsync_daemon.state.rows import DbRow
from licsync_daemon.system.filelock import file_at

T = TypeVar("T")


class Database:
    """Every method raises `StateUnwritableError` if SQLite cannot read or write."""

    def __init__(self, db: sqlite3.Connection, path: Path | None = None) -> None:
        self._db = db
        self._path, self._file = path, file_at(path) if path is not None else None
        self._db.row_factory = sqlite3.Row
        self._is_inside = False
        self.fault: str | None = None  # why the newest transaction failed
        self.is_damaged = False  # whether SQLite has found the file, not only a row, to be damaged

    def check_file(self) -> None:
        if self._path is not None and (there := file_at(self._path)) != self._file:
            raise StateReplacedError(f"the state file {self._path} was {'replaced by another file' if there else 'deleted or moved'}")
        version: int | None = VERSION
        with suppress(StateUnwritableError):  # of another cause, which a write will report
            version = self._one(lambda row: int(row["user_version"]), "PRAGMA user_version")
        if version != VERSION:
            raise StateReplacedError(f"the state file {self._path} was replaced by one of another version")
        if self.is_damaged:
            raise StateReplacedError(f"the state file {self._path} is damaged")

    def _put(self, table: str, key: str, row: DbRow) -> None:
        """Insert `row`, or replace the columns of the row with the same key. Table and column names are constants, never input."""
        columns, marks = ", ".join(row), ", ".join(f":{column}" for column in row)
        changes = ", ".join(f"{column} = excluded.{column}" for column in row if column != key)
        self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}", row)  # noqa: S608

    def _one(self, read: Callable[[DbRow], T], sql: str, *values: Any) -> T | None:
        found = self._all(read, sql, *values)
        return found[0] if found else None

    def _all(self, read: Callable[[DbRow], T], sql: str, *values: Any) -> tuple[T, ...]:
        """Return what a query finds. Rows that cannot be read are set aside first, so that older ones take their place."""
        with self._translated():
            found = self._read(read, sql, values)
            if found is None:
                self._db = set_aside_unreadable(self._db)
                found = self._read(read, sql, values)
            if found is None:
                raise sqlite3.DataError("a row cannot be read")
            return found

    def _read(self, read: Callable[[DbRow], T], sql: str, values: tuple[Any, ...]) -> tuple[T, ...] | None:
        """Return what a query finds; None if a row cannot be read."""
        try:
            return tuple(read(dict(row)) for row in self._db.execute(sql, values).fetchall())
        except UNREADABLE:
            return None
        except sqlite3.OperationalError as error:
            if is_undecodable(error):
                return None
            raise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing. The write lock is taken first, so that data read inside is still current when writing."""
        if self._is_inside:  # a part of the transaction around it
            yield
            return
        try:
            with self._translated():
                self._db.execute("BEGIN IMMEDIATE")
                self._is_inside = True
                try:
                    yield
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                finally:
                    self._is_inside = False
        except StateUnwritableError as error:
            self.fault = str(error)
            raise
        self.fault = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                self.is_damaged = True
                raise StateDamagedError(f"the state file is damaged ({error}); the daemon sets it aside") from error
            raise StateUnwritableError(f"the state file cannot be used: {error}") from error
