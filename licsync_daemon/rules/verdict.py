"""Decide whether the cloud confirms a delivery. Pure: dates by the cloud's clock are compared only with each other.

A delivery is *confirmed* when its upload succeeded (if the endpoint can be queried) and the latest sync of its instance is successful and
strictly later than the baseline, which was read once before anything was sent. Otherwise it keeps waiting. A baseline can lack a date
although there was a sync (the list was incomplete, or of another account since), so a sync of long before the delivery confirms nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.run import Baseline, DeliveryOutcome, DeliveryRecord
from licsync_daemon.model.usage import Notice, ServerIdentity, SyncEntry, SyncStatus, Upload, UploadState
from licsync_daemon.rules.success import badness, is_failure, is_synced

SENT_AGAIN = "check the quoted error; the next run sends the usage again"
UPLOAD_AGAIN = (
    f"check the quoted error; then upload the usage again (the next run prepares it): as an enterprise owner, in the cloud, {github.UPLOAD}"
)
INCOMPARABLE = timedelta(seconds=5)  # a baseline this far ahead of its response's `Date` means that the two use different clocks
EARLIER = timedelta(days=1)  # a sync this long before the baseline was read is an earlier one, even if a cloud gives only the day
NEVER = datetime.min.replace(tzinfo=UTC)
FIRST_CHECK_S = 5.0
CHECK_CAP_S = 60.0
LONG_S = 24 * 3600.0  # after this the clock has jumped; the next check is in a minute, without a loop
EAGER_FIRST_CHECK_S = 0.25


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The cloud has the usage."""

    last_sync: datetime | None


@dataclass(frozen=True, slots=True)
class Refuted:
    """The delivery failed."""

    outcome: DeliveryOutcome
    code: Code
    cause: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The delivery is not confirmed yet."""

    why: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The endpoint has the usage, and it cannot be confirmed."""


Verdict = Confirmed | Accepted | Refuted | Waiting


def entry_of(identity: ServerIdentity, status: SyncStatus) -> SyncEntry | None:
    """Return the latest entry of an instance: matched by `server_id` if both have one, otherwise by hostname.

    Of several entries with one date the worst counts.
    """
    host = bare_host(identity.hostname)
    matching = [
        entry
        for entry in status.entries
        if (
            entry.server_id == identity.server_id
            if entry.server_id is not None and identity.server_id is not None
            else bare_host(entry.hostname or "") == host
        )
    ]
    return max(matching, key=lambda entry: (entry.date or NEVER, entry.unreadable is not None, badness(entry)), default=None)


def bare_host(host: str) -> str:
    """Return a hostname for comparison: lower case, without a port or a trailing dot."""
    name, _, port = host.strip().lower().rpartition(":")
    return (name if name and port.isdigit() else host.strip().lower()).rstrip(".")


def server_id_of(identity: ServerIdentity, status: SyncStatus) -> str:
    """Return the instance's server ID: the known one, otherwise the only one that the cloud lists for its hostname.

    Raises:
        RunError: `SERVER_ID_UNKNOWN` or `SERVER_ID_AMBIGUOUS`.
    """
    if identity.server_id is not None:
        return identity.server_id
    host = bare_host(identity.hostname)
    listed = sorted({entry.server_id for entry in status.entries if entry.server_id and bare_host(entry.hostname or "") == host})
    if len(listed) == 1:
        return listed[0]
    if listed:
        raise RunError(
            Code.SERVER_ID_AMBIGUOUS,
            f"the cloud lists {len(listed)} servers named {host}: {', '.join(listed[:20])}",
            f"set the instance's `server_id`; it is in the file that the instance exports: {github.EXPORT}",
        )
    raise RunError(
        Code.SERVER_ID_UNKNOWN,
        f"no server ID is known for {host}, and the cloud lists no server with that name",
        f"set the instance's `server_id`: on the instance, {github.EXPORT}, and copy `server_id` from the file",
    )


def unreadable_date(entry: SyncEntry) -> str:
    """Say that the date of a sync cannot be read; it must not be taken for "never synced"."""
    return f'the date of the latest sync that the cloud reports cannot be read: "{entry.unreadable}"'


def baseline_of(identity: ServerIdentity, status: SyncStatus, recorded: datetime | None = None) -> Baseline:
    """Return the instance's current entry in the cloud, as the baseline of a delivery.

    `recorded`, the latest sync that this program has seen, stands in where the cloud lists no readable date.
    """
    entry = entry_of(identity, status)
    date = entry.date if entry is not None else None
    return Baseline(date=date or recorded, answered_at=status.answered_at, entry=_signature(entry))


