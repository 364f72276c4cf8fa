"""SQLite as the engine of the state. `files.py` opens it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from licsync_daemon.model.errors import StateDamagedError, StateReplacedError, StateUnwritableError
from licsync_daemon.state.damage import is_undecodable, set_aside_unreadable
from licsync_daemon.state.migration import VERSION
from licsync_daemon.state.sql import SqlStore
from licsync_daemon.system.filelock import FileLock, file_at


class SqliteEngine:
    """The `Engine` port over an open connection."""

    def __init__(self, db: sqlite3.Connection, path: Path | None = None) -> None:
        self._use(db)
        self._path, self._file = path, file_at(path) if path is not None else None
        self._is_damaged = False  # whether SQLite has found the file, not only a row, to be damaged

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
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                self._is_damaged = True
                raise StateDamagedError(f"the state file is damaged ({error}); the daemon sets it aside") from error
            raise StateUnwritableError(f"the state file cannot be used: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the write lock first, so that data read inside is still current when writing.

        Raises:
            StateReplacedError: The open file is no longer the one at its path; SQLite would often write to it without an error.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            self._check_place()
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

    def _check_place(self) -> None:
        if self._path is not None and (there := file_at(self._path)) != self._file:
            raise StateReplacedError(f"the state file {self._path} was {'replaced by another file' if there else 'deleted or moved'}")

    def check_file(self) -> None:
        self._check_place()
        version = VERSION
        with suppress(StateUnwritableError), self.errors():  # of another cause, which a write will report
            version = self.execute("PRAGMA user_version").fetchone()["user_version"]
        if version != VERSION:
            raise StateReplacedError(f"the state file {self._path} was replaced by one of another version")
        if self._is_damaged:
            raise StateReplacedError(f"the state file {self._path} is damaged")

    def close(self) -> None:
        self._db.close()


class SqliteStore(SqlStore):
    """The durable store in one file; a write is durable when it returns (`synchronous=EXTRA`)."""

    def __init__(self, db: sqlite3.Connection, path: Path | None = None, lock: FileLock | None = None) -> None:
        super().__init__(SqliteEngine(db, path))
        self._lock = lock

    def close(self) -> None:
        super().close()
        if self._lock is not None:
            self._lock.release()
