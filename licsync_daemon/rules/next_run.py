"""The next run or check of an instance, and its reason. Pure: the schedule, the record and the time are arguments."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from licsync_daemon.model.blackout import next_free
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import ConnectDelivery, Instance
from licsync_daemon.model.run import AWAITING, Decided, Decision, Run, RunState
from licsync_daemon.model.text import words
from licsync_daemon.model.usage import CLOCK_SLACK
from licsync_daemon.rules.schedule import slot_after, slot_at, slot_words
from licsync_daemon.rules.verdict import next_check, next_upload_check

FIRST_RETRY = timedelta(minutes=15)
RETRY_GROWTH = 1.35  # with FIRST_RETRY and RETRY_CAP: 12 attempts within 21 hours, then two a day
RETRY_CAP = timedelta(hours=12)
MAINTENANCE_CAP = timedelta(hours=1)  # the longest wait after maintenance has ended; about 25 runs a day are recorded
DAILY_RETRY = timedelta(days=1)  # after a failure that persists until someone changes something
HONORED = timedelta(days=1)  # the longest wait a server can ask for, counted from the failure
STARTUP_DELAY = timedelta(seconds=60)  # before missed runs are caught up after a start: networks and clocks come up late
STARTUP_JITTER_S = 300
LOCKED_AGAIN = timedelta(seconds=60)
HELD_FOR = timedelta(days=7)  # the time for a decision on a held run, and the validity of an approval
SYNCED_WITHIN = timedelta(hours=1)  # a sync dated earlier than this before its run's start means that the local clock was ahead

CATCH_UP = "catch-up after downtime"
FIRST = "first sync"
CONFIRM = "next confirmation check"
INTERRUPTED = "continued after an interruption"
CHANGED = "retry after a restart or reload"
FIRST_CONNECT_CHECK = "first Connect check"
CONNECT_CHECK = "Connect check"
#: Results of a Connect check, as opposed to failures of the check itself.
CONCLUSIVE = frozenset({Code.NEVER_SYNCED, Code.LATE, Code.NOT_CONNECTED, Code.SYNC_FAILED, Code.BAD_RESPONSE})
APPROVAL_ENDS = "approval period of the held run ends"
STOPPED = frozenset({RunState.HELD, RunState.REJECTED, RunState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Planned:
    """The next run or check of an instance. `slot` is the slot that the run satisfies; None for a check.

    A confirmation check is for usage that was delivered or handed over; a Connect check is for syncs by GitHub Connect.
    """

    at: datetime
    reason: str
    slot: datetime | None
    is_confirm_check: bool = False
    is_connect_check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The recorded data of an instance that determines its next run.

    Attributes:
        runs: Its latest runs in the order of recording, newest first; enough to include every run of the current slot.
        approval: The unused approval of its held run.
        pause: The latest decision to pause or resume it.
    """

    runs: Sequence[Run] = ()
    approval: Decision | None = None
    pause: Decision | None = None


def satisfies(run: Run, slot: datetime, now: datetime) -> bool:
    """Return whether a run satisfies `slot`: it succeeded, and it recorded this slot or started between it and now.

    A Connect check (`current` without a slot) satisfies no slot.
    """
    if not run.state.is_good or (run.state is RunState.CURRENT and run.slot is None):
        return False
    return run.slot == slot or slot <= run.started_at <= now


