"""A fleet of hundreds of instances that GitHub Connect syncs, checked four times a day for 400 days: heartbeats, `status`, and a stop.

`python -m benchmarks.large_fleet [INSTANCES]`. The daemon is the installed command, watched from outside: its heartbeat, here 10 times a
second, sets the time of a file, so the longest gap shows the longest time for which nothing else had its turn.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from licsync_daemon.model.instance import Config
from licsync_daemon.model.run import Run, RunState, Trigger
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from licsync_daemon.rules.next_run import STARTUP_DELAY
from licsync_daemon.settings import load_config
from licsync_daemon.state import rows
from licsync_daemon.state.files import FILE, open_state, prepare_state_dir

COMMAND = str(Path(sys.executable).with_name("licsync-daemon"))
DAYS, A_DAY = 400, 4
BEAT_S = 0.1
AFTERWARDS_S = 30.0  # after the first check of the fleet was due


def main(count: int) -> int:
    with Sandbox(generate_fleet(seed=1, instances=count, people=count)) as box, tempfile.TemporaryDirectory() as folder:
        for name in box.instances:
            box.connect(name)
        path = _config(box, Path(folder))
        config = load_config(path).config
        runs = _history(config)
        size = (config.state_dir / FILE).stat().st_size / 1024**2
        print(f"{count} instances with GitHub Connect, {runs:,} recorded checks ({size:,.0f} MiB of state)")
        print(f"  status: {_status_s(path):.2f} s, the whole command")
        gap_s, checked, stop_s = _served(path, config)
        late_s = max(0.0, gap_s - BEAT_S)
        print(f"  daemon: checked {checked} of {count}; a heartbeat was late by at most {late_s:.2f} s; stopped in {stop_s:.1f} s")
    return 0


def _config(box: Sandbox, folder: Path) -> Path:
    path = box.write_config(folder)
    ready = box.ready_line()
    text = f'state_dir = "{folder}/state"\ncredentials_dir = "{folder}/credentials"\n[cloud]\nenterprise = "{ready["enterprise"]}"\n'
    text += f'api_url = "{ready["cloud_api_url"]}"\n[defaults.source]\nkind = "none"\n[defaults.delivery]\nkind = "connect"\n'
    for name, instance in ready["instances"].items():
        text += f'[instances.{name}]\nhostname = "{instance["hostname"]}"\nserver_id = "{instance["server_id"]}"\n'
        (folder / "credentials" / f"instances__{name}__source__token").unlink()
    (folder / "credentials" / "defaults__delivery__token").unlink()
    path.write_text(text, encoding="utf-8")
    return path


def _history(config: Config) -> int:
    """Record the checks of 400 days, in the order in which a daemon would have."""
    now = datetime.now(UTC)
    prepare_state_dir(config.state_dir)
    open_state(config.state_dir, now).store.close()  # creates the tables
    with closing(sqlite3.connect(config.state_dir / FILE)) as db, db:
        columns = list(rows.run_row(_run("emea", now, 0)))
        sql = f"INSERT INTO run ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"
        for number in range(DAYS * A_DAY):
            at = now - timedelta(days=DAYS) + timedelta(days=number / A_DAY)
            db.executemany(sql, (rows.run_row(_run(one.name, at, number)) for one in config.instances))
    return DAYS * A_DAY * len(config.instances)


def _run(name: str, at: datetime, number: int) -> Run:
    return Run(
        run_id=f"{name}-{number}", instance=name, trigger=Trigger.SCHEDULE, reason="GitHub Connect check", slot=None, started_at=at,
        state=RunState.CURRENT, phase="done", ended_at=at, last_sync=at - timedelta(days=number / A_DAY % 7),
    )  # fmt: skip


def _status_s(path: Path) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([COMMAND, "--config", path, "status", "--json"], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return sorted(times)[2]


def _served(path: Path, config: Config) -> tuple[float, int, float]:
    """Run the daemon over its first check. Return the a heartbeat was late by at most, the instances checked, and the time of its stop."""
    environment = {**os.environ, "WATCHDOG_USEC": str(round(2e6 * BEAT_S))}
    began = datetime.now(UTC)
    with subprocess.Popen([COMMAND, "--config", path], env=environment, stderr=subprocess.DEVNULL) as daemon:
        lock, until = config.state_dir / "daemon.lock", time.monotonic() + STARTUP_DELAY.total_seconds() + AFTERWARDS_S
        while not lock.exists():
            time.sleep(BEAT_S)
        first = lock.stat().st_mtime
        while lock.stat().st_mtime == first:  # the state is opened and checked, which takes seconds for one of this size
            time.sleep(BEAT_S / 10)
        last, longest = lock.stat().st_mtime, 0.0
        while time.monotonic() < until:
            time.sleep(BEAT_S / 10)
            now = lock.stat().st_mtime
            longest, last = max(longest, now - last), now
        stopping = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        stop_s = time.monotonic() - stopping
    with closing(open_state(config.state_dir, datetime.now(UTC)).store) as store:
        newest = [store.last_run(one.name) for one in config.instances]
    return longest, sum(run is not None and run.started_at >= began for run in newest), stop_s


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
