"""Our commands side by side with the least that could do the work, in one run: `python -m benchmarks.speed [ACCOUNTS] [RUNS]`.

A report of so many accounts is read from the sandbox over HTTP; the bare script reads the same report from a file with `csv.reader`, and
writes one JSON line an account through SHA-256 and gzip at its fastest level. Medians of processor time: waiting for servers and disks does
not count, and ratios can be compared between machines.
"""

import contextlib
import csv
import gzip
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.proc import memory
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.practice.sandbox.reports import COLUMNS

COMMAND = str(Path(sys.executable).with_name("licsync-daemon"))
MIB = 1024


def main(count: int, runs: int) -> int:
    with tempfile.TemporaryDirectory() as folder, Sandbox(generate_fleet(seed=1, instances=1, people=10)) as box:
        report = Path(folder) / "all_users.csv"
        _write_report(report, count)
        (name,) = box.instances
        box.instances[name].set_report(report.read_bytes())
        box.instances[name].report_ready_after = 0.0
        config = box.write_config(Path(folder) / "config")
        base = [COMMAND, "--config", str(config)]
        print(f"{count:,} accounts, a report of {report.stat().st_size / 1024**2:.0f} MiB; medians of {runs} runs")
        bare_s, _ = _measured(runs, [sys.executable, "-c", f"from benchmarks.speed import bare; bare({str(report)!r}, {folder!r})"])
        print(f"  bare script                              {bare_s:6.2f} s")
        for what, words in (("payload to a file", ["payload", name]), ("--run-now to confirmed, first time", ["--run-now"])):
            seconds, peak = _measured(runs if what.startswith("payload") else 1, [*base, *words])
            print(f"  {what:40} {seconds:6.2f} s  {seconds / bare_s:4.2f} times; peak {peak / MIB:.1f} MiB")
        seconds, peak = _measured(1, [*base, "--run-now"])
        print(f"  {'the same, compared with the last usage':40} {seconds:6.2f} s  {seconds / bare_s:4.2f} times; peak {peak / MIB:.1f} MiB")
    return 0


def _write_report(path: Path, count: int) -> None:
    """Write a report with addresses, dates and nested JSON as instances write them, about 190 bytes an account."""
    rng = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(1, count + 1):
            at = f"2026-11-{rng.randint(10, 26)} {rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)} +0000"
            name, flag = f"user{number}", str(number % 20 == 0).lower()
            raw = json.dumps({"name": f"User {number}", "location": None})
            row = (at, number, name, f"{name}@corp{number % 9}.example.com", "user", flag, f"10.0.{number % 250}.{number % 240}")
            writer.writerow([*row, number % 30, number % 3, number % 7, "false", at, raw, "true"])


def bare(report: str, folder: str) -> None:
    """Do the least that could be called the same work."""
    digest = hashlib.sha256()
    with Path(report).open(newline="", encoding="utf-8") as file, gzip.open(Path(folder) / "bare.gz", "wb", compresslevel=1) as packed:
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            line = (json.dumps({"id": int(row[1]), "email": row[3]}) + "\n").encode()
            digest.update(line)
            packed.write(line)


def _measured(runs: int, words: list[str]) -> tuple[float, int]:
    """Return the median processor time of a command in seconds, and its peak memory in KiB; its output goes to a file."""
    times, peak = [], 0
    for _ in range(runs):
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL)
            ended = 0
            while not ended:
                time.sleep(0.02)
                with contextlib.suppress(AssertionError, OSError):  # it is about to end
                    peak = max(peak, memory(process.pid, "VmHWM"))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if status:
                raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
            times.append(used.ru_utime + used.ru_stime)
    return statistics.median(times), peak


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in (*sys.argv[1:], "1000000", "5")[:2])))
