"""Run the installed command against each kind of misbehaving servers."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults.kinds import KINDS, Kind
from tests.faults.servers import SECRETS, Fleet

COMMAND = Path(sys.executable).with_name("licsync-daemon")
TOGETHER = 6  # runs at once: most of them wait
LIMIT_S = 90.0  # the retries of a transient failure take 15 s
SLOW_S = 400.0  # five requests with a deadline of 60 s each, and the pauses between them
LIMIT_MIB = 300
BAD_OUTPUT = ("\x1b", "\x07", "\u202e", "\x85", "Traceback (most recent call last)")


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float
    mib: int

    def results(self) -> dict[str, str]:
        """Return `state` or `state/code` of each instance."""
        try:
            found = json.loads(self.out)["instances"]
        except (ValueError, KeyError):
            return {}
        return {each["instance"]: "/".join(filter(None, (each["state"], each["code"]))) for each in found}


@dataclass(frozen=True)
class Row:
    kind: Kind
    result: str
    neighbor: str
    seconds: float
    mib: int
    wrong: str


def command(config: Path, *arguments: str) -> Ended:
    """Run the command; return what it printed, and its peak of memory from the kernel's accounts."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([COMMAND, "--config", config, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        deadline = began + SLOW_S + 30
        while not (found := os.wait4(child.pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child.pid, 9)
            time.sleep(0.05)
        child.returncode = os.waitstatus_to_exitcode(found[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return Ended(child.returncode, *texts, time.monotonic() - began, found[2].ru_maxrss // 1024)


def judge(kind: Kind, *, limit_mib: int = LIMIT_MIB) -> Row:
    """Run once with the fault, look at the state, and run again without the fault."""
    with tempfile.TemporaryDirectory(prefix="licsync-faults-") as folder, Fleet() as fleet:
        kind.prepare(fleet, Path(folder))
        config = fleet.write_config(Path(folder))
        ended = command(config, "--run-now", "--wait", "6s", "--json")
        read = [command(config, "status"), command(config, "history")]
        fleet.instead.clear()
        again = command(config, "--run-now", "b", "--wait", "10s", "--json")
        written = [path.read_bytes() for path in (Path(folder) / "state").rglob("*") if path.is_file()]
    results = ended.results()
    return Row(
        kind,
        results.get("a", f"exit {ended.code}"),
        results.get("b", "-"),
        ended.seconds,
        ended.mib,
        "; ".join([*_faults(kind, ended, read, again, limit_mib), *_leaks(written, [ended, *read, again])]),
    )


def _faults(kind: Kind, ended: Ended, read: list[Ended], again: Ended, limit_mib: int) -> Iterator[str]:
    results = ended.results()
    if not _is_right(results.get("a", ""), kind.right):
        yield f"not {kind.right}"
    if not _is_right(results.get("b", ""), kind.neighbor):
        yield f"the neighbor is not {kind.neighbor}"
    if ended.seconds > (limit := SLOW_S if kind.is_slow else LIMIT_S):
        yield f"over {limit:.0f} s"
    if ended.mib > limit_mib:
        yield f"over {limit_mib} MiB"
    if any(each.code for each in read):
        yield f"status and history exit {[each.code for each in read]}"
    if any(bad in each.out + each.err for each in (ended, *read, again) for bad in BAD_OUTPUT):
        yield "a traceback or control characters in the output"
    if again.results().get("b") != "confirmed":
        yield f"afterwards the neighbor is {again.results().get('b')}"


def _leaks(written: list[bytes], ended: list[Ended]) -> Iterator[str]:
    """Yield where a credential stands, raw or in base64."""
    texts = {"the state": b"".join(written), "the output": "".join(each.out + each.err for each in ended).encode()}
    for name, secret in SECRETS.items():
        needles = (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-1])
        yield from (f"the {name} in {where}" for where, text in texts.items() if any(needle in text for needle in needles))


def _is_right(result: str, right: str) -> bool:
    return any(result == each or result.startswith(f"{each}/") for each in right.split())


def rows(words: Sequence[str]) -> list[Row]:
    """Run every kind whose name contains one of `words`, or all; the slow ones start first."""
    chosen = [kind for kind in KINDS if not words or any(word in kind.name for word in words)]
    with ThreadPoolExecutor(TOGETHER) as pool:
        started = {kind.name: pool.submit(judge, kind) for kind in sorted(chosen, key=lambda kind: not kind.is_slow)}
        return [started[kind.name].result() for kind in chosen]


def show(found: Sequence[Row]) -> bool:
    """Print the table; return whether every row is right."""
    print(f"{'server':48} {'result':32} {'seconds':>7} {'MiB':>4}  {'neighbor':26} right")
    for row in found:
        print(f"{row.kind.name:48} {row.result:32} {row.seconds:7.1f} {row.mib:4}  {row.neighbor:26} {row.wrong or 'yes'}")
    wrong = sum(bool(row.wrong) for row in found)
    longest = max(row.seconds for row in found if not row.kind.is_slow)
    print(
        f"{len(found)} kinds, {wrong} wrong; longest without the slow ones {longest:.0f} s, most memory {max(row.mib for row in found)} MiB",
        flush=True,
    )
    return not wrong
