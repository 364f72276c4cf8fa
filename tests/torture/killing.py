"""Fork processes from one that has imported everything, kill each at a random moment of its run, and look at what is left.

A program of its own, because a process with threads must not be forked: `python -m tests.torture.killing FOLDER COUNT SEED`. It prints
one JSON object with the counts.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from licsync_daemon.model.run import RunState, Trigger
from licsync_daemon.rules.next_run import next_run, satisfies
from licsync_daemon.rules.schedule import slot_at
from licsync_daemon.state import rows
from licsync_daemon.state.history import recorded
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.housekeeping import close_stale
from licsync_daemon.sync.run import run_instance
from tests.torture.desk import EMEA, Desk, at_a_desk
from tests.torture.lasting_world import NOON, QuickClock

WEEK = timedelta(days=7)
FRESH = 0.1  # the share of processes that have to make the state file first
LEFT_ALONE = 0.03  # the share that is not killed


def main(folder: Path, count: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    base = folder / "base"
    base.mkdir()
    with at_a_desk(base, QuickClock(NOON - WEEK)) as desk:
        (result,) = asyncio.run(desk.run_now())
        assert result.run is not None
        assert result.run.state is RunState.CONFIRMED, result.run
    usual_s = statistics.median(one_life(folder, base, rng, None)["lasted_s"] for _ in range(9))
    seen: Counter[str] = Counter()
    for number in range(count):
        fate = one_life(folder, base, rng, None if rng.random() < LEFT_ALONE else rng.uniform(0, 1.15) * usual_s)
        seen[fate["moment"]] += 1
        seen["sent twice with one key"] += fate["posts"] == 2
        seen["lives"] = number + 1
    return {"usual_ms": round(usual_s * 1000, 1), **seen}


def one_life(folder: Path, base: Path, rng: random.Random, kill_after_s: float | None) -> dict[str, Any]:
    """Let a process run, kill it, and check what it has left behind; answer where it was."""
    place = folder / "life"
    shutil.rmtree(place, ignore_errors=True)
    if rng.random() < FRESH:
        place.mkdir()
    else:
        shutil.copytree(base, place)
    before = len(LinesOf(place / "posts"))
    assert threading.active_count() == 1, "a process with threads must not be forked"
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        live(place, writing)
    os.close(writing)
    if kill_after_s is not None:
        time.sleep(max(0.0, kill_after_s - (time.monotonic() - began)))
        os.kill(child, signal.SIGKILL)
    told = read_all(reading)
    _, status = os.waitpid(child, 0)
    lasted_s = time.monotonic() - began
    if kill_after_s is None:
        assert status == 0, f"a process that nobody killed ended with {status}"
    moment = check(place, told)
    posts = settle(place, before)
    return {"moment": moment, "posts": posts, "lasted_s": lasted_s}


def live(place: Path, writing: int) -> None:
    """Be the process that is killed: one `run_now`, telling of every write."""
    code = 1
    try:
        with at_a_desk(place, QuickClock(NOON), lambda what: tell(writing, what)) as desk:
            (result,) = asyncio.run(desk.run_now())
            code = 0 if result.run is not None and result.run.state is RunState.CONFIRMED else 2
    finally:
        os._exit(code)


def tell(writing: int, what: dict[str, Any]) -> None:
    os.write(writing, f"{json.dumps(what)}\n".encode())


def read_all(reading: int) -> list[dict[str, Any]]:
    with os.fdopen(reading, "rb") as stream:
        return [json.loads(line) for line in stream.read().splitlines(keepends=True) if line.endswith(b"\n")]


class LinesOf(list[str]):
    def __init__(self, path: Path) -> None:
        super().__init__(path.read_text().splitlines() if path.exists() else ())


def check(place: Path, told: list[dict[str, Any]]) -> str:
    """The state opens, and holds what was acknowledged last, or what was being written after that; answer where the run was."""
    clock = QuickClock(NOON + timedelta(seconds=30))
    with at_a_desk(place, clock) as desk:
        assert desk.opened.set_aside is None, "the state was damaged"
        with contextlib.ExitStack() as stack:
            lock = desk.locks.instance(EMEA.name)
            assert lock is not None, "the lock of a killed process is still held"
            stack.enter_context(lock)
        announced = [one for one in told if "writing" in one]
        written = max((one["written"] for one in told if "written" in one), default=0)
        assert len(announced) - written <= 1
        possible = [fold(announced[:written]), fold(announced[: written + 1])]
        assert found(desk) in possible, (found(desk), possible)
        states = [one["run"]["state"] for one in announced[:written] if one.get("run")]
    if not states:
        return "before running"
    return "after confirmed" if states[-1] == RunState.CONFIRMED else f"between: {states[-1]}"


def fold(writes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the state holds of the process's run and delivery after these writes."""
    state: dict[str, Any] = {"run": None, "delivery": None}
    for one in writes:
        state.update({name: one[name] for name in state if one.get(name)})
    return state


def found(desk: Desk) -> dict[str, Any]:
    """Return what the state holds, in the same form."""
    store = desk.opened.store
    since = NOON - timedelta(hours=1)
    run = next((run for run in store.runs(EMEA.name) if run.started_at > since), None)
    deliveries = [one for one in store.deliveries(EMEA.name) if one.opened_at > since]
    assert len(deliveries) <= 1
    state = {"run": rows.run_row(run) if run else None, "delivery": rows.delivery_row(deliveries[0]) if deliveries else None}
    return json.loads(json.dumps(state))


def settle(place: Path, before: int) -> int:
    """Do what the daemon does after a restart until the slot is satisfied; answer how often this usage arrived."""
    clock = QuickClock(NOON + timedelta(minutes=1))
    with at_a_desk(place, clock) as desk:
        slot = slot_at(EMEA.schedule, clock.now())
        store, up_since = desk.context.store, clock.now()
        for _ in range(6):
            with desk.locks.instance(EMEA.name):  # type: ignore[union-attr]
                close_stale(desk.context, EMEA)
            known = recorded(store, EMEA.name)
            if any(satisfies(run, slot, clock.now()) for run in known.runs):
                break
            planned = next_run(EMEA, known, clock.now(), up_since=up_since, changed_at=up_since)
            assert planned is not None
            assert planned.is_confirm_check or planned.slot == slot, f"the slot is neither due nor confirmed: {planned}"
            clock.advance(max(0.0, (planned.at - clock.now()).total_seconds()))
            if planned.is_confirm_check:
                asyncio.run(check_open_deliveries(desk.context, (EMEA,)))
            else:
                asyncio.run(run_instance(desk.context, EMEA, trigger=Trigger.SCHEDULE, reason=planned.reason, slot=slot))
        runs = [run for run in store.runs(EMEA.name) if run.slot == slot and run.state is RunState.CONFIRMED]
        assert len(runs) == 1, f"confirmed {len(runs)} times: {store.runs(EMEA.name)}"
        posts = desk.far.posts()[before:]
        assert len({post.key for post in posts}) == 1, f"delivered under several keys: {posts}"
        assert len(posts) <= 2, f"more than one duplicate: {posts}"
        assert len([one for one in store.deliveries(EMEA.name) if one.closed_at is None]) == 0
        return len(posts)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
