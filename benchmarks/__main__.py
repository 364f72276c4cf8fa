"""Print the figures that the documentation quotes: `make bench`. Machines are noisy: medians of several runs, nothing asserted."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from benchmarks import preflight
from benchmarks.proc import memory, switches
from licsync_daemon.daemon.daily import STARTUP_DELAY_S
from licsync_daemon.daemon.wiring import recording
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.rules.next_run import startup_jitter
from licsync_daemon.settings import load_config
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.system import log
from licsync_daemon.system.clock import SystemClock

COMMAND = str(Path(sys.executable).with_name("licsync-daemon"))
RUNS = 5
IDLE_S = 60.0
MIB = 1024
EARLY = min((f"x{number}" for number in range(400)), key=startup_jitter)  # an instance whose catch-up comes soonest after a start


class CountingClock(SystemClock):
    """Counts what was slept on purpose: the protocol's own waiting."""

    slept_s = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        await super().sleep(seconds)


def main() -> int:
    log.set_up("critical")
    print(f"CPython {sys.version.split()[0]}, {os.cpu_count()} cores; medians of {RUNS} runs, files compiled beforehand\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "licsync_daemon"], check=False)
    run_now_of_a_thousand()
    preflight.fifty_instances()
    idle_daemon()
    a_hundred_thousand()
    a_million()
    large_fleets()
    insight()
    speed()
    unit_tests()
    return 0


def run_now_of_a_thousand() -> None:
    """`--run-now` of one instance with about 1,000 accounts: the whole command, its start-up, and the protocol's own waiting."""
    fleet = generate_fleet(seed=1, instances=1, people=1400)
    with Sandbox(fleet) as box, tempfile.TemporaryDirectory() as folder:
        config = box.write_config(Path(folder))
        count = len(next(iter(box.instances.values())).accounts)
        pause = 1.2  # the cloud's dates have whole seconds: a sync right after another would wait for the next one
        whole = median_s(lambda: run(COMMAND, "--config", str(config), "--run-now"), pause)
        imports = "from licsync_daemon.cli import main, now, loading; import licsync_daemon.settings as s, pathlib, sys; "
        start = median_s(lambda: run(sys.executable, "-c", f"{imports}s.load_config(pathlib.Path({str(config)!r}))"))
        clock = CountingClock()
        loaded = load_config(config, {}).config
        waits = []
        for _ in range(RUNS):
            time.sleep(pause)
            clock.slept_s = 0.0
            with recording(loaded, clock, {}) as parts:
                asyncio.run(
                    run_now(
                        loaded.instances,
                        parts.context,
                        max_concurrent_runs=4,
                        wait=timedelta(minutes=1),
                    )
                )
            waits.append(clock.slept_s)
        print(f"--run-now, one instance, {count:,} accounts: {whole:.2f} s")
        print(f"  start-up and imports, with the configuration read: {start:.2f} s")
        print(f"  the protocol's own waiting (202 poll, looks): {statistics.median(waits):.2f} s\n")


def idle_daemon() -> None:
    """The resident memory and the wake-ups of a daemon with 10 instances and nothing to do."""
    with Sandbox(generate_fleet(seed=1, instances=10, people=200)) as box, tempfile.TemporaryDirectory() as folder:
        config = box.write_config(Path(folder))
        run(COMMAND, "--config", str(config), "--run-now")
        with daemon(config) as pid:
            time.sleep(3)
            before = switches(pid)
            time.sleep(IDLE_S)
            woken = (switches(pid) - before) / IDLE_S
            print(f"idle daemon, 10 instances, over {IDLE_S:.0f} s: {memory(pid, 'VmRSS') / MIB:.1f} MiB resident, {woken:.3f} wake-ups/s")
            time.sleep(STARTUP_DELAY_S + 10 - IDLE_S)
            print(f"  after its first daily check, which another process does: {memory(pid, 'VmRSS') / MIB:.1f} MiB\n")


def a_hundred_thousand() -> None:
    """How much a daemon grows when it syncs 100,000 accounts of one instance."""
    fleet = generate_fleet(seed=1, instances=1, people=135_000)
    with Sandbox(fleet) as box, tempfile.TemporaryDirectory() as folder:
        config = box.write_config(Path(folder))
        name, instance = next(iter(box.instances.items()))
        config.write_text(config.read_text().replace(f"[instances.{name}]", f"[instances.{EARLY}]"))
        secrets = Path(folder) / "credentials"
        (secrets / f"instances__{name}__source__token").rename(secrets / f"instances__{EARLY}__source__token")
        with daemon(config) as pid:
            time.sleep(3)
            idle = memory(pid, "VmRSS")
            began = time.monotonic()
            while not box.cloud.uploads() and time.monotonic() - began < 500:
                time.sleep(0.5)
            time.sleep(20)
            status = run(COMMAND, "--config", str(config), "status")
            peak = memory(pid, "VmHWM")
        confirmed = "confirmed" in status
        print(f"a scheduled sync of {len(instance.accounts):,} accounts ({'confirmed' if confirmed else 'NOT confirmed'}):")
        print(f"  idle {idle / MIB:.1f} MiB, peak {peak / MIB:.1f} MiB: {(peak - idle) / MIB:.1f} MiB above the idle daemon\n")


def a_million() -> None:
    """What a million accounts take, in a process of its own."""
    print(run(sys.executable, "-m", "benchmarks.million"))


def insight() -> None:
    """What the forecast and likely duplicates take, each in a process of its own."""
    for what, count in (("forecast", 1_000_000), ("duplicates", 10_000), ("duplicates", 100_000)):
        print(run(sys.executable, "-m", "benchmarks.insight", what, str(count)).strip())
    print(run(sys.executable, "-m", "benchmarks.report"))


def speed() -> None:
    """One instance of a million accounts, beside the least that could do the same work."""
    print(run(sys.executable, "-m", "benchmarks.speed"))


def large_fleets() -> None:
    """Hundreds of instances with 400 days of history, each fleet in a process of its own."""
    for count in ("500", "1000"):
        print(run(sys.executable, "-m", "benchmarks.large_fleet", count))


def unit_tests() -> None:
    """How long the unit tests take."""
    began = time.monotonic()
    result = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/unit"], capture_output=True, text=True, check=False)
    print(f"unit tests: {time.monotonic() - began:.1f} s ({result.stdout.strip().splitlines()[-1]})")


class daemon:  # noqa: N801 - used as a word: `with daemon(config) as pid`
    """A daemon process of the installed command, ended with SIGTERM."""

    def __init__(self, config: Path) -> None:
        self._config = config

    def __enter__(self) -> int:
        self._process = subprocess.Popen([COMMAND, "--config", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)


def median_s(action: Callable[[], object], pause: float = 0.0) -> float:
    """The median wall time of an action after one warm-up."""
    action()
    times = []
    for _ in range(RUNS):
        time.sleep(pause)
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
