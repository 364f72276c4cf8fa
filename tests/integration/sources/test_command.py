"""The source `command`: the output of a local program is the export if it succeeds."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import CommandSource
from licsync_daemon.model.usage import Collected
from licsync_daemon.sources.command import CommandUsageSource
from licsync_daemon.state.spool import AccountSpool
from tests.fakes import T0, FakeClock


def collect(where: Path, script: str) -> Collected:
    source = CommandSource(command=("/bin/sh", "-c", script), timeout=timedelta(seconds=20), max_export_bytes=1000)
    with AccountSpool(where) as spool:
        return asyncio.run(CommandUsageSource(source, FakeClock()).collect(spool))


def test_what_it_prints_is_the_export(tmp_path: Path) -> None:
    """Warnings on standard error and text before the export are ignored; the export's time is now."""
    collected = collect(tmp_path, """echo banner; echo warning >&2; echo '{"server_id": "x", "users": "QUJD"}'""")

    assert collected.export is not None
    assert (collected.export.content, collected.export.server_id) == (b'{"server_id": "x", "users": "QUJD"}', "x")
    assert (collected.collected_at, collected.newest_activity, collected.http_only) == (T0, T0, False)


def test_what_goes_wrong(subtests: pytest.Subtests, tmp_path: Path) -> None:
    """An exit code other than 0 wins over anything it printed; the next step is the command itself."""
    for script, code, cause in (
        ('echo \'{"users": "x"}\'; exit 3', Code.COMMAND_FAILED, "the command /bin/sh exited with code 3 without a message"),
        ("echo one >&2; echo two >&2; exit 1", Code.COMMAND_FAILED, "the command /bin/sh exited with code 1: two"),
        ("kill -15 $$", Code.COMMAND_FAILED, "the command /bin/sh was killed by signal 15 without a message"),
        ("exit 0", Code.EXPORT_MALFORMED, "the output of the command /bin/sh is empty"),
        ("echo hello", Code.EXPORT_MALFORMED, "the output of the command /bin/sh contains no complete JSON object"),
    ):
        with subtests.test(script=script, code=code):
            with pytest.raises(RunError) as refused:
                collect(tmp_path, script)

            assert (refused.value.code, refused.value.cause) == (code, cause)
            assert "/bin/sh -c" in refused.value.next_step
