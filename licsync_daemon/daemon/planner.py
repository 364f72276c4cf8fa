"""The next run or check of an instance, from its record, the start of the daemon and the last reload."""

from licsync_daemon.model.instance import Instance
from licsync_daemon.model.run import Decided
from licsync_daemon.rules.next_run import Planned, next_run
from licsync_daemon.state.history import recorded
from licsync_daemon.sync.context import RunContext


class Planner:
    """Reads the record of an instance and computes its next run."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._up_since = self._changed_at = context.clock.now()

    def follow(self, context: RunContext) -> None:
        """Use another configuration; permanent failures are retried."""
        self.context = context
        self._changed_at = context.clock.now()

    def correct_clock(self) -> None:
        """Discard times recorded while the clock was ahead."""
        now = self.context.clock.now()
        self._up_since, self._changed_at = min(self._up_since, now), min(self._changed_at, now)

    def planned(self, instance: Instance) -> Planned | None:
        """Return the next run or check; None while another process works on the instance."""
        known = recorded(self.context.store, instance.name)
        return next_run(instance, known, self.context.clock.now(), up_since=self._up_since, changed_at=self._changed_at)

    def is_paused(self, instance: Instance) -> bool:
        pause = self.context.store.pause(instance.name)
        return pause is not None and pause.what is Decided.PAUSED and pause.in_force(self.context.clock.now())
