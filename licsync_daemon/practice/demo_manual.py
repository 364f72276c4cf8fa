"""`demo --delivery manual`: usage of a practice fleet waits for a person, who uploads it, and the cloud confirms it."""

import json
import os
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from licsync_daemon.cli import outbox, terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.results import show_results
from licsync_daemon.cli.status import show_fleet
from licsync_daemon.daemon.wiring import Parts, recording
from licsync_daemon.model.instance import Config, FileSource, ManualDelivery
from licsync_daemon.model.run import RunState
from licsync_daemon.monitoring.heartbeat import DaemonView
from licsync_daemon.monitoring.status import FleetView, fleet_view
from licsync_daemon.monitoring.status_json import as_json as status_json
from licsync_daemon.monitoring.status_json import run_json
from licsync_daemon.practice.sandbox import Fleet, Sandbox
from licsync_daemon.settings import load_config
from licsync_daemon.sync.confirm import check_open_deliveries
from licsync_daemon.sync.context import hold_free
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.filelock import is_alive

WHAT_IS_REAL = (
    "All of this works against github.com today: licsync-daemon puts GitHub's own export into an outbox, a person uploads it in the "
    "browser, and the cloud confirms it. Here the bundled sandbox plays the instances, the cloud, and the person, on loopback."
)
NO_DAEMON = DaemonView(alive=False, holder=None, heartbeat_at=None)


async def manual_demo(fleet: Fleet, *, as_json: bool) -> int:
    """Prepare the usage, show what waits, upload it as a person would, and show that it is confirmed."""
    if not as_json:
        terminal.say(WHAT_IS_REAL)
    with tempfile.TemporaryDirectory(prefix="licsync-demo-") as folder, Sandbox(fleet, processing_delay=0.0) as box:
        config = _by_hand(load_config(box.write_config(Path(folder)), {}).config, Path(folder), box)
        with recording(config, SystemClock(), os.environ) as parts:
            results = await run_now(config.instances, parts.context, max_concurrent_runs=config.max_concurrent_runs, wait=timedelta(0))
            before = _view(config, parts)
            waiting = outbox.what_waits(config, parts.store)
            if not as_json:
                terminal.say("\n$ licsync-daemon --run-now")
                show_results(results, parts.clock.now())
                terminal.say("\n$ licsync-daemon outbox")
                outbox.show(waiting, parts.clock.now())
            for one in waiting:
                box.upload(one.instance.name)
            with hold_free(parts.context.leases, config.instances) as free:
                await check_open_deliveries(parts.context, free)
            after = _view(config, parts)
            if as_json:
                runs = [run_json(result.run) for result in results if result.run is not None]
                terminal.print_json(
                    {"what_is_real": WHAT_IS_REAL, "instances": runs, "before": status_json(before), "status": status_json(after)}
                )
            else:
                terminal.say("\nA person uploads each export; the daemon, at its next look, finds them in the cloud.")
                terminal.say("\n$ licsync-daemon status")
                show_fleet(after)
    return Exit.OK if all(one.state is RunState.CONFIRMED for one in after.instances) else Exit.OPEN


def _by_hand(config: Config, folder: Path, box: Sandbox) -> Config:
    """Change the configuration to one in which a job puts each export into a folder, and a person uploads it."""
    (folder / "outbox").mkdir()
    instances = []
    for one in config.instances:
        export = folder / f"{one.name}.json"
        export.write_text(json.dumps(box.export(one.name)), encoding="utf-8")
        instances.append(replace(one, source=FileSource(path=export), counts=None, delivery=ManualDelivery(outbox=folder / "outbox")))
    return replace(config, instances=tuple(instances))


def _view(config: Config, parts: Parts) -> FleetView:
    return fleet_view(config, parts.store, parts.clock.now(), NO_DAEMON, is_alive)
