"""The stories by name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from licsync_daemon.practice.stories import clone, outage, rebuilt, shrink
from licsync_daemon.practice.stories.events import Ended, Event
from licsync_daemon.practice.stories.stage import Scene, Stage, on_stage


@dataclass(frozen=True, slots=True)
class Story:
    """A story: how it starts, and what happens."""

    scene: Callable[[], Scene]
    play: Callable[[Stage], Awaitable[Ended]]


STORIES: Mapping[str, Story] = {
    "shrink": Story(shrink.scene, shrink.play),
    "rebuilt": Story(rebuilt.scene, rebuilt.play),
    "clone": Story(clone.scene, clone.play),
    "outage": Story(outage.scene, outage.play),
}


async def perform(name: str, tell: Callable[[Event], None]) -> int:
    """Play a story to its end and return its exit code."""
    story = STORIES[name]
    with on_stage(story.scene(), tell) as stage:
        ended = await story.play(stage)
    tell(ended)
    return ended.exit
