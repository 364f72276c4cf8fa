"""Weekly slots at half past two in Berlin, where that time is missing in spring and comes twice in autumn."""

from datetime import timedelta
from itertools import pairwise

from licsync_daemon.practice.sandbox import generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """One instance, Sundays at 02:30 in Berlin."""
    tables = {"emea": 'schedule = { timezone = "Europe/Berlin", day = "sunday", time = "02:30" }'}
    return Scene(start=utc("2027-03-13 12:00"), fleet=generate_fleet(seed=1, instances=1, people=60), tables=tables, zone="Europe/Berlin")


async def play(stage: Stage) -> Ended:
    """Play it."""
    first_sunday = utc("2027-03-14 00:00")
    stage.tell("The slot is Sunday 02:30 in Berlin. On 28 March the clocks jump from 02:00 to 03:00: that time does not exist.")
    await stage.play(utc("2027-04-05 00:00"))
    stage.status()
    stage.tell("A summer of Sundays passes.")
    stage.quiet = True
    await stage.play(utc("2027-10-23 00:00"))
    stage.quiet = False
    stage.tell("On 31 October the clocks go back from 03:00 to 02:00: half past two comes twice.")
    await stage.play(utc("2027-11-08 00:00"))
    runs = [run for run in stage.confirmed("emea") if run.started_at >= first_sunday]
    weeks = (stage.now - first_sunday) // timedelta(days=7) + 1
    gaps = [(later.started_at - earlier.started_at) / timedelta(hours=1) for earlier, later in pairwise(runs)]
    stage.tell(f"{weeks} Sundays, {len(runs)} confirmed runs; from one to the next {min(gaps):.1f} to {max(gaps):.1f} hours.")
    code = await stage.run_now("emea")
    return Ended("A week has one run, whatever the clocks on the wall do.", code)
