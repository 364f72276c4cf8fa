"""A daemon on scripted servers, for tests that inspect it from inside."""

from collections.abc import Iterator
from contextlib import contextmanager

from licsync_daemon.daemon.daemon import Daemon
from licsync_daemon.model.instance import Config
from licsync_daemon.monitoring.alerting import Alerting
from licsync_daemon.state.leases import FileLeases
from licsync_daemon.sync.context import RunContext
from licsync_daemon.system.systemd import ServiceManager


@contextmanager
def a_daemon(config: Config, context: RunContext, service: ServiceManager | None = None) -> Iterator[Daemon]:
    """Build one over `context`, its clock and its store, and hold its lease for as long as it is used. The state directory must be there."""
    with FileLeases(config.state_dir, context.clock).daemon() as lease:
        yield Daemon(
            config,
            context,
            lease=lease,
            service=service or ServiceManager({}),
            alerting=Alerting(config, context.store, context.clock, context.leases, ()),
        )
