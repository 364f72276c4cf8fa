"""Runs, deliveries, decisions and the other records of the state, as values; the rules in `usage.py` apply."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from licsync_daemon.model.errors import Code
from licsync_daemon.model.usage import CLOCK_SLACK, Notice, ServerIdentity, UsageCounts


class RunState(StrEnum):
    """The state of a run. Open states change later, automatically; final ones never change."""

    RUNNING = "running"  # open: a process is working on it
    CURRENT = "current"  # final, with GitHub Connect: nothing was sent; the latest sync is successful and recent enough
    ACCEPTED = "accepted"  # final, organizations: accepted by the endpoint; cannot be confirmed there
    AWAITING_UPLOAD = "awaiting_upload"  # open: a person has to upload the export in the outbox
    AWAITING_EXPORT = "awaiting_export"  # open: a person has to export and upload the usage
    HELD = "held"  # open: a guard stopped it; nothing left the machine
    DELIVERED = "delivered"  # open: accepted by the endpoint, the cloud has not confirmed it yet
    CONFIRMED = "confirmed"  # final: delivered by this program and confirmed by the cloud
    FAILED = "failed"  # final: an error with a code; the last confirmed sync remains valid
    SKIPPED = "skipped"  # final: nothing to do; recorded only to mark that the clock was set back
    INTERRUPTED = "interrupted"  # final: the process ended during the run; the slot is still due
    SUPERSEDED = "superseded"  # final: a held or waiting run that was replaced
    REJECTED = "rejected"  # final: a held run that a person rejected
    EXPIRED = "expired"  # final: a held run without a decision in time

    @property
    def is_final(self) -> bool:
        return self not in {RunState.RUNNING, RunState.HELD} | AWAITING_CLOUD

    @property
    def is_good(self) -> bool:
        """Return whether the run succeeded."""
        return self in {RunState.CONFIRMED, RunState.CURRENT, RunState.ACCEPTED}


#: A person has to act before the usage can reach the cloud.
AWAITING = frozenset({RunState.AWAITING_UPLOAD, RunState.AWAITING_EXPORT})
#: Open states without a process: the cloud is checked until it confirms or the time limit passes.
AWAITING_CLOUD = frozenset({RunState.DELIVERED}) | AWAITING


#: How long runs, closed delivery records and seat totals are kept.
KEEP = timedelta(days=400)


class Trigger(StrEnum):
    """What started a run."""

    SCHEDULE = "schedule"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Tripped:
    """A guard that stopped a run: the figures before and after, or the identity in question."""

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
    """The process that works on a run or holds a lock.

    Process ids are reused, so the start time (clock ticks since boot) and the boot id identify it too; None without /proc.
    """

    pid: int
    host: str
    boot_id: str | None
    start_ticks: int | None
    since_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A daemon with a session: the one that leads, or a standby."""

    holder: Holder
    leads: bool
    since: datetime  # when it began to lead, or to stand by
    heartbeat_at: datetime | None  # its latest statement; None if this user may not see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt for one instance, from before its first request to its final state."""

    run_id: str
    instance: str
    trigger: Trigger
    reason: str  # why it was started, as `status` prints it
    slot: datetime | None  # the current slot when it started
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
    last_sync: datetime | None = None  # the cloud's date of the confirming sync
    counts: UsageCounts = field(default_factory=UsageCounts)
    version: str | None = None  # the instance's GHES version, if known
    content_hash: str | None = None
    accounts_in_cloud: int | None = None
    code: Code | None = None
    cause: str | None = None
    next_step: str | None = None
    retry_not_before: datetime | None = None  # the server asked for no request before this
    notices: tuple[Notice, ...] = ()
    tripped: tuple[Tripped, ...] = ()
    changes: Changes | None = None  # None without an earlier confirmed usage
    failures: int = 0  # failed runs of this slot so far, including this one; maintenance does not count
    permanent: bool = False  # fails again until someone changes something

    def ended(self, state: RunState, at: datetime, **more: Any) -> "Run":
        """Return the run in a final `state`, with `more` fields changed and no wait."""
        return replace(self, state=state, ended_at=at, waiting_for=None, waiting_until=None, **more)

    @property
    def sent_at(self) -> datetime | None:
        """Return when the usage was delivered; None if it was only prepared for a person, or a person was asked for it."""
        return None if self.state in AWAITING | {RunState.SUPERSEDED} else self.delivered_at

    @property
    def prepared_at(self) -> datetime | None:
        """Return since when an export is ready for a person to upload."""
        return self.delivered_at if self.state is RunState.AWAITING_UPLOAD else None

    @property
    def counted(self) -> UsageCounts | None:
        """The counts; None if nothing was collected or the export is encrypted."""
        return self.counts if self.collected_at is not None and self.counts.counted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The cloud's entry of the instance before anything was sent. Read once per delivery record.

    Attributes:
        date: The latest sync's date; None if there was no sync.
        answered_at: The response's `Date`; None if it had none.
        entry: The whole entry as one string, to detect a change if dates cannot be compared.
    """

    date: datetime | None
    answered_at: datetime | None
    entry: str


class DeliveryOutcome(StrEnum):
    """Why a delivery record is closed."""

    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"  # by the endpoint, for an organization; cannot be confirmed
    REFUSED = "refused"  # the endpoint refused it permanently
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
    run_id: str  # the run that opened it or last resumed it
    slot: datetime | None
    content_hash: str
    identity: ServerIdentity
    sent: int | None  # accounts in the document; None for an encrypted export
    baseline: Baseline
    opened_at: datetime
    upload_id: str | None = None
    accepted_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: DeliveryOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatRecord:
    """Seat totals at one time."""

    read_at: datetime
    consumed: int | None
    purchased: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """What is recorded about an instance between runs.

    Attributes:
        identity: Its identity when usage was last sent; None if none was sent.
        last_sync: The cloud's date of the latest successful sync; the age and whether it is overdue are computed from it.
        seen_at: When that date was read.
        retired_at: When it was removed from the configuration; None while it is configured.
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
        used_at: When an approval was used; it is valid once.
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
        """Return whether an approval or a pause is in effect. One dated in the future by a wrong clock is not: it might last for years."""
        return self.until is not None and self.at <= now + CLOCK_SLACK and now < self.until and self.used_at is None
