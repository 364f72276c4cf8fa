"""The problems of an instance that a person should know about. Pure: takes its view, returns concerns."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import CloudAccount, ConnectDelivery, ManualDelivery
from licsync_daemon.model.run import AWAITING, Decided, Decision, Run, RunState
from licsync_daemon.model.usage import Notice
from licsync_daemon.monitoring.status import InstanceView
from licsync_daemon.rules.connect import RECONNECT, SYNC_NOW
from licsync_daemon.rules.handover import export_name, folder_of, upload_page
from licsync_daemon.rules.next_run import CONCLUSIVE

REMIND = timedelta(days=2)
FAILURES = 3  # in a row: the third attempt is half an hour after the first
#: Reported at the first failure: another attempt changes nothing.
AT_ONCE = frozenset({Code.SYNC_FAILED, Code.NEVER_SYNCED, Code.NOT_CONNECTED, Code.LATE})
IMPLIES_OVERDUE = frozenset({Code.NEVER_SYNCED, Code.LATE, Code.NOT_UPLOADED})
#: States of runs that say nothing about the instance, or not yet.
INCONCLUSIVE = frozenset({RunState.RUNNING, RunState.DELIVERED, RunState.INTERRUPTED, RunState.SKIPPED, RunState.SUPERSEDED})
IN_PROGRESS = frozenset({RunState.RUNNING, RunState.DELIVERED})
KNOWN_TO_A_PERSON = AWAITING | {RunState.REJECTED}
#: Notices that open no alert: they last as long as the configuration or the instance does not change.
FOR_INFORMATION = frozenset(
    {
        Code.ABOVE_SEATS,
        Code.AGE_UNKNOWN,
        Code.COUNTS_UNKNOWN,
        Code.VERSION_CHANGED,
        Code.GHOST_LEFT_OUT,
        Code.TOTAL_UNKNOWN,
        Code.INCOMPLETE_USAGE,
    }
)
#: Notices about the cloud's data; all others are about the collected usage.
ABOUT_THE_CLOUD = frozenset({Code.LATE, Code.NOT_CONNECTED, Code.BAD_RESPONSE})
#: Codes that only the daily check reports; no run shows whether the problem is over.
ONLY_CHECKED = frozenset(
    {
        Code.CREDENTIAL_EXPIRING,
        Code.CREDENTIAL_ROTATED,
        Code.SCOPE_MISSING,
        Code.CERTIFICATE_EXPIRING,
        Code.CLOCK_WRONG,
        Code.API_DEPRECATED,
        Code.GHES_VERSION,
        Code.LICENSE_EXPIRING,
        Code.SEATS_LOW,
        Code.SEATS_EXCEEDED,
        Code.OLD_LICENSE_FILE,
        Code.DISK_LOW,
    }
)
SEE_RUNBOOK = "see docs/runbook.md#{code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """A current problem of an instance.

    Attributes:
        since: When it began. A start after the last message is news; None: only a changed text is news.
        remind: The interval of reminders while it lasts; None: no reminders.
        opens: Whether it opens an alert. An open alert stays open in any case.
    """

    code: Code
    severity: Severity
    text: str
    next_step: str
    since: datetime | None = None
    remind: timedelta | None = None
    opens: bool = True


def concerns(view: InstanceView, cloud: CloudAccount, now: datetime) -> tuple[Concern, ...]:
    """Return at most one concern per code; none if the instance is disabled or paused."""
    if not is_alerting(view):
        return ()
    bad = [*_failing(view), *_held(view), *_waiting(view, cloud, now)]
    found = [*_warnings(view), *bad, *_overdue(view, now, is_implied=_is_implied(view, bad))]
    return tuple({one.code: one for one in found}.values())  # the last one of each code, which is the most severe


def is_alerting(view: InstanceView) -> bool:
    """Return whether problems of an instance open alerts."""
    return view.instance.is_active and view.pause is None


def is_at_work(view: InstanceView) -> bool:
    """Return whether a run is in progress or about to start, which may solve the problem: until then no alert opens or closes."""
    return view.state in IN_PROGRESS or view.approval is not None


def verdict(runs: Iterable[Run]) -> Run | None:
    """Return the newest conclusive run."""
    return next((run for run in runs if run.state not in INCONCLUSIVE), None)


def _failing(view: InstanceView) -> list[Concern]:
    """Return the newest failure. It opens an alert if it is permanent, repeated or overdue. Maintenance is only reported as overdue."""
    run = verdict(view.runs)
    if run is None or run.code is None or run.code in {Code.MAINTENANCE, Code.NOT_UPLOADED}:
        return []
    if run.state is RunState.EXPIRED:
        text = f"nothing was sent, because no decision was made within 7 days: {run.cause}"
        step = f"collect usage again: $licsync --run-now {run.instance}"
        return [Concern(code=run.code, severity=Severity.ALERT, text=text, next_step=step)]
    if run.state is not RunState.FAILED:
        return []
    opens = not is_at_work(view) and (run.permanent or run.code in AT_ONCE or run.failures >= FAILURES or view.overdue)
    return [Concern(code=run.code, severity=Severity.ALERT, text=run.cause or "", next_step=run.next_step or "", opens=opens)]


def _held(view: InstanceView) -> list[Concern]:
    run = view.held
    if run is None or run.code is None or view.approval is not None:
        return []
    text = f"held, and nothing was sent: {run.cause}"
    return [Concern(code=run.code, severity=Severity.ALERT, text=text, next_step=run.next_step or "", since=run.started_at)]


def _waiting(view: InstanceView, cloud: CloudAccount, now: datetime) -> list[Concern]:
    """Return what waits for a person: a warning, or an alert if the instance is overdue or the time limit has passed.

    A never-synced instance is not reported as overdue until `max_age` has passed.
    """
    run, last = view.awaiting, verdict(view.runs)
    if run is None:
        if last is None or last.code is not Code.NOT_UPLOADED or last.state is not RunState.FAILED:
            return []
        text, step = last.cause or "", last.next_step or ""
        return [Concern(code=Code.NOT_UPLOADED, severity=Severity.ALERT, text=text, next_step=step, remind=REMIND)]
    since = run.delivered_at or run.started_at
    is_late = view.overdue and (view.age is not None or now - (view.first_run_at or now) > view.instance.max_age)
    text = f"{_what_waits(view, run)} since {since:%Y-%m-%d %H:%M} UTC" + ("; the instance is overdue" if is_late else "")
    if run.waiting_for is not None:
        text += f"; {run.waiting_for}"
    host, page = view.instance.hostname, upload_page(cloud)
    export = f"as an enterprise owner, on https://{host}/, {github.EXPORT}; then " if exported(view, run) is None else ""
    return [
        Concern(
            code=Code.NOT_UPLOADED,
            severity=Severity.ALERT if is_late else Severity.WARNING,
            text=text,
            next_step=f"{export}{'' if export else 'as an enterprise owner, '}on {page}, {github.UPLOAD}",
            since=since,
            remind=REMIND,
        )
    ]


def exported(view: InstanceView, run: Run) -> str | None:
    """Return the name of the export in the outbox; None if a person has to export it."""
    is_there = run.state is RunState.AWAITING_UPLOAD and run.collected_at is not None and folder_of(view.instance) is not None
    return export_name(view.instance, run.collected_at) if is_there and run.collected_at else None


def _what_waits(view: InstanceView, run: Run) -> str:
    file = exported(view, run)
    if file is None:
        return f"the usage of {view.instance.hostname} has been waiting for someone to export and upload it"
    return f"the export {file} in {folder_of(view.instance)} has been waiting for someone to upload it"


def _is_implied(view: InstanceView, bad: Sequence[Concern]) -> bool:
    """Return whether another concern already implies a missing sync; for a never-synced instance, any concern does."""
    return any(one.code in IMPLIES_OVERDUE or view.age is None for one in bad)


def _overdue(view: InstanceView, now: datetime, *, is_implied: bool) -> list[Concern]:
    """Return that an instance is overdue. A never-synced one is not reported until its newest run has failed."""
    last = verdict(view.runs)
    if not view.overdue or (view.age is None and (last is None or last.state.is_good or last.state in KNOWN_TO_A_PERSON)):
        return []
    text = "the cloud reports no sync"
    if view.last_sync is not None:
        text = f"the last sync that the cloud reports is from {view.last_sync:%Y-%m-%d %H:%M} UTC, older than `max_age`"
    step = last.next_step if last is not None and last.state is RunState.FAILED else None
    opens = not is_implied and not is_at_work(view) and not _is_checked_soon(view, last, now)
    return [Concern(code=Code.OVERDUE, severity=Severity.ALERT, text=text, next_step=step or _sync_it(view), opens=opens)]


def _is_checked_soon(view: InstanceView, last: Run | None, now: datetime) -> bool:
    """Return whether a Connect check follows soon: it reports `late` and the cause. Without one, the instance is overdue."""
    uses_connect = isinstance(view.instance.delivery, ConnectDelivery)
    return uses_connect and last is not None and last.state.is_good and now - last.started_at < 2 * view.instance.watch_every


def _sync_it(view: InstanceView) -> str:
    match view.instance.delivery:
        case ConnectDelivery():
            return SYNC_NOW.format(host=view.instance.hostname)
        case ManualDelivery():
            return f"prepare the usage again: $licsync --run-now {view.instance.name}; then upload it, see: $licsync outbox"
        case _:
            return f"sync the instance now and check the result: $licsync --run-now {view.instance.name}"


def _warnings(view: InstanceView) -> list[Concern]:
    host, steps = view.instance.hostname, {Code.LATE: SYNC_NOW, Code.NOT_CONNECTED: RECONNECT}
    return [
        Concern(
            code=notice.code,
            severity=Severity.WARNING,
            text=notice.text,
            next_step=f"{steps.get(notice.code, SEE_RUNBOOK).format(host=host, code=notice.code)}; "
            f'if this is expected: $licsync acknowledge {run.run_id} --reason "…"',
        )
        for run, notice in noticed(view)
        if acknowledgment(view, notice) is None
    ]


def noticed(view: InstanceView) -> list[tuple[Run, Notice]]:
    """Return the current warnings, each with the newest run that could report it."""
    found = []
    for about_the_cloud in (True, False):
        run = next(_conclusive(view.runs, about_the_cloud=about_the_cloud), None)
        if run is not None:
            found += [
                (run, one) for one in run.notices if (one.code in ABOUT_THE_CLOUD) == about_the_cloud and one.code not in FOR_INFORMATION
            ]
    return found


def _conclusive(runs: Iterable[Run], *, about_the_cloud: bool) -> Iterator[Run]:
    """Yield the runs that read the cloud's whole list, or those that read the usage; newest first."""
    for run in runs:
        if run.state in INCONCLUSIVE:
            continue
        if (run.state is not RunState.FAILED or run.code in CONCLUSIVE) if about_the_cloud else run.collected_at is not None:
            yield run


def acknowledgment(view: InstanceView, notice: Notice) -> Decision | None:
    """Return the acknowledgment of a warning: of its run, or of an earlier run since which every run reported the same."""
    by_run = {one.run_id: one for one in view.decisions if one.what is Decided.ACKNOWLEDGED}
    for run in _conclusive(view.runs, about_the_cloud=notice.code in ABOUT_THE_CLOUD):
        if not any(one.code is notice.code and same_meaning(one.text, notice.text) for one in run.notices):
            return None
        if run.run_id in by_run:
            return by_run[run.run_id]
    return None


def same_meaning(one: str, other: str) -> bool:
    """Return whether two texts differ only in words with digits: amounts, dates and ids.

    The word after "within" counts: "within 14 days" after "within 30 days" is news.
    """
    return _without_numbers(one) == _without_numbers(other)


def _without_numbers(text: str) -> list[str]:
    return [word for before, word in pairwise(["", *text.split()]) if before == "within" or not re.search(r"\d", word)]
