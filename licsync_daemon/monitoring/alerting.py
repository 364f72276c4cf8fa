"""Update the alerts in the state and send messages about them. Uses ports only; no failure here fails a run.

A message that no channel accepted stays pending in the state, and a later evaluation sends it. A message that one channel accepted stays
pending for the others while this process runs.
"""

import asyncio
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import structlog

from licsync_daemon.model.alert import Alert, Event, Severity
from licsync_daemon.model.errors import Code, StateUnwritableError, failure_of
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import Channel, Clock, Leases
from licsync_daemon.model.store import AlertStore
from licsync_daemon.monitoring.alerts import Change, messages_of, plan
from licsync_daemon.monitoring.concerns import ONLY_CHECKED, Concern, concerns, is_alerting
from licsync_daemon.monitoring.heartbeat import write_fault
from licsync_daemon.monitoring.outboxes import clean_outboxes, not_cleaned
from licsync_daemon.monitoring.outgoing import SEND_WITHIN, Key, Outgoing, send_all
from licsync_daemon.monitoring.state_fault import StateFault
from licsync_daemon.monitoring.status import InstanceView, instance_view
from licsync_daemon.system.contain import contained
from licsync_daemon.system.filelock import is_alive, this_process

log = structlog.get_logger()

EVERY_S = 600.0
AGAIN_S = 30.0  # if another process holds the lock, or the state cannot be written
GATHER_S = 3.0  # after a request, for the instances that fail for the same reason at the same time
LOCK_POLL_S = 0.2
CRASHED = "what is recorded of this instance cannot be evaluated, because of an error in licsync-daemon itself"


