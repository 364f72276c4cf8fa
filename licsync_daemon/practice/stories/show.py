"""Print the events of a story."""

from licsync_daemon.cli import terminal
from licsync_daemon.cli.decide import effect_of
from licsync_daemon.cli.results import show_results
from licsync_daemon.cli.status import show_fleet
from licsync_daemon.practice.stories.events import Decided, Ended, Event, Happened, Ran, Shown, Told


def show_event(event: Event, before: Event | None) -> None:
    """Print an event, with an empty line before it unless it belongs to the event before."""
    if before is not None and not (isinstance(event, Happened) and isinstance(before, Happened | Told)):
        terminal.say()
    match event:
        case Told(text=text):
            terminal.say(text, style="bold")
        case Happened(at=at, instance=instance, text=text):
            begin = f"{at:%Y-%m-%d %H:%M} UTC  {instance}  "
            terminal.say(f"{begin}{text}", hang=len(begin))
        case Decided(command=command, decision=decision):
            terminal.say(f"$ {command}")
            terminal.say(effect_of(decision))
        case Shown(view=view):
            terminal.say(f"$ licsync-daemon status        # {view.at:%Y-%m-%d %H:%M} UTC")
            show_fleet(view)
        case Ran(at=at, command=command, results=results, exit=code):
            terminal.say(f"$ {command}        # {at:%Y-%m-%d %H:%M} UTC")
            show_results(results, at)
            terminal.say(f"exit {code}")
        case Ended(moral=moral, exit=code):
            terminal.say(moral, style="bold")
            terminal.say(f"exit {code}")
