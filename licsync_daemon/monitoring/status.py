"""The state of the fleet as `status` shows it. Pure: records and the time go in, a view comes out.

Four times are kept apart everywhere: when usage was collected, delivered and confirmed (ours), and the cloud's own date of the last sync,
from which age and overdue are computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.instance import Config, Instance
from licsync_daemon.model.ports import StateStore
from licsync_daemon.model.run import AWAITING_CLOUD, Decided, Decision, Holder, InstanceRecord, Run, RunState, SeatRecord
from licsync_daemon.model.text import iso
from licsync_daemon.model.usage import SyncEntry
from licsync_daemon.rules.schedule import Planned, Recorded, next_run
from licsync_daemon.rules.servers import Findings, compare
from licsync_daemon.state.history import recorded

RETIRED_SHOWN = timedelta(days=30)
ALIVE_FOR = timedelta(seconds=90)  # three heartbeats


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonView:
    """Whether a daemon is at work on this state directory."""

    alive: bool
    holder: Holder | None
    heartbeat_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One instance. `state` is the newest run's; a `running` one whose process is gone shows as interrupted."""

    instance: Instance
    run: Run | None
    state: RunState | None
    confirmed: Run | None
    counted: Run | None  # the last good one whose accounts were counted
    held: Run | None
    awaiting: Run | None  # it waits for a person
    approval: Decision | None
    pause: Decision | None
    last_sync: datetime | None
    age: timedelta | None
    overdue: bool
    planned: Planned | None
    runs: Sequence[Run]  # the newest ones, newest first
    decisions: Sequence[Decision]  # the newest ones about its runs, newest first

    @property
    def word_until(self) -> datetime | None:
        """Return until when the newest run may wait for the cloud's word before it fails; None where it waits for nothing."""
        if self.run is None or self.run.state not in AWAITING_CLOUD or self.run.delivered_at is None:
            return None
        return self.run.delivered_at + self.instance.confirm_within


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    at: datetime
    daemon: DaemonView
    instances: tuple[InstanceView, ...]
    retired: tuple[InstanceRecord, ...]
    seats: SeatRecord | None
    listed: Findings | None  # None: the cloud was never asked
    alerts: tuple[Alert, ...]


def fleet_view(
    config: Config, store: StateStore | None, now: datetime, daemon: DaemonView, is_alive: Callable[[Holder], bool]
) -> FleetView:
    """Put together what is known of every configured instance; without a store nothing is."""
    up_since = daemon.holder.since_at if daemon.alive and daemon.holder is not None else now
    can_confirm = config.cloud.organization is None
    views = tuple(instance_view(one, store, now, up_since, is_alive, can_confirm=can_confirm) for one in config.instances)
    listing = store.listing() if store else None
    return FleetView(
        at=now,
        daemon=daemon,
        instances=views,
        retired=_retired(config, store, now),
        seats=store.seats() if store else None,
        listed=compare(listing, config) if listing is not None else None,
        alerts=store.open_alerts() if store else (),
    )


def _retired(config: Config, store: StateStore | None, now: datetime) -> tuple[InstanceRecord, ...]:
    """Return the instances that were configured not long ago, and are not now: a daemon may not have noticed yet that one came back."""
    known = store.instances() if store else ()
    gone = (one for one in known if config.instance(one.name) is None)
    return tuple(one for one in gone if one.retired_at is not None and now - one.retired_at <= RETIRED_SHOWN)


def instance_view(
    instance: Instance,
    store: StateStore | None,
    now: datetime,
    up_since: datetime,
    is_alive: Callable[[Holder], bool],
    *,
    can_confirm: bool,
) -> InstanceView:
    """Put together what is known of one instance.

    `can_confirm` is False for an organization, which knows no sync that could be too old.
    """
    known_runs = recorded(store, instance.name) if store else Recorded()
    newest = next((run for run in known_runs.runs if run.state is not RunState.SKIPPED), None)
    state = newest.state if newest else None
    if newest is not None and state is RunState.RUNNING and (newest.holder is None or not is_alive(newest.holder)):
        state = RunState.INTERRUPTED
        gone = replace(newest, state=state)  # as the next process will find it: what is planned follows from that
        known_runs = replace(known_runs, runs=[gone if run is newest else run for run in known_runs.runs])
    known = store.instance(instance.name) if store else None
    last_sync = known.last_sync if known else None
    age = now - last_sync if last_sync else None
    return InstanceView(
        instance=instance,
        run=newest,
        state=state,
        confirmed=store.last_run(instance.name, good=True) if store else None,
        counted=store.last_run(instance.name, good=True, counted=True) if store else None,
        held=store.held_run(instance.name) if store else None,
        awaiting=store.awaiting_run(instance.name) if store else None,
        approval=_in_force(known_runs.approval, now),
        pause=_in_force(known_runs.pause, now) if known_runs.pause and known_runs.pause.what is Decided.PAUSED else None,
        last_sync=last_sync,
        age=age,
        overdue=instance.is_active and can_confirm and (age is None or age > instance.max_age),
        planned=next_run(instance, known_runs, now, up_since=up_since, changed_at=up_since),
        runs=known_runs.runs,
        decisions=[one for one in store.decisions(instance.name) if one.run_id is not None] if store else (),
    )


