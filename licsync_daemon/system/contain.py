"""Keep an error of any kind from spreading: to other instances, to the next round, to the daemon."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from licsync_daemon.model.errors import StateUnwritableError, is_stop

log = structlog.get_logger()


@contextmanager
def contained(event: str, **about: object) -> Iterator[None]:
    """Log what is raised inside, and continue after it; only what ends the process or cancels the task is raised again."""
    try:
        yield
    except (StateUnwritableError, OSError) as error:
        log.error(event, **about, cause=str(error))  # noqa: TRY400 - the cause is a sentence
    except BaseException as error:
        if is_stop(error):
            raise
        log.critical(event, **about, exc_info=error)
