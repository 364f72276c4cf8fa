"""The state of the fleet, runs and decisions as JSON values: instants are ISO 8601 in UTC, ages are seconds. Pure."""

from dataclasses import asdict
from typing import Any

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.errors import Problem
from licsync_daemon.model.run import Decision, Run
from licsync_daemon.model.text import iso
from licsync_daemon.model.usage import SyncEntry
from licsync_daemon.monitoring.status import FleetView, InstanceView
from licsync_daemon.monitoring.troubles import Trouble, troubles
from licsync_daemon.rules.servers import Findings


def as_json(view: FleetView) -> dict[str, Any]:
    """Return the view as JSON values; instants are ISO 8601 in UTC, ages are seconds."""
    daemon = view.daemon
    return {
        "at": iso(view.at),
        "daemon": {
            "alive": daemon.alive,
            "pid": daemon.holder.pid if daemon.holder and daemon.alive else None,
            "started_at": iso(daemon.holder.since_at) if daemon.holder and daemon.alive else None,
            "heartbeat_at": iso(daemon.heartbeat_at),
        },
        "state_fault": daemon.state_fault,
        "instances": [_instance_json(one) for one in view.instances],
        "retired": [
            {"instance": one.name, "hostname": one.identity.hostname if one.identity else None, "retired_at": iso(one.retired_at)}
            for one in view.retired
        ],
        "seats": {
            "read_at": iso(view.seats.read_at),
            "consumed": view.seats.consumed,
            "purchased": view.seats.purchased,
        }
        if view.seats
        else None,
        "listed": _listed_json(view.listed) if view.listed else None,
        "problems": [_trouble_json(one) for one in troubles(view)],
        "alerts": [_alert_json(one) for one in view.alerts],
        "older_configuration": {
            "file": str(view.older.path),
            "accepted_at": iso(view.older.accepted_at),
            "problems": [problem_json(one) for one in view.older.problems],
        }
        if view.older
        else None,
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


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return a mistake in the configuration or the arguments as JSON values."""
    return {"where": problem.where, "text": problem.what, "next_step": problem.hint or None}


def _trouble_json(trouble: Trouble) -> dict[str, Any]:
    return {
        "instance": trouble.instance or None,
        "code": trouble.code,
        "severity": trouble.severity,
        "text": trouble.text,
        "next_step": trouble.next_step,
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
        "notified_at": iso(alert.notified_at),
    }


def _instance_json(view: InstanceView) -> dict[str, Any]:
    return {
        "instance": view.instance.name,
        "hostname": view.instance.hostname,
        "enabled": view.instance.enabled,
        "unsynced_because": view.instance.unsynced_because,
        "source": view.instance.source.kind,
        "delivery": view.instance.delivery.kind,
        "state": view.shown_state,
        "last_sync": iso(view.last_sync),
        "age_s": int(view.age.total_seconds()) if view.age is not None else None,
        "overdue": view.overdue,
        "expected_until": iso(view.word_until),
        "outbox_fault": view.outbox_fault,
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
        "prepared_at": iso(run.prepared_at),
        "delivered_at": iso(run.sent_at),
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