def _in_force(decision: Decision | None, now: datetime) -> Decision | None:
    return decision if decision is not None and decision.in_force(now) else None


def as_json(view: FleetView) -> dict[str, Any]:
    """Return the view as JSON values; instants are ISO 8601 in UTC, ages are seconds."""
    daemon = view.daemon
    return {
        "at": iso(view.at),
        "daemon": {
            "alive": daemon.alive,
            "pid": daemon.holder.pid if daemon.holder and daemon.alive else None,
            "since": iso(daemon.holder.since_at) if daemon.holder and daemon.alive else None,
            "heartbeat_at": iso(daemon.heartbeat_at),
        },
        "instances": [_instance_json(one) for one in view.instances],
        "retired": [
            {"name": one.name, "hostname": one.identity.hostname if one.identity else None, "since": iso(one.retired_at)}
            for one in view.retired
        ],
        "seats": {"read_at": iso(view.seats.read_at), "consumed": view.seats.consumed, "purchased": view.seats.purchased}
        if view.seats
        else None,
        "listed": _listed_json(view.listed) if view.listed else None,
        "alerts": [_alert_json(one) for one in view.alerts],
    }


def _listed_json(found: Findings) -> dict[str, Any]:
    def servers(entries: tuple[SyncEntry, ...]) -> list[dict[str, Any]]:
        return [{"server_id": one.server_id, "hostname": one.hostname, "last_sync": iso(one.date)} for one in entries]

    return {
        "read_at": iso(found.read_at),
        "orphans": servers(found.orphans),
        "missing": list(found.missing),
        "second_servers": [asdict(one) for one in found.second_servers],
        "elsewhere": servers(found.elsewhere),
        "retired": servers(found.retired),
    }


def _alert_json(alert: Alert) -> dict[str, Any]:
    return {
        "instance": alert.instance or None,
        "code": alert.code,
        "severity": alert.severity,
        "text": alert.text,
        "next_step": alert.next_step,
        "opened_at": iso(alert.opened_at),
        "changed_at": iso(alert.changed_at),
        "told_at": iso(alert.told_at),
    }


def _instance_json(view: InstanceView) -> dict[str, Any]:
    return {
        "name": view.instance.name,
        "hostname": view.instance.hostname,
        "enabled": view.instance.enabled,
        "unsynced_because": view.instance.unsynced_because,
        "source": view.instance.source.kind,
        "delivery": view.instance.delivery.kind,
        "state": view.state,
        "last_sync": iso(view.last_sync),
        "age_s": int(view.age.total_seconds()) if view.age is not None else None,
        "overdue": view.overdue,
        "word_until": iso(view.word_until),
        "next": {"at": iso(view.planned.at), "reason": view.planned.reason} if view.planned else None,
        "held_run": run_json(view.held) if view.held else None,
        "approval": decision_json(view.approval) if view.approval else None,
        "paused": decision_json(view.pause) if view.pause else None,
        "last_run": run_json(view.run) if view.run else None,
        "last_confirmed_run": run_json(view.confirmed) if view.confirmed else None,
    }


def run_json(run: Run) -> dict[str, Any]:
    """Return a run as JSON values."""
    counts = run.counted
    return {
        "run_id": run.run_id,
        "instance": run.instance,
        "state": run.state,
        "trigger": run.trigger,
        "reason": run.reason,
        "slot": iso(run.slot),
        "phase": run.phase,
        "waiting_for": run.waiting_for,
        "waiting_until": iso(run.waiting_until),
        "pid": run.holder.pid if run.holder else None,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "collected_at": iso(run.collected_at),
        "delivered_at": iso(run.delivered_at),
        "confirmed_at": iso(run.confirmed_at),
        "last_sync": iso(run.last_sync),
        "counts": {
            "rows": counts.rows,
            "sent": counts.sent,
            "suspended": counts.suspended,
            "unusable": counts.unusable,
            "without_address": counts.without_address,
            "total_users": counts.total_users,
            "seats_used": counts.seats_used,
        }
        if counts is not None
        else None,
        "version": run.version,
        "content_hash": run.content_hash,
        "accounts_in_cloud": run.accounts_in_cloud,
        "code": run.code,
        "cause": run.cause,
        "next_step": run.next_step,
        "retry_not_before": iso(run.retry_not_before),
        "tripped": [asdict(one) for one in run.tripped],
        "changes": asdict(run.changes) if run.changes else None,
        "failures": run.failures,
        "notices": [{"code": one.code, "text": one.text} for one in run.notices],
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    """Return a person's decision as JSON values."""
    return {
        "instance": decision.instance,
        "run_id": decision.run_id,
        "what": decision.what,
        "actor": decision.actor,
        "at": iso(decision.at),
        "reason": decision.reason,
        "ticket": decision.ticket,
        "until": iso(decision.until),
        "used_at": iso(decision.used_at),
    }
