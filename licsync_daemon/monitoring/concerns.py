"""What is wrong with an instance, as far as a person has to know of it. Pure: its view goes in, concerns come out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from licsync_daemon.model.alert import Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import CloudAccount, ConnectDelivery, ManualDelivery
from licsync_daemon.model.run import AWAITING, Decided, Decision, Run, RunState
from licsync_daemon.model.usage import Notice
from licsync_daemon.monitoring.status import InstanceView
from licsync_daemon.rules.connect import CONNECT, SYNC_NOW
from licsync_daemon.rules.handover import export_name, folder_of, upload_page
from licsync_daemon.rules.schedule import SEEN

REMIND = timedelta(days=2)
FAILURES = 3  # in a row: the third try of the ladder is half an hour after the first
#: What the cloud said, or nobody did: trying again sooner changes nothing about it.
AT_ONCE = frozenset({Code.SYNC_FAILED, Code.NEVER_SYNCED, Code.NOT_CONNECTED, Code.LATE})
SAYS_OVERDUE = frozenset({Code.NEVER_SYNCED, Code.LATE, Code.NOT_UPLOADED})
#: Runs that do not tell how an instance stands, or not yet.
SAYS_NOTHING = frozenset({RunState.RUNNING, RunState.DELIVERED, RunState.INTERRUPTED, RunState.SKIPPED, RunState.SUPERSEDED})
IN_PROGRESS = frozenset({RunState.RUNNING, RunState.DELIVERED})
KNOWN_TO_SOMEBODY = AWAITING | {RunState.REJECTED}
#: Notices that stay as they are for as long as the configuration or the instance does.
FOR_INFORMATION = frozenset({Code.ABOVE_SEATS, Code.AGE_UNKNOWN, Code.COUNTS_UNKNOWN, Code.VERSION_CHANGED})
#: Notices of every look at the cloud; the others are of what was collected.
OF_THE_CLOUD = frozenset({Code.LATE, Code.NOT_CONNECTED, Code.BAD_RESPONSE})
#: What only the daily check finds out; no run tells whether it is over.
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
        Code.OLD_LICENSE_FILE,
        Code.DISK_LOW,
    }
)
LOOK_CLOSER = "see docs/runbook.md#{code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that is wrong with an instance now.

    Attributes:
        since: When it began; what began after it was told last is news. None: only its meaning tells.
        remind: How often it is told again while it lasts; None: not at all.
        opens: Whether it is bad enough to open an alert; one that is open stays open in any case.
    """

    code: Code
    severity: Severity
    text: str
    next_step: str
    since: datetime | None = None
    remind: timedelta | None = None
    opens: bool = True


def concerns(view: InstanceView, cloud: CloudAccount, now: datetime) -> tuple[Concern, ...]:
    """Return what is wrong with an instance, one a code. Of one that is off or paused nothing is."""
    if not is_alerting(view):
        return ()
    bad = [*_failing(view), *_held(view), *_waiting(view, cloud, now)]
    found = [*_warnings(view), *bad, *_overdue(view, now, is_said=_is_said(view, bad))]
    return tuple({one.code: one for one in found}.values())  # of one code the later, which is the worse one


def is_alerting(view: InstanceView) -> bool:
    """Return whether anybody wants to hear of an instance."""
    return view.instance.is_active and view.pause is None


def is_at_work(view: InstanceView) -> bool:
    """Return whether a run may mend things just now; what is approved is sent at once. Nothing is opened then, and nothing closed."""
    return view.state in IN_PROGRESS or view.approval is not None


def verdict(runs: Iterable[Run]) -> Run | None:
    """Return the newest run that tells how its instance stands."""
    return next((run for run in runs if run.state not in SAYS_NOTHING), None)


def _failing(view: InstanceView) -> list[Concern]:
    """A failure is told when trying again will not mend it, or has not, or time is over. Maintenance is only told as overdue."""
    run = verdict(view.runs)
    if run is None or run.code is None or run.code in {Code.MAINTENANCE, Code.NOT_UPLOADED}:
        return []
    if run.state is RunState.EXPIRED:
        text = f"nobody decided within 7 days, so nothing was sent: {run.cause}"
        step = f"collect anew: $licsync --run-now {run.instance}"
        return [Concern(code=run.code, severity=Severity.ALERT, text=text, next_step=step)]
    if run.state is not RunState.FAILED:
        return []
    opens = not is_at_work(view) and (run.permanent or run.code in AT_ONCE or run.failures >= FAILURES or view.overdue)
    return [Concern(code=run.code, severity=Severity.ALERT, text=run.cause or "", next_step=run.next_step or "", opens=opens)]


def _held(view: InstanceView) -> list[Concern]:
    run = view.held
    if run is None or run.code is None or view.approval is not None:
        return []
    text = f"held, nothing was sent: {run.cause}"
    return [Concern(code=run.code, severity=Severity.ALERT, text=text, next_step=run.next_step or "", since=run.started_at)]


