"""What is due for an instance, as far as a daemon knows: its record in the state, and since when this daemon and this configuration run."""

from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Decided
from licsync_daemon.rules.next_run import Planned, next_run
from licsync_daemon.state.history import recorded
from licsync_daemon.sync.context import RunContext


class Planner:
    """Reads the record of an instance and asks `next_run`."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._up_since = self._changed_at = context.clock.now()

    def follow(self, context: RunContext) -> None:
        """Go on with another configuration: what failed for good is tried again."""
        self.context = context
        self._changed_at = context.clock.now()

    def correct_clock(self) -> None:
        """Forget moments that only a clock ahead of time knew."""
        now = self.context.clock.now()
        self._up_since, self._changed_at = min(self._up_since, now), min(self._changed_at, now)

    def planned(self, instance: Instance) -> Planned | None:
        """Return what comes next; None while another process works on the instance."""
        known = recorded(self.context.store, instance.name)
        return next_run(instance, known, self.context.clock.now(), up_since=self._up_since, changed_at=self._changed_at)

    def is_paused(self, instance: Instance) -> bool:
        pause = recorded(self.context.store, instance.name).pause
        return pause is not None and pause.what is Decided.PAUSED and pause.in_force(self.context.clock.now())
