"""An instance is down for two days: it is asked again and again, ever less often, and its week is not lost."""

from licsync_daemon.practice.sandbox import Fault, generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc


def scene() -> Scene:
    """Two instances; only one of them is in trouble."""
    tables = {
        "emea": 'schedule = { day = "tuesday", time = "02:00" }',
        "amer": 'schedule = { day = "tuesday", time = "05:00" }',
    }
    return Scene(start=utc("2027-04-05 08:00"), fleet=generate_fleet(seed=1, instances=2, people=300), tables=tables)


async def play(stage: Stage) -> Ended:
    """Play it."""
    stage.tell("A fleet of two instances is synced every Tuesday.")
    await stage.play(utc("2027-04-13 01:00"))
    stage.tell("On Tuesday, an hour before its slot, emea goes down: every connection breaks off.")
    stage.box.faults.add(Fault("emea", "/", "reset"))
    await stage.play(utc("2027-04-13 12:00"))
    stage.tell("Noon. The retries grow apart; amer goes on as if nothing had happened.")
    await stage.play(utc("2027-04-14 09:00"))
    stage.tell("Wednesday. More than eight days without a sync: emea is overdue.")
    stage.status()
    await stage.play(utc("2027-04-15 01:00"))
    stage.tell("After two days emea is up again. Nobody tells licsync.")
    stage.box.faults.clear()
    await stage.play(utc("2027-04-15 20:00"))
    stage.status()
    await stage.play(utc("2027-04-20 09:00"))
    stage.tell("Every slot of emea and when it was satisfied:")
    for run in stage.confirmed("emea")[1:]:
        assert run.slot is not None
        stage.tell_more(f"{run.slot:%a %d %b %H:%M} UTC: confirmed {run.confirmed_at:%a %d %b %H:%M} ({run.reason})")
    code = await stage.run_now("emea")
    return Ended("An outage costs retries, not a week: a slot stays due until it is confirmed.", code)
