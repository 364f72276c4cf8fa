"""The schema of the state file: its version, its creation, and its migration. `schema-N.sql` leads from version N - 1 to N."""

import sqlite3
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


def create_tables(db: sqlite3.Connection) -> None:
    """Create all tables of the newest version in one transaction."""
    text = "".join(_schema(number) for number in range(1, VERSION + 1))
    db.executescript(f"BEGIN IMMEDIATE; {text} PRAGMA user_version = {VERSION}; COMMIT;")


def _schema(number: int) -> str:
    return resources.files("licsync_daemon.state").joinpath(f"schema-{number}.sql").read_text(encoding="utf-8")
