"""The source `ssh` against a real sshd: success and every kind of failure."""

import asyncio
import os
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import SshSource
from licsync_daemon.model.usage import Collected, UsageCounts
from licsync_daemon.rules.retry import MAX_ATTEMPTS
from licsync_daemon.sources.ssh import SshUsageSource
from licsync_daemon.state.spool import AccountSpool
from tests.contract.sshd import EXPORT, Sshd, serving_ssh
from tests.fakes import T0, FakeClock, Waits

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving_ssh(tmp_path_factory.mktemp("sshd")) as server:
        yield server


async def collecting(where: Path, source: SshSource, key: Path, clock: FakeClock) -> Collected:
    with AccountSpool(where) as spool:
        found = await SshUsageSource(source, lambda: key, Retrier(clock, Waits()), clock).collect(spool)
        assert list(spool.everyone()) == []
        return found


def collect(where: Path, source: SshSource, key: Path, clock: FakeClock | None = None) -> Collected:
    return asyncio.run(collecting(where, source, key, clock or FakeClock()))


def refusal(where: Path, source: SshSource, key: Path, clock: FakeClock | None = None) -> RunError:
    with pytest.raises(RunError) as refused:
        collect(where, source, key, clock)
    assert refused.value.next_step
    return refused.value


def clients() -> set[int]:
    """Return the ssh clients that this process has started and that still run."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name == "ssh" and int(rest.split()[1]) == os.getpid() and rest.split()[0] != "Z":
            found.add(int(status.parent.name))
    return found


def test_the_default_command_prints_the_export(sshd: Sshd, tmp_path: Path) -> None:
    """It is passed on as printed, with its facts about the instance; its time is now."""
    collected = collect(tmp_path, sshd.source(), sshd.key)

    assert collected.export is not None
    assert collected.export.content == EXPORT
    assert (collected.export.server_id, collected.export.hostname, collected.version) == ("1f6a-22", "ghes-emea.example.com", "3.19.2")
    assert (collected.counts, collected.collected_at, collected.newest_activity) == (UsageCounts(counted=False), T0, T0)


@pytest.mark.parametrize("command", ["banner", "warning"])
def test_row_37_what_stands_around_it_does_no_harm(sshd: Sshd, tmp_path: Path, command: str) -> None:
    """Text before it, and warnings on standard error."""
    collected = collect(tmp_path, sshd.source(command), sshd.key)

    assert collected.export is not None
    assert collected.export.content == EXPORT


def test_row_38_the_command_is_configured_word_by_word(sshd: Sshd, tmp_path: Path) -> None:
    """The remote shell passes exactly the configured words to the command."""
    collected = collect(tmp_path, sshd.source("words", "a  b", "$HOME", "-x"), sshd.key)

    assert collected.export is not None
    assert collected.export.content == b'{"users": "x", "words": "a  b $HOME -x|3"}'


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o644])
def test_a_key_from_a_credential_is_accepted(sshd: Sshd, tmp_path: Path, mode: int) -> None:
    """A group-readable file with the line ends of another system works unchanged."""
    key = tmp_path / "instances__emea__source__key"
    key.write_bytes(sshd.key.read_bytes().strip().replace(b"\n", b"\r\n"))
    key.chmod(mode)

    assert collect(tmp_path, sshd.source(), key).export is not None


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("empty", Code.EXPORT_MALFORMED, "the output of `empty` on 127.0.0.1 is empty"),
        ("fail", Code.COMMAND_FAILED, "`fail` on 127.0.0.1 exited with code 3: ghe-license: 500 Internal Server Error"),
        ("ghe-license-usage", Code.COMMAND_FAILED, "exited with code 127: ghe-license-usage: command not found"),
        ("own255", Code.COMMAND_FAILED, "`own255` on 127.0.0.1 exited with code 255: license service is down"),
    ],
)
def test_a_command_that_does_not_work(sshd: Sshd, tmp_path: Path, command: str, code: Code, words: str) -> None:
    """Output before a failure is not used; the last message is shown, with a command to check."""
    error = refusal(tmp_path, sshd.source(command), sshd.key)

    assert error.code is code
    assert words in error.cause
    assert f"-p {sshd.port} {sshd.user}@127.0.0.1" in error.next_step


@pytest.mark.parametrize(
    "text",
    [
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
        "Host key verification failed.",
        "admin@127.0.0.1: Permission denied (publickey).",
        "ssh: connect to host 127.0.0.1 port 122: Connection refused",
        "Connection to 127.0.0.1 closed by remote host.",
        "client_loop: send disconnect: Broken pipe",
    ],
)
def test_what_the_command_prints_does_not_pass_for_the_clients_words(sshd: Sshd, tmp_path: Path, text: str) -> None:
    """Exit code 255 with ssh's own message is still only a failed command: no alarm about a host key can be forged."""
    assert refusal(tmp_path, sshd.source("forge", text), sshd.key).code is Code.COMMAND_FAILED


