"""Every story by its name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from licsync_daemon.practice.stories import clone, dst, maintenance, outage, ratelimit, rebuilt, shrink
from licsync_daemon.practice.stories.events import Ended, Event
from licsync_daemon.practice.stories.stage import Scene, Stage, on_stage


@dataclass(frozen=True, slots=True)
class Story:
    """A story: where it begins, and what happens."""

    scene: Callable[[], Scene]
    play: Callable[[Stage], Awaitable[Ended]]


STORIES: Mapping[str, Story] = {
    "shrink": Story(shrink.scene, shrink.play),
    "rebuilt": Story(rebuilt.scene, rebuilt.play),
    "clone": Story(clone.scene, clone.play),
    "outage": Story(outage.scene, outage.play),
    "dst": Story(dst.scene, dst.play),
    "ratelimit": Story(ratelimit.scene, ratelimit.play),
    "maintenance": Story(maintenance.scene, maintenance.play),
}


async def perform(name: str, tell: Callable[[Event], None]) -> int:
    """Play a story to its end and answer the exit code it deserves."""
    story = STORIES[name]
    with on_stage(story.scene(), tell) as stage:
        ended = await story.play(stage)
    tell(ended)
    return ended.exit
