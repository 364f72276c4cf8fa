"""The state directory and the state file: created, opened, migrated, set aside when damaged.

`state.lock` is held shared while the file is open for writing, and exclusively while it is created, migrated or set aside: a file that is
renamed under an open connection becomes read-only for it.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from licsync_daemon.model.errors import ConfigError, LockedError, Problem, StateError, StateNewerError, StateUnwritableError
from licsync_daemon.settings.platform import in_kubernetes, rights_step
from licsync_daemon.state.damage import is_undecodable
from licsync_daemon.state.migration import VERSION, has_every_table, migrate
from licsync_daemon.state.sqlite import SqliteStore
from licsync_daemon.system.filelock import FileLock, in_words, is_alive, read_holder, this_process
from licsync_daemon.system.process import user_name

FILE = "state.db"
LOCK_WAIT_S = 5.0
READ_WAIT_MS = 100  # how long `status` waits for a commit, which locks the whole file while it is written, before it reports that
KEEP_DAMAGED = 3
USER = "licsync"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store, and the new path of a damaged file that was set aside."""

    store: SqliteStore
    set_aside: Path | None


def prepare_state_dir(path: Path) -> None:
    """Make sure that `path` is a directory of this user with mode 0700, and create the directory for instance locks in it.

    Raises:
        ConfigError: It belongs to another user, is writable by other users, or cannot be created.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid() and found.st_mode & stat.S_IWGRP and os.access(path, os.W_OK | os.X_OK):
            hint = f"set state_dir to a folder inside it, which only this user can read: {path / 'state'}"
            raise ConfigError((Problem("state_dir", f"{path} is a volume of a group", hint),))
        if found.st_uid != os.geteuid():
            raise ConfigError(
                (
                    Problem(
                        "state_dir",
                        f"{path} belongs to user {user_name(found.st_uid)}, but you are {user_name(os.geteuid())}",
                        rights_step("run the command as that user: $licsync …", path),
                    ),
                )
            )
        # The kubelet may open every folder of a volume to its group, each time a pod starts.
        if found.st_mode & (stat.S_IWOTH if in_kubernetes() else stat.S_IWGRP | stat.S_IWOTH):
            step = rights_step(f"run: chmod 0700 {path}", path)
            raise ConfigError((Problem("state_dir", f"{path} is writable by other users", step),))
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
        (path / "locks").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError((Problem("state_dir", f"{path} cannot be used: {error.strerror}", _own_it(path)),)) from error


def _own_it(path: Path) -> str:
    return rights_step(f"as root: install -d -m 0700 -o {USER} -g {USER} {path}", path)


def open_state(directory: Path, now: datetime, *, sleep: Callable[[float], None] = time.sleep) -> Opened:
    """Open the state file for writing; create, migrate or set it aside first if necessary.

    Raises:
        LockedError: That is necessary, and another process keeps the file open for more than 5 s.
        StateNewerError: A newer version wrote the file; it is left untouched.
        StateUnwritableError: The disk is full or read-only.
    """
    path, lock_path = directory / FILE, directory / "state.lock"
    with ExitStack() as on_failure:
        try:
            lock = _lock_for_use(path, lock_path, now, sleep)
            on_failure.enter_context(lock)
            if not lock.exclusive:
                return Opened(_store(path, lock, on_failure), None)
            set_aside = None
            if _condition(path) == "damaged":  # checked again: another process may just have done it
                set_aside = _set_aside(path, now)
            if _condition(path) != "good":
                with closing(_connect(path)) as db:
                    migrate(db)
            lock.share()
            return Opened(_store(path, lock, on_failure), set_aside)
        except (OSError, sqlite3.Error) as error:
            raise StateUnwritableError(f"the state file in {directory} cannot be opened for writing: {error}") from error


def _store(path: Path, lock: FileLock, on_failure: ExitStack) -> SqliteStore:
    store = SqliteStore(_connect(path), path, lock)
    on_failure.pop_all()  # the store releases the lock
    return store


@contextmanager
def reading(directory: Path) -> Iterator[SqliteStore | None]:
    """Open the state file with `open_for_reading`, and close it at the end."""
    store = open_for_reading(directory)
    try:
        yield store
    finally:
        if store is not None:
            store.close()


def open_for_reading(directory: Path) -> SqliteStore | None:
    """Open the state file without a file lock and without changing it; None if there is none.

    Raises:
        StateNewerError: A newer version wrote the file.
        StateError: The file is damaged, or a process died while writing; `status` reports that and changes nothing.
        StateUnwritableError: The file cannot be read.
    """
    path = directory / FILE
    try:
        condition = _condition(path, read_only=True)
        if condition == "missing":  # or empty: another process is creating it
            return None
        if condition == "older":
            raise StateError(f"the state file {path} is of an earlier version; restart the daemon, which migrates it")
        if condition != "good":
            raise StateError(f"the state file {path} is damaged; the daemon sets it aside when it starts")
        return SqliteStore(_connect(path, read_only=True))
    except (OSError, sqlite3.Error) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_READONLY:  # a reader must not roll back an unfinished transaction
            raise StateError(
                f"a process died while writing to {path}; the next start of the daemon or of --run-now repairs the file; no data is lost"
            ) from error
        raise StateUnwritableError(f"the state file {path} cannot be read: {error}") from error


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    if path.is_symlink():
        raise OSError(f"{path} is a symbolic link")
    old = os.umask(0o077)
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}", uri=True, isolation_level=None)
        try:
            # With the rollback journal and EXTRA, a committed transaction survives a power cut, including its directory entry.
            db.executescript(
                "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;"
                if not read_only
                else f"PRAGMA busy_timeout={READ_WAIT_MS};"
            )
        except sqlite3.Error:
            db.close()
            raise
        return db
    finally:
        os.umask(old)


def _condition(path: Path, *, read_only: bool = False) -> str:
    """Return "missing", "damaged", "older" or "good".

    Raises:
        StateNewerError: The file is sound, but its version is unknown.
    """
    if not path.exists():
        return "missing"
    if path.stat().st_size == 0:  # being created, or emptied: instance locks exist only once there is a state
        return "damaged" if any((path.parent / "locks").glob("*.lock")) else "missing"
    try:
        db = _connect(path, read_only=read_only)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise StateNewerError(
                    f"the state file {path} has version {version}, but this program supports only up to {VERSION}: "
                    "install the newer version again"
                )
            db.execute("BEGIN")  # prevents writes during the check
            sound = version > 0 and _is_whole(db, path) and has_every_table(db, version)
            if sound and not read_only:  # reads the whole file, which takes seconds in a large fleet; a reader finds damage where it reads
                sound = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            return "damaged" if not sound else "good" if version == VERSION else "older"
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        if is_undecodable(error):  # the text of the schema
            return "damaged"
        raise  # busy, unreadable or full: the file is not damaged
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # UnicodeDecodeError if SQLite's message quotes damaged text
        return "damaged"


def _is_whole(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is as long as its header says: SQLite reads a truncated last page as zeros."""
    pages, size = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return path.stat().st_size >= pages * size