class Alerting:
    """Evaluates alerts and sends messages. One per process; a lock keeps two processes from doing so at the same time."""

    def __init__(self, config: Config, store: AlertStore, clock: Clock, leases: Leases, channels: Iterable[Channel]) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._leases = leases
        self._channels = [Outgoing(one) for one in channels]
        self._noted: set[str] = set()
        self._all_noted = False
        self._awake = asyncio.Event()
        self._checked: Mapping[str, Sequence[Concern]] | None = None
        self.state_fault = StateFault(clock)

    def follow(self, config: Config, channels: Iterable[Channel]) -> None:
        """Switch to another configuration. Messages pending for a channel are dropped; those that none accepted stay in the state."""
        self._config = config
        self._channels = [Outgoing(one) for one in channels]
        self.note()

    def heed(self, checked: Mapping[str, Sequence[Concern]]) -> None:
        """Replace the concerns that the daily check found, by instance ("" for the whole fleet)."""
        self._checked = checked
        self.note()

    def note(self, names: Iterable[str] | None = None) -> None:
        """Request an evaluation of the named instances, or of all."""
        self._all_noted = self._all_noted or names is None
        self._noted.update(names or ())
        self._awake.set()

    def note_state(self) -> None:
        """Request a check of whether the state can be written."""
        self._noted.add("")
        self._awake.set()

    async def serve(self) -> None:
        """Evaluate requested instances at once, and everything every 10 minutes, until canceled.

        The first full evaluation follows after 10 minutes: by then, runs missed while the daemon was down have been made up for.
        """
        next_all_s = self._clock.monotonic() + EVERY_S
        while True:
            with suppress(TimeoutError):  # not `wait_for`: up to Python 3.11 it loses a cancellation that arrives together with the event
                async with asyncio.timeout(max(0.0, next_all_s - self._clock.monotonic())):
                    await self._awake.wait()
                    await asyncio.sleep(GATHER_S)
            everything = self._all_noted or self._clock.monotonic() >= next_all_s
            names = None if everything else set(self._noted)
            self._noted.clear()
            self._all_noted = False
            self._awake.clear()
            if not everything and not names:
                continue
            is_done = False
            with contained("alerts.not_evaluated"):
                is_done = await self.evaluate(names)
            if everything:
                next_all_s = self._clock.monotonic() + (EVERY_S if is_done else AGAIN_S)
            elif not is_done:
                next_all_s = min(next_all_s, self._clock.monotonic() + AGAIN_S)
            next_all_s = min(next_all_s, *self._ends_of_pauses())

    def _ends_of_pauses(self) -> list[float]:
        """Return when channels that failed can be tried again; what they did not accept must not wait for the next full evaluation."""
        now_s = self._clock.monotonic()
        return [math.inf, *(one.not_before_s for one in self._channels if one.not_before_s > now_s)]

    async def evaluate_at_last(self, names: Collection[str] | None = None, *, within_s: float = AGAIN_S) -> None:
        """Evaluate once before a command ends; wait while another process holds the lock. Raises nothing."""
        until_s = self._clock.monotonic() + within_s
        with contained("alerts.not_evaluated"):
            while not await self.evaluate(names) and self._clock.monotonic() < until_s:
                await self._clock.sleep(LOCK_POLL_S)

    async def evaluate(self, names: Collection[str] | None = None) -> bool:
        """Open, change and close the alerts of the named instances, or of all, and send messages.

        Returns False without doing anything if another process holds the lock. That the state cannot be written is sent from memory.

        Raises:
            StateUnwritableError, OSError: The state, or the lock in its directory, cannot be written.
        """
        try:
            is_done = await self._evaluate(names)
        except (StateUnwritableError, OSError) as error:
            cause = str(error) if isinstance(error, OSError) else self._store.write_fault(try_it=True)
            await self.state_fault.tell(cause, self._config, self._channels)
            raise
        cause = self._store.write_fault(try_it=names is None or "" in names)
        if cause is None and self.state_fault.is_open:  # a small write can succeed where a run does not fit
            cause = write_fault(self._config.state_dir)
        await self.state_fault.tell(cause, self._config, self._channels)
        return is_done

    async def _evaluate(self, names: Collection[str] | None) -> bool:
        now = self._clock.now()
        lease = self._leases.alerts()
        if lease is None:
            return False
        with lease:
            views, found = await self._found(names, now)
            changes = await self._saved(names, views, found, now)
            messages = messages_of(changes, views, self._config, machine=this_process(now).host, now=now)
            sent: set[Key] = set()
            try:
                await send_all(self._channels, messages, self._clock, sent)
            finally:  # also if the process is stopping: accepted messages are not sent again
                self._note_sent(changes, {about for key in sent for about in key})
        return True

    async def _found(self, names: Collection[str] | None, now: datetime) -> tuple[dict[str, InstanceView], dict[str, list[Concern]]]:
        """Return the views of the named instances, or of all, and what is wrong with each; one without a view could not be evaluated."""
        can_confirm, checked = self._config.cloud.organization is None, self._checked or {}
        views: dict[str, InstanceView] = {}
        found: dict[str, list[Concern]] = {}
        for one in self._config.instances:
            if names is None or one.name in names:
                try:
                    view = instance_view(one, self._store, now, now, is_alive, can_confirm=can_confirm)
                    of_check = checked.get(one.name, ()) if is_alerting(view) else ()
                    found[one.name] = [*of_check, *concerns(view, self._config.cloud, now)]
                    views[one.name] = view
                except StateUnwritableError:
                    raise
                except BaseException as error:  # of any kind: the alerts of the others go on
                    failure = failure_of(error)
                    log.critical("alerts.crashed", instance=one.name, exc_info=error)
                    found[one.name] = [Concern(code=failure.code, severity=Severity.ALERT, text=CRASHED, next_step=failure.next_step)]
                await asyncio.sleep(0)  # a large fleet takes a while: let other tasks run
        if names is None:
            found[""] = [*checked.get("", ()), *await self._left_in_outboxes(now)]
        return views, found

    async def _left_in_outboxes(self, now: datetime) -> list[Concern]:
        """Return what cannot be deleted from outboxes, also of instances that are no longer configured."""
        folders: list[str] = []
        for known in self._store.instances():
            with contained("outbox.not_cleaned", instance=known.name):
                folders += clean_outboxes(self._store, self._leases, known.name, now)
            await asyncio.sleep(0)
        return not_cleaned(folders)

    async def _saved(
        self, names: Collection[str] | None, views: Mapping[str, InstanceView], found: Mapping[str, list[Concern]], now: datetime
    ) -> Sequence[Change]:
        """Store the changes, and return those to send messages about, including earlier closings that were not sent."""
        crashed = found.keys() - views.keys() - {""}
        there = [
            one
            for one in self._store.open_alerts()
            if self._is_judged(one)
            and (names is None or one.instance in names)
            and (one.instance not in crashed or one.code is Code.INTERNAL)
        ]
        changes = []
        for change in plan(found, there, now, views):
            changes.append(change if change.alert in there else self._stored(change))
            await asyncio.sleep(0)  # each is a commit
        closings = [Change(one, Event.CLOSED) for one in self._store.unsent_closings(now - SEND_WITHIN)]
        return [*closings, *(one for one in changes if one.event not in {None, Event.CLOSED})]

    def _stored(self, change: Change) -> Change:
        """Store a change and return it; if something in its text cannot be stored, without that text."""
        try:
            self._store.save_alert(change.alert)
        except StateUnwritableError:
            raise
        except BaseException as error:  # of any kind: the other alerts are stored
            step = failure_of(error).next_step
            log.critical("alert.not_stored", instance=change.alert.instance, code=change.alert.code, exc_info=error)
            change = replace(change, alert=replace(change.alert, text=CRASHED, next_step=step))
            with contained("alert.not_stored", instance=change.alert.instance, code=change.alert.code):
                self._store.save_alert(change.alert)
        _log(change)
        return change

    def _is_judged(self, alert: Alert) -> bool:
        """Return whether an alert can close: one from the daily check stays open until the next check."""
        if alert.code is Code.OUTBOX_NOT_CLEANED:
            return True
        return self._checked is not None or (alert.instance != "" and alert.code not in ONLY_CHECKED)

    def _note_sent(self, changes: Iterable[Change], sent: Collection[tuple[str, Code]]) -> None:
        """Store the time of messages that at least one channel accepted."""
        with self._store.transaction():  # one commit, however many: a stop in between would send some again
            for one in changes:
                alert = one.alert
                if (alert.instance, alert.code) in sent:
                    notified_at = max(self._clock.now(), alert.changed_at, alert.closed_at or alert.changed_at)
                    try:
                        self._store.save_alert(replace(alert, notified_at=notified_at))
                    except StateUnwritableError:
                        raise
                    except BaseException as error:  # of any kind: this message may be sent again, the others are not
                        failure_of(error)
                        log.critical("alert.not_stored", instance=alert.instance, code=alert.code, exc_info=error)


def _log(change: Change) -> None:
    alert: Alert = change.alert
    if alert.closed_at is not None:
        log.info("alert.closed", instance=alert.instance, code=alert.code, why=alert.next_step)
    elif change.event is Event.OPENED:
        log.warning("alert.opened", instance=alert.instance, code=alert.code, severity=alert.severity)
    elif change.event is Event.CHANGED:
        log.warning("alert.changed", instance=alert.instance, code=alert.code, severity=alert.severity)
