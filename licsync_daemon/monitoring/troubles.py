"""The problems that `status` shows: each once, the worst first. Pure: takes the view of the fleet, returns troubles."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from licsync_daemon.model.alert import Alert, Severity
from licsync_daemon.model.errors import Code
from licsync_daemon.model.text import words
from licsync_daemon.monitoring.concerns import Concern, concerns
from licsync_daemon.monitoring.heartbeat import DaemonView, OlderConfig
from licsync_daemon.monitoring.status import FleetView, InstanceView
from licsync_daemon.rules.handover import repair_step
from licsync_daemon.rules.seats import EXCEEDED_STEP, exceeded
from licsync_daemon.rules.servers import problems

STATE_STEP = "free disk space or fix the permissions of the directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A problem that exists now.

    Attributes:
        instance: The instance; "" for the whole fleet.
        code: As in the runbook; None for a difference between the cloud's list and the configuration.
        alert: The open alert about it, which knows since when, and when a notification was sent; None if none is open.
    """

    severity: Severity
    text: str
    next_step: str
    instance: str = ""
    code: Code | None = None
    alert: Alert | None = None

    @property
    def in_short(self) -> str:
        """Return a few words for a line about several problems."""
        what = words(self.code) if self.code is not None else self.text
        return f"{self.instance}: {what}" if self.instance else what


def troubles(view: FleetView) -> tuple[Trouble, ...]:
    """Return every problem of the fleet once; alerts before warnings, in the order of the configuration."""
    alerts = {(one.instance, one.code): one for one in view.alerts}
    found = [*_state(view), *_older(view.older, view.daemon), *(one for each in view.instances for one in _instance(each, view, alerts))]
    rest = [one for one in alerts.values() if (one.instance, one.code) not in {(each.instance, each.code) for each in found}]
    found += [_open(one) for one in rest if one.instance == "" or one.code not in _concerned(view, one.instance)]
    found += _fleet(view, {one.code for one in found if not one.instance})
    return tuple(sorted(found, key=lambda one: one.severity is not Severity.ALERT))


def _state(view: FleetView) -> Iterator[Trouble]:
    if view.daemon.state_fault is not None:
        text = f"{view.daemon.state_fault}; nothing can be recorded, so nothing is sent"
        yield Trouble(severity=Severity.ALERT, code=Code.STATE_UNWRITABLE, text=text, next_step=STATE_STEP)


def _older(older: OlderConfig | None, daemon: DaemonView) -> Iterator[Trouble]:
    if older is None:
        return
    text = f"the daemon runs with the older configuration that it accepted on {older.accepted_at:%Y-%m-%d at %H:%M} UTC"
    step = "systemctl reload licsync" + (f", or: kill -HUP {daemon.holder.pid}" if daemon.holder is not None else "")
    if older.problems:
        more = f" (and {len(older.problems) - 1} more)" if len(older.problems) > 1 else ""
        text += f"; {older.path} was changed since, and is refused: {older.problems[0]}{more}"
        step = f"fix the file (every problem: $licsync config show), then load it: {step}"
    else:
        text, step = f"{text}; {older.path} was changed since, and is not loaded yet", f"load it: {step}"
    yield Trouble(severity=Severity.WARNING, text=text, next_step=step)


def _instance(view: InstanceView, fleet: FleetView, alerts: dict[tuple[str, Code], Alert]) -> Iterator[Trouble]:
    name = view.instance.name
    for one in _once(concerns(view, fleet.cloud, fleet.at)):
        text = one.text
        if view.held is not None and view.held.code is one.code and len(view.held.tripped) > 1:  # who decides needs them all
            text = "held, and nothing was sent: " + "; ".join(guard.text for guard in view.held.tripped)
        alert = alerts.get((name, one.code))
        yield Trouble(severity=one.severity, instance=name, code=one.code, text=text, next_step=one.next_step, alert=alert)
    if view.outbox_fault is not None:
        text = f"not ready for upload: {view.outbox_fault}"
        yield Trouble(severity=Severity.WARNING, instance=name, text=text, next_step=repair_step(view.instance))


def _once(found: Iterable[Concern]) -> list[Concern]:
    """Leave out that an instance is overdue if another problem is the cause."""
    every = list(found)
    others = [one for one in every if one.code is not Code.OVERDUE and one.severity is Severity.ALERT]
    return [one for one in every if one.code is not Code.OVERDUE or not others]


def _concerned(view: FleetView, name: str) -> set[Code]:
    """Return the codes of an instance's concerns, also of one that `_once` leaves out."""
    return {one.code for each in view.instances if each.instance.name == name for one in concerns(each, view.cloud, view.at)}


def _open(alert: Alert) -> Trouble:
    return Trouble(
        severity=alert.severity, instance=alert.instance, code=alert.code, text=alert.text, next_step=alert.next_step, alert=alert
    )


def _fleet(view: FleetView, known: set[Code | None]) -> Iterator[Trouble]:
    for problem in problems(view.listed):
        yield Trouble(severity=Severity.WARNING, text=problem.what, next_step=problem.hint)
    if view.seats is not None and (over := exceeded(view.seats)) is not None and Code.SEATS_EXCEEDED not in known:
        yield Trouble(severity=Severity.WARNING, code=Code.SEATS_EXCEEDED, text=over, next_step=EXCEEDED_STEP)
