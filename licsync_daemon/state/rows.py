"""Convert flat values to rows of text and numbers, and back. Each field is a column."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from licsync_daemon.model.alert import Alert, Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import (
    Baseline,
    Changes,
    Decided,
    Decision,
    DeliveryOutcome,
    DeliveryRecord,
    InstanceRecord,
    Run,
    RunState,
    SeatRecord,
    Transition,
    Trigger,
    Tripped,
)
from licsync_daemon.model.usage import Listing, Notice, ServerIdentity, SyncEntry, UsageCounts
from licsync_daemon.state.columns import instant, instant_of, listed, read_instant, typed, with_placeholder
from licsync_daemon.system.filelock import holder_from_json, holder_to_json

DbRow = dict[str, Any]
COUNTS = tuple(field.name for field in fields(UsageCounts))


def _tripped(row: Any) -> Tripped:
    code, text, *figures, subject = row
    before, after = (None if one is None else typed(int, one) for one in figures)
    return Tripped(Code(code), typed(str, text), before=before, after=after, subject=typed(str, subject))


def run_row(run: Run) -> DbRow:
    counts = {name: getattr(run.counts, name) for name in COUNTS} | {"counted": int(run.counts.counted)}
    holder = run.holder
    return {
        "run_id": run.run_id,
        "instance": run.instance,
        "trigger": run.trigger.value,
        "reason": run.reason,
        "slot": instant(run.slot),
        "started_at": instant(run.started_at),
        "state": run.state.value,
        "phase": run.phase,
        "waiting_for": run.waiting_for,
        "waiting_until": instant(run.waiting_until),
        "holder": json.dumps(holder_to_json(holder)) if holder else None,
        "ended_at": instant(run.ended_at),
        "collected_at": instant(run.collected_at),
        "delivered_at": instant(run.delivered_at),
        "confirmed_at": instant(run.confirmed_at),
        "last_sync": instant(run.last_sync),
        **counts,
        "version": run.version,
        "content_hash": run.content_hash,
        "accounts_in_cloud": run.accounts_in_cloud,
        "code": run.code,
        "cause": run.cause,
        "next_step": run.next_step,
        "retry_not_before": instant(run.retry_not_before),
        "tripped": json.dumps([[one.code, one.text, one.before, one.after, one.subject] for one in run.tripped], ensure_ascii=False),
        "changes": json.dumps(asdict(run.changes)) if run.changes else None,
        "failures": run.failures,
        "permanent": int(run.permanent),
        "notices": json.dumps([[notice.code, notice.text] for notice in run.notices], ensure_ascii=False),
    }


def read_run(row: DbRow) -> Run:
    return Run(
        run_id=row["run_id"],
        instance=row["instance"],
        trigger=Trigger(row["trigger"]),
        reason=row["reason"],
        slot=read_instant(row["slot"]),
        started_at=instant_of(row["started_at"]),
        state=RunState(row["state"]),
        phase=row["phase"],
        waiting_for=row["waiting_for"],
        waiting_until=read_instant(row["waiting_until"]),
        holder=holder_from_json(json.loads(row["holder"])) if row["holder"] else None,
        ended_at=read_instant(row["ended_at"]),
        collected_at=read_instant(row["collected_at"]),
        delivered_at=read_instant(row["delivered_at"]),
        confirmed_at=read_instant(row["confirmed_at"]),
        last_sync=read_instant(row["last_sync"]),
        counts=UsageCounts(**{name: row[name] for name in COUNTS} | {"counted": bool(row["counted"])}),
        version=row["version"],
        content_hash=row["content_hash"],
        accounts_in_cloud=row["accounts_in_cloud"],
        code=Code(row["code"]) if row["code"] else None,
        cause=row["cause"],
        next_step=with_placeholder(row["next_step"]) if row["next_step"] else None,
        retry_not_before=read_instant(row["retry_not_before"]),
        tripped=tuple(map(_tripped, listed(row["tripped"]))),
        changes=Changes(**{key: typed(int, one) for key, one in json.loads(row["changes"]).items()}) if row["changes"] else None,
        failures=row["failures"],
        permanent=bool(row["permanent"]),
        notices=tuple(Notice(code=Code(code), text=typed(str, text)) for code, text in listed(row["notices"])),
    )


def delivery_row(record: DeliveryRecord) -> DbRow:
    return {
        "key": record.key,
        "instance": record.instance,
        "run_id": record.run_id,
        "slot": instant(record.slot),
        "content_hash": record.content_hash,
        "hostname": record.identity.hostname,
        "server_id": record.identity.server_id,
        "sent": record.sent,
        "baseline_date": instant(record.baseline.date),
        "baseline_answered_at": instant(record.baseline.answered_at),
        "baseline_entry": record.baseline.entry,
        "opened_at": instant(record.opened_at),
        "upload_id": record.upload_id,
        "accepted_at": instant(record.accepted_at),
        "closed_at": instant(record.closed_at),
        "outcome": record.outcome,
    }


def read_delivery(row: DbRow) -> DeliveryRecord:
    return DeliveryRecord(
        key=row["key"],
        instance=row["instance"],
        run_id=row["run_id"],
        slot=read_instant(row["slot"]),
        content_hash=row["content_hash"],
        identity=ServerIdentity(hostname=row["hostname"], server_id=row["server_id"]),
        sent=row["sent"],
        baseline=Baseline(
            date=read_instant(row["baseline_date"]), answered_at=read_instant(row["baseline_answered_at"]), entry=row["baseline_entry"]
        ),
        opened_at=instant_of(row["opened_at"]),
        upload_id=row["upload_id"],
        accepted_at=read_instant(row["accepted_at"]),
        closed_at=read_instant(row["closed_at"]),
        outcome=DeliveryOutcome(row["outcome"]) if row["outcome"] else None,
    )


def instance_row(record: InstanceRecord) -> DbRow:
    return {
        "name": record.name,
        "hostname": record.identity.hostname if record.identity else "",
        "server_id": record.identity.server_id if record.identity else None,
        "last_sync": instant(record.last_sync),
        "seen_at": instant(record.seen_at),
        "retired_at": instant(record.retired_at),
    }


def read_instance(row: DbRow) -> InstanceRecord:
    return InstanceRecord(
        name=row["name"],
        identity=ServerIdentity(hostname=row["hostname"], server_id=row["server_id"]) if row["hostname"] else None,
        last_sync=read_instant(row["last_sync"]),
        seen_at=read_instant(row["seen_at"]),
        retired_at=read_instant(row["retired_at"]),
    )


def seat_row(record: SeatRecord) -> DbRow:
    return {"read_at": instant(record.read_at), "consumed": record.consumed, "purchased": record.purchased}


def read_seats(row: DbRow) -> SeatRecord:
    return SeatRecord(read_at=instant_of(row["read_at"]), consumed=row["consumed"], purchased=row["purchased"])


def read_transition(row: DbRow) -> Transition:
    return Transition(
        run_id=row["run_id"], at=instant_of(row["at"]), state=RunState(row["state"]), code=Code(row["code"]) if row["code"] else None
    )


def decision_row(decision: Decision) -> DbRow:
    return {
        "instance": decision.instance,
        "run_id": decision.run_id,
        "what": decision.what,
        "actor": decision.actor,
        "at": instant(decision.at),
        "reason": decision.reason,
        "ticket": decision.ticket,
        "until": instant(decision.until),
        "used_at": instant(decision.used_at),
    }


def read_decision(row: DbRow) -> Decision:
    return Decision(
        instance=row["instance"],
        run_id=row["run_id"],
        what=Decided(row["what"]),
        actor=row["actor"],
        at=instant_of(row["at"]),
        reason=row["reason"],
        ticket=row["ticket"],
        until=read_instant(row["until"]),
        used_at=read_instant(row["used_at"]),
    )


def listed_rows(listing: Listing) -> list[DbRow]:
    return [
        {
            "read_at": instant(listing.read_at),
            "server_id": one.server_id,
            "hostname": one.hostname,
            "date": instant(one.date),
            "status": one.status,
            "error": one.error,
        }
        for one in listing.entries
    ]


def read_listing(found: Sequence[DbRow]) -> Listing | None:
    """Return the cloud's list; a row without a server only records when an empty list was read."""
    entries = tuple(
        SyncEntry(
            server_id=row["server_id"],
            hostname=row["hostname"],
            date=read_instant(row["date"]),
            status=row["status"],
            error=row["error"],
        )
        for row in found
        if row["server_id"] is not None or row["hostname"] is not None
    )
    return Listing(entries=entries, read_at=instant_of(found[0]["read_at"])) if found else None


def alert_row(alert: Alert) -> DbRow:
    return {
        "instance": alert.instance,
        "code": alert.code,
        "severity": alert.severity,
        "text": alert.text,
        "next_step": alert.next_step,
        "opened_at": instant(alert.opened_at),
        "changed_at": instant(alert.changed_at),
        "told_at": instant(alert.notified_at),
        "closed_at": instant(alert.closed_at),
    }


def read_alert(row: DbRow) -> Alert:
    return Alert(
        instance=row["instance"],
        code=Code(row["code"]),
        severity=Severity(row["severity"]),
        text=row["text"],
        next_step=with_placeholder(row["next_step"]),
        opened_at=instant_of(row["opened_at"]),
        changed_at=instant_of(row["changed_at"]),
        notified_at=read_instant(row["told_at"]),
        closed_at=read_instant(row["closed_at"]),
    )
