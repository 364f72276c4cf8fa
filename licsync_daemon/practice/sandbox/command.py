"""The body of the `sandbox` command."""

import json
import threading
from pathlib import Path
from typing import TextIO

from licsync_daemon.practice.sandbox.box import Sandbox
from licsync_daemon.practice.sandbox.fleet import load_fleet
from licsync_daemon.practice.sandbox.generator import generate_fleet


def serve(  # noqa: PLR0917 - the command's own options, in its order
    fleet_dir: Path | None,
    seed: int,
    instances: int,
    people: int,
    quirks: str,
    write_config: Path | None,
    out: TextIO,
    stop: threading.Event,
) -> int:
    """Serve a practice fleet until `stop` is set; print one JSON line when ready. Signals are the caller's business.

    Raises:
        FleetError: the fleet folder cannot be used.
        ValueError: a quirk that does not exist.
    """
    fleet = generate_fleet(seed, instances, people) if fleet_dir is None else load_fleet(fleet_dir)
    with Sandbox(fleet, quirks=quirks) as box:
        if write_config is not None:
            box.write_config(write_config)
        # The tokens in this line are practice tokens: a rehearsal needs them, and they end with this process.
        print(json.dumps(box.ready_line(), ensure_ascii=False), file=out, flush=True)
        stop.wait()
    return 0
