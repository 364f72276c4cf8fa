"""An instance is in maintenance mode for longer than planned: no alarm at first, then one for the age of its last sync."""

from licsync_daemon.practice.sandbox import Fault, generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """Two instances; one is being upgraded."""
    tables = {
        "emea": 'schedule = { day = "tuesday", time = "02:00" }',
        "amer": 'schedule = { day = "tuesday", time = "05:00" }',
    }
    return Scene(start=utc("2027-06-07 08:00"), fleet=generate_fleet(seed=1, instances=2, people=300), tables=tables)


async def play(stage: Stage) -> Ended:
    """Play it."""
    stage.tell("A fleet of two instances is synced every Tuesday.")
    await stage.play(utc("2027-06-14 20:00"))
    stage.tell("On Monday evening emea goes into maintenance mode. It answers 503 to everything: come back in half an hour.")
    stage.box.faults.add(Fault("emea", "/", "maintenance", headers={"Retry-After": "1800"}))
    await stage.play(utc("2027-06-15 04:30"))
    stage.quiet = True
    await stage.play(utc("2027-06-15 08:00"))
    stage.tell(
        "And so on. Maintenance is nobody's failure: it does not count on the ladder.\n"
        "The waits grow to an hour and no longer, and nothing is overdue."
    )
    stage.status()
    stage.tell("The upgrade takes longer than planned. Once an hour emea is asked whether it is back.")
    await stage.play(utc("2027-06-16 09:00"))
    stage.quiet = False
    failures = stage.last("emea").failures
    stage.tell(f"Wednesday. Eight days without a sync: now it is overdue, for its age alone. Failures counted: {failures}.")
    stage.status()
    code = await stage.run_now()
    return Ended("Maintenance is waited for quietly, but not for ever: after max_age an instance is overdue, whatever the reason.", code)
