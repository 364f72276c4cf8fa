"""`check` in a process of its own, whose memory is gone with it: an idle daemon does not hold what it needs once a day."""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError
from licsync_daemon.monitoring.preflight.rows import CheckRow
from licsync_daemon.system.child import run_child

WITHIN = timedelta(minutes=30)  # a large fleet, half of it dead, takes its time
MAX_BYTES = 8 * 1024 * 1024
AGAIN = "run `$licsync check` by hand"


async def preflight_apart(config: Path) -> tuple[CheckRow, ...]:
    """Run `check --json` with our environment, and answer its rows.

    Args:
        config: The absolute path of the configuration file.

    Raises:
        ConfigError: It was edited since we read it, and cannot be used.
        RunError: It could not be started, did not end in time, or ended otherwise than with an answer.
    """
    words = [sys.executable, "-P", "-m", "licsync_daemon", "--config", str(config), "check", "--json"]
    ended = await run_child(words, what="the daily check", within=WITHIN, max_bytes=MAX_BYTES, again=AGAIN, environ=os.environ)
    try:
        found = json.loads(ended.output)
        if "problems" in found:
            raise ConfigError(tuple(Problem(one["where"], one["what"], one["hint"]) for one in found["problems"]))
        return tuple(CheckRow.from_json(row) for row in found["rows"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(Code.INTERNAL, f"the daily check ended with {ended.code} and no answer: {ended.last_message}", AGAIN) from error
