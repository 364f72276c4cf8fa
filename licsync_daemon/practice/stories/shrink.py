"""Half of the accounts of an instance vanish: the run is held, reviewed, approved, and delivered."""

import csv
import io
from datetime import timedelta

from licsync_daemon.cli.exit import Exit
from licsync_daemon.practice.sandbox import generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """Return two instances, each with a weekly slot."""
    return Scene(
        start=utc("2027-01-11 08:00"),
        fleet=generate_fleet(seed=1, instances=2, people=400),
        tables={
            "emea": 'schedule = { day = "tuesday", time = "02:00" }',
            "amer": 'schedule = { day = "tuesday", time = "05:00" }',
        },
    )


async def play(stage: Stage) -> Ended:
    """Play the story."""
    stage.tell("A fleet of two instances is synced every Tuesday.")
    await stage.play(utc("2027-01-14 09:00"))
    stage.tell("On Thursday a site is closed, and half of the accounts on emea are deleted.\nThe operator does not know.")
    emea = stage.box.instances["emea"]
    emea.set_report(half_of(emea.report.csv))
    await stage.play(utc("2027-01-19 09:00"))
    stage.tell("A guard held the next run. The cloud keeps last week's figures.")
    stage.status()
    before = await stage.run_now("emea")
    assert before is Exit.HELD
    stage.tell(
        "The operator finds out that the site was closed: the figures are right.\nAn approval is valid once, for 7 days, for these figures."
    )
    stage.approve(stage.held("emea"), "site closed", "CHG-1042")
    await stage.play(stage.now + timedelta(minutes=5))
    stage.status()
    code = await stage.run_now("emea")
    return Ended("A sudden loss of accounts is held until an operator approves it with a reason.", code)


def half_of(content: bytes) -> bytes:
    """Remove every other row of a report."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows[::2]])
    return text.getvalue().encode()
