"""Rows of the state that cannot be read, because a bit flipped or an older version wrote what it could not read back.

Such a row is moved to the table `set_aside`, with an error in the log: one damaged row must not stop a command or the daemon.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping

import structlog

from licsync_daemon.model.errors import Code
from licsync_daemon.state import rows
from licsync_daemon.state.columns import read_instant

log = structlog.get_logger()

#: Reads a row of each table.
READERS: Mapping[str, Callable[[rows.DbRow], object]] = {
    "run": rows.read_run,
    "transition": rows.read_transition,
    "delivery": rows.read_delivery,
    "instance": rows.read_instance,
    "listed": lambda row: rows.read_listing([row]),
    "alert": rows.read_alert,
    "decision": rows.read_decision,
    "seats": rows.read_seats,
    "pruned": lambda row: read_instant(row["at"]),
}
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
KEPT = 1000  # rows set aside, the newest ones
NEXT_STEP = "no action needed now: the next run records what is missing; if this recurs, check the disk and the memory of this machine"


def is_undecodable(error: sqlite3.Error) -> bool:
    """Return whether SQLite found text that is not UTF-8: a row is damaged, not the file, unless the row is of the schema."""
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8")


def set_aside_unreadable(db: sqlite3.Connection) -> sqlite3.Connection:
    """Move every unreadable row to `set_aside`. Return the connection to continue with: of a read-only file, to a repaired copy."""
    found = [(table, number, why) for table in READERS for number, why in _unreadable(db, table)]
    try:
        _move(db, found)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        db = _copy(db)
        _move(db, found)
    for table, causes in {table: [why for origin, _, why in found if origin == table] for table in READERS}.items():
        if causes:
            event = "state.rows_set_aside"
            log.critical(event, code=Code.STATE_DAMAGED, table=table, rows=len(causes), cause=causes[0], next_step=NEXT_STEP)
    return db


def _unreadable(db: sqlite3.Connection, table: str) -> list[tuple[int, str]]:
    found = []
    for row in db.execute(f"SELECT rowid AS number FROM {table}").fetchall():  # noqa: S608 - our own names
        try:
            READERS[table](dict(db.execute(f"SELECT * FROM {table} WHERE rowid = ?", (row["number"],)).fetchone()))  # noqa: S608
        except UNREADABLE as error:
            found.append((row["number"], str(error)))
        except sqlite3.OperationalError as error:
            if not is_undecodable(error):
                raise
            found.append((row["number"], "a text is not UTF-8"))
    return found


def _move(db: sqlite3.Connection, found: list[tuple[str, int, str]]) -> None:
    """Move rows in one transaction, or as a part of the transaction in progress."""
    is_inside = db.in_transaction
    if not is_inside:
        db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE IF NOT EXISTS set_aside (number INTEGER PRIMARY KEY, origin TEXT NOT NULL, content TEXT NOT NULL) STRICT")
        for table, number, _ in found:
            content = json.dumps(_content(db, table, number), default=repr)
            db.execute("INSERT INTO set_aside (origin, content) VALUES (?, ?)", (table, content))
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (number,))  # noqa: S608 - our own names
        db.execute("DELETE FROM set_aside WHERE number <= (SELECT max(number) FROM set_aside) - ?", (KEPT,))
        if not is_inside:
            db.execute("COMMIT")
    except BaseException:
        if not is_inside and db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _content(db: sqlite3.Connection, table: str, number: int) -> dict[str, object]:
    """Return the columns of a row as they are, with escapes for bytes that are not UTF-8."""
    usual, db.text_factory = db.text_factory, lambda raw: raw.decode("utf-8", "backslashreplace")
    try:
        return dict(db.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,)).fetchone())  # noqa: S608 - our own names
    finally:
        db.text_factory = usual


def _copy(db: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(copy)
    db.close()
    copy.row_factory = sqlite3.Row
    return copy
