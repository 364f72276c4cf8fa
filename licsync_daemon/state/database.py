"""An open database: transactions, rows, and errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.state.damage import UNREADABLE
from licsync_daemon.state.engine import Engine
from licsync_daemon.state.rows import DbRow

T = TypeVar("T")


class Database:
    """Every method raises `StateUnwritableError` if the database cannot read or write."""

    def __init__(self, engine: Engine) -> None:
        self._db = engine
        self._is_inside = False
        self.fault: str | None = None  # why the newest transaction failed

    @property
    def engine(self) -> Engine:
        return self._db

    def check_file(self) -> None:
        self._db.check_file()

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
        with self._db.errors():
            found = self._read(read, sql, values)
            if found is None:
                self._db.set_aside_unreadable()
                found = self._read(read, sql, values)
            if found is None:
                raise StateUnwritableError("the state cannot be used: a row cannot be read")
            return found

    def _read(self, read: Callable[[DbRow], T], sql: str, values: tuple[Any, ...]) -> tuple[T, ...] | None:
        """Return what a query finds; None if a row cannot be read."""
        try:
            return tuple(read(dict(row)) for row in self._db.execute(sql, values).fetchall())
        except UNREADABLE:
            return None
        except Exception as error:
            if self._db.is_undecodable(error):
                return None
            raise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing."""
        if self._is_inside:  # a part of the transaction around it
            yield
            return
        try:
            with self._db.errors(), self._db.transaction():
                self._is_inside = True
                yield
        except StateUnwritableError as error:
            self.fault = str(error)
            raise
        finally:
            self._is_inside = False
        self.fault = None
