"""Run `check` in a child process, so that an idle daemon does not hold the memory that the check needs once a day."""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError
from licsync_daemon.monitoring.preflight.rows import CheckRow
from licsync_daemon.system.child import run_child

WITHIN = timedelta(minutes=30)  # enough for a large fleet with many dead servers
MAX_BYTES = 8 * 1024 * 1024
AGAIN = "run: $licsync check"


async def preflight_in_child(config: Path) -> tuple[CheckRow, ...]:
    """Run `check --json` with the environment of this process, and return its rows.

    Args:
        config: The absolute path of the configuration file.

    Raises:
        ConfigError: The file was edited since the daemon read it, and is invalid.
        RunError: The child could not be started, did not end in time, or printed no result.
    """
    words = [sys.executable, "-P", "-m", "licsync_daemon", "--config", str(config), "check", "--json"]
    ended = await run_child(words, what="the daily check", within=WITHIN, max_bytes=MAX_BYTES, again=AGAIN, environ=os.environ)
    try:
        found = json.loads(ended.output)
        if "problems" in found:
            raise ConfigError(tuple(Problem(one["where"], one["text"], one["next_step"] or "") for one in found["problems"]))
        return tuple(CheckRow.from_json(row) for row in found["tests"])
    except (KeyError, TypeError, ValueError) as error:
        cause = f"the daily check ended with exit code {ended.code} and no result: {ended.last_message}"
        raise RunError(Code.INTERNAL, cause, AGAIN) from error