def must_wait_s(baseline: Baseline) -> float:
    """Return how many seconds to wait before sending, so that the next sync cannot have the baseline's date.

    Dates have whole seconds. If the baseline is far ahead of the response's `Date`, waiting does not help; entries are compared instead.
    """
    if baseline.date is None or baseline.answered_at is None or not is_comparable(baseline):
        return 0.0
    return max(0.0, (baseline.date - baseline.answered_at).total_seconds() + 1.0)


def is_comparable(baseline: Baseline) -> bool:
    """Return whether later dates can be compared with the baseline's."""
    return baseline.date is None or baseline.answered_at is None or baseline.date - baseline.answered_at <= INCOMPARABLE


def judge(record: DeliveryRecord, upload: Upload, status: SyncStatus, *, by_person: bool = False) -> Verdict:
    """Return the verdict on a delivery.

    Args:
        record: The delivery, with its baseline.
        upload: The status of its upload at the endpoint.
        status: The cloud's list of all servers.
        by_person: A person uploads the usage, so that no run can send it again.
    """
    if upload.state is UploadState.FAILURE:
        return Refuted(DeliveryOutcome.UPLOAD_FAILED, Code.UPLOAD_FAILED, upload_failed(upload), SENT_AGAIN)
    is_pending = upload.state is UploadState.PENDING
    processing = f"the endpoint reports the unknown upload state {upload.said}" if upload.said else "the upload is still being processed"
    if not status.exists:  # an organization
        return Waiting(processing) if is_pending else Accepted()
    entry = entry_of(record.identity, status)
    if entry is not None and entry.unreadable is not None:
        return Waiting(unreadable_date(entry))
    if entry is None or entry.date is None:
        return Waiting("the cloud lists no sync of this instance yet")
    comparable = is_comparable(record.baseline)
    if comparable and record.baseline.answered_at is not None and record.baseline.answered_at - entry.date > EARLIER:
        return Waiting("the cloud's latest sync is from before this delivery")
    later = record.baseline.date is None or entry.date > record.baseline.date  # no sync is earlier than any date
    newer = later if comparable else _signature(entry) != record.baseline.entry
    if not newer:
        return Waiting("the cloud's latest sync is still the previous one")
    if is_failure(entry.status):
        why = f': "{entry.error}"' if entry.error else ""
        return Refuted(
            DeliveryOutcome.SYNC_FAILED,
            Code.SYNC_FAILED,
            f"the cloud's latest sync of this instance failed{why}",
            UPLOAD_AGAIN if by_person else SENT_AGAIN,
        )
    if not is_synced(entry):
        return Waiting(f"the cloud's latest sync has the status {entry.status or 'unknown'}")
    if is_pending:
        return Waiting(processing)
    if not comparable and upload.state is not UploadState.SUCCESS:
        return Waiting("the cloud's dates cannot be compared and the upload's own state is unknown")
    return Confirmed(entry.date)


def upload_failed(upload: Upload) -> str:
    """Say that an endpoint could not process an upload, with what it said."""
    why = f': "{upload.error}"' if upload.error else f": it reports the state {upload.said}" if upload.said else ""
    return f"the endpoint could not process the upload{why}"


def drift(sent: int, held: int) -> Notice | None:
    """Return a warning if the cloud has fewer accounts than were sent. GitHub does not publish whether uploads replace or merge."""
    return Notice(code=Code.COUNT_DRIFT, text=f"the cloud has {held:,} of the {sent:,} accounts sent") if held < sent else None


def next_check(delivered_at: datetime, now: datetime, *, eager: bool = False) -> datetime:
    """Return the next confirmation check of a delivery: after 5 s, growing to 60 s; sooner at first if a person is waiting.

    Checks are at fixed times after `delivered_at`, so nothing is stored: 5, 10, 20, 40, 80 s, then every minute.
    """
    delivered_at = min(delivered_at, now)  # the clock may have been set back since
    passed = (now - delivered_at).total_seconds()
    after = EAGER_FIRST_CHECK_S if eager else FIRST_CHECK_S
    if passed > LONG_S:
        after = passed + CHECK_CAP_S
    while after <= passed:
        after += min(after, CHECK_CAP_S)
    return delivered_at + timedelta(seconds=after)


def next_upload_check(since: datetime, now: datetime, every: timedelta) -> datetime:
    """Return the next confirmation check of a manual upload: every `every` after `since`, so nothing is stored."""
    since = min(since, now)
    return since + ((now - since) // every + 1) * every


def _signature(entry: SyncEntry | None) -> str:
    if entry is None:
        return ""
    date = entry.date.isoformat() if entry.date is not None else entry.unreadable
    return repr((entry.server_id, date, entry.status, entry.error))
