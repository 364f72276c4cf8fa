"""A hot standby: a daemon with its session open, waiting for the lead."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import structlog

from licsync_daemon.model.errors import LockedError
from licsync_daemon.model.ports import Lease, Leases
from licsync_daemon.system.systemd import ServiceManager

log = structlog.get_logger()

POLL_S = 4.0  # between two attempts to lead, and between two looks at the lead of one's own


class Lead:
    """The lease of the leader, together with that of its state directory, whose age `status --alive` reads."""

    def __init__(self, here: Lease, shared: Lease) -> None:
        self._here = here
        self._shared = shared
        self.unnamed_because = here.unnamed_because

    @property
    def is_findable(self) -> bool:
        return self._here.is_findable

    def touch(self) -> None:
        """Raise `StateUnwritableError` if the lead is lost: nothing may be sent any more."""
        with suppress(OSError):
            self._here.touch()
        self._shared.touch()

    def release(self) -> None:
        self._shared.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


async def lead(leases: Leases, here: Lease, stop: asyncio.Event, service: ServiceManager, stands_by: Callable[[], None]) -> Lead | None:
    """Wait until no other daemon leads; return the lead, or None once `stop` is set.

    Args:
        leases: Those of the session.
        here: The lease of this host's state directory.
        stop: Set to stop waiting.
        service: The service manager that started this process.
        stands_by: Called when another daemon leads.

    Raises:
        StateUnwritableError: The session has ended.
    """
    known = None
    while not stop.is_set():
        try:
            shared = leases.daemon()
        except LockedError as error:
            if error.holder != known:
                known = error.holder
                log.info("daemon.stands_by", leader=known)
                stands_by()
            service.send("READY=1", "WATCHDOG=1", f"STATUS=standby; {known} leads")
        else:
            log.info("daemon.leads")
            service.send("READY=1", "WATCHDOG=1", "STATUS=leads; planning every instance")
            return Lead(here, shared)
        with suppress(OSError):
            here.touch()
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await stop.wait()
    return None
