"""Guards: compare a collection with the last confirmed one and stop suspicious usage. Pure.

A guard that trips holds the run: nothing leaves the machine until a person approves it. Thresholds are set for each instance; guards
cannot be turned off permanently.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import Guards
from licsync_daemon.model.run import Run, Tripped
from licsync_daemon.model.usage import Notice, ServerIdentity, SyncStatus, UsageCounts
from licsync_daemon.rules.verdict import NEVER, bare_host

ON_IDENTITY = frozenset({Code.SERVER_ID_CHANGED, Code.SERVER_ID_SHARED, Code.HOSTNAME_CHANGED})

#: What to check before approving a changed identity: an approved run is sent under the configured identity.
ADVICE = {
    Code.SERVER_ID_CHANGED: "compare `server_id` with the one in a new export, and update the configuration if they differ",
    Code.SERVER_ID_SHARED: "disable the instance if it is a copy",
    Code.HOSTNAME_CHANGED: "disable the instance if it is a copy",
}
UNUSABLE_SHARE = 0.01  # of the rows of a report
FEW_SHARE, FEW = 0.2, 2  # of a small instance's users: missing rows that hold a run although they are few


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """Another configured instance and its known identity."""

    name: str
    identity: ServerIdentity


def check_usage(counts: UsageCounts) -> None:
    """Check that a collection may be sent.

    Raises:
        RunError: `REPORT_UNUSABLE_ROWS`: more than 1% of the rows are unusable.
    """
    if counts.unusable > counts.rows * UNUSABLE_SHARE:
        raise RunError(
            Code.REPORT_UNUSABLE_ROWS,
            f"{counts.unusable} of {counts.rows} rows of the report are unusable (more than 1%)",
            "check the rows listed by `$licsync history INSTANCE`, then run the instance again",
        )


def guard_usage(
    counts: UsageCounts, before: int | None, guards: Guards, *, newest_activity: datetime | None, now: datetime
) -> tuple[Tripped, ...]:
    """Return the tripped guards on the usage itself. `before` is the number of accounts last confirmed; None if unknown."""
    tripped: list[Tripped] = []
    if not counts.counted:
        pass  # an encrypted export: the number of accounts is unknown
    elif counts.sent == 0:
        tripped.append(Tripped(Code.EMPTY_USAGE, "there are no accounts to send", before=before, after=0))
    else:
        tripped += _compared(counts.sent, before, guards)
        tripped += _below_seats(counts, guards)
    tripped += _incomplete(counts, guards)
    if newest_activity is not None and now - newest_activity > guards.max_usage_age:
        days = (now - newest_activity) // timedelta(days=1)
        limit = guards.max_usage_age // timedelta(days=1)
        text = f"the newest activity in the report, or the export itself, is {days} days old (limit {limit})"
        tripped.append(Tripped(Code.STALE_USAGE, text, before=limit, after=days))
    return tuple(tripped)


def _compared(sent: int, before: int | None, guards: Guards) -> list[Tripped]:
    if before is None:
        return []
    lost, gained = before - sent, sent - before
    if lost > before * guards.shrink_share and lost > guards.shrink_accounts:
        return [Tripped(Code.SHRUNK_USAGE, f"{sent:,} accounts, {lost:,} fewer than before ({before:,})", before=before, after=sent)]
    if gained > before * guards.grow_share and gained > guards.grow_accounts:
        return [Tripped(Code.GROWN_USAGE, f"{sent:,} accounts, {gained:,} more than before ({before:,})", before=before, after=sent)]
    return []


def _below_seats(counts: UsageCounts, guards: Guards) -> list[Tripped]:
    """Fewer accounts than the instance's own used seats mean an incomplete read. More are normal: some users never signed in."""
    if counts.seats_used is None or not counts.counted:
        return []
    missing = counts.seats_used - counts.sent
    if missing > counts.seats_used * guards.shrink_share and missing > guards.shrink_accounts:
        text = f"{counts.sent:,} accounts, but the instance reports {counts.seats_used:,} used seats"
        return [Tripped(Code.BELOW_SEATS, text, before=counts.seats_used, after=counts.sent)]
    return []


def _incomplete(counts: UsageCounts, guards: Guards) -> list[Tripped]:
    if counts.total_users is None or not counts.counted:
        return []
    missing = counts.total_users - counts.rows
    many = missing > counts.total_users * guards.missing_share and missing > guards.missing_accounts
    most = missing > counts.total_users * max(guards.missing_share, FEW_SHARE) and missing >= FEW
    if many or most:
        text = f"the report has {counts.rows:,} rows, but the instance reports {counts.total_users:,} users"
        return [Tripped(Code.INCOMPLETE_USAGE, text, before=counts.total_users, after=counts.rows)]
    return []


def guard_identity(
    identity: ServerIdentity, before: ServerIdentity | None, neighbors: Iterable[Neighbor], status: SyncStatus
) -> tuple[Tripped, ...]:
    """Return the tripped guards on the instance's identity: rebuilt, renamed, or a copy of another instance."""
    tripped: list[Tripped] = []
    host, server_id = bare_host(identity.hostname), identity.server_id
    if before is not None and before.server_id is not None and before.server_id != server_id:
        text = f"the server ID changed from {before.server_id} to {server_id}: was the instance rebuilt?"
        tripped.append(Tripped(Code.SERVER_ID_CHANGED, text, subject=f"{before.server_id}>{server_id}"))
    if before is not None and bare_host(before.hostname) != host:
        text = f"the hostname changed from {bare_host(before.hostname)} to {host}: was the instance renamed?"
        tripped.append(Tripped(Code.HOSTNAME_CHANGED, text, subject=f"{bare_host(before.hostname)}>{host}"))
    for other in neighbors:
        if server_id is not None and other.identity.server_id == server_id:
            text = f"the server ID {server_id} also belongs to the instance {other.name}: is one a restored copy of the other?"
            tripped.append(Tripped(Code.SERVER_ID_SHARED, text, subject=other.name))
    tripped += _listed(host, server_id, status)
    return tuple(tripped)


