"""Let four forked processes want the same instance at the same time, again and again.

A program of its own, because a process with threads must not be forked: `python -m tests.torture.racing FOLDER COUNT SEED`. It prints
one JSON object with the counts.
"""

import asyncio
import json
import logging
import os
import select
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import structlog

from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.model.run import RunState
from tests.torture.desk import EMEA, at_a_desk
from tests.torture.lasting_world import NOON, QuickClock

RACERS = 4


def main(folder: Path, count: int) -> dict[str, Any]:
    seen: Counter[str] = Counter()
    slowest_s = 0.0
    for _ in range(count):
        answers = one_round(folder / "round")
        seen["rounds"] += 1
        seen["won"] += sum(answer["state"] is not None for answer in answers)
        seen["lost"] += sum(answer["state"] is None for answer in answers)
        slowest_s = max(slowest_s, *(answer["took_s"] for answer in answers if answer["state"] is None))
    return {**seen, "slowest_loser_ms": round(slowest_s * 1000)}


def one_round(place: Path) -> list[dict[str, Any]]:
    """Start four at once; the one that gets the instance stays at it until the others have answered. Answers what each said."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    assert threading.active_count() == 1, "a process with threads must not be forked"
    start, gate, told = os.pipe(), os.pipe(), os.pipe()
    racers = []
    for _ in range(RACERS):
        child = os.fork()
        if child == 0:
            os.close(start[1])
            os.close(gate[1])
            race(place, start[0], gate[0], told[1])
        racers.append(child)
    for descriptor in (start[0], gate[0], told[1]):
        os.close(descriptor)
    os.close(start[1])  # all of them read the end of it: off they go
    buffer, answers = b"", []
    while len(answers) < RACERS:
        ready, _, _ = select.select([told[0]], [], [], 20)
        assert ready, f"only {len(answers)} of {RACERS} have answered"
        buffer += os.read(told[0], 65536)
        *lines, buffer = buffer.split(b"\n")
        answers += [json.loads(line) for line in lines]
        if len(answers) == RACERS - 1 and gate[1] >= 0:
            os.close(gate[1])
            gate = (gate[0], -1)
    os.close(told[0])
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in racers] == [0] * RACERS
    judge(place, answers)
    return answers


def race(place: Path, start: int, gate: int, told: int) -> None:
    """Be one of the four."""
    code = 1
    try:
        with at_a_desk(place, QuickClock(NOON)) as desk:

            async def wait_for_the_others() -> None:
                alone = os.open(place / "at-it", os.O_CREAT | os.O_EXCL | os.O_WRONLY)  # a second one at the same time would fail here
                while not select.select([gate], [], [], 0)[0]:  # noqa: ASYNC110 - the gate is another process's
                    await asyncio.sleep(0.001)
                os.close(alone)
                (place / "at-it").unlink()

            desk.far.before_collecting = wait_for_the_others
            os.read(start, 1)
            began = time.monotonic()
            results = asyncio.run(desk.run_now())
            run, locked_by = results[0].run, results[0].locked_by
            answer = {
                "pid": os.getpid(), "state": run and run.state, "code": run and run.code, "locked_by": locked_by,
                "exit": exit_code(results, named=True), "took_s": time.monotonic() - began,
            }  # fmt: skip
            os.write(told, f"{json.dumps(answer)}\n".encode())
            code = 0
    finally:
        os._exit(code)


def judge(place: Path, answers: list[dict[str, Any]]) -> None:
    winners = [answer for answer in answers if answer["state"] is not None]
    assert len(winners) == 1, answers
    assert (winners[0]["state"], winners[0]["exit"]) == (RunState.CONFIRMED, Exit.OK), answers
    for answer in answers:
        if answer["state"] is None:
            assert answer["exit"] == Exit.LOCKED, answer
            assert answer["locked_by"].startswith(f"process {winners[0]['pid']} on "), answer
    with at_a_desk(place, QuickClock(NOON)) as desk:
        assert [run.state for run in desk.opened.store.runs(EMEA.name)] == [RunState.CONFIRMED]
        assert len(desk.far.posts()) == 1


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
