"""Update the alerts in the state and send messages about them. Uses ports only; no failure here fails a run.

A message that no channel accepted stays pending in the state, and a later evaluation sends it. A message that one channel accepted stays
pending for the others while this process runs.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from licsync_daemon.model.alert import Alert, Event, Message
from licsync_daemon.model.errors import Code, RunError, StateUnwritableError
from licsync_daemon.model.instance import Config
from licsync_daemon.model.ports import Channel, Clock, Leases
from licsync_daemon.model.store import AlertStore
from licsync_daemon.monitoring.alerts import Change, message_of, plan
from licsync_daemon.monitoring.concerns import ONLY_CHECKED, Concern, concerns, is_alerting
from licsync_daemon.monitoring.status import InstanceView, instance_view
from licsync_daemon.system.filelock import is_alive, this_process

log = structlog.get_logger()

EVERY_S = 600.0
AGAIN_S = 30.0  # if another process holds the lock, or the state cannot be written
SEND_S = 60.0  # for one channel in one evaluation
PAUSE_S, LONGEST_PAUSE_S = 300.0, 3600.0  # after a failure of a channel; doubled each time
SEND_WITHIN = timedelta(days=1)  # older messages are dropped
LOCK_POLL_S = 0.2

Key = tuple[str, Code]


@dataclass(slots=True)
class _Outgoing:
    """One channel, and the messages that it has not accepted yet although another one has."""

    channel: Channel
    pending: dict[Key, Message] = field(default_factory=dict)
    failures: int = 0
    not_before_s: float = 0.0

    async def hand_over(self, new: Mapping[Key, Message], clock: Clock, taken: set[Key]) -> None:
        """Send new and pending messages, and add accepted ones to `taken`. Raises nothing."""
        fresh = clock.now() - SEND_WITHIN
        self.pending = {key: one for key, one in (self.pending | dict(new)).items() if one.at > fresh}
        if not self.pending or clock.monotonic() < self.not_before_s:
            return
        failure: RunError | None = None
        try:
            async with asyncio.timeout(SEND_S):
                for key, message in tuple(self.pending.items()):
                    try:
                        await self.channel.send(message)
                    except RunError as error:
                        failure = error
                        if error.code is not Code.REJECTED:  # only this message was rejected; the next one may be accepted
                            break
                    else:
                        del self.pending[key]
                        taken.add(key)
                        log.info("notify.told", channel=self.channel.name, instance=key[0], code=key[1], about=message.event)
        except TimeoutError:
            failure = RunError(
                Code.TIMEOUT, f"not all messages were accepted within {SEND_S:.0f} s", "check whether the mail server or webhook is slow"
            )
        except Exception:
            log.critical("notify.crashed", channel=self.channel.name, exc_info=True)
            failure = RunError(Code.INTERNAL, "an error in licsync-daemon itself", "report it with the log")
        self._note_result(failure, clock)

    def forget(self, unsent: Iterable[Key]) -> None:
        """Drop messages that no channel accepted: the state still has them, and may have changed by the next evaluation."""
        for key in unsent:
            self.pending.pop(key, None)

    def _note_result(self, failure: RunError | None, clock: Clock) -> None:
        if failure is None:
            self.failures = 0
            return
        pause_s = min(LONGEST_PAUSE_S, PAUSE_S * 2 ** min(self.failures, 10))
        self.failures += 1
        self.not_before_s = clock.monotonic() + pause_s
        log.error(
            "notify.failed",
            channel=self.channel.name,
            code=failure.code,
            cause=failure.cause,
            next_step=failure.next_step,
            owed=len(self.pending),
            again_in_s=round(pause_s),
        )


class Alerting:
    """Evaluates alerts and sends messages. One per process; a lock keeps two processes from doing so at the same time."""

    def __init__(self, config: Config, store: AlertStore, clock: Clock, leases: Leases, channels: Iterable[Channel]) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._leases = leases
        self._channels = [_Outgoing(one) for one in channels]
        self._noted: set[str] = set()
        self._all_noted = False
        self._awake = asyncio.Event()
        self._checked: Mapping[str, Sequence[Concern]] | None = None

    def follow(self, config: Config, channels: Iterable[Channel]) -> None:
        """Switch to another configuration. Messages pending for a channel are dropped; those that none accepted stay in the state."""
        self._config = config
        self._channels = [_Outgoing(one) for one in channels]
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

    async def serve(self) -> None:
        """Evaluate requested instances at once, and everything every 10 minutes, until canceled.

        The first full evaluation follows after 10 minutes: by then, runs missed while the daemon was down have been made up for.
        """
        next_all_s = self._clock.monotonic() + EVERY_S
        while True:
            with suppress(TimeoutError):  # not `wait_for`: up to Python 3.11 it loses a cancellation that arrives together with the event
                async with asyncio.timeout(max(0.0, next_all_s - self._clock.monotonic())):
                    await self._awake.wait()
            everything = self._all_noted or self._clock.monotonic() >= next_all_s
            names = None if everything else set(self._noted)
            self._noted.clear()
            self._all_noted = False
            self._awake.clear()
            if not everything and not names:
                continue
            is_done = False
            with _harmless():
                is_done = await self.evaluate(names)
            if everything:
                next_all_s = self._clock.monotonic() + (EVERY_S if is_done else AGAIN_S)
            elif not is_done:
                next_all_s = min(next_all_s, self._clock.monotonic() + AGAIN_S)

    async def evaluate_at_last(self, names: Collection[str] | None = None, *, within_s: float = AGAIN_S) -> None:
        """Evaluate once before a command ends; wait while another process holds the lock. Raises nothing."""
        until_s = self._clock.monotonic() + within_s
        with _harmless():
            while not await self.evaluate(names) and self._clock.monotonic() < until_s:
                await self._clock.sleep(LOCK_POLL_S)

    async def evaluate(self, names: Collection[str] | None = None) -> bool:
        """Open, change and close the alerts of the named instances, or of all, and send messages.

        Returns False without doing anything if another process holds the lock.

        Raises:
            StateUnwritableError, OSError: The state, or the lock in its directory, cannot be written.
        """
        now = self._clock.now()
        lease = self._leases.alerts()
        if lease is None:
            return False
        with lease:
            views = await self._views(names, now)
            changes = self._saved(names, views, now)
            machine = this_process(now).host
            messages = {
                (one.alert.instance, one.alert.code): message_of(one, views.get(one.alert.instance), self._config, machine=machine, now=now)
                for one in changes
                if one.event is not None
            }
            sent: set[Key] = set()
            try:
                await asyncio.gather(*(channel.hand_over(messages, self._clock, sent) for channel in self._channels))
            finally:  # also if the process is stopping: accepted messages are not sent again
                self._note_sent(changes, sent)
                for channel in self._channels:
                    channel.forget(messages.keys() - sent)
        return True

    async def _views(self, names: Collection[str] | None, now: datetime) -> dict[str, InstanceView]:
        can_confirm = self._config.cloud.organization is None
        views = {}
        for one in self._config.instances:
            if names is None or one.name in names:
                views[one.name] = instance_view(one, self._store, now, now, is_alive, can_confirm=can_confirm)
                await asyncio.sleep(0)  # a large fleet takes a while: let other tasks run
        return views

    def _saved(self, names: Collection[str] | None, views: Mapping[str, InstanceView], now: datetime) -> Sequence[Change]:
        """Store the changes, and return those to send messages about, including earlier closings that were not sent."""
        there = [one for one in self._store.open_alerts() if self._is_judged(one) and (names is None or one.instance in names)]
        checked = self._checked or {}
        found = {
            name: [*(checked.get(name, ()) if is_alerting(view) else ()), *concerns(view, self._config.cloud, now)]
            for name, view in views.items()
        }
        if names is None:
            found[""] = [*checked.get("", ())]
        changes = plan(found, there, now, views)
        for change in changes:
            if change.alert not in there:
                self._store.save_alert(change.alert)
                _log(change)
        closings = [Change(one, Event.CLOSED) for one in self._store.unsent_closings(now - SEND_WITHIN)]
        return [*closings, *(one for one in changes if one.event not in {None, Event.CLOSED})]

    def _is_judged(self, alert: Alert) -> bool:
        """Return whether an alert can close: one from the daily check stays open until the next check."""
        return self._checked is not None or (alert.instance != "" and alert.code not in ONLY_CHECKED)

    def _note_sent(self, changes: Iterable[Change], sent: Collection[Key]) -> None:
        """Store the time of messages that at least one channel accepted."""
        for one in changes:
            alert = one.alert
            if (alert.instance, alert.code) in sent:
                notified_at = max(self._clock.now(), alert.changed_at, alert.closed_at or alert.changed_at)
                self._store.save_alert(replace(alert, notified_at=notified_at))


@contextmanager
def _harmless() -> Iterator[None]:
    """Log errors and continue: alerts must not stop what they report on."""
    try:
        yield
    except (StateUnwritableError, OSError) as error:
        log.error("alerts.not_evaluated", cause=str(error))  # noqa: TRY400 - the cause is a sentence
    except Exception:
        log.critical("alerts.crashed", exc_info=True)


def _log(change: Change) -> None:
    alert: Alert = change.alert
    if alert.closed_at is not None:
        log.info("alert.closed", instance=alert.instance, code=alert.code, why=alert.next_step)
    elif change.event is Event.OPENED:
        log.warning("alert.opened", instance=alert.instance, code=alert.code, severity=alert.severity)
    elif change.event is Event.CHANGED:
        log.warning("alert.changed", instance=alert.instance, code=alert.code, severity=alert.severity)
