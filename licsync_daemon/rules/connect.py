"""Check an instance that GitHub Connect syncs against the cloud's list. Pure.

GitHub Connect syncs weekly, at roughly the weekday and time at which it was enabled. The exact time is not published, so it is learned from
the dates of the syncs. *Sync now* is a button in the browser; a person can click it at any time.
Source: `model/github_labels.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Run, RunState
from licsync_daemon.model.usage import CLOCK_SLACK, Installation, Notice, ServerIdentity, SyncStatus, UploadState
from licsync_daemon.rules.next_run import CONCLUSIVE
from licsync_daemon.rules.schedule import WEEK
from licsync_daemon.rules.success import SYNCED, has_failed
from licsync_daemon.rules.verdict import NEVER, bare_host, entry_of, unreadable_date

SAME_TIME = timedelta(hours=3)  # weekly syncs are "roughly" a week apart
LATE_AFTER = timedelta(hours=24)  # after the learned time: a warning
DATES_READ = 300  # latest runs of an instance, from which its weekly time is learned: ten weeks of checks

SYNC_NOW = (
    f"as an enterprise owner, on {{host}}, {github.SYNC_NOW}; if that fails, check {github.CONNECT_PAGE.path} there, and that the instance "
    "reaches GitHub"
)
UNREADABLE = f"compare this server's last sync: in the cloud, {github.LAST_SYNC}; update licsync-daemon, or report the quoted date"
CONNECT = (
    f"as an enterprise owner on both sides, on {{host}}, {github.CONNECT}; then, {github.ENABLE_SYNC.where}, click "
    f"{github.ENABLE_SYNC.button}; then {github.SYNC_NOW}"
)
RECONNECT = f"{CONNECT} ({github.DISCONNECTED})"


@dataclass(frozen=True, slots=True)
class ConnectVerdict:
    """The result of a Connect check. `code` is None if the latest sync succeeded and is recent enough."""

    last_sync: datetime | None
    code: Code | None = None
    cause: str = ""
    next_step: str = ""
    notices: tuple[Notice, ...] = ()


def anchor_of(dates: Sequence[datetime]) -> datetime | None:
    """Return the latest date at the most frequent time of the week, which is the weekly sync."""
    best: tuple[int, datetime] | None = None
    for date in dates:
        fits = sum(_off(date, other) <= SAME_TIME for other in dates)
        if best is None or (fits, date) > best:
            best = (fits, date)
    return best[1] if best else None


def _off(one: datetime, other: datetime) -> timedelta:
    """Return the difference between two instants' times of the week."""
    apart = abs(one - other) % WEEK
    return min(apart, WEEK - apart)


def expected_after(last: datetime, anchor: datetime) -> datetime:
    """Return when the weekly sync after `last` is expected."""
    weeks = (last + SAME_TIME - anchor) // WEEK + 1
    return anchor + weeks * WEEK


def missed_sync(last: datetime, dates: Iterable[datetime], at: datetime) -> datetime | None:
    """Return when the weekly sync after `last` was expected, if it is late at `at`; `dates` are those of earlier syncs."""
    anchor = anchor_of(sorted({*dates, last}))
    expected = expected_after(last, anchor) if anchor is not None else None
    return expected if expected is not None and at > expected + LATE_AFTER else None


def installation_of(instance: Instance, installations: Sequence[Installation] | None) -> Installation | None:
    """Return the GraphQL entry of an instance; None if there is none.

    A restored or rebuilt instance leaves its old installation behind: of several with its hostname a connected one counts, then the one
    with the newest upload, then one whose upload failed, whatever their order.
    """
    host = bare_host(instance.hostname)
    found = [one for one in installations or () if bare_host(one.hostname) == host]
    return max(found, key=_precedence, default=None)


def _precedence(one: Installation) -> tuple[bool, datetime, bool, int]:
    return one.is_connected, one.uploaded_at or NEVER, one.upload_state is UploadState.FAILURE, one.accounts or 0


