"""The schema of the state file: its version, its creation, and its migration. `schema-N.sql` leads from version N - 1 to N."""

import sqlite3
from functools import cache
from importlib import resources

VERSION = 4  # of the schema; `PRAGMA user_version`


def migrate(db: sqlite3.Connection) -> None:
    """Migrate an older file, one version per transaction, so that a crash leaves a complete version.

    A new file is created in one transaction, so that `status` finds nothing or all of it.
    """
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        create_tables(db)
    for number in range(found + 1, VERSION + 1) if found else ():
        db.executescript(f"BEGIN IMMEDIATE; {_schema(number)} PRAGMA user_version = {number}; COMMIT;")


def create_tables(db: sqlite3.Connection, version: int = VERSION) -> None:
    """Create all tables of a version in one transaction."""
    text = "".join(_schema(number) for number in range(1, version + 1))
    db.executescript(f"BEGIN IMMEDIATE; {text} PRAGMA user_version = {version}; COMMIT;")


def has_every_table(db: sqlite3.Connection, version: int) -> bool:
    """Return whether every table and index of a version is there as it was created.

    SQLite does not check this: a flipped bit in a column's name leaves a valid file whose rows cannot be read, and that takes no others.

    Raises:
        sqlite3.DatabaseError: The schema cannot be read at all.
        UnicodeDecodeError: A name in the schema is not UTF-8.
    """
    return _expected(version) <= _structure(db)


@cache
def _expected(version: int) -> frozenset[tuple[object, ...]]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        create_tables(db, version)
        return _structure(db)
    finally:
        db.close()


def _structure(db: sqlite3.Connection) -> frozenset[tuple[object, ...]]:
    """Return tables by their columns and references, and indexes by their text.

    The text of a table is not compared: `ALTER TABLE` rewrites it, and other versions of SQLite may do so differently.
    """
    found: set[tuple[object, ...]] = set()
    for kind, name, table, text in db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall():
        if kind == "table":
            columns = db.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
            references = db.execute("SELECT * FROM pragma_foreign_key_list(?)", (name,)).fetchall()
            found.add((name, *columns, *references))
        else:
            found.add((name, table, text))
    return frozenset(found)


def _schema(number: int) -> str:
    return resources.files("licsync_daemon.state").joinpath(f"schema-{number}.sql").read_text(encoding="utf-8")
