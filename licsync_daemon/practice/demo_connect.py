"""`demo --delivery connect`: supervise a practice fleet that GitHub Connect syncs; some of its syncs are late, failed, or missing."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import exit_code
from licsync_daemon.cli.results import show_results
from licsync_daemon.cli.status import show_fleet
from licsync_daemon.daemon.wiring import recording
from licsync_daemon.model.instance import Config, ConnectDelivery, NoSource
from licsync_daemon.model.text import iso
from licsync_daemon.monitoring.heartbeat import DaemonView
from licsync_daemon.monitoring.status import FleetView, fleet_view
from licsync_daemon.monitoring.status_json import as_json as status_json
from licsync_daemon.monitoring.status_json import run_json
from licsync_daemon.practice.sandbox import Fleet, Sandbox
from licsync_daemon.settings import load_config
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.waiting import Result
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import is_alive

WHAT_IS_REAL = (
    "All of this works against github.com today with one token: GitHub Connect syncs the usage, and licsync-daemon supervises it through "
    "an interface that GitHub documents. Here the bundled sandbox plays the instances and the cloud, on loopback."
)
AGES = (1, 3, 5, 6)  # days since the last sync of a healthy instance
LATE = timedelta(days=9, hours=5)
NO_DAEMON = DaemonView(alive=False, holder=None, heartbeat_at=None)


async def connect_demo(fleet: Fleet, *, as_json: bool) -> int:
    """Check the fleet once and show `status`; the last three instances are late, failed, and never synced."""
    if not as_json:
        terminal.say(WHAT_IS_REAL)
    with tempfile.TemporaryDirectory(prefix="licsync-demo-") as folder, Sandbox(fleet) as box:
        config = _supervised(load_config(box.write_config(Path(folder)), {}).config)
        names = [instance.name for instance in config.instances]
        roles = dict(zip(reversed(names), ("never", "failed", "late"), strict=False)) if len(names) > 3 else {}
        for number, name in enumerate(names):
            _set_up(box, name, roles.get(name, "well"), AGES[number % len(AGES)])
        with recording(config, SystemClock(), os.environ) as parts:
            results = await run_now(
                config.instances, parts.context,
                max_concurrent_runs=config.max_concurrent_runs, wait=timedelta(0),
            )  # fmt: skip
            _show(results, fleet_view(config, parts.store, parts.clock.now(), NO_DAEMON, is_alive), as_json=as_json)
        return exit_code(results, named=False)


def _supervised(config: Config) -> Config:
    """Change the configuration to that of a company that only supervises: no source, no server IDs, one cloud token."""
    instances = (replace(one, source=NoSource(), delivery=ConnectDelivery(), server_id=None) for one in config.instances)
    return replace(config, instances=tuple(instances))


def _set_up(box: Sandbox, name: str, role: str, days: int) -> None:
    """Set up an instance for its role."""
    if role == "never":
        box.connect(name)
        return
    box.push(name)
    date = iso(box.clock.now - (LATE if role == "late" else timedelta(days=days)))
    failed = {"status": "failure", "error": "The usage could not be imported."}
    box.set_sync_entry(name, {"date": date, **(failed if role == "failed" else {"status": "success", "error": ""})})


def _show(results: Sequence[Result], view: FleetView, *, as_json: bool) -> None:
    code = int(exit_code(results, named=False))
    if as_json:
        runs = [run_json(result.run) for result in results if result.run is not None]
        terminal.print_json({"what_is_real": WHAT_IS_REAL, "instances": runs, "status": status_json(view), "exit": code})
        return
    terminal.say("\n$ licsync-daemon --run-now")
    show_results(results, view.at)
    terminal.say(f"exit {code}\n\n$ licsync-daemon status")
    show_fleet(view)
