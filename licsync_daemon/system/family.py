"""The processes that a program of ours has started, found in /proc at one moment: by session, process group and ancestry.

What leaves all three before that moment is not found: a double fork into a session of its own. What runs as another user is found, but
cannot be ended.
"""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 20  # of finding and killing; a process may fork between the two


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` tells it from a later one with the same number."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class _Seen:
    process: Process
    parent: int
    group: int
    session: int


def family_of(root: int, known: Collection[Process] = ()) -> frozenset[Process]:
    """Return the living processes of the session that `root` leads, and all that descend from them or share a session or group with one.

    Args:
        root: The process that was started, in a session of its own.
        known: Members found before; their descendants are found even if their parents are gone.
    """
    seen = list(_living())
    members = {one.process for one in seen if one.process in known}
    leaders = {root, *(one.pid for one in known)}  # their sessions and groups outlive them
    parents = {one.pid for one in members}
    while new := [one for one in seen if one.process not in members and _belongs(one, leaders, parents)]:
        members |= {one.process for one in new}
        parents |= {one.process.pid for one in new}
        leaders |= parents
    return frozenset(one for one in members if one.pid not in {1, os.getpid()})


def send(processes: Collection[Process], number: signal.Signals) -> None:
    """Send a signal to each process that still lives and may be signaled."""
    living = {one.process for one in _living()}
    for one in processes:
        if one in living:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, number)


def kill(root: int, known: Collection[Process] = ()) -> None:
    """Kill a program and all that it started, until none is left to find."""
    left = family_of(root, known)
    for _ in range(ROUNDS):
        if not left:
            return
        send(left, signal.SIGKILL)
        again = family_of(root, left)
        if again == left:  # dying, or another user's
            return
        left = again


def _belongs(one: _Seen, leaders: Collection[int], parents: Collection[int]) -> bool:
    return one.parent in parents or one.group in leaders or one.session in leaders


def _living() -> Iterator[_Seen]:
    """Yield every process that can be seen, without zombies."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            state, parent, group, session, *rest = path.read_bytes().rpartition(b")")[2].split()
            if state not in {b"Z", b"X"}:
                yield _Seen(Process(int(path.parent.name), int(rest[15])), int(parent), int(group), int(session))
