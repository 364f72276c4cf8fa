"""The check of a state in PostgreSQL: whether it can be used from this host, and by whom it is used."""

from collections.abc import Iterator

from licsync_daemon.model.errors import Code, ConfigError, StateError, StateUnwritableError
from licsync_daemon.model.instance import Config
from licsync_daemon.monitoring.preflight.rows import MACHINE, CheckRow
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.state.opening import reading
from licsync_daemon.state.session import replication
from licsync_daemon.state.sql import SqlStore
from licsync_daemon.system.filelock import in_words

TEST = "state"


def replica_rows(replicas: int, synchronous: str) -> Iterator[CheckRow]:
    """Yield a warning if a replica that is promoted may lack the newest delivery records.

    Args:
        replicas: How many are connected.
        synchronous: `synchronous_standby_names` of PostgreSQL.
    """
    if replicas and not synchronous.strip():
        seen = "PostgreSQL has replicas, all of them asynchronous: one that is promoted may lack the last records, and usage be sent twice"
        yield MACHINE.warn(TEST, seen, "set synchronous_standby_names in PostgreSQL, or accept this: docs/high-availability.md")


def shared_state_rows(config: Config, credentials: Credentials) -> Iterator[CheckRow]:
    """Yield a row if the state is in PostgreSQL; nothing is changed there."""
    if not config.is_shared:
        return
    try:
        with reading(config, credentials) as seen:
            members = seen.members or ()
            leader = next((in_words(one.holder) for one in members if one.leads), None)
            leads = f"{leader} leads" if leader is not None else "no daemon leads"
            empty = ", nothing is recorded yet" if seen.store is None else ""
            standbys = sum(not one.leads for one in members)
            yield MACHINE.ok(TEST, f"PostgreSQL can be used; {leads}, {standbys} standby{'s' if standbys != 1 else ''}{empty}")
            if isinstance(seen.store, SqlStore):
                yield from replica_rows(*replication(seen.store.engine))
    except ConfigError as error:
        for one in error.problems:
            yield MACHINE.fail(TEST, f"{one.where}: {one.what}", one.hint, Code.STATE_UNWRITABLE)
    except StateUnwritableError as error:
        yield MACHINE.fail(TEST, str(error), error.next_step, Code.STATE_UNWRITABLE)
    except StateError as error:
        yield MACHINE.fail(TEST, str(error), "install the same version on every host", Code.STATE_UNWRITABLE)
