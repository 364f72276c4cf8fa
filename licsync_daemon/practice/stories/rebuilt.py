"""An instance is rebuilt from scratch: the same hostname, a new server id, held until a person says that it is right."""

from datetime import timedelta

from licsync_daemon.cli.exit import Exit
from licsync_daemon.practice.sandbox import generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc

NEW_ID = "7c0a4f0e-51d1-4d8e-9a55-0d6f6e1c2b90"


def scene() -> Scene:
    """One instance with a weekly slot."""
    tables = {"emea": 'schedule = { day = "tuesday", time = "02:00" }'}
    return Scene(start=utc("2027-02-01 08:00"), fleet=generate_fleet(seed=1, instances=1, people=400), tables=tables)


async def play(stage: Stage) -> Ended:
    """Play it."""
    stage.tell("An instance is synced every Tuesday, under the server id that its configuration names.")
    await stage.play(utc("2027-02-04 09:00"))
    emea = stage.box.instances["emea"]
    old_id, emea.server_id = emea.server_id, NEW_ID
    stage.tell(
        "On Thursday emea's disk dies. It is installed anew: the same hostname and users, and a new server id.\n"
        "The operator reads that in a fresh export, writes it into the configuration, and reloads the daemon."
    )
    stage.edit(lambda text: text.replace(old_id, NEW_ID))
    await stage.play(utc("2027-02-09 09:00"))
    stage.status()
    code = await stage.run_now("emea")
    assert code is Exit.HELD
    stage.tell(
        "The cloud would keep what it holds of the old server id beside the new one.\n"
        "The operator makes sure that it was a rebuild, and not another machine behind the same name; then approves."
    )
    stage.approve(stage.held("emea"), "rebuilt after a disk failure, server id checked in the export", "INC-77")
    await stage.play(stage.now + timedelta(minutes=5))
    stage.tell("One thing is left to a person: to remove the old server on the enterprise's Licensing page.")
    await stage.play(utc("2027-02-16 09:00"))
    stage.status()
    code = await stage.run_now("emea")
    return Ended("A machine behind a known name that is another one than before is never synced without a person's word.", code)
