"""The life of a command: signals, exit codes, and threads that cannot be stopped."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BEGIN = """
import asyncio, os, signal, sys, threading, time
from licsync_daemon.system.process import Stopped, leave, run_until_signal

def kill_me(number):
    os.kill(os.getpid(), number)
"""


def python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + code, *arguments], capture_output=True, text=True, check=False, timeout=20, cwd=ROOT
    )


def test_a_command_that_ends_answers_its_code() -> None:
    """Without a signal, the work's own exit code is returned."""
    done = python("""
async def work():
    return 6
sys.exit(run_until_signal(work()))
""")
    assert (done.returncode, done.stderr) == (6, "")


def test_an_error_comes_out_as_it_is() -> None:
    """What the work raises is not hidden, a cancellation that no signal asked for included."""
    done = python("""
async def fails():
    raise ValueError("x")
async def cancelled():
    raise asyncio.CancelledError
for work in (fails, cancelled):
    try:
        run_until_signal(work())
    except BaseException as error:
        print(type(error).__name__)
""")
    assert done.stdout.split() == ["ValueError", "CancelledError"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_work_and_lets_it_clean_up(number: signal.Signals) -> None:
    """The work is cancelled, ends its clean-up, and the exit code is 128 and the signal's number."""
    done = python(
        """
async def work():
    asyncio.get_running_loop().call_soon(kill_me, int(sys.argv[1]))
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("cleaned up")
try:
    run_until_signal(work())
except Stopped as stopped:
    print(stopped, stopped.exit_code)
""",
        str(int(number)),
    )
    assert done.stdout.splitlines() == ["cleaned up", f"{number.name} {128 + number}"]
    assert done.stderr == ""


def test_a_thread_that_never_ends_does_not_keep_the_process() -> None:
    """A resolver that hangs for ever delays neither the end of the loop nor the end of the process; output is flushed."""
    began = time.monotonic()
    done = python("""
async def work():
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, time.sleep, 3600)
    await asyncio.sleep(0)
    loop.call_soon(kill_me, signal.SIGTERM)
    await asyncio.Event().wait()
try:
    run_until_signal(work())
except Stopped as stopped:
    print("stopped")
    sys.exit(leave(stopped.exit_code))
""")
    assert (done.returncode, done.stdout) == (143, "stopped\n")
    assert time.monotonic() - began < 10


def test_leaving_without_threads_is_ordinary() -> None:
    """If no thread is stuck, the code is returned and the interpreter ends normally."""
    done = python("""
import atexit
atexit.register(print, "ended as usual")
sys.exit(leave(3))
""")
    assert (done.returncode, done.stdout) == (3, "ended as usual\n")