def _waiting(view: InstanceView, cloud: CloudAccount, now: datetime) -> list[Concern]:
    """What waits for a person: a warning, and an alert once the instance is overdue or the time is over.

    One that never had a sync is left in peace for as long as one may be old.
    """
    run, last = view.awaiting, verdict(view.runs)
    if run is None:
        if last is None or last.code is not Code.NOT_UPLOADED or last.state is not RunState.FAILED:
            return []
        text, step = last.cause or "", last.next_step or ""
        return [Concern(code=Code.NOT_UPLOADED, severity=Severity.ALERT, text=text, next_step=step, remind=REMIND)]
    since = run.delivered_at or run.started_at
    is_late = view.overdue and (view.age is not None or now - min(one.started_at for one in view.runs) > view.instance.max_age)
    text = f"{_what_waits(view, run)} since {since:%Y-%m-%d %H:%M} UTC" + ("; the instance is overdue by now" if is_late else "")
    host, page = view.instance.hostname, upload_page(cloud)
    export = f"on https://{host}/ (enterprise settings > License) *Export license usage*, then " if exported(view, run) is None else ""
    return [
        Concern(
            code=Code.NOT_UPLOADED,
            severity=Severity.ALERT if is_late else Severity.WARNING,
            text=text,
            next_step=f"{export}on {page} (Licensing) *Add server usage*",
            since=since,
            remind=REMIND,
        )
    ]


def exported(view: InstanceView, run: Run) -> str | None:
    """Return the name of the file that lies ready; None where a person has to export it."""
    is_there = run.state is RunState.AWAITING_UPLOAD and run.collected_at is not None and folder_of(view.instance) is not None
    return export_name(view.instance, run.collected_at) if is_there and run.collected_at else None


def _what_waits(view: InstanceView, run: Run) -> str:
    file = exported(view, run)
    if file is None:
        return f"the usage of {view.instance.hostname} waits to be exported and uploaded by a person"
    return f"the export {file} in {folder_of(view.instance)} waits to be uploaded by a person"


def _is_said(view: InstanceView, bad: Sequence[Concern]) -> bool:
    """Return whether another concern says already that no sync comes; of one that never had a sync any does."""
    return any(one.code in SAYS_OVERDUE or view.age is None for one in bad)


def _overdue(view: InstanceView, now: datetime, *, is_said: bool) -> list[Concern]:
    """A new instance is left in peace until its newest run has ended badly. Nothing is opened that the next look may mend."""
    last = verdict(view.runs)
    if not view.overdue or (view.age is None and (last is None or last.state.is_good or last.state in KNOWN_TO_SOMEBODY)):
        return []
    since = f"from {view.last_sync:%Y-%m-%d %H:%M} UTC, longer ago than `max_age`" if view.last_sync is not None else "unknown"
    step = last.next_step if last is not None and last.state is RunState.FAILED else None
    opens = not is_said and not is_at_work(view) and not _is_looked_at_soon(view, last, now)
    text = f"the cloud's last sync of it is {since}"
    return [Concern(code=Code.OVERDUE, severity=Severity.ALERT, text=text, next_step=step or _sync_it(view), opens=opens)]


def _is_looked_at_soon(view: InstanceView, last: Run | None, now: datetime) -> bool:
    """With GitHub Connect the next look says `late`, and why; only where none comes is it overdue."""
    uses_connect = isinstance(view.instance.delivery, ConnectDelivery)
    return uses_connect and last is not None and last.state.is_good and now - last.started_at < 2 * view.instance.watch_every


def _sync_it(view: InstanceView) -> str:
    match view.instance.delivery:
        case ConnectDelivery():
            return SYNC_NOW.format(host=view.instance.hostname)
        case ManualDelivery():
            return f"prepare it anew: $licsync --run-now {view.instance.name}; then upload it: $licsync outbox"
        case _:
            return f"sync it now, and see what fails: $licsync --run-now {view.instance.name}"


def _warnings(view: InstanceView) -> list[Concern]:
    host, steps = view.instance.hostname, {Code.LATE: SYNC_NOW, Code.NOT_CONNECTED: CONNECT}
    return [
        Concern(
            code=notice.code,
            severity=Severity.WARNING,
            text=notice.text,
            next_step=f"{steps.get(notice.code, LOOK_CLOSER).format(host=host, code=notice.code)}; "
            f'if it may stay so: $licsync acknowledge {run.run_id} --reason "…"',
        )
        for run, notice in noticed(view)
        if acknowledgment(view, notice) is None
    ]


def noticed(view: InstanceView) -> list[tuple[Run, Notice]]:
    """Return the warnings that hold: each from the newest run that could have given it."""
    found = []
    for of_the_cloud in (True, False):
        run = next(_speaking(view.runs, of_the_cloud=of_the_cloud), None)
        if run is not None:
            found += [(run, one) for one in run.notices if (one.code in OF_THE_CLOUD) == of_the_cloud and one.code not in FOR_INFORMATION]
    return found


def _speaking(runs: Iterable[Run], *, of_the_cloud: bool) -> Iterator[Run]:
    """Yield the runs that read the cloud's list to its end, or those that read the usage; newest first."""
    for run in runs:
        if run.state in SAYS_NOTHING:
            continue
        if (run.state is not RunState.FAILED or run.code in SEEN) if of_the_cloud else run.collected_at is not None:
            yield run


def acknowledgment(view: InstanceView, notice: Notice) -> Decision | None:
    """Return who has seen a warning: of its run, or of an earlier one since which every run has given the same."""
    by_run = {one.run_id: one for one in view.decisions if one.what is Decided.ACKNOWLEDGED}
    for run in _speaking(view.runs, of_the_cloud=notice.code in OF_THE_CLOUD):
        if not any(one.code is notice.code and same_meaning(one.text, notice.text) for one in run.notices):
            return None
        if run.run_id in by_run:
            return by_run[run.run_id]
    return None


def same_meaning(one: str, other: str) -> bool:
    """Return whether two texts say the same: words with a digit in them say how much, when and which, not what.

    "Within 14 days" after "within 30 days" is a step, and news.
    """
    return _without_numbers(one) == _without_numbers(other)


def _without_numbers(text: str) -> list[str]:
    return [word for before, word in pairwise(["", *text.split()]) if before == "within" or not re.search(r"\d", word)]
