"""The `Leases` port as PostgreSQL's session locks: the server releases the locks of a session that ends, however it ends.

The state is written in the same session, so that a process that has lost its locks cannot write. PostgreSQL grants a session a lock that it
already has; the leases that are held are therefore kept here as well.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from licsync_daemon.model.errors import LockedError, StateUnreachableError
from licsync_daemon.model.ports import Clock, Lease
from licsync_daemon.model.run import Holder, Member
from licsync_daemon.state.columns import instant, instant_of
from licsync_daemon.state.engine import Engine
from licsync_daemon.system.filelock import holder_from_json, holder_to_json, in_words, this_process

LEADER = "\0daemon"  # names that no instance can have
ALERTS = "\0alerts"
LOST = "the lock of this process in PostgreSQL is gone, and with it the right to write"
_ALIVE = "EXISTS (SELECT FROM pg_stat_activity WHERE pid = session.backend AND datname = current_database())"
_LOCK = (
    "locktype = 'advisory' AND granted AND objsubid = 1 AND classid::bigint = ? AND objid::bigint = ?"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class SessionLease:
    """A lock, held until `release`, the end of `with`, or the end of the session."""

    unnamed_because: OSError | None = None
    is_findable = True  # `touch` says whether it is still held

    def __init__(self, leases: "SessionLeases", name: str) -> None:
        self._leases = leases
        self._name = name

    def touch(self) -> None:
        """Make sure that the lock is still held. This also keeps the session from being idle for too long.

        Raises:
            StateUnreachableError: The session has ended, or is none.
        """
        self._leases.check(self._name)

    def release(self) -> None:
        self._leases.release(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SessionLeases:
    """The leases of one session. Every method raises `StateUnreachableError` if the session has ended."""

    def __init__(self, engine: Engine, clock: Clock, *, role: str) -> None:
        """Record the session, and delete the record of every session that has ended.

        Args:
            engine: The session.
            clock: This machine's.
            role: "daemon" or "command".
        """
        self._db = engine
        self._clock = clock
        self._held: set[str] = set()
        now = clock.now()
        holder = json.dumps(holder_to_json(this_process(now)))
        with engine.errors():
            engine.execute(f"DELETE FROM session WHERE backend = pg_backend_pid() OR NOT {_ALIVE}")  # noqa: S608 - our own words
            engine.execute("INSERT INTO session VALUES (pg_backend_pid(), ?, ?, ?)", (role, holder, instant(now)))

    def instance(self, name: str) -> Lease | None:
        return self._take(name)

    def is_alive(self, holder: Holder) -> bool:
        return alive(self._db)(holder)

    def holder(self, name: str) -> str:
        sql = f"SELECT holder FROM session JOIN pg_locks ON pg_locks.pid = session.backend WHERE {_LOCK}"  # noqa: S608
        with self._db.errors():
            found = self._db.execute(sql, _halves(name)).fetchone()
        return in_words(holder_from_json(json.loads(found["holder"])) if found is not None else None)

    def alerts(self) -> Lease | None:
        return self._take(ALERTS)

    def daemon(self) -> Lease:
        lease = self._take(LEADER)
        if lease is None:
            raise LockedError(Path("the lead in PostgreSQL"), self.holder(LEADER))
        with self._db.errors():
            self._db.execute("UPDATE session SET since = ? WHERE backend = pg_backend_pid()", (instant(self._clock.now()),))
        return lease

    def touch(self) -> None:
        with self._db.errors():
            self._db.execute("SELECT 1")

    def check(self, name: str) -> None:
        """Make sure that a lock is still held by this session."""
        with self._db.errors():
            sql = f"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND {_LOCK}) AS held"  # noqa: S608
            held = self._db.execute(sql, _halves(name)).fetchone()["held"]
        if not held:
            raise StateUnreachableError(LOST)

    def release(self, name: str) -> None:
        """Release a lock; the end of the session released it already if that has ended."""
        if name in self._held:
            self._held.remove(name)
            try:
                with self._db.errors():
                    self._db.execute("SELECT pg_advisory_unlock(?)", (_key(name),))
            except StateUnreachableError:
                return

    def _take(self, name: str) -> Lease | None:
        if name in self._held:
            return None
        with self._db.errors():
            if not self._db.execute("SELECT pg_try_advisory_lock(?) AS taken", (_key(name),)).fetchone()["taken"]:
                return None
        self._held.add(name)
        return SessionLease(self, name)


def members(engine: Engine) -> tuple[Member, ...]:
    """Return the daemons that have a session: the leader first, then the standbys in the order of their start."""
    return tuple(sorted(_members(engine), key=lambda one: (not one.leads, one.since)))


def _members(engine: Engine) -> Iterator[Member]:
    sql = (
        f"SELECT session.*, activity.state_change, EXISTS (SELECT FROM pg_locks WHERE pid = session.backend AND {_LOCK}) AS leads"  # noqa: S608
        " FROM session JOIN pg_stat_activity AS activity ON activity.pid = session.backend AND activity.datname = current_database()"
        " WHERE role = 'daemon'"
    )
    with engine.errors():
        found = engine.execute(sql, _halves(LEADER)).fetchall()
    for row in found:
        holder = holder_from_json(json.loads(row["holder"]))
        yield Member(holder=holder, leads=row["leads"], since=instant_of(row["since"]), heartbeat_at=row["state_change"])


def others(engine: Engine) -> tuple[Holder, ...]:
    """Return the processes with a session, daemons and commands that write, except this one."""
    with engine.errors():
        found = engine.execute(f"SELECT holder FROM session WHERE {_ALIVE} AND backend <> pg_backend_pid()").fetchall()  # noqa: S608
    return tuple(holder_from_json(json.loads(row["holder"])) for row in found)


def alive(engine: Engine) -> Callable[[Holder], bool]:
    """Return a function that tells whether the process of a run has a session now, on whichever host."""
    with engine.errors():
        found = engine.execute(f"SELECT holder FROM session WHERE {_ALIVE}").fetchall()  # noqa: S608
    processes = {_process(holder_from_json(json.loads(row["holder"]))) for row in found}
    return lambda holder: _process(holder) in processes


def replication(engine: Engine) -> tuple[int, str]:
    """Return how many replicas are connected, and which of them commits wait for (`synchronous_standby_names`)."""
    sql = "SELECT (SELECT count(*) FROM pg_stat_replication) AS replicas, current_setting('synchronous_standby_names') AS names"
    with engine.errors():
        found = engine.execute(sql).fetchone()
    return found["replicas"], found["names"]


def _process(holder: Holder) -> tuple[object, ...]:
    return (holder.pid, holder.host, holder.boot_id, holder.start_ticks)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"licsync:{name}".encode()).digest()[:8], "big", signed=True)


def _halves(name: str) -> tuple[int, int]:
    """Return the two numbers as which `pg_locks` shows a key."""
    unsigned = _key(name) % 2**64
    return unsigned >> 32, unsigned % 2**32