def _listed(host: str, server_id: str | None, status: SyncStatus) -> list[Tripped]:
    """Return the guards tripped by other entries with this hostname or server ID; entries older than the instance's own are ignored."""
    own = [e for e in status.entries if e.server_id == server_id and server_id and bare_host(e.hostname or host) == host]
    newest = max((e.date or NEVER for e in own), default=None)
    of_host = [e for e in status.entries if e.server_id not in {None, server_id} and bare_host(e.hostname or "") == host]
    of_id = [e for e in status.entries if e.server_id == server_id and server_id and bare_host(e.hostname or host) != host]
    others = sorted({str(e.server_id) for e in of_host if newest is None or (e.date or NEVER) > newest})
    names = sorted({bare_host(e.hostname or "") for e in of_id if newest is None or (e.date or NEVER) >= newest})
    tripped = []
    if others and server_id is not None:
        text = f"the cloud lists {host} under the server ID {', '.join(others)}, not {server_id}: was the instance rebuilt?"
        tripped.append(Tripped(Code.SERVER_ID_CHANGED, text, subject=f"{','.join(others)}>{server_id}"))
    if names:
        text = f"the cloud lists the server ID {server_id} under {', '.join(names)}, not {host}: was the instance renamed or copied?"
        tripped.append(Tripped(Code.HOSTNAME_CHANGED, text, subject=f"{','.join(names)}>{host}"))
    return tripped


def next_step(tripped: Iterable[Tripped], run_id: str) -> str:
    """Return the next step for a held run: what to check first if its identity changed, and the command that releases it."""
    advice = dict.fromkeys(ADVICE[one.code] for one in tripped if one.code in ADVICE)
    return "; ".join((*advice, f'if this is correct: $licsync approve {run_id} --reason "…"'))


def may_pass(tripped: Sequence[Tripped], approved: Run | None, *, content_hash: str, is_export: bool) -> bool:
    """Return whether no guard tripped, or a person approved exactly this usage, or the figures are no further off than the approved ones.

    An export contains its own identity. A change of it must also be approved: another instance may have appeared under its id.

    Args:
        tripped: The guards that tripped now.
        approved: The held run, if its approval is in force.
        content_hash: The hash of the document to send.
        is_export: Whether the document is an export.
    """
    if not tripped or approved is None:
        return not tripped
    beyond = beyond_approval(tripped, approved.tripped)
    if content_hash == approved.content_hash:
        return not (is_export and any(one.code in ON_IDENTITY for one in beyond))
    return not beyond


def beyond_approval(tripped: Sequence[Tripped], approved: Sequence[Tripped]) -> tuple[Tripped, ...]:
    """Return the tripped guards that a person did not approve: another guard, another identity, or a figure further off."""
    return tuple(one for one in tripped if not any(_covers(given, one) for given in approved))


def _covers(given: Tripped, one: Tripped) -> bool:
    if given.code is not one.code or given.subject != one.subject:
        return False
    if given.after is None or one.after is None:
        return True
    further = one.after > given.after if one.code in {Code.GROWN_USAGE, Code.STALE_USAGE} else one.after < given.after
    return not further and _distance(one) <= _distance(given)


def _distance(one: Tripped) -> int:
    """Return the difference of the two figures: 900 of 5,000 is further off than 900 of 1,000."""
    return abs(one.after - one.before) if one.after is not None and one.before is not None else 0


def notices(counts: UsageCounts, newest_activity: datetime | None) -> tuple[Notice, ...]:
    """Return warnings that do not stop the run."""
    found = []
    if not counts.counted:
        text = "the export is encrypted, so only its server identity and non-emptiness were checked; `counts` lets the guards check counts"
        found.append(Notice(code=Code.COUNTS_UNKNOWN, text=text))
    if counts.counted and counts.seats_used is not None and counts.sent > counts.seats_used:
        more = counts.sent - counts.seats_used
        text = f"{more:,} more accounts than used seats: accounts that never signed in are listed and consume no license"
        found.append(Notice(code=Code.ABOVE_SEATS, text=text))
    if counts.counted and counts.total_users is not None and counts.rows < counts.total_users:
        text = f"the report has {counts.rows:,} rows, but the instance reports {counts.total_users:,} users"
        found.append(Notice(code=Code.INCOMPLETE_USAGE, text=text))
    if newest_activity is None:
        found.append(Notice(code=Code.AGE_UNKNOWN, text="the report shows no activity, so its age is unknown"))
    return tuple(found)


def version_change(before: str | None, now: str | None) -> tuple[Notice, ...]:
    """Return a notice about an upgrade, which may explain other changes."""
    if before is None or now is None or before == now:
        return ()
    return (Notice(code=Code.VERSION_CHANGED, text=f"the GHES version changed from {before} to {now}"),)
