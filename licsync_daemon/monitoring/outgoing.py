"""One channel, and the messages that it has still to accept."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from licsync_daemon.model.alert import Message
from licsync_daemon.model.errors import Code, RemoteError, RunError, failure_of
from licsync_daemon.model.ports import Channel, Clock

log = structlog.get_logger()

SEND_S = 60.0  # for one channel in one evaluation
TRIES = 5  # of one message that meets a rate limit, in one evaluation
MARGIN_S = 0.1  # added to a stated wait
PAUSE_S, LONGEST_PAUSE_S = 300.0, 3600.0  # after a failure of a channel; doubled each time
SHORT_PAUSE_S = 5.0  # after a failure of a channel that has just accepted a message
SEND_WITHIN = timedelta(days=1)  # older messages are dropped

#: What a message is about: the instances and codes of its alerts.
Key = tuple[tuple[str, Code], ...]


@dataclass(slots=True)
class Outgoing:
    """One channel, and the messages that it has not accepted yet although another one has."""

    channel: Channel
    pending: dict[Key, Message] = field(default_factory=dict)
    failures: int = 0
    not_before_s: float = 0.0

    async def hand_over(self, new: Mapping[Key, Message], clock: Clock, taken: set[Key]) -> None:
        """Send new and pending messages, and add accepted ones to `taken`. Raises nothing but the cancellation of its task."""
        fresh = clock.now() - SEND_WITHIN
        self.pending = {key: one for key, one in (self.pending | dict(new)).items() if one.at > fresh}
        if not self.pending or clock.monotonic() < self.not_before_s:
            return
        failure: RunError | None = None
        count, until_s = len(self.pending), clock.monotonic() + SEND_S
        try:
            async with asyncio.timeout(SEND_S):
                for key, message in tuple(self.pending.items()):
                    try:
                        await self._send(message, clock, until_s)
                    except RunError as error:
                        failure = error
                        if error.code is not Code.REJECTED:  # only this message was rejected; the next one may be accepted
                            break
                    else:
                        del self.pending[key]
                        taken.add(key)
                        names, code = [name for name, _ in key], key[0][1]
                        log.info("notify.told", channel=self.channel.name, instance=", ".join(names), code=code, about=message.event)
        except TimeoutError:
            failure = RunError(
                Code.TIMEOUT, f"not all messages were accepted within {SEND_S:.0f} s", "check whether the mail server or webhook is slow"
            )
        except BaseException as error:  # of any kind: the other channels go on
            failure = failure_of(error)
            log.critical("notify.crashed", channel=self.channel.name, exc_info=error)
        self._note_result(failure, clock, is_progress=len(self.pending) < count)

    async def _send(self, message: Message, clock: Clock, until_s: float) -> None:
        """Send one message; at a rate limit, wait as the receiver asks, as long as this evaluation lasts."""
        for attempt in range(TRIES):
            try:
                return await self.channel.send(message)
            except RemoteError as error:
                if error.code is not Code.RATE_LIMITED and error.retry_after is None:
                    raise
                wait_s = _stated_s(error) if error.retry_after is not None else 2.0**attempt
                if attempt == TRIES - 1 or clock.monotonic() + wait_s > until_s:
                    raise
                await clock.sleep(wait_s)
        return None

    def forget(self, unsent: Iterable[Key]) -> None:
        """Drop messages that no channel accepted: the state still has them, and may have changed by the next evaluation."""
        for key in unsent:
            self.pending.pop(key, None)

    def _note_result(self, failure: RunError | None, clock: Clock, *, is_progress: bool) -> None:
        if failure is None or is_progress:
            self.failures = 0
        if failure is None:
            return
        pause_s = SHORT_PAUSE_S if is_progress else PAUSE_S * 2 ** min(self.failures, 10)
        if isinstance(failure, RemoteError) and failure.retry_after is not None:
            pause_s = max(pause_s, _stated_s(failure)) if self.failures else _stated_s(failure)
        pause_s = min(LONGEST_PAUSE_S, pause_s)
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


def _stated_s(error: RemoteError) -> float:
    return max(1.0, error.retry_after.total_seconds() if error.retry_after is not None else 0.0) + MARGIN_S


async def send_all(channels: Collection[Outgoing], messages: Mapping[Key, Message], clock: Clock, sent: set[Key]) -> None:
    """Send messages through all channels, and add those to `sent` that at least one accepted, also while the process stops."""
    try:
        await asyncio.gather(*(one.hand_over(messages, clock, sent) for one in channels))
    finally:
        for one in channels:
            one.forget(messages.keys() - sent)