def test_a_command_that_hangs_is_ended(sshd: Sshd, tmp_path: Path) -> None:
    """After the timeout no client is left."""
    error = refusal(tmp_path, sshd.source("hang", str(tmp_path / "pid"), timeout=timedelta(seconds=2)), sshd.key)

    assert (error.code, clients()) == (Code.COMMAND_TIMEOUT, set())
    assert "did not finish within 2 seconds" in error.cause


def test_200_mb_are_not_held(sshd: Sshd, tmp_path: Path) -> None:
    """Reading stops at the limit, and no more than that was ever in memory."""
    tracemalloc.start()
    try:
        error = refusal(tmp_path, sshd.source("flood"), sshd.key)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (error.code, clients()) == (Code.EXPORT_TOO_LARGE, set())
    assert "printed more than 64 MiB and was stopped" in error.cause
    assert 60 * MIB < peak < 80 * MIB


def test_a_changed_host_key(sshd: Sshd, tmp_path: Path) -> None:
    """A failover, a rebuild, or an attack: nothing is sent, and a person decides."""
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public('other_host')}\n")

    error = refusal(tmp_path, sshd.source(known_hosts=known), sshd.key)

    assert error.code is Code.HOST_KEY_CHANGED
    assert "a failover, a rebuilt instance, or an attack" in error.cause
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1" in error.next_step
    assert known.read_text().count("\n") == 1


@pytest.mark.parametrize("content", [None, "", "[127.0.0.1]:1 KEY\n"], ids=["no file", "empty", "other port"])
def test_an_unknown_host_key(sshd: Sshd, tmp_path: Path, content: str | None) -> None:
    """It is never accepted automatically, nor stored."""
    known = tmp_path / "known"
    if content is not None:
        known.write_text(content.replace("KEY", sshd.public("host")))

    error = refusal(tmp_path, sshd.source(known_hosts=known), sshd.key)

    assert error.code is Code.HOST_KEY_UNKNOWN
    assert ("is not a readable file" in error.cause) == (content is None)
    assert (known.read_text() if known.exists() else None) == (content and content.replace("KEY", sshd.public("host")))


def test_one_name_may_have_several_keys(sshd: Sshd, tmp_path: Path) -> None:
    """That of the replica beside the other one."""
    known = tmp_path / "known"
    known.write_text("".join(f"[127.0.0.1]:{sshd.port} {sshd.public(name)}\n" for name in ("other_host", "host")))

    assert collect(tmp_path, sshd.source(known_hosts=known), sshd.key).export is not None


def test_a_refused_key(sshd: Sshd, tmp_path: Path) -> None:
    """The error names the key and the user, and where to add it."""
    error = refusal(tmp_path, sshd.source(), sshd.folder / "stranger")

    assert error.code is Code.SSH_KEY_REFUSED
    assert f"stranger: 127.0.0.1, port {sshd.port} does not accept it for the user {sshd.user}" in error.cause


def test_a_file_that_is_no_key(sshd: Sshd, tmp_path: Path) -> None:
    """It is distinguished from a refused key."""
    key = tmp_path / "key"
    key.write_text("no key\n")

    error = refusal(tmp_path, sshd.source(), key)

    assert (error.code, "ssh cannot read it" in error.cause) == (Code.SSH_KEY_REFUSED, True)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"port": 1}, Code.UNREACHABLE), ({"command": ("lost",)}, Code.CONNECTION_LOST)],
    ids=["refused", "lost"],
)
def test_a_connection_that_fails_is_tried_again(sshd: Sshd, tmp_path: Path, changes: dict[str, object], code: Code) -> None:
    """Within seconds to minutes, a few times."""
    clock = FakeClock()

    error = refusal(tmp_path, replace(sshd.source(), **changes), sshd.key, clock)

    assert error.code is code
    assert len(clock.slept) == MAX_ATTEMPTS - 1


def test_nothing_of_the_users_own_is_used(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a configuration in HOME nor an agent matters."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host *\n  ProxyCommand false\n  StrictHostKeyChecking no\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))

    assert collect(tmp_path, sshd.source(), sshd.key).export is not None
    assert [one.name for one in (home / ".ssh").iterdir()] == ["config"]


def test_canceled_it_leaves_no_client_behind(sshd: Sshd, tmp_path: Path) -> None:
    """A daemon that stops has ended its ssh within a second, and the key's copy is gone."""
    there = tmp_path / "pid"

    async def scene() -> tuple[set[int], set[int], float]:
        task = asyncio.create_task(collecting(tmp_path, sshd.source("hang", str(there)), sshd.key, FakeClock()))
        for _ in range(1000):
            if there.exists() and there.read_text():
                break
            await asyncio.sleep(0.01)
        running, began = clients(), time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return running, clients(), time.monotonic() - began

    running, left, took_s = asyncio.run(scene())

    assert (len(running), left) == (1, set())
    assert took_s < 1


def test_without_a_client_it_says_so(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without openssh-client, the error names what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))

    error = refusal(tmp_path, sshd.source(), sshd.key)

    assert (error.code, error.cause) == (Code.SSH_FAILED, "no ssh client is installed on this machine")
