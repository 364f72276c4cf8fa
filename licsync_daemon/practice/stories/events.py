"""The events of a story: printed, or written as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from licsync_daemon.cli.exit import Exit
from licsync_daemon.model.run import Decision
from licsync_daemon.model.text import iso
from licsync_daemon.monitoring.status import FleetView
from licsync_daemon.monitoring.status_json import as_json, decision_json, run_json
from licsync_daemon.sync.waiting import Result


@dataclass(frozen=True, slots=True)
class Told:
    """What happens outside the program."""

    text: str

    def as_json(self) -> dict[str, Any]:
        return {"event": "told", "text": self.text}


@dataclass(frozen=True, slots=True)
class Happened:
    """What the daemon did for an instance."""

    at: datetime
    instance: str
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"event": "happened", "at": iso(self.at), "instance": self.instance, "text": self.text}


@dataclass(frozen=True, slots=True)
class Ran:
    """An operator typed `--run-now`."""

    at: datetime
    command: str
    results: Sequence[Result]
    exit: Exit

    def as_json(self) -> dict[str, Any]:
        runs = [run_json(result.run) for result in self.results if result.run is not None]
        return {"event": "command", "at": iso(self.at), "command": self.command, "instances": runs, "exit": self.exit}


@dataclass(frozen=True, slots=True)
class Decided:
    """An operator typed a decision."""

    command: str
    decision: Decision

    def as_json(self) -> dict[str, Any]:
        at = iso(self.decision.at)
        return {"event": "command", "at": at, "command": self.command, "decision": decision_json(self.decision), "exit": Exit.OK}


@dataclass(frozen=True, slots=True)
class Shown:
    """An operator typed `status`."""

    view: FleetView

    def as_json(self) -> dict[str, Any]:
        return {"event": "status", **as_json(self.view)}


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a story: its moral in one sentence, and its exit code."""

    moral: str
    exit: Exit

    def as_json(self) -> dict[str, Any]:
        return {"event": "ended", "moral": self.moral, "exit": self.exit}


Event = Told | Happened | Ran | Decided | Shown | Ended
