"""A program that prints something: how it is started, bounded and ended. The children are real and small."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.system.child import MESSAGES_BYTES, Ended, run_child

SHORT = timedelta(seconds=0.3)
SLEEP = "exec /bin/sleep 60"
DEAF_CHILD = """(trap '' TERM; while :; do echo x; sleep 60; done) & echo $! > $1.other; trap 'exit 0' TERM; wait"""


async def sh(script: str, *arguments: str, within: timedelta = timedelta(seconds=20), max_bytes: int = 1000) -> Ended:
    return await run_child(["/bin/sh", "-c", script, "sh", *arguments], what="the child", within=within, max_bytes=max_bytes, again="look")


def run(script: str, *arguments: str, within: timedelta = timedelta(seconds=20), max_bytes: int = 1000) -> Ended:
    return asyncio.run(sh(script, *arguments, within=within, max_bytes=max_bytes))


def refusal(script: str, within: timedelta = timedelta(seconds=20), max_bytes: int = 1000) -> RunError:
    with pytest.raises(RunError) as refused:
        run(script, within=within, max_bytes=max_bytes)
    assert refused.value.next_step
    return refused.value


def alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie that another process has to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


def number_in(file: Path) -> int:
    """Return the process id that a child wrote down; 0 while it has not."""
    return int(file.read_text()) if file.exists() and file.read_text().endswith("\n") else 0


def command_lines() -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_text())
    return found


def test_its_words_arrive_as_they_are() -> None:
    """No shell interprets them."""
    ended = run('printf "%s\\n" "$@"', "two words", "$HOME", "*", "'; exit 3")

    assert (ended.code, ended.output.decode()) == (0, "two words\n$HOME\n*\n'; exit 3\n")


def test_what_it_gets_from_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret from the environment, no input, no terminal, no open file, and its own session."""
    monkeypatch.setenv("LICSYNC_CLOUD__TOKEN", "secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("LD_PRELOAD", "")
    script = (
        "import json,os,sys\n"
        "print(json.dumps([sorted(set(os.environ) - {'LC_CTYPE'}), os.environ['LANG'], sys.stdin.read(), os.getsid(0) == os.getpid(),"
        " os.getcwd(), [n for n in range(3, 50) if os.path.exists(f'/proc/self/fd/{n}')]]))"
    )
    with Path(__file__).open() as ours:
        os.set_inheritable(ours.fileno(), False)
        ended = asyncio.run(
            run_child([sys.executable, "-S", "-c", script], what="it", within=timedelta(seconds=20), max_bytes=1000, again="look")
        )

    assert json.loads(ended.output) == [["HOME", "LANG", "PATH"], "C.UTF-8", "", True, "/", []]


def test_messages_are_kept_from_their_end_and_cleaned() -> None:
    """The last line is shown without control characters and addresses; of a flood only the end is held."""
    ended = run(f"i=0; while [ $i -lt {MESSAGES_BYTES // 10} ]; do echo 0123456789abcdef >&2; i=$((i+1)); done; "
                "printf '\\033[31mno such user mona@example.com\\n\\n' >&2; exit 7")  # fmt: skip

    assert ended.code == 7
    assert ended.last_message == "no such user [address]"
    assert len(ended.messages) == MESSAGES_BYTES


def test_without_messages_there_is_no_last_one() -> None:
    """A program that says nothing has no last line."""
    assert run("echo out; exit 1").last_message == ""


def test_as_much_as_is_allowed_is_kept() -> None:
    """The limit itself is not too much."""
    assert len(run("head -c 1000 /dev/zero").output) == 1000


def test_one_byte_more_is_too_large() -> None:
    """What prints more is ended, and says so."""
    error = refusal("head -c 1001 /dev/zero; " + SLEEP, max_bytes=1000)

    assert error.code is Code.EXPORT_TOO_LARGE
    assert error.cause.startswith("the child printed more than 0.000953674 MiB and was stopped")


def test_an_endless_output_is_not_held() -> None:
    """Once it is too much, nothing of it is kept and the program is gone at once."""
    began = time.monotonic()

    assert refusal("exec cat /dev/zero", max_bytes=100_000).code is Code.EXPORT_TOO_LARGE
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("words", [["/nonexistent/program"], ["/etc/passwd"], ["/"], ["/bin/echo", "a\0b"]])
def test_what_cannot_be_started(words: list[str]) -> None:
    """A missing program, a file that is not one, and an invalid argument are failures with a reason."""
    with pytest.raises(RunError, match="it cannot be started: ") as refused:
        asyncio.run(run_child(words, what="it", within=SHORT, max_bytes=10, again="look"))
    assert (refused.value.code, refused.value.next_step) == (Code.COMMAND_FAILED, "look")


def test_the_signal_that_ended_it_is_known() -> None:
    """A program that was killed has a negative code."""
    assert run("kill -9 $$").code == -9


def test_what_does_not_end_is_ended() -> None:
    """At the time limit it is killed, and its output is not used."""
    error = refusal("echo '{}'; " + SLEEP, within=SHORT)

    assert (error.code, error.cause, error.next_step) == (Code.COMMAND_TIMEOUT, "the child did not finish within 0.3 seconds", "look")


@pytest.mark.parametrize(
    "script",
    [SLEEP, "trap '' TERM; while :; do sleep 60; done", "/bin/sleep 60 & echo $! > $1.other; wait", DEAF_CHILD],
    ids=["plain", "deaf", "with a child", "with a deaf child"],
)
def test_canceled_it_is_gone_within_a_second(tmp_path: Path, script: str) -> None:
    """Even if it ignores signals, and its own children too."""
    own, other = tmp_path / "pid", tmp_path / "pid.other"

    async def scene() -> None:
        task = asyncio.create_task(sh(f"echo $$ > $1; {script}", str(own)))
        assert await until(lambda: number_in(own) > 0 and ("other" not in script or number_in(other) > 0))
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 1
        assert not alive(number_in(own))
        assert await until(lambda: not alive(number_in(other)))

    asyncio.run(scene())


@pytest.mark.parametrize("turns", range(12))
def test_canceled_while_it_starts_it_is_gone_too(tmp_path: Path, turns: int) -> None:
    """At whichever turn of the loop that comes, and whatever it has started already."""

    async def scene() -> None:
        task = asyncio.create_task(sh("(sleep 60; :) & wait", str(tmp_path)))
        for _ in range(turns):
            await asyncio.sleep(0)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 1
        assert await until(lambda: not any(str(tmp_path) in words for words in command_lines()))

    asyncio.run(scene())


def test_canceled_twice_it_is_gone_all_the_same(tmp_path: Path) -> None:
    """A second signal in the middle of ending it leaves nothing behind."""
    own = tmp_path / "pid"

    async def scene() -> None:
        task = asyncio.create_task(sh("trap '' TERM; echo $$ > $1; while :; do sleep 60; done", str(own)))
        assert await until(lambda: number_in(own) > 0)
        task.cancel()
        await asyncio.sleep(0.05)
        assert alive(number_in(own))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await until(lambda: not alive(number_in(own)))

    asyncio.run(scene())


def test_output_that_a_child_of_it_holds_open_counts(tmp_path: Path) -> None:
    """What is printed by a program in the background belongs to it; if that never ends, time is over and it is ended too."""
    assert run("(sleep 0.1; echo late) & echo early").output == b"early\nlate\n"

    error = refusal(f"sleep 60 & echo $! > {tmp_path}/pid", within=SHORT)

    assert error.code is Code.COMMAND_TIMEOUT
    assert asyncio.run(until(lambda: not alive(number_in(tmp_path / "pid"))))


FAMILIES = {  # each notes the process that is not in the session that the program was started in
    "a session of its own": "setsid sh -c 'echo $$ > $0; exec sleep 60' $1 & wait",
    "a group of its own": "set -m; sh -c 'echo $$ > $0; exec sleep 60' $1 & wait",
    "deaf, in a session of its own": "setsid sh -c 'trap \"\" TERM; echo $$ > $0; while :; do sleep 1; done' $1 & wait",
    "a parent that dies at once of SIGTERM": 'setsid sh -c \'sh -c "trap \\"\\" TERM; echo \\$\\$ > $0; while :; do sleep 1; done"; :\' $1 & wait',
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ending", ["timeout", "too much output", "stop"])
def test_everything_it_started_is_ended(tmp_path: Path, family: str, ending: str) -> None:
    """By session, group and ancestry, at every way to end it."""
    there = tmp_path / "pid"
    script = FAMILIES[family].replace("& wait", "& while [ ! -s $1 ]; do sleep 0.01; done; while :; do echo 0123456789; sleep 0.01; done")

    async def scene() -> None:
        limits = {
            "within": timedelta(seconds=1.5 if ending == "timeout" else 20),
            "max_bytes": 200 if ending == "too much output" else 10**6,
        }
        task = asyncio.create_task(sh(script, str(there), **limits))  # type: ignore[arg-type]
        assert await until(lambda: number_in(there) != 0)
        if ending == "stop":
            task.cancel()
        with pytest.raises((RunError, asyncio.CancelledError)):
            await task
        assert await until(lambda: not alive(number_in(there)))  # killed by then; a busy machine takes a moment to end it

    asyncio.run(scene())


def test_others_are_left_alone(tmp_path: Path) -> None:
    """Neither this process, nor its other children, nor the parent are of the family."""
    there = tmp_path / "pid"

    async def scene() -> None:
        other = await asyncio.create_subprocess_exec("sleep", "60")
        with pytest.raises(RunError):
            await sh("echo $$ > $1; sleep 60", str(there), within=SHORT)
        assert other.returncode is None
        assert alive(other.pid)
        other.kill()
        await other.wait()

    asyncio.run(scene())
