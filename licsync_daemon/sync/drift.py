"""Compare the number of accounts in the cloud with the number sent. Only GraphQL reports it, so without the permission it stays unknown."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from licsync_daemon.model.errors import failure_of
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.ports import CloudReader
from licsync_daemon.model.run import RunState
from licsync_daemon.model.usage import Installation, Notice, UploadState
from licsync_daemon.rules.connect import installation_of
from licsync_daemon.rules.verdict import drift
from licsync_daemon.sync.journal import Journal

log = structlog.get_logger()

WITHIN_S = 15.0  # the runs are confirmed without it


async def installations_of(cloud: CloudReader) -> tuple[Installation, ...] | None:
    """Read the servers from GraphQL; if that fails, only the dates of syncs are used."""
    installations = None
    with _failures_logged("installations.not_read"):
        installations = await cloud.installations()
    return installations  # noqa: RET504 - None after a failure


def note_accounts(journal: Journal, there: Installation | None) -> tuple[Notice, ...]:
    """Record the number of accounts in the cloud; return a warning if it is lower than the number collected."""
    if there is None or there.accounts is None:
        return ()
    journal.update(accounts_in_cloud=there.accounts)
    counts = journal.run.counted
    warning = drift(counts.sent, there.accounts) if counts is not None else None
    return (warning,) if warning is not None else ()


async def check_drift(cloud: CloudReader, runs: Sequence[tuple[Instance, Journal]]) -> None:
    """Add the number of accounts in the cloud, and a warning if some are missing, to runs just confirmed. Failures are logged."""
    confirmed = [(instance, journal) for instance, journal in runs if journal.run.state is RunState.CONFIRMED]
    if not confirmed:
        return
    with _failures_logged("drift.not_checked"):
        try:
            async with asyncio.timeout(WITHIN_S):
                installations = await installations_of(cloud)
        except TimeoutError:
            log.warning("drift.not_checked", cause=f"GraphQL did not respond within {WITHIN_S:.0f} s")
            return
        for instance, journal in confirmed:
            there = installation_of(instance, installations)
            if there is not None and there.upload_state in {None, UploadState.SUCCESS}:  # otherwise the count is an earlier one
                journal.update(notices=journal.run.notices + note_accounts(journal, there))


@contextmanager
def _failures_logged(event: str) -> Iterator[None]:
    """Log a failure of any kind inside; only the cancellation of this task and the end of the process get through."""
    try:
        yield
    except BaseException as error:
        failure = failure_of(error)
        log.warning(event, code=failure.code, cause=failure.cause, exc_info=failure is not error)
