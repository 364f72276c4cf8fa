"""What is behind an exception: the chain of its causes, and a limit that many failures are really about. Pure."""

import errno

from licsync_daemon.model.errors import Code, RemoteError


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and everything that caused it, the parts of groups included."""
    chain: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        link = left.pop(0)
        if link is not None and link not in chain:
            chain.append(link)
            left += [link.__cause__, link.__context__, *(link.exceptions if isinstance(link, BaseExceptionGroup) else ())]
    return chain


def out_of_files(*errors: BaseException | None) -> RemoteError | None:
    """Return the error for having reached the limit of open files, if that is behind an exception, whatever it was taken for; else None."""
    chain = [link for error in errors if error is not None for link in causes(error)]
    if not any(isinstance(one, OSError) and one.errno in {errno.EMFILE, errno.ENFILE} for one in chain):
        return None
    cause = "this machine or this process has too many open files"
    step = "retried automatically; if it persists, raise LimitNOFILE of the unit (or `ulimit -n`), and check what holds files open"
    return RemoteError(Code.TOO_MANY_FILES, cause, step, transient=True)
