"""The accounts of one collection, sorted by id, in an unnamed file.

A report may have a million rows, too many for memory and in any order, so the rows are stored in a temporary SQLite table. Its file is
unlinked before the first row is written: no email address outlives the process, however it ends.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.usage import Account, Present

Row = tuple[int, str, str, int]


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

    def add(self, accounts: Sequence[Account]) -> dict[int, Present]:
        """Store the accounts whose ids are not present yet. Return the others by their position."""
        assert self._db is not None, "use `with`"
        present: list[int] = []
        try:
            self._db.executemany("INSERT OR IGNORE INTO account VALUES (?, ?, ?, ?)", _watched(self._db, accounts, present))
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        return {position: self._compared(accounts[position]) for position in present}

    def _compared(self, account: Account) -> Present:
        there = self._run("SELECT * FROM account WHERE id = ?", (account.id,)).fetchone()
        return Present.DUPLICATE if there == account else Present.CONFLICT

    def everyone(self) -> Iterator[Account]:
        """Yield every account, suspended ones included, ordered by id. May be called again."""
        return self._read("SELECT * FROM account ORDER BY id")

    def active(self) -> Iterator[Account]:
        """Yield the accounts that are not suspended, ordered by id. May be called again."""
        return self._read("SELECT * FROM account WHERE NOT suspended ORDER BY id")

    def _read(self, sql: str) -> Iterator[Account]:
        rows = self._run(sql)
        try:
            for number, login, email, suspended in rows:
                yield Account(number, login, email, bool(suspended))
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        assert self._db is not None, "use `with`"
        try:
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: sqlite3.Error) -> StateUnwritableError:
        return StateUnwritableError(f"cannot store the collected accounts in {self._directory}: {error}")


def _watched(db: sqlite3.Connection, accounts: Iterable[Account], present: list[int]) -> Iterator[Row]:
    """Yield the rows to `executemany`, which stores each before it asks for the next; append the positions of those it ignored."""
    stored = db.total_changes
    for position, (number, login, email, suspended) in enumerate(accounts):
        yield number, login, email, 1 if suspended else 0  # a tuple of plain types is stored in half the time
        if db.total_changes == stored:
            present.append(position)
        else:
            stored += 1
