"""Signals, user names, and exiting without waiting for threads that cannot be stopped."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):  # noqa: N818 - not an error
    """A signal interrupted a command."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def run_until_signal(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and return its exit code.

    Raises:
        Stopped: On SIGTERM or SIGINT, after the work was canceled and has cleaned up.
    """
    received: list[int] = []

    async def main() -> int:
        task = asyncio.create_task(work)

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, stop, number)
        try:
            return await task
        finally:
            leave_threads_behind(loop)

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if received:
            raise Stopped(received[0]) from None
        raise


def leave_threads_behind(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop close without waiting for its threads.

    An unresponsive name server keeps a resolver thread busy long after its request was canceled, and `asyncio.run` would wait for it.
    """
    executor = getattr(loop, "_default_executor", None)  # asyncio has no public access
    if executor is not None:
        executor.shutdown(wait=False, cancel_futures=True)
        loop._default_executor = None  # type: ignore[attr-defined]  # noqa: SLF001 - `shutdown_default_executor` then has nothing to wait for


async def in_own_thread(work: Callable[[], T], name: str) -> T:
    """Run `work` in a thread of its own, which does not delay exiting; return its result, or raise its exception.

    asyncio's own threads are few and must stay free: blocking one of them blocks name resolution for all tasks.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(outcome: Callable[[], None]) -> None:
        if not done.done():
            outcome()

    def run() -> None:
        outcome: Callable[[], None]
        try:
            result = work()
            outcome = lambda: done.set_result(result)  # noqa: E731
        except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
            failure = error
            outcome = lambda: done.set_exception(failure)  # noqa: E731
        with suppress(RuntimeError):  # the loop is closed: the result is no longer awaited
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


def user_name(uid: int) -> str:
    """Return the name of a user, or the ID if it has none, as is normal in containers."""
    import pwd  # noqa: PLC0415 - only for messages

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def leave(code: int) -> int:
    """Return `code` for `sys.exit`; if a thread would keep the interpreter alive, exit the process at once instead."""
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if others:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return code
