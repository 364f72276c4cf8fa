"""The alert that the state cannot be written. It is kept in memory, where no disk can lose it, and told all the same."""

from collections.abc import Collection
from dataclasses import replace

import structlog

from licsync_daemon.model.alert import Alert, Event, Message, Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import Clock
from licsync_daemon.monitoring.alerts import Change, message_of
from licsync_daemon.monitoring.outgoing import Outgoing, send_all
from licsync_daemon.system.filelock import this_process

log = structlog.get_logger()

KEY = (("", Code.STATE_UNWRITABLE),)
REPLACED = (
    "no action needed if you replaced it: it is opened again within a minute; if it was lost, stop the daemon and restore a backup of "
    "{state_dir}: without one, the history is lost and every instance runs once"
)
NEXT_STEP = "free disk space or fix the permissions of {state_dir}; until then, nothing is synced and no other alert can be kept"
OVER = "no action needed: the state can be written again"


class StateFault:
    """At most one open alert, and the message that no channel has accepted yet. A restart forgets both, and tells again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alert: Alert | None = None
        self._owed: Message | None = None
        self._is_told = False

    @property
    def is_open(self) -> bool:
        return self._alert is not None

    async def tell(self, cause: str | None, config: Config, channels: Collection[Outgoing], *, next_step: str = NEXT_STEP) -> None:
        """Open or close the alert, as `cause` says, and send what is owed. Raises nothing but the cancellation of its task."""
        now = self._clock.now()
        machine = this_process(now).host
        if cause is not None and self._alert is None:
            self._alert = Alert(
                instance="",
                code=Code.STATE_UNWRITABLE,
                severity=Severity.ALERT,
                text=cause,
                next_step=next_step.format(state_dir=config.state_dir),
                opened_at=now,
                changed_at=now,
            )
            self._owed = message_of(Change(self._alert, Event.OPENED), None, config, machine=machine, now=now)
            log.error("alert.opened", instance="", code=Code.STATE_UNWRITABLE, cause=cause)
        elif cause is None and self._alert is not None:
            closed = replace(self._alert, closed_at=now, next_step=OVER)
            self._owed = message_of(Change(closed, Event.CLOSED), None, config, machine=machine, now=now) if self._is_told else None
            self._alert = None
            log.info("alert.closed", instance="", code=Code.STATE_UNWRITABLE, why=OVER)
        if self._owed is None:
            return
        sent: set[tuple[tuple[str, Code], ...]] = set()
        await send_all(channels, {KEY: self._owed}, self._clock, sent)
        if sent:
            self._is_told, self._owed = self._owed.event is Event.OPENED, None