def next_run(instance: Instance, recorded: Recorded, now: datetime, *, up_since: datetime, changed_at: datetime) -> Planned | None:
    """Return the next run or check of an instance.

    Args:
        instance: The instance with its schedule.
        recorded: Its recorded data.
        now: The current time.
        up_since: When the daemon started; a slot missed before that is caught up after a startup delay.
        changed_at: When the configuration was read; permanent failures before that are retried.

    Returns:
        None if the instance is disabled or not synced, or while a run is in progress.
    """
    if not instance.is_active:
        return None
    up_since, changed_at = min(up_since, now), min(changed_at, now)  # a clock that was ahead at startup must not cause a delay
    newest = next((run for run in recorded.runs if run.state not in {RunState.SUPERSEDED, RunState.SKIPPED}), None)
    if newest is not None and newest.state is RunState.RUNNING:
        return None
    if newest is not None and newest.state is RunState.DELIVERED:
        return Planned(next_check(newest.delivered_at or newest.started_at, now), CONFIRM, None, is_confirm_check=True)
    every: list[Planned] = []
    if isinstance(instance.delivery, ConnectDelivery):
        connect_check = _connect_check(instance, recorded.runs, now, up_since=up_since)
        every.append(_after_pause(connect_check, recorded.pause, now))
    if instance.has_slots:
        awaiting = next((run for run in recorded.runs if run.state in AWAITING), None)
        approved = recorded.approval is not None and recorded.approval.in_force(now)
        if awaiting is not None:
            at = next_upload_check(awaiting.delivered_at or awaiting.started_at, now, instance.watch_every)
            every.append(Planned(at, CONFIRM, None, is_confirm_check=True))
        if awaiting is None or approved or awaiting.slot != slot_at(instance.schedule, now):
            planned = _due(instance, recorded, newest, now, up_since=up_since, changed_at=changed_at)
            every.append(_allowed(planned, instance, recorded.pause, now))
    return min(every, key=lambda one: one.at)


def _connect_check(instance: Instance, runs: Sequence[Run], now: datetime, *, up_since: datetime) -> Planned:
    """Return the next Connect check of an instance."""
    newest = next((run for run in runs if run.state is not RunState.SKIPPED and run.started_at <= now + CLOCK_SLACK), None)
    ready_at = up_since + STARTUP_DELAY
    if newest is None:
        return Planned(ready_at, FIRST_CONNECT_CHECK, None, is_connect_check=True)
    at, reason = newest.started_at + instance.watch_every, CONNECT_CHECK
    if newest.state is RunState.FAILED and newest.code not in CONCLUSIVE and not newest.permanent:  # the cloud could not be read
        again = _ended(newest, now) + retry_wait(max(1, newest.failures), newest.run_id)
        at, reason = min((at, reason), (again, f"retry {max(1, newest.failures)} after {words(newest.code)}"))
    return Planned(max(at, ready_at) if at < up_since else at, reason, None, is_connect_check=True)


def _due(instance: Instance, recorded: Recorded, newest: Run | None, now: datetime, *, up_since: datetime, changed_at: datetime) -> Planned:
    """Return the next run by schedule and record, ignoring windows and pauses."""
    slot = slot_at(instance.schedule, now)
    following = slot_after(instance.schedule, now)
    later = Planned(following, slot_words(instance.schedule), following)
    ready_at = up_since + STARTUP_DELAY + startup_jitter(instance.name)
    runs = _plausible(recorded.runs, now)
    if recorded.approval is not None and recorded.approval.in_force(now):
        approved = _approved(recorded.approval, runs, slot, now, up_since=up_since, ready_at=ready_at, changed_at=changed_at)
        return approved if approved.at < following else replace(later, reason=f"approved by {recorded.approval.actor}")
    if any(satisfies(run, slot, now) for run in runs):
        return later
    stopped = next((run for run in runs if run.slot == slot and run.state in STOPPED), None)
    if stopped is not None:  # held by a guard, and not approved
        end = stopped.started_at + HELD_FOR
        return Planned(end, APPROVAL_ENDS, slot) if stopped.state is RunState.HELD and end < following else later
    failed = [run for run in runs if run.slot == slot and run.state is RunState.FAILED]
    if failed:
        again = _retry(failed, slot, now, ready_at=ready_at, changed_at=changed_at)
        return again if again.at < following else later
    if newest is None and slot < max(up_since, changed_at):  # configured after its slot
        reason = FIRST
    elif newest is not None and newest.state is RunState.INTERRUPTED and newest.slot == slot:
        reason = INTERRUPTED
    else:
        reason = CATCH_UP if slot < up_since else slot_words(instance.schedule)
    return Planned(ready_at if slot < up_since else slot, reason, slot)


def _approved(
    approval: Decision, runs: Sequence[Run], slot: datetime, now: datetime, *, up_since: datetime, ready_at: datetime, changed_at: datetime
) -> Planned:
    """Return the run that an approval triggers: immediately, or as a retry if it has failed since."""
    since = itertools.takewhile(lambda run: run.state is not RunState.HELD, runs)
    failed = [run for run in since if run.slot == slot and run.state is RunState.FAILED and _ended(run, now) >= approval.at]
    if failed:
        return _retry(failed, slot, now, ready_at=ready_at, changed_at=changed_at)
    return Planned(min(approval.at, now) if approval.at >= up_since else ready_at, f"approved by {approval.actor}", slot)


