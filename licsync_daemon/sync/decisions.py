"""People's decisions: approve, reject or acknowledge a run; pause and resume an instance.

This module only checks and records a decision, with actor, time, reason and ticket. It takes effect at the daemon's next heartbeat or
with `--run-now`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.model.run import Decided, Decision, Run, RunState
from licsync_daemon.model.store import DecisionStore
from licsync_daemon.rules.next_run import HELD_FOR

AFTERWARDS = {
    Decided.APPROVED: "the daemon sends the usage at its next heartbeat; to send it now: $licsync --run-now {instance}",
    Decided.REJECTED: "nothing was sent; the next scheduled run collects usage again",
    Decided.ACKNOWLEDGED: "noted",
    Decided.PAUSED: "scheduled runs of {instance} are suspended until {until}",
    Decided.RESUMED: "{instance} follows its schedule again",
}


SAME_PAUSE = timedelta(minutes=1)  # two people who pause for "3d" at the same time


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The author of a decision, with its time, reason and ticket."""

    actor: str
    at: datetime
    reason: str
    ticket: str | None = None


def approve(store: DecisionStore, run_id: str, author: Author) -> Decision:
    """Approve a held run: its usage may be sent once, within 7 days, and only for the figures shown.

    Raises:
        ConfigError: The run is unknown, not held, or has an approval that is still in effect.
    """
    with store.transaction():
        run = _held(store, run_id, "approved", author.at)
        standing = store.approval(run_id)
        if standing is not None and standing.in_force(author.at):
            raise _refused(run_id, f"already approved by {standing.actor}", f"to send it now: $licsync --run-now {run.instance}")
        decision = _decision(run.instance, run_id, Decided.APPROVED, author, until=author.at + HELD_FOR)
        store.save_decision(decision)
    return decision


def reject(store: DecisionStore, run_id: str, author: Author) -> Decision:
    """Reject a held run permanently; the next slot collects usage again.

    Raises:
        ConfigError: The run is unknown or not held.
    """
    with store.transaction():
        run = _held(store, run_id, "rejected", author.at)
        decision = _decision(run.instance, run_id, Decided.REJECTED, author)
        store.save_decision(decision, ends=run.ended(RunState.REJECTED, author.at))
    return decision


def acknowledge(store: DecisionStore, run_id: str, author: Author) -> Decision:
    """Record that a person has seen a run's warnings or failure; this has no other effect.

    Raises:
        ConfigError: The run is unknown.
    """
    with store.transaction():
        run = store.run(run_id)
        if run is None:
            raise _unknown(run_id)
        decision = _decision(run.instance, run_id, Decided.ACKNOWLEDGED, author)
        store.save_decision(decision)
    return decision


def pause(store: DecisionStore, instance: str, until: datetime, author: Author) -> Decision:
    """Suspend scheduled runs of an instance until `until`.

    Raises:
        ConfigError: `until` is not in the future, or the instance is already paused until then or longer.
    """
    if until <= author.at:
        what = f"{until:%Y-%m-%d %H:%M} UTC is not in the future"
        raise ConfigError((Problem("--until", what, "examples: 2026-12-24 18:00, or 3d"),), "invalid argument")
    with store.transaction():
        standing = next((one for one in store.decisions(instance) if one.what in {Decided.PAUSED, Decided.RESUMED}), None)
        if standing is not None and standing.in_force(author.at) and standing.until is not None and standing.until > until - SAME_PAUSE:
            what = f"already paused until {standing.until:%Y-%m-%d %H:%M} UTC by {standing.actor}"
            hint = f"for a shorter pause, first: $licsync resume {instance}"
            raise ConfigError((Problem(instance, what, hint),), "refused")
        decision = _decision(instance, None, Decided.PAUSED, author, until=until)
        store.save_decision(decision)
    return decision


def resume(store: DecisionStore, instance: str, author: Author) -> Decision:
    """End a pause; resuming an instance that is not paused changes nothing."""
    decision = _decision(instance, None, Decided.RESUMED, author)
    store.save_decision(decision)
    return decision


def _held(store: DecisionStore, run_id: str, wish: str, now: datetime) -> Run:
    run = store.run(run_id)
    if run is None:
        raise _unknown(run_id)
    if run.state is RunState.SUPERSEDED:
        current = store.held_run(run.instance)
        hint = f"the run now held is {current.run_id}" if current else "no run of this instance is held now"
        used = [one for one in store.decisions(run.instance) if one.run_id == run_id and one.used_at is not None]
        why = f"the approval by {used[0].actor} was already used" if used else "a newer run replaced it"
        raise _refused(run_id, f"cannot be {wish}: {why}", hint)
    if run.state is not RunState.HELD:
        raise _refused(run_id, f"cannot be {wish}: the run is {run.state}", "only a held run waits for a decision; see: $licsync status")
    standing = store.approval(run_id)
    if wish == "approved" and now - run.started_at >= HELD_FOR and (standing is None or not standing.in_force(now)):
        why = (
            f"the approval by {standing.actor} has expired" if standing is not None else f"no decision was made within {HELD_FOR.days} days"
        )
        raise _refused(run_id, f"cannot be {wish}: {why}", f"collect usage again: $licsync --run-now {run.instance}")
    return run


def _unknown(run_id: str) -> ConfigError:
    return _refused(run_id, "no such run is recorded", "see: $licsync history")


def _refused(run_id: str, what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(f"run {run_id}", what, hint),), "refused")


def _decision(instance: str, run_id: str | None, what: Decided, author: Author, *, until: datetime | None = None) -> Decision:
    return Decision(
        instance=instance,
        run_id=run_id,
        what=what,
        actor=author.actor,
        at=author.at,
        reason=author.reason,
        ticket=author.ticket,
        until=until,
    )
