"""An instance is down for two days: the retries become less frequent, and its weekly sync is not lost."""

from licsync_daemon.practice.sandbox import Fault, generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """Return two instances, one of which goes down."""
    tables = {
        "emea": 'schedule = { day = "tuesday", time = "02:00" }',
        "amer": 'schedule = { day = "tuesday", time = "05:00" }',
    }
    return Scene(start=utc("2027-04-05 08:00"), fleet=generate_fleet(seed=1, instances=2, people=300), tables=tables)


async def play(stage: Stage) -> Ended:
    """Play the story."""
    stage.tell("A fleet of two instances is synced every Tuesday.")
    await stage.play(utc("2027-04-13 01:00"))
    stage.tell("On Tuesday, an hour before its slot, emea goes down: every connection is reset.")
    stage.box.faults.add(Fault("emea", "/", "reset"))
    await stage.play(utc("2027-04-13 12:00"))
    stage.tell("Noon. The retries become less frequent; amer is not affected.")
    await stage.play(utc("2027-04-14 09:00"))
    stage.tell("Wednesday. The last sync of emea is more than eight days old: emea is overdue.")
    stage.status()
    await stage.play(utc("2027-04-15 01:00"))
    stage.tell("After two days emea is up again. licsync detects this automatically.")
    stage.box.faults.clear()
    await stage.play(utc("2027-04-15 20:00"))
    stage.status()
    await stage.play(utc("2027-04-20 09:00"))
    slots = (
        f"{run.slot:%a %d %b %H:%M} UTC: confirmed {run.confirmed_at:%a %d %b %H:%M} ({run.reason})" for run in stage.confirmed("emea")[1:]
    )
    stage.tell("\n".join(("Every slot of emea and when it was confirmed:", *slots)))
    code = await stage.run_now("emea")
    return Ended("An outage delays a sync but loses none: a slot stays due until confirmed.", code)
