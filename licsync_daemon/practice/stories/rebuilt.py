"""An instance is rebuilt: the same hostname, a new server ID. The run is held until an operator approves it."""

from datetime import timedelta

from licsync_daemon.cli.exit import Exit
from licsync_daemon.practice.sandbox import generate_fleet
from licsync_daemon.practice.stories.events import Ended
from licsync_daemon.practice.stories.stage import Scene, Stage, utc

NEW_ID = "7c0a4f0e-51d1-4d8e-9a55-0d6f6e1c2b90"


def scene() -> Scene:
    """Return one instance with a weekly slot."""
    tables = {"emea": 'schedule = { day = "tuesday", time = "02:00" }'}
    return Scene(start=utc("2027-02-01 08:00"), fleet=generate_fleet(seed=1, instances=1, people=400), tables=tables)


async def play(stage: Stage) -> Ended:
    """Play the story."""
    stage.tell("An instance is synced every Tuesday, under the server ID in its configuration.")
    await stage.play(utc("2027-02-04 09:00"))
    emea = stage.box.instances["emea"]
    old_id, emea.server_id = emea.server_id, NEW_ID
    stage.tell(
        "On Thursday emea is reinstalled after a disk failure, with a new server ID.\n"
        "The operator reads it in a fresh export, configures it, and reloads the daemon."
    )
    stage.edit(lambda text: text.replace(old_id, NEW_ID))
    await stage.play(utc("2027-02-09 09:00"))
    stage.status()
    code = await stage.run_now("emea")
    assert code is Exit.HELD
    stage.tell(
        "The cloud may keep the usage of the old server ID, and count both.\n"
        "The operator checks that emea was really rebuilt, and approves."
    )
    stage.approve(stage.held("emea"), "rebuilt, server ID checked", "INC-77")
    await stage.play(stage.now + timedelta(minutes=5))
    stage.tell("The cloud may still list the old server: list its server ID in [cloud] retired, so that it raises no alert.")
    await stage.play(utc("2027-02-16 09:00"))
    stage.status()
    code = await stage.run_now("emea")
    return Ended("A new server ID behind a known hostname is held until an operator approves it.", code)