def was_disconnected(earlier: Iterable[Run]) -> bool:
    """Return whether the latest conclusive check found the server disconnected."""
    last = next(
        (run for run in earlier if run.state is RunState.CURRENT or (run.state is RunState.FAILED and run.code in CONCLUSIVE)), None
    )
    return last is not None and Code.NOT_CONNECTED in {last.code, *(one.code for one in last.notices)}


def judge_connect(
    instance: Instance,
    identity: ServerIdentity,
    status: SyncStatus,
    *,
    installations: Sequence[Installation] | None,
    dates: Sequence[datetime],
    before: datetime | None,
    disconnected_before: bool,
    now: datetime,
) -> ConnectVerdict:
    """Return the result of a Connect check of an instance.

    Args:
        instance: As configured.
        identity: Its identity in the cloud's list.
        status: The cloud's list of all servers.
        installations: The servers in GraphQL, if the token may query it.
        dates: The dates of its earlier syncs, from which the weekly time is learned.
        before: The latest successful sync known before this check.
        disconnected_before: Whether the previous check found it disconnected. If GraphQL is unavailable now, it counts as disconnected
            until a newer sync arrives.
        now: This machine's clock, used if the response has no `Date`.
    """
    host = bare_host(instance.hostname)
    there = installation_of(instance, installations)
    entry = entry_of(identity, status)
    newer = entry is not None and entry.date is not None and (before is None or entry.date > before)
    disconnected = not there.is_connected if there is not None else disconnected_before and not newer
    at = status.answered_at or now
    notices = []
    if disconnected:
        notices.append(Notice(code=Code.NOT_CONNECTED, text=f"{host} is no longer connected; it will not sync automatically"))
    if entry is not None and entry.unreadable is not None:
        return ConnectVerdict(before, Code.BAD_RESPONSE, unreadable_date(entry), UNREADABLE, tuple(notices))
    if entry is None or entry.date is None:
        if disconnected:
            return ConnectVerdict(before, Code.NOT_CONNECTED, f"{host} is not connected to the cloud account", RECONNECT.format(host=host))
        finding = "lists no server with this hostname" if entry is None else "has never received a sync from this server"
        return ConnectVerdict(before, Code.NEVER_SYNCED, f"the cloud {finding}", CONNECT.format(host=host))
    if has_failed(entry):
        why = f': "{entry.error}"' if entry.error else ""
        cause = f"the latest sync by GitHub Connect ({entry.date:%Y-%m-%d %H:%M} UTC) failed{why}"
        return ConnectVerdict(before, Code.SYNC_FAILED, cause, _step(host, disconnected=disconnected), tuple(notices))
    if entry.date > at + CLOCK_SLACK:
        cause = f"the cloud's latest sync is dated {entry.date:%Y-%m-%d %H:%M} UTC, which is in the future by the cloud's own clock"
        return ConnectVerdict(before, Code.BAD_RESPONSE, cause, SYNC_NOW.format(host=host), tuple(notices))
    last: datetime | None = entry.date
    if entry.status != SYNCED:
        last = before
        notices.append(Notice(code=Code.BAD_RESPONSE, text=f'the latest sync has the unknown status "{entry.status or ""}"'))
    if last is None or at - last > instance.max_age:
        return ConnectVerdict(last, Code.LATE, _too_old(last, at), _step(host, disconnected=disconnected), tuple(notices))
    if (expected := missed_sync(last, dates, at)) is not None:
        notices.append(Notice(code=Code.LATE, text=f"the weekly sync expected at about {expected:%Y-%m-%d %H:%M} UTC has not arrived"))
    return ConnectVerdict(last, notices=tuple(notices))


def _step(host: str, *, disconnected: bool) -> str:
    return (RECONNECT if disconnected else SYNC_NOW).format(host=host)


def _too_old(last: datetime | None, at: datetime) -> str:
    if last is None:
        return "no successful sync on record"
    return f"the last successful sync is {(at - last) // timedelta(days=1)} days old ({last:%Y-%m-%d %H:%M} UTC)"
