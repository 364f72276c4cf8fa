"""`demo`: sync a practice fleet twice, and compare what the cloud has with what was sent."""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit, exit_code
from licsync_daemon.cli.report.command import make, show_first
from licsync_daemon.cli.results import show_results
from licsync_daemon.cli.terminal import number
from licsync_daemon.daemon.wiring import Parts, recording
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import Code
from licsync_daemon.model.run import Run
from licsync_daemon.model.usage import SeatTotals
from licsync_daemon.monitoring.status_json import run_json
from licsync_daemon.practice.sandbox import Fleet, Sandbox
from licsync_daemon.rules.seats import exceeded
from licsync_daemon.rules.verdict import bare_host, drift
from licsync_daemon.settings import load_config
from licsync_daemon.sync.fleet import run_now
from licsync_daemon.sync.journal import Journal
from licsync_daemon.sync.waiting import Result
from licsync_daemon.system.clock import SystemClock

WHAT_IS_REAL = (
    "What works against github.com today: reading the instances and reading back from the cloud, which use interfaces that GitHub "
    f"documents. The upload does not, because {github.NO_UPLOAD}. Here the bundled sandbox plays all three, on loopback."
)
WAIT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Round:
    """One sync of the whole fleet, and the people and seats that the cloud lists afterwards."""

    results: Sequence[Result]
    people: int
    seats: SeatTotals

    @property
    def runs(self) -> list[Run]:
        return [result.run for result in self.results if result.run is not None]

    @property
    def sent(self) -> int:
        return sum(run.counts.sent for run in self.runs)

    @property
    def problems(self) -> list[str]:
        """Return each difference between what was sent and what the cloud has."""
        accounts = ((run.instance, run.accounts_in_cloud, run.counts.sent) for run in self.runs)
        wrong = [f"{name}: the cloud has {held} accounts; {sent} were sent" for name, held, sent in accounts if held != sent]
        if self.people != self.seats.consumed:
            wrong.append(f"the cloud lists {self.people} people but {self.seats.consumed} consumed seats")
        return wrong

    def as_json(self) -> dict[str, object]:
        return {
            "instances": [run_json(run) for run in self.runs],
            "accounts_sent": self.sent,
            "people": self.people,
            "seats": {"consumed": self.seats.consumed, "purchased": self.seats.purchased},
            "cloud_has_what_was_sent": not self.problems,
        }

    def show(self) -> None:
        rows = (
            ("accounts on all instances", number(self.sent)),
            ("people after de-duplication, including the cloud's own members", number(self.people)),
            ("seats consumed", number(self.seats.consumed)),
            ("seats purchased", number(self.seats.purchased)),
        )
        terminal.print_table(("seats", ""), rows)
        if (warning := exceeded(self.seats)) is not None:
            terminal.say(f"warning: {warning}", style="yellow")


async def sync_demo(fleet: Fleet, *, as_json: bool) -> int:
    """Sync twice, and return the exit code. The sandbox and all files are gone afterwards, also after Ctrl-C."""
    if not as_json:
        terminal.say(WHAT_IS_REAL)
    with tempfile.TemporaryDirectory(prefix="licsync-demo-") as folder, Sandbox(fleet) as box:
        config = load_config(box.write_config(Path(folder)), {}).config
        shown = [] if as_json else [instance.name for instance in config.instances]
        rounds: list[Round] = []
        for title in ("First sync", "Second sync: sent again; nothing counted twice"):
            with terminal.progress(shown) as progress, recording(config, SystemClock(), os.environ, progress) as parts:
                rounds.append(await _round(parts))
            if not as_json:
                terminal.say(f"\n{title} (times are UTC)")
                show_results(rounds[-1].results, parts.clock.now())
                rounds[-1].show()
        if not as_json:
            _show_duplicates(box, Path(folder) / "reports")
    return _conclude(rounds, as_json=as_json)


def _show_duplicates(box: Sandbox, folder: Path) -> None:
    """Show who is still counted twice, as `report` does with downloaded files."""
    folder.mkdir()
    box.save_reports(folder)
    terminal.say("\nWho is counted twice? The reports that an administrator would download say:")
    show_first(make([folder]))
    terminal.say("with your own: $licsync report consumed_licenses.csv (no configuration needed; see docs/reports.md)", hang=2)


def _conclude(rounds: Sequence[Round], *, as_json: bool) -> int:
    problems = [problem for one in rounds for problem in one.problems]
    if len({(one.people, one.seats) for one in rounds}) > 1:
        problems.append("the second sync changed people or seats, although nothing had changed")
    for problem in problems:
        terminal.complain(problem)
    code = next((code for one in rounds if (code := exit_code(one.results, named=False))), Exit.SOME_FAILED if problems else Exit.OK)
    if as_json:
        terminal.print_json({"what_is_real": WHAT_IS_REAL, "rounds": [one.as_json() for one in rounds]})
    elif code == Exit.OK:
        terminal.say("\nBoth syncs were confirmed in the cloud; people and seats are the same after the second.")
    return code


async def _round(parts: Parts) -> Round:
    config = parts.config
    results = await run_now(
        config.instances, parts.context,
        max_concurrent_runs=config.max_concurrent_runs, wait=WAIT,
    )  # fmt: skip
    people, per_host = 0, Counter[str]()
    first = next(result.run for result in results if result.run is not None)
    async with parts.context.adapters.cloud(Journal(parts.context, first)) as cloud:
        seats = await cloud.seats()
        async for person in cloud.people():
            people += 1
            per_host.update(bare_host(host) for host, _ in person.server_accounts)
    return Round([_counted(result, per_host) for result in results], people, seats)


def _counted(result: Result, per_host: Counter[str]) -> Result:
    """Add how many accounts of the instance the cloud has; fewer than sent is a warning."""
    run = result.run
    if run is None or run.confirmed_at is None:
        return result
    held = per_host[bare_host(result.instance.hostname)]
    warning = drift(run.counts.sent, held)
    others = tuple(one for one in run.notices if one.code is not Code.COUNT_DRIFT)
    return replace(result, run=replace(run, accounts_in_cloud=held, notices=others + ((warning,) if warning else ())))