def _set_aside(path: Path, now: datetime) -> Path:
    """Rename a damaged file and its journal; keep the latest three."""
    target = path.with_name(f"{FILE}.corrupt-{now:%Y%m%dT%H%M%S.%fZ}")
    journal = path.with_name(f"{FILE}-journal")
    if journal.exists():
        journal.rename(target.with_name(f"{target.name}-journal"))
    path.rename(target)
    older = sorted(one for one in path.parent.glob(f"{FILE}.corrupt-*") if not one.name.endswith("-journal"))[:-KEEP_DAMAGED]
    for one in older:
        one.unlink()
        one.with_name(f"{one.name}-journal").unlink(missing_ok=True)
    return target


def _lock_for_use(path: Path, lock_path: Path, now: datetime, sleep: Callable[[float], None]) -> FileLock:
    """Take the lock: shared if the file is good, otherwise exclusively. Both are tried in turn, since another process may be repairing it.

    Raises:
        LockedError: The file must be created, migrated or set aside, and other processes keep it open.
    """
    for _ in range(int(LOCK_WAIT_S / 0.1)):
        lock = FileLock.take(lock_path, shared=True)
        if lock is not None:
            try:
                good = _condition(path) == "good"
            except BaseException:
                lock.release()
                raise
            if good:
                return lock
            lock.release()
        lock = FileLock.take(lock_path, holder=this_process(now))
        if lock is not None:
            return lock
        sleep(0.1)
    repairing, daemon = read_holder(lock_path), read_holder(lock_path.with_name("daemon.lock"))
    if daemon is not None and is_alive(daemon) and not (repairing is not None and is_alive(repairing)):
        step = "restart the daemon: the state file is from another version or is damaged, and can only be replaced while nothing uses it"
        raise LockedError(path, in_words(daemon), step)
    raise LockedError(lock_path, in_words(repairing), "another process is working on the state file: try again when it has ended")