def _plausible(runs: Sequence[Run], now: datetime) -> list[Run]:
    """Leave out runs from a clock that was ahead: those that started later than a run recorded after them, or later than now.

    Otherwise, a run made while the clock was weeks ahead would satisfy the slot of that time. If the cloud's date of its sync fits, the
    run is kept: the clock was behind when the later run was recorded.
    """
    plausible, latest = [], now + CLOCK_SLACK
    for run in runs:
        if run.started_at <= latest or (run.started_at <= now + CLOCK_SLACK and _is_dated_by_cloud(run)):
            plausible.append(run)
            latest = min(latest, run.started_at + CLOCK_SLACK)
    return plausible


def _is_dated_by_cloud(run: Run) -> bool:
    """Return whether the cloud's date of the sync fits the run's start, which shows that the local clock was right."""
    return run.last_sync is not None and run.started_at <= run.last_sync + SYNCED_WITHIN


def _ended(run: Run, now: datetime) -> datetime:
    """Return when a run ended, or when it started if its end is in the future because the clock was set."""
    return run.ended_at if run.ended_at is not None and run.ended_at <= now else run.started_at


def _retry(failures: Sequence[Run], slot: datetime, now: datetime, *, ready_at: datetime, changed_at: datetime) -> Planned:
    """Return the retry of the first of the failed runs (newest first): with growing waits, or after a change if it failed permanently."""
    failed = failures[0]
    ended = _ended(failed, now)
    after = words(failed.code)
    if failed.permanent:
        if changed_at > ended:
            return Planned(max(ready_at, changed_at) if ready_at > ended else changed_at, CHANGED, slot)
        return Planned(ended + DAILY_RETRY, f"daily retry after {after}", slot)
    if failed.code is Code.MAINTENANCE:  # not a failure: separate waits, shorter than the others
        in_a_row = sum(1 for _ in itertools.takewhile(lambda run: run.code is Code.MAINTENANCE, failures))
        wait, reason = retry_wait(in_a_row, failed.run_id, cap=MAINTENANCE_CAP), f"retry after {after}"
    else:
        wait, reason = retry_wait(max(1, failed.failures), failed.run_id), f"retry {max(1, failed.failures)} after {after}"
    at = ended + wait
    if failed.retry_not_before is not None:
        at = max(at, min(failed.retry_not_before, ended + HONORED))
    return Planned(at, reason, slot)


def retry_wait(number: int, key: str, *, cap: timedelta = RETRY_CAP) -> timedelta:
    """Return how long to wait before the `number`-th retry: 15 minutes, growing by 35% up to `cap`, plus or minus 10%.

    `key` spreads the retries of instances that failed at the same time; equal keys give equal waits.
    """
    spread = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
    grown = FIRST_RETRY * RETRY_GROWTH ** min(number - 1, 40)  # far beyond the cap; avoids an overflow
    return min(cap, grown) * (0.9 + 0.2 * spread)


def _allowed(planned: Planned, instance: Instance, pause: Decision | None, now: datetime) -> Planned:
    """Move a planned run out of pauses and blackout windows, and add that to its reason."""
    at, reason = max(planned.at, now) if planned.at < now else planned.at, planned.reason
    paused = _after_pause(replace(planned, at=at), pause, now)
    at, reason = paused.at, paused.reason
    free = next_free(at, instance.schedule.avoid, instance.schedule.timezone)
    if free != at:
        at, reason = free, f"{reason}, after a blackout window"
    return replace(planned, at=at, reason=reason) if (at, reason) != (planned.at, planned.reason) else planned


def _after_pause(planned: Planned, pause: Decision | None, now: datetime) -> Planned:
    if pause is not None and pause.what is Decided.PAUSED and pause.in_force(now) and pause.until is not None and pause.until > planned.at:
        return replace(planned, at=pause.until, reason=f"{planned.reason}, paused until then: {pause.reason}")
    return planned


def startup_jitter(name: str) -> timedelta:
    """Return a fixed delay of up to 5 minutes, so that instances do not all start at the same time."""
    return timedelta(seconds=int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % STARTUP_JITTER_S)
