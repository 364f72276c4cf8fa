"""The state of the fleet as `status` shows it. Pure: takes records and the time, returns a view.

Four times are distinct everywhere: when usage was collected, delivered and confirmed (by this machine's clock), and the cloud's own date
of the last sync, from which age and overdue are computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from licsync_daemon.model.alert import Alert
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import CloudAccount, Config, ConnectDelivery, Instance
from licsync_daemon.model.run import AWAITING_CLOUD, Decided, Decision, DeliveryRecord, Holder, InstanceRecord, Run, RunState, SeatRecord
from licsync_daemon.model.store import StateReader
from licsync_daemon.monitoring.heartbeat import DaemonView, OlderConfig
from licsync_daemon.rules.connect import DATES_READ, missed_sync
from licsync_daemon.rules.next_run import Planned, Recorded, next_run
from licsync_daemon.rules.servers import Findings, compare
from licsync_daemon.state.history import MORE_RUNS_READ, recorded

LATE = "late"  # a state of the view only
RETIRED_SHOWN = timedelta(days=30)
OutboxFault = Callable[[Instance, Run, DeliveryRecord | None], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One instance. `state` is that of the newest run; a `running` run whose process is gone counts as interrupted."""

    instance: Instance
    run: Run | None
    state: RunState | None
    confirmed: Run | None
    counted: Run | None  # the newest successful one with counted accounts
    held: Run | None
    awaiting: Run | None  # waits for a person
    approval: Decision | None
    pause: Decision | None
    last_sync: datetime | None
    age: timedelta | None
    overdue: bool
    is_late: bool  # its weekly sync by GitHub Connect has not come in time
    planned: Planned | None
    outbox_fault: str | None  # how what waits for a person differs from what was put into the outbox
    runs: Sequence[Run]  # the newest ones, newest first
    first_run_at: datetime | None  # when the earliest kept run started, where the cloud reports no sync
    decisions: Sequence[Decision]  # the newest ones about its runs, newest first

    @property
    def shown_state(self) -> str | None:
        """Return the state as `status` shows it: a `current` run of an instance that is late now is `late`."""
        return LATE if self.is_late and self.state is RunState.CURRENT else self.state

    @property
    def word_until(self) -> datetime | None:
        """Return until when the newest run waits for the cloud to confirm before it fails; None if it does not wait."""
        if self.run is None or self.run.state not in AWAITING_CLOUD or self.run.delivered_at is None:
            return None
        return self.run.delivered_at + self.instance.confirm_within


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    at: datetime
    cloud: CloudAccount
    daemon: DaemonView
    instances: tuple[InstanceView, ...]
    retired: tuple[InstanceRecord, ...]
    seats: SeatRecord | None
    listed: Findings | None  # None: the cloud was never queried
    alerts: tuple[Alert, ...]
    older: OlderConfig | None = None


def fleet_view(
    config: Config,
    store: StateReader | None,
    now: datetime,
    daemon: DaemonView,
    is_alive: Callable[[Holder], bool],
    *,
    outbox_fault: OutboxFault = lambda *_: None,
) -> FleetView:
    """Return the view of all configured instances; without a store, nothing is known of them."""
    up_since = daemon.holder.since_at if daemon.alive and daemon.holder is not None else now
    can_confirm = config.cloud.organization is None
    views = tuple(
        instance_view(one, store, now, up_since, is_alive, can_confirm=can_confirm, outbox_fault=outbox_fault) for one in config.instances
    )
    listing = store.listing() if store else None
    return FleetView(
        at=now,
        cloud=config.cloud,
        daemon=daemon,
        instances=views,
        retired=_retired(config, store, now),
        seats=store.seats() if store else None,
        listed=compare(listing, config) if listing is not None else None,
        alerts=store.open_alerts() if store else (),
    )


