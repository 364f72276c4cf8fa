"""Exit codes. Pure; the README has the table."""

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from licsync_daemon.model.run import RunState

if TYPE_CHECKING:  # `status --alive` loads no fleet
    from licsync_daemon.sync.waiting import Result


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    SOME_FAILED = 3
    ALL_FAILED = 4
    HELD = 5
    OPEN = 6
    LOCKED = 11


def exit_code(results: Iterable["Result"], *, named: bool) -> Exit:
    """Return the exit code of `--run-now`. If several apply, the first of: 11, 4, 3, 5, 6, 0.

    Args:
        results: One for each requested instance.
        named: Whether a person named the instances. If so, a locked one returns 11; if not, it counts as open (6).
    """
    every = list(results)
    failed = [result for result in every if result.run is not None and result.run.state in {RunState.FAILED, RunState.INTERRUPTED}]
    if named and any(result.run is None for result in every):
        return Exit.LOCKED
    if failed:
        return Exit.ALL_FAILED if len(failed) == len(every) else Exit.SOME_FAILED
    if any(result.run is not None and result.run.state is RunState.HELD for result in every):
        return Exit.HELD
    if any(result.run is None or not result.run.state.is_good for result in every):
        return Exit.OPEN
    return Exit.OK
