"""Runs, deliveries, decisions, and what else the state remembers, as values; the rules of `model.py` hold."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from licsync_daemon.model.errors import Code
from licsync_daemon.model.usage import CLOCK_SLACK, Notice, ServerIdentity, UsageCounts


class RunState(StrEnum):
    """Where a run is. Open states move on later, by themselves; final ones never change."""

    RUNNING = "running"  # a process is at it now
    CURRENT = "current"  # final, with GitHub Connect: nothing was sent; the newest sync is successful and young enough
    ACCEPTED = "accepted"  # final, organizations: taken by the endpoint; cannot be confirmed there
    AWAITING_UPLOAD = "awaiting_upload"  # open: a person has to upload what lies in the outbox
    AWAITING_EXPORT = "awaiting_export"  # open: a person has to export the usage and upload it
    HELD = "held"  # open: a guard stopped it; nothing left the machine
    DELIVERED = "delivered"  # open: accepted by the endpoint, the cloud has not confirmed it yet
    CONFIRMED = "confirmed"  # final: delivered by us and read back from the cloud
    FAILED = "failed"  # final: an error with a code; the previous confirmed state stands
    SKIPPED = "skipped"  # final: nothing was to be done; recorded only to mark that the clock was set back
    INTERRUPTED = "interrupted"  # final: the process ended in mid-run; the slot is still due
    SUPERSEDED = "superseded"  # final: a held run, after a newer one took its place
    REJECTED = "rejected"  # final: a held run, after a person said no
    EXPIRED = "expired"  # final: a held run that nobody decided on in time

    @property
    def is_final(self) -> bool:
        return self not in {RunState.RUNNING, RunState.HELD} | AWAITING_CLOUD

    @property
    def is_good(self) -> bool:
        """Return whether everything asked for was reached."""
        return self in {RunState.CONFIRMED, RunState.CURRENT, RunState.ACCEPTED}


#: A person has to act before the cloud can have it.
AWAITING = frozenset({RunState.AWAITING_UPLOAD, RunState.AWAITING_EXPORT})
#: Open states that belong to no process: the cloud is asked until it has it, or time is over.
AWAITING_CLOUD = frozenset({RunState.DELIVERED}) | AWAITING


#: How long runs, closed delivery records and seat totals are kept.
KEEP = timedelta(days=400)


class Trigger(StrEnum):
    """Who asked for a run."""

    SCHEDULE = "schedule"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Tripped:
    """A guard that stopped a run: what it saw, as a figure before and after, or as the identity in question."""

    code: Code
    text: str
    before: int | None = None
    after: int | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How a usage differs from the last confirmed one, counted over all usable accounts."""

    added: int = 0
    removed: int = 0
    address_changed: int = 0
    suspended: int = 0
    unsuspended: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that is at a run or holds a lock.

    Process ids are used again, so the start time (clock ticks since boot) and the id of the boot go with it; None where there is no /proc.
    """

    pid: int
    host: str
    boot_id: str | None
    start_ticks: int | None
    since_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt for one instance, from before its first request to its final state."""

    run_id: str
    instance: str
    trigger: Trigger
    reason: str  # why it was started, in the words `status` prints
    slot: datetime | None  # the slot current when it started
    started_at: datetime
    state: RunState = RunState.RUNNING
    phase: str = "starting"
    waiting_for: str | None = None
    waiting_until: datetime | None = None
    holder: Holder | None = None
    ended_at: datetime | None = None
    collected_at: datetime | None = None
    delivered_at: datetime | None = None
    confirmed_at: datetime | None = None
    last_sync: datetime | None = None  # the cloud's date that confirmed it
    counts: UsageCounts = field(default_factory=UsageCounts)
    version: str | None = None  # the instance's GHES version, where it said one
    content_hash: str | None = None
    accounts_in_cloud: int | None = None
    code: Code | None = None
    cause: str | None = None
    next_step: str | None = None
    retry_not_before: datetime | None = None  # the far side asked not to be called earlier
    notices: tuple[Notice, ...] = ()
    tripped: tuple[Tripped, ...] = ()
    changes: Changes | None = None  # None: there is no earlier confirmed usage to compare with
    failures: int = 0  # how often this slot has failed so far, this run included; maintenance does not count
    permanent: bool = False  # the same request would fail again until somebody changes something

    def ended(self, state: RunState, at: datetime, **more: Any) -> "Run":
        """Return the run in a final `state`, with `more` fields changed; a run that has ended waits for nothing."""
        return replace(self, state=state, ended_at=at, waiting_for=None, waiting_until=None, **more)

    @property
    def counted(self) -> UsageCounts | None:
        """What was counted; None where nothing was collected, or what was is opaque."""
        return self.counts if self.collected_at is not None and self.counts.counted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the cloud said of the instance before anything was sent. Read once per delivery record and never again.

    Attributes:
        date: The newest sync's date; None when the cloud knew of none.
        answered_at: The reply's own `Date`; None where it had none.
        entry: The whole entry as one string, to see whether it changed where dates cannot be compared.
    """

    date: datetime | None
    answered_at: datetime | None
    entry: str


class DeliveryOutcome(StrEnum):
    """Why a delivery record is closed."""

    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"  # by the endpoint of an organization, which nothing can confirm
    REFUSED = "refused"  # the endpoint said no for good
    UPLOAD_FAILED = "upload_failed"
    SYNC_FAILED = "sync_failed"
    NOT_CONFIRMED = "not_confirmed"  # accepted, but no confirmation within `confirm_timeout`
    SLOT_PAST = "slot_past"
    USAGE_CHANGED = "usage_changed"  # the next collection had another content hash


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """One delivery, stored durably before its first byte is sent. Its random `key` is the idempotency key."""

    key: str
    instance: str
    run_id: str  # the run that opened it, or that took it up last
    slot: datetime | None
    content_hash: str
    identity: ServerIdentity
    sent: int | None  # accounts in the document; None where the export is opaque
    baseline: Baseline
    opened_at: datetime
    upload_id: str | None = None
    accepted_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: DeliveryOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatRecord:
    """Seat totals as read at one moment."""

    read_at: datetime
    consumed: int | None
    purchased: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """What the state remembers of an instance between runs.

    Attributes:
        identity: Who it was when usage was sent last; None where nothing ever was.
        last_sync: The cloud's date of the newest successful sync seen; age, due and overdue are computed from it.
        seen_at: When we read that.
        retired_at: Since when it is not configured any more; None while it is.
    """

    name: str
    identity: ServerIdentity | None
    last_sync: datetime | None = None
    seen_at: datetime | None = None
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A run reached a state."""

    run_id: str
    at: datetime
    state: RunState
    code: Code | None


class Decided(StrEnum):
    """What a person decided about a run or an instance."""

    APPROVED = "approved"
    REJECTED = "rejected"
    ACKNOWLEDGED = "acknowledged"
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's decision, kept for the history.

    Attributes:
        run_id: The run it is about; None for a pause.
        until: When an approval expires, or when a pause ends.
        used_at: When an approval was used up; it works once.
    """

    instance: str
    run_id: str | None
    what: Decided
    actor: str
    at: datetime
    reason: str
    ticket: str | None = None
    until: datetime | None = None
    used_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Return whether an approval or a pause holds now. One that a clock far ahead has dated does not: it might hold for years."""
        return self.until is not None and self.at <= now + CLOCK_SLACK and now < self.until and self.used_at is None
