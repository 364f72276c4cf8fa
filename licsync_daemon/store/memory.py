"""The state in memory: for dry runs, which record nothing, and for tests. Keeps the contract of the durable one."""

from datetime import datetime

from licsync_daemon.errors import StateUnwritableError
from licsync_daemon.model import KEEP, DeliveryRecord, InstanceRecord, Run, RunState, SeatRecord, Transition


class MemoryStore:
    """A `StateStore` that forgets everything with the process."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}  # in the order of recording
        self._transitions: list[Transition] = []
        self._deliveries: dict[str, DeliveryRecord] = {}
        self._instances: dict[str, InstanceRecord] = {}
        self._seats: list[SeatRecord] = []

    def save_run(self, run: Run, at: datetime, *, delivery: DeliveryRecord | None = None, identity: InstanceRecord | None = None) -> None:
        there = self._runs.get(run.run_id)
        if there is not None and there.state.is_final and run.state is not there.state:
            return
        other = self.open_run(run.instance)
        if not run.state.is_final and other is not None and other.run_id != run.run_id:
            raise StateUnwritableError(f"{run.instance} has another open run, {other.run_id}")
        if delivery is not None:
            self.save_delivery(delivery)
        if identity is not None:
            self.save_instance(identity)
        self._runs[run.run_id] = run
        if there is None or there.state is not run.state:
            self._transitions.append(Transition(run_id=run.run_id, at=at, state=run.state, code=run.code))
        self._forget(at - KEEP)

    def _forget(self, before: datetime) -> None:
        gone = {run.run_id for run in self._runs.values() if run.ended_at is not None and run.ended_at < before}
        self._runs = {key: run for key, run in self._runs.items() if key not in gone}
        self._transitions = [one for one in self._transitions if one.run_id not in gone]
        self._deliveries = {key: one for key, one in self._deliveries.items() if one.closed_at is None or one.closed_at >= before}
        self._seats = [one for one in self._seats if one.read_at >= before]

    def open_run(self, instance: str) -> Run | None:
        return next((run for run in self._runs.values() if run.instance == instance and not run.state.is_final), None)

    def run(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def runs(self, instance: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        newest_first = reversed(self._runs.values())
        return tuple(run for run in newest_first if instance is None or run.instance == instance)[:limit]

    def last_run(self, instance: str, *, confirmed: bool = False) -> Run | None:
        runs = self.runs(instance, limit=len(self._runs))
        return next((run for run in runs if not confirmed or run.state is RunState.CONFIRMED), None)

    def transitions(self, run_id: str) -> tuple[Transition, ...]:
        return tuple(one for one in self._transitions if one.run_id == run_id)

    def save_delivery(self, record: DeliveryRecord) -> None:
        other = self.open_delivery(record.instance)
        if record.closed_at is None and other is not None and other.key != record.key:
            raise StateUnwritableError(f"{record.instance} has another open delivery record, {other.key}")
        self._deliveries[record.key] = record

    def open_delivery(self, instance: str) -> DeliveryRecord | None:
        return next((one for one in self._deliveries.values() if one.instance == instance and one.closed_at is None), None)

    def deliveries(self, instance: str) -> tuple[DeliveryRecord, ...]:
        return tuple(one for one in self._deliveries.values() if one.instance == instance)

    def save_instance(self, record: InstanceRecord) -> None:
        self._instances[record.name] = record

    def instance(self, name: str) -> InstanceRecord | None:
        return self._instances.get(name)

    def save_seats(self, record: SeatRecord) -> None:
        self._seats.append(record)

    def seats(self) -> SeatRecord | None:
        return self._seats[-1] if self._seats else None

    def changed_elsewhere(self) -> bool:
        return False

    def close(self) -> None:
        pass
