"""How long it takes until another daemon leads. `make takeover` prints the table that docs/high-availability.md quotes.

Each round has an empty database, a leader in the middle of a run, and a standby. Afterwards, the run must have been made up for, with one
upload.
"""

import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from licsync_daemon.practice.sandbox import Processing, Sandbox, generate_fleet
from tests import postgresql
from tests.acceptance.hosts import Host
from tests.acceptance.support import Command, Evidence, Running, Site, build_report, wait_for
from tests.postgresql import Server, database_of

OUTAGE_S = 8.0
LIMIT_S = {
    "kill": 6.0,
    "stop": 6.0,
    "end of the session": 10.0,
    "freeze": 75.0,
    "freeze in a transaction": 75.0,
    "crash of PostgreSQL": 10.0,
    "restart of PostgreSQL": 10.0,
}
ROUNDS = {"freeze": 2, "freeze in a transaction": 2}  # at most: each takes over a minute


@dataclass(frozen=True)
class Round:
    kind: str
    takeover_s: float
    state: str
    uploads: int


@contextmanager
def practice(folder: Path) -> Iterator[Site]:
    """Yield a practice fleet of two instances."""
    folder.mkdir()
    (folder / "output").mkdir()
    command = Command(folder / "output", Evidence())
    with Sandbox(generate_fleet(seed=7, instances=2, people=80), processing_delay=0.0) as box:
        for instance in box.instances.values():
            build_report(instance)
        try:
            yield Site(box, folder / "practice", command)
        finally:
            command.close()


def one_round(kind: str, server: Server, site: Site, after_s: float) -> Round:
    """Break the leader, or its database, so many seconds after its run began; measure until the other one leads."""
    before = site.uploads("emea")
    site.box.cloud.processing = Processing(delay_s=2.0)
    with server.database() as address:
        a, b = (Host(site, f"{name}-{time.monotonic_ns()}", address) for name in "ab")
        a.make_due("emea")
        first, second = a.leads(), b.stands_by()
        with suppress(AssertionError):
            wait_for(lambda: '"run.' in first.err or "run_id" in first.err, 5)
        time.sleep(after_s)
        began = BREAK[kind](server, first, address)
        wait_for(lambda: leads(second, 1) or leads(first, 2), 120)
        takeover_s = time.monotonic() - began
        if kind.startswith("freeze"):
            first.process.send_signal(signal.SIGCONT)
        site.box.clock.advance(3600)
        wait_for(lambda: state_of(b) == "confirmed", 60)
        found = Round(kind, takeover_s, state_of(b), site.uploads("emea") - before)
        for one in (first, second):
            if one.process.poll() is None:
                one.end(signal.SIGKILL)
    return found


def leads(running: Running, times: int) -> bool:
    return running.err.count('"daemon.leads"') >= times


def state_of(host: Host) -> str:
    found = host.run("history", "emea", "--json")
    runs = [] if found.code else host.json("history", "emea")["runs"]
    return str(runs[0]["state"]) if runs else "none"


def _kill(_: Server, first: Running, __: str) -> float:
    began = time.monotonic()
    first.process.kill()
    return began


def _stop(_: Server, first: Running, __: str) -> float:
    began = time.monotonic()
    first.process.terminate()
    return began


def _freeze(_: Server, first: Running, __: str) -> float:
    began = time.monotonic()
    first.process.send_signal(signal.SIGSTOP)
    return began


def _freeze_inside(server: Server, first: Running, address: str) -> float:
    """Freeze the leader while a transaction of its own waits for the lock of writers, which it is then granted."""
    with server.holding("LOCK licsync.meta IN ACCESS EXCLUSIVE MODE", database_of(address)):
        time.sleep(0.3)
        began = time.monotonic()
        first.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
    return began


def _end_session(server: Server, _: Running, address: str) -> float:
    began = time.monotonic()
    server.sql(
        f"SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        f" WHERE locktype = 'advisory' AND a.datname = '{database_of(address)}'"
    )
    return began


def _away(mode: str) -> Callable[[Server, Running, str], float]:
    def away(server: Server, _: Running, __: str) -> float:
        server.stop(mode)
        time.sleep(OUTAGE_S)
        began = time.monotonic()
        server.start()
        return began

    return away


BREAK: dict[str, Callable[[Server, Running, str], float]] = {
    "kill": _kill,
    "stop": _stop,
    "end of the session": _end_session,
    "freeze": _freeze,
    "freeze in a transaction": _freeze_inside,
    "crash of PostgreSQL": _away("immediate"),
    "restart of PostgreSQL": _away("fast"),
}


def main(words: list[str]) -> int:
    """Measure, print the table, and return 1 if a limit was exceeded or an upload was lost or doubled."""
    rounds = int(words[0]) if words else 5
    chance = random.Random(datetime.now(UTC).toordinal())
    failed = False
    print(f"{'what happens to the leader':<28}{'rounds':>7}{'median s':>10}{'max s':>8}{'limit s':>9}  confirmed  uploads")
    with tempfile.TemporaryDirectory(prefix="takeover-") as folder:
        Path(folder).chmod(0o755)
        with postgresql.running(Path(folder) / "server") as server, practice(Path(folder) / "fleet") as site:
            for kind in BREAK:
                found = [one_round(kind, server, site, chance.uniform(0, 1.5)) for _ in range(min(rounds, ROUNDS.get(kind, rounds)))]
                times = [one.takeover_s for one in found]
                confirmed, uploads = sum(one.state == "confirmed" for one in found), sum(one.uploads for one in found)
                row = f"{kind:<28}{len(found):>7}{statistics.median(times):>10.1f}{max(times):>8.1f}{LIMIT_S[kind]:>9.0f}"
                print(f"{row}{confirmed:>11}{uploads:>9}", flush=True)
                failed |= max(times) > LIMIT_S[kind] or confirmed < len(found) or uploads != len(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
