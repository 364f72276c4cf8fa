"""The accounts of one collection, sorted by id, in an unnamed file.

A report may have a million rows, too many for memory and in any order, so the rows are stored in a temporary SQLite table. Its file is
unlinked before the first row is written: no email address outlives the process, however it ends.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.usage import Account, Added


class AccountSpool:
    """The accounts of one instance by id. Use it with `with`; leaving frees the disk space."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        try:
            descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".spool-")
            os.close(descriptor)
            self._db = sqlite3.connect(name, isolation_level=None)
            # No journal: a crash deletes the file anyway. A small cache: memory use does not grow with the accounts.
            self._db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-1024;")
            self._db.execute("PRAGMA user_version")  # SQLite opens the file at its first use; it must be open before it is unlinked
            Path(name).unlink()
            self.clear()
        except (OSError, sqlite3.Error) as error:
            raise StateUnwritableError(f"cannot store the collected accounts in {self._directory}: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def clear(self) -> None:
        """Remove every account, before they are read again."""
        if self._db is not None and self._db.in_transaction:
            self._run("COMMIT")
        self._run("DROP TABLE IF EXISTS account")
        self._run("CREATE TABLE account (id INTEGER PRIMARY KEY, login TEXT, email TEXT, suspended INTEGER) STRICT")
        self._run("BEGIN")

    def add(self, account: Account) -> Added:
        """Store `account`, unless its id is already present."""
        row = (account.id, account.login, account.email, int(account.suspended))
        if self._run("INSERT OR IGNORE INTO account VALUES (?, ?, ?, ?)", row).rowcount:
            return Added.NEW
        there = self._run("SELECT * FROM account WHERE id = ?", (account.id,)).fetchone()
        return Added.DUPLICATE if there == row else Added.CONFLICT

    def everyone(self) -> Iterator[Account]:
        """Yield every account, suspended ones included, ordered by id. May be called again."""
        rows = self._run("SELECT * FROM account ORDER BY id")
        while (row := self._next(rows)) is not None:
            yield Account(id=row[0], login=row[1], email=row[2], suspended=bool(row[3]))

    def active(self) -> Iterator[Account]:
        """Yield the accounts that are not suspended, ordered by id. May be called again."""
        rows = self._run("SELECT * FROM account WHERE NOT suspended ORDER BY id")
        while (row := self._next(rows)) is not None:
            yield Account(id=row[0], login=row[1], email=row[2], suspended=False)

    def _next(self, rows: sqlite3.Cursor) -> tuple[int, str, str, int] | None:
        try:
            row: tuple[int, str, str, int] | None = rows.fetchone()
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        return row

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        assert self._db is not None, "use `with`"
        try:
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: sqlite3.Error) -> StateUnwritableError:
        return StateUnwritableError(f"cannot store the collected accounts in {self._directory}: {error}")
