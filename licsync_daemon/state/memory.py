"""The state in memory, for dry runs and tests."""

import sqlite3

from licsync_daemon.state.files import create_tables
from licsync_daemon.state.sqlite import SqliteStore


class MemoryStore(SqliteStore):
    """The SQLite store without a file."""

    def __init__(self) -> None:
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA foreign_keys=ON")
        create_tables(db)
        super().__init__(db)
