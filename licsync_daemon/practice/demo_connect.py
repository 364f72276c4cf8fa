"""`demo --delivery connect`: a practice fleet whose usage GitHub Connect carries, some of it badly, and what an operator sees of it."""

import os
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import exit_code
from licsync_daemon.cli.results import show_results
from licsync_daemon.cli.status import show_fleet
from licsync_daemon.daemon.wiring import Parts, recording
from licsync_daemon.model.instance import Config, ConnectDelivery, NoSource
from licsync_daemon.model.text import iso
from licsync_daemon.monitoring.status import DaemonView, as_json, fleet_view, run_json
from licsync_daemon.practice.sandbox import Fleet, Sandbox
from licsync_daemon.settings import load_config
from licsync_daemon.sync.fleet import Result, run_now
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import is_alive

WHAT_IS_REAL = (
    "All of this works against github.com today with one token: GitHub Connect carries the usage, and licsync-daemon watches it through an "
    "interface that GitHub documents. Here the bundled sandbox plays the instances and the cloud, on loopback."
)
AGES = (1, 3, 5, 6)  # days since the last sync of those that are well
LATE = timedelta(days=9, hours=5)
NOBODY = DaemonView(alive=False, holder=None, heartbeat_at=None)


async def connect_demo(fleet: Fleet, *, as_json_only: bool) -> int:
    """Look at the fleet once, and show each instance's standing; the last three instances are late, failed, and never synced."""
    with tempfile.TemporaryDirectory(prefix="licsync-demo-") as folder, Sandbox(fleet) as box:
        config = _watched(load_config(box.write_config(Path(folder)), {}).config)
        names = [instance.name for instance in config.instances]
        roles = dict(zip(reversed(names), ("never", "failed", "late"), strict=False)) if len(names) > 3 else {}
        for number, name in enumerate(names):
            _stand(box, name, roles.get(name, "well"), AGES[number % len(AGES)])
        with recording(config, SystemClock(), os.environ) as parts:
            results = await run_now(
                config.instances, runner=parts.runner, locks=parts.locks, clock=parts.clock,
                max_concurrent_runs=config.max_concurrent_runs, wait=timedelta(0),
            )  # fmt: skip
            code = exit_code(results, named=False)
            if as_json_only:
                _print_json(parts, results, code)
            else:
                terminal.say("\n$ licsync-daemon --run-now")
                show_results(results, parts.clock.now())
                terminal.say(f"exit {int(code)}")
                terminal.say("\n$ licsync-daemon status")
                show_fleet(fleet_view(config, parts.store, parts.clock.now(), NOBODY, is_alive))
        return code


def _watched(config: Config) -> Config:
    """Return the same fleet as a company has it that only supervises: no source, no server ids, one cloud token."""
    instances = (replace(one, source=NoSource(), delivery=ConnectDelivery(), server_id=None) for one in config.instances)
    return replace(config, instances=tuple(instances))


def _stand(box: Sandbox, name: str, role: str, days: int) -> None:
    """Let an instance stand as its role wants it."""
    if role == "never":
        box.connect(name)
        return
    box.push(name)
    age = LATE if role == "late" else timedelta(days=days)
    date = iso(box.clock.now - age)
    failed = {"status": "failure", "error": "The usage could not be imported."}
    box.set_sync_entry(name, {"date": date, **(failed if role == "failed" else {"status": "success", "error": ""})})


def _print_json(parts: Parts, results: list[Result], code: int) -> None:
    view = fleet_view(parts.config, parts.store, parts.clock.now(), NOBODY, is_alive)
    runs = [run_json(result.run) for result in results if result.run is not None]
    terminal.print_json({"what_is_real": WHAT_IS_REAL, "instances": runs, "status": as_json(view), "exit": int(code)})
