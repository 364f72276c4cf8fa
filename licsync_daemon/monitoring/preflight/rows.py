"""The result of a test: a row of the table, and the alerts that follow from rows. Pure."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from licsync_daemon.model.alert import Severity
from licsync_daemon.model.decode import printable
from licsync_daemon.model.errors import MAX_SENTENCE, Code, RunError
from licsync_daemon.monitoring.concerns import Concern

CREDENTIAL_DAYS = (30, 14, 7, 1)
CERTIFICATE_DAYS = (30, 14, 7, 1)
LICENSE_DAYS = (90, 30, 14, 3)


class Outcome(StrEnum):
    """The result of a test."""

    OK = "ok"
    WARN = "warn"  # it works, but needs attention
    FAIL = "fail"  # a sync will fail, or already does


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One test of one place.

    Attributes:
        place: What was tested, for people: "cloud", "instance emea", "this machine".
        test: Which test, a word or two. A place may have several rows of one test.
        seen: What was found.
        fix: The next step; "" if no action is needed.
        code: The cause, as in the runbook. Every failure and every warning that opens an alert has one, except mistakes in the
            configuration.
        instance: The configured name of the instance; "" for the whole fleet.
    """

    place: str
    test: str
    outcome: Outcome
    seen: str
    fix: str = ""
    code: Code | None = None
    instance: str = ""

    def __post_init__(self) -> None:
        """Remove what cannot be stored and printed: a file name or a certificate may contain anything."""
        object.__setattr__(self, "seen", printable(self.seen, MAX_SENTENCE))
        object.__setattr__(self, "fix", printable(self.fix, MAX_SENTENCE))

    def as_json(self) -> dict[str, str | None]:
        """Return the row as `check --json` prints it."""
        found = {"place": self.place, "instance": self.instance or None, "test": self.test, "outcome": self.outcome}
        return found | {"text": self.seen, "next_step": self.fix or None, "code": self.code}

    @classmethod
    def from_json(cls, row: Mapping[str, str | None]) -> "CheckRow":
        """Read what `as_json` returns.

        Raises:
            KeyError, ValueError: It is not such a row.
        """
        code = row["code"]
        return cls(
            place=row["place"] or "",
            test=row["test"] or "",
            outcome=Outcome(row["outcome"] or ""),
            seen=row["text"] or "",
            fix=row["next_step"] or "",
            code=Code(code) if code is not None else None,
            instance=row["instance"] or "",
        )


Rows = AsyncGenerator[CheckRow, None]  # in the order of the tests


@dataclass(frozen=True, slots=True)
class Place:
    """What rows are about; creates them."""

    name: str
    instance: str = ""

    def ok(self, test: str, seen: str) -> CheckRow:
        return self._row(test, Outcome.OK, seen)

    def warn(self, test: str, seen: str, fix: str, code: Code | None = None) -> CheckRow:
        return self._row(test, Outcome.WARN, seen, fix, code)

    def fail(self, test: str, seen: str, fix: str, code: Code | None) -> CheckRow:
        return self._row(test, Outcome.FAIL, seen, fix, code)

    def failed(self, test: str, error: RunError) -> CheckRow:
        return self.fail(test, error.cause, error.next_step, error.code)

    def _row(self, test: str, outcome: Outcome, seen: str, fix: str = "", code: Code | None = None) -> CheckRow:
        return CheckRow(place=self.name, test=test, outcome=outcome, seen=seen, fix=fix, code=code, instance=self.instance)


MACHINE = Place("this machine")


def step_within(left: timedelta, steps: Iterable[int]) -> int | None:
    """Return the smallest of `steps` (days) that is at least `left`; None if `left` is longer than all."""
    return min((days for days in steps if left <= timedelta(days=days)), default=None)


def expires(place: Place, test: str, what: str, at: datetime, now: datetime, *, steps: Iterable[int], fix: str, code: Code) -> CheckRow:
    """Judge an expiration date. The text changes with the step, not every day, so that an alert is sent once for each step."""
    when = f"{at:%Y-%m-%d}"
    left = at - now
    if left <= timedelta(0):
        return place.fail(test, f"{what} expired on {when}", fix, code)
    step = step_within(left, steps)
    if step is None:
        return place.ok(test, f"{what} expires on {when}, in {left.days} days")
    return place.warn(test, f"{what} expires within {step} day{'s' if step != 1 else ''}, on {when}", fix, code)


def worst(rows: Iterable[CheckRow]) -> Outcome:
    """Return the worst outcome; ok without rows."""
    return max((row.outcome for row in rows), key=list(Outcome).index, default=Outcome.OK)


def alerts(rows: Iterable[CheckRow]) -> dict[str, list[Concern]]:
    """Return the concerns that follow from rows, by instance ("" for the whole fleet): one for each code, in the order of the rows.

    A row without a code opens no alert.
    """
    found: dict[tuple[str, Code], list[CheckRow]] = {}
    for row in rows:
        if row.outcome is not Outcome.OK and row.code is not None:
            found.setdefault((row.instance, row.code), []).append(row)
    concerns: dict[str, list[Concern]] = {}
    for (instance, code), several in found.items():
        concern = Concern(
            code=code,
            severity=Severity.ALERT if worst(several) is Outcome.FAIL else Severity.WARNING,
            text="; ".join(dict.fromkeys(row.seen if instance else f"{row.place}: {row.seen}" for row in several)),
            next_step="; ".join(dict.fromkeys(row.fix for row in several)),
        )
        concerns.setdefault(instance, []).append(concern)
    return concerns
