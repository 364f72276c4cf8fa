"""The source `command`: a local program that prints the export, such as a wrapper for a bastion host or a privileged-access tool."""

import shlex

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import CommandSource
from licsync_daemon.model.ports import AccountSink, Clock
from licsync_daemon.model.usage import Collected
from licsync_daemon.sources.export import collected_from
from licsync_daemon.system.child import run_child


class CommandUsageSource:
    """Reads one instance (the `UsageSource` port)."""

    def __init__(self, source: CommandSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    async def collect(self, spool: AccountSink) -> Collected:
        source = self._source
        what = f"the command {source.command[0]}"
        again = f"run the command as the daemon's user, without a terminal, and check its output: {shlex.join(source.command)}"
        ended = await run_child(source.command, what=what, within=source.timeout, max_bytes=source.max_export_bytes, again=again)
        if ended.code != 0:
            raise command_failed(what, ended.code, ended.last_message, again)
        return collected_from(ended.output, spool, what=f"the output of {what}", again=again, at=self._clock.now())


def command_failed(what: str, code: int, message: str, again: str) -> RunError:
    """Return the error for a program that failed: its exit code or signal, and its last message."""
    how = f"exited with code {code}" if code > 0 else f"was killed by signal {-code}"
    return RunError(Code.COMMAND_FAILED, f"{what} {how}" + (f": {message}" if message else " without a message"), again)
