"""SQLite as the engine of the state. `files.py` opens it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.state.damage import is_undecodable, set_aside_unreadable
from licsync_daemon.state.sql import SqlStore
from licsync_daemon.system.filelock import FileLock


class SqliteEngine:
    """The `Engine` port over an open connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._use(db)

    def _use(self, db: sqlite3.Connection) -> None:
        db.row_factory = sqlite3.Row
        self._db = db
        self.execute: Callable[..., Any] = db.execute
        self.executemany: Callable[..., Any] = db.executemany

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StateUnwritableError(f"the state file cannot be used: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the write lock first, so that data read inside is still current when writing."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self.execute("ROLLBACK")
            raise

    def is_undecodable(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.Error) and is_undecodable(error)

    def set_aside_unreadable(self) -> None:
        self._use(set_aside_unreadable(self._db))

    def writes_elsewhere(self) -> int:
        return int(self.execute("PRAGMA data_version").fetchone()["data_version"])

    def close(self) -> None:
        self._db.close()


class SqliteStore(SqlStore):
    """The durable store in one file; a write is durable when it returns (`synchronous=EXTRA`)."""

    def __init__(self, db: sqlite3.Connection, lock: FileLock | None = None) -> None:
        super().__init__(SqliteEngine(db))
        self._lock = lock

    def close(self) -> None:
        super().close()
        if self._lock is not None:
            self._lock.release()