def _retired(config: Config, store: StateReader | None, now: datetime) -> tuple[InstanceRecord, ...]:
    """Return the instances removed from the configuration lately. One that is configured again may not be recorded as such yet."""
    known = store.instances() if store else ()
    gone = (one for one in known if config.instance(one.name) is None)
    return tuple(one for one in gone if one.retired_at is not None and now - one.retired_at <= RETIRED_SHOWN)


def instance_view(
    instance: Instance,
    store: StateReader | None,
    now: datetime,
    up_since: datetime,
    is_alive: Callable[[Holder], bool],
    *,
    can_confirm: bool,
    outbox_fault: OutboxFault = lambda *_: None,
) -> InstanceView:
    """Return the view of one instance.

    `can_confirm` is False for an organization, for which the cloud reports no syncs that could be overdue.
    """
    known_runs = recorded(store, instance.name) if store else Recorded()
    newest = next((run for run in known_runs.runs if run.state is not RunState.SKIPPED), None)
    state = newest.state if newest else None
    if newest is not None and state is RunState.RUNNING and (newest.holder is None or not is_alive(newest.holder)):
        state = RunState.INTERRUPTED
        gone = replace(newest, state=state)  # as the next process will record it: the plan follows from that
        known_runs = replace(known_runs, runs=[gone if run is newest else run for run in known_runs.runs])
    known = store.instance(instance.name) if store else None
    awaiting = store.awaiting_run(instance.name) if store else None
    last_sync = known.last_sync if known else None
    age = now - last_sync if last_sync else None
    decisions = [one for one in store.decisions(instance.name) if one.run_id is not None] if store else []
    return InstanceView(
        instance=instance,
        run=newest,
        state=state,
        confirmed=store.last_run(instance.name, good=True) if store else None,
        counted=store.last_run(instance.name, good=True, counted=True) if store else None,
        held=store.held_run(instance.name) if store else None,
        awaiting=awaiting,
        approval=_in_force(known_runs.approval, now),
        pause=_in_force(known_runs.pause, now) if known_runs.pause and known_runs.pause.what is Decided.PAUSED else None,
        last_sync=last_sync,
        age=age,
        overdue=instance.is_active and can_confirm and (age is None or age > instance.max_age),
        is_late=_is_late(instance, known_runs.runs, store, last_sync, now),
        planned=next_run(instance, known_runs, now, up_since=up_since, changed_at=up_since),
        outbox_fault=outbox_fault(instance, awaiting, store.delivery_of(awaiting.run_id)) if store and awaiting else None,
        runs=_runs(known_runs.runs, decisions, store, instance) if store else (),
        decisions=decisions,
        first_run_at=store.first_run_at(instance.name) if store and last_sync is None else None,
    )


def _runs(latest: Sequence[Run], decisions: Sequence[Decision], store: StateReader, instance: Instance) -> Sequence[Run]:
    """Return the latest runs, and earlier ones as well if one of those was acknowledged: what it reported may still be the same."""
    known = {run.run_id for run in latest}
    if all(one.what is not Decided.ACKNOWLEDGED or one.run_id in known for one in decisions):
        return latest
    return [*latest, *(run for run in store.runs(instance.name, limit=MORE_RUNS_READ) if run.run_id not in known)]


def _is_late(instance: Instance, runs: Sequence[Run], store: StateReader | None, last: datetime | None, now: datetime) -> bool:
    """Return whether an instance is late now: by its newest run, by `max_age`, or by the weekly time learned from earlier syncs."""
    if not isinstance(instance.delivery, ConnectDelivery):
        return False
    newest = next((run for run in runs if run.state is RunState.CURRENT), None)
    if last is None or now - last > instance.max_age or (newest is not None and any(one.code is Code.LATE for one in newest.notices)):
        return True
    return store is not None and missed_sync(last, store.sync_dates(instance.name, limit=DATES_READ), now) is not None


def _in_force(decision: Decision | None, now: datetime) -> Decision | None:
    return decision if decision is not None and decision.in_force(now) else None
