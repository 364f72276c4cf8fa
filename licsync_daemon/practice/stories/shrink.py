"""Half of the accounts of an instance vanish overnight: held, looked at, approved, delivered."""

import csv
import io
from datetime import timedelta

from licsync_daemon.cli.exit import Exit
from licsync_daemon.practice.sandbox import generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc

FLEET_PEOPLE = 400


def scene() -> Scene:
    """Two instances with a weekly slot each."""
    return Scene(
        start=utc("2027-01-11 08:00"),
        fleet=generate_fleet(seed=1, instances=2, people=FLEET_PEOPLE),
        tables={
            "emea": 'schedule = { day = "tuesday", time = "02:00" }',
            "amer": 'schedule = { day = "tuesday", time = "05:00" }',
        },
    )


async def play(stage: Stage) -> Ended:
    """Play it."""
    stage.tell("A fleet of two instances is synced every Tuesday.")
    await stage.play(utc("2027-01-14 09:00"))
    stage.tell("On Thursday a site is closed: a script deletes half of the accounts on emea. Nobody tells the operator.")
    emea = stage.box.instances["emea"]
    emea.set_report(half_of(emea.report.csv))
    await stage.play(utc("2027-01-19 09:00"))
    stage.tell("The next run was stopped by a guard: nothing left the machine, and the cloud keeps the numbers of last week.")
    stage.status()
    before = await stage.run_now("emea")
    assert before is Exit.HELD
    stage.tell(
        "The operator asks around: the site is closed, the figures are right.\nAn approval holds for these figures, once, for 7 days."
    )
    stage.approve(stage.held("emea"), "site closed, its accounts were deleted", "CHG-1042")
    await stage.play(stage.now + timedelta(minutes=5))
    stage.status()
    code = await stage.run_now("emea")
    return Ended("A sudden loss is never sent unseen, and one command with a reason sends it when it is right.", code)


def half_of(content: bytes) -> bytes:
    """Return a report without every other row."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows[::2]])
    return text.getvalue().encode()
