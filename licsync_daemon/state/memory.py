"""The state in memory: for dry runs, which record nothing, and for tests. Keeps the contract of the durable one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.errors import StateUnwritableError
from licsync_daemon.model.run import (
    AWAITING,
    KEEP,
    Decided,
    Decision,
    DeliveryOutcome,
    DeliveryRecord,
    InstanceRecord,
    Run,
    RunState,
    SeatRecord,
    Transition,
)
from licsync_daemon.model.usage import Listing

CONFIRMED = "confirmed"  # the usage that a delivery's staged digests become


class MemoryStore:
    """A `StateStore` that forgets everything with the process."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}  # in the order of recording
        self._transitions: list[Transition] = []
        self._deliveries: dict[str, DeliveryRecord] = {}
        self._instances: dict[str, InstanceRecord] = {}
        self._seats: list[SeatRecord] = []
        self._decisions: list[Decision] = []
        self._listing: Listing | None = None
        self._alerts: list[Alert] = []
        self._digests: dict[tuple[str, str], list[bytes]] = {}  # by instance and usage

    def save_run(
        self,
        run: Run,
        at: datetime,
        *,
        delivery: DeliveryRecord | None = None,
        remember: InstanceRecord | None = None,
        instead_of: Run | None = None,
    ) -> None:
        there = self._runs.get(run.run_id)
        if there is not None and there.state.is_final and run.state is not there.state:
            return
        other = self._in_the_way(run)
        mine = {run.run_id, instead_of.run_id if instead_of is not None else run.run_id}
        if not run.state.is_final and other is not None and other.run_id not in mine:
            raise StateUnwritableError(f"{run.instance} has another open run, {other.run_id}")
        if delivery is not None:
            self.save_delivery(delivery)  # raises before anything else has changed
        if instead_of is not None:
            held = self._runs.get(instead_of.run_id)
            if held is not None and held.state in {RunState.HELD} | AWAITING:
                self._end(replace(held, state=RunState.SUPERSEDED, ended_at=at), at)
            used = [replace(one, used_at=at) if self._is_approval(one, instead_of.run_id) else one for one in self._decisions]
            self._decisions = used
        if remember is not None:
            self.save_instance(remember)
        if there is None or there.state is not run.state:
            self._end(run, at)
        self._runs[run.run_id] = run
        dates = [one.last_sync for one in self._instances.values() if one.last_sync is not None]
        self._forget(min(at, max(dates, default=at)) - KEEP)

    def _in_the_way(self, run: Run) -> Run | None:
        """Return the run beside which this one cannot be open."""
        if run.state is RunState.HELD:
            return self.held_run(run.instance)
        return self.awaiting_run(run.instance) if run.state in AWAITING else self.open_run(run.instance)

    def _end(self, run: Run, at: datetime) -> None:
        self._runs[run.run_id] = run
        self._transitions.append(Transition(run_id=run.run_id, at=at, state=run.state, code=run.code))

    def _forget(self, before: datetime) -> None:
        gone = {run.run_id for run in self._runs.values() if run.ended_at is not None and run.ended_at < before}
        self._runs = {key: run for key, run in self._runs.items() if key not in gone}
        self._transitions = [one for one in self._transitions if one.run_id not in gone]
        self._deliveries = {key: one for key, one in self._deliveries.items() if one.closed_at is None or one.closed_at >= before}
        self._alerts = [one for one in self._alerts if one.closed_at is None or one.closed_at >= before]
        self._seats = [one for one in self._seats if one.read_at >= before]

    def open_run(self, instance: str) -> Run | None:
        in_progress = (RunState.RUNNING, RunState.DELIVERED)
        return next((run for run in self._runs.values() if run.instance == instance and run.state in in_progress), None)

    def held_run(self, instance: str) -> Run | None:
        return next((run for run in self._runs.values() if run.instance == instance and run.state is RunState.HELD), None)

    def awaiting_run(self, instance: str) -> Run | None:
        return next((run for run in self._runs.values() if run.instance == instance and run.state in AWAITING), None)

    def run(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        newest_first = reversed(self._runs.values())
        return tuple(run for run in newest_first if instance is None or run.instance == instance)[:limit]

    def last_run(self, instance: str, *, good: bool = False, counted: bool = False) -> Run | None:
        runs = self.runs(instance, limit=len(self._runs))
        fits = (run for run in runs if not good or run.state.is_good)
        return next((run for run in fits if not counted or run.counted is not None), None)

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        return tuple(one for one in self._transitions if one.run_id == run_id)

    def save_delivery(self, record: DeliveryRecord) -> None:
        other = self.open_delivery(record.instance)
        if record.closed_at is None and other is not None and other.key != record.key:
            raise StateUnwritableError(f"{record.instance} has another open delivery record, {other.key}")
        self._deliveries[record.key] = record
        if record.closed_at is not None:
            staged = self._digests.pop((record.instance, record.key), None)
            if staged is not None and record.outcome is DeliveryOutcome.CONFIRMED:
                self._digests[record.instance, CONFIRMED] = staged

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        return next((one for one in self._deliveries.values() if one.instance == instance and one.closed_at is None), None)

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        return tuple(one for one in self._deliveries.values() if one.instance == instance)

    def delivery_of(self, run_id: str) -> DeliveryRecord | None:
        return next((one for one in reversed(self._deliveries.values()) if one.run_id == run_id), None)

    def save_instance(self, record: InstanceRecord) -> None:
        self._instances[record.name] = record

    def instance(self, name: str) -> InstanceRecord | None:
        return self._instances.get(name)

    def save_listing(self, listing: Listing) -> None:
        self._listing = listing

    def listing(self) -> Listing | None:
        return self._listing

    def save_alert(self, alert: Alert) -> None:
        self._alerts = [one for one in self._alerts if not self._is_same(one, alert)] + [alert]

    @staticmethod
    def _is_same(one: Alert, alert: Alert) -> bool:
        both_open = one.closed_at is None and alert.closed_at is None
        return (one.instance, one.code) == (alert.instance, alert.code) and (both_open or one.opened_at == alert.opened_at)

    def open_alerts(self) -> tuple[Alert, ...]:
        return tuple(sorted((one for one in self._alerts if one.closed_at is None), key=lambda one: (one.instance, one.code)))

    def untold_closings(self, since: datetime) -> tuple[Alert, ...]:
        closed = [(one.closed_at, one.told_at, one) for one in self._alerts if one.closed_at is not None and one.told_at is not None]
        untold = [(at, one) for at, told_at, one in closed if at > since and at > told_at]
        return tuple(one for _, one in sorted(untold, key=lambda pair: pair[0]))

    def save_seats(self, record: SeatRecord) -> None:
        self._seats.append(record)

    def seats(self) -> SeatRecord | None:
        return self._seats[-1] if self._seats else None

    def save_decision(self, decision: Decision, *, ends: Run | None = None) -> bool:
        if ends is not None:
            there = self._runs.get(ends.run_id)
            if there is None or there.state.is_final:
                return False
            self._end(ends, decision.at)
        self._decisions.append(decision)
        return True

    def decisions(self, instance: str | None = None, *, limit: int = 100) -> tuple[Decision, ...]:
        return tuple(one for one in reversed(self._decisions) if instance is None or one.instance == instance)[:limit]

    def approval(self, run_id: str) -> Decision | None:
        return next((one for one in reversed(self._decisions) if self._is_approval(one, run_id)), None)

    @staticmethod
    def _is_approval(one: Decision, run_id: str) -> bool:
        return one.run_id == run_id and one.what is Decided.APPROVED and one.used_at is None

    def stage_digests(self, instance: str, key: str, chunks: Iterable[bytes]) -> None:
        staged = list(chunks)
        self._digests = {place: kept for place, kept in self._digests.items() if place[0] != instance or place[1] == CONFIRMED}
        self._digests[instance, key] = staged

    def confirmed_digests(self, instance: str) -> Iterator[bytes] | None:
        kept = self._digests.get((instance, CONFIRMED))
        return iter(kept) if kept else None

    def instances(self) -> tuple[InstanceRecord, ...]:
        only_runs = {run.instance: InstanceRecord(name=run.instance, identity=None) for run in self._runs.values()}
        known = {**only_runs, **self._instances}
        return tuple(known[name] for name in sorted(known))

    def changed_elsewhere(self) -> bool:
        return False

    def close(self) -> None:
        pass
