"""The source `ssh`, as far as it needs no server: the command line, what a failure means, and the key."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import PERMANENT, Code, RemoteError, RunError
from licsync_daemon.model.instance import SshSource
from licsync_daemon.sources.ssh import private_copy, ssh_failure, ssh_words
from licsync_daemon.system.child import Ended


def a_source(**changes: object) -> SshSource:
    return SshSource(**{"host": "ghes.example.com", "known_hosts": Path("/etc/licsync/known_hosts"), **changes})


def test_the_command_line() -> None:
    """No configuration file, agent, password, forwarding or new host key; only the given options."""
    words = ssh_words("/usr/bin/ssh", a_source(connect_timeout=timedelta(seconds=7)), Path("/proc/1/fd/3"), Path("/proc/1/fd/4"))

    assert words[:10] == ["/usr/bin/ssh", "-F", "/dev/null", "-E", "/proc/1/fd/4", "-T", "-p", "122", "-i", "/proc/1/fd/3"]
    assert {words[at + 1] for at, word in enumerate(words) if word == "-o"} == {
        "BatchMode=yes", "StrictHostKeyChecking=yes", 'UserKnownHostsFile="/etc/licsync/known_hosts"', "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no", "IdentitiesOnly=yes", "IdentityAgent=none", "ForwardAgent=no", "ClearAllForwardings=yes", "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no", "PreferredAuthentications=publickey", "ConnectTimeout=7", "ServerAliveInterval=15", "ServerAliveCountMax=4",
        "LogLevel=DEBUG1",
    }  # fmt: skip
    assert words[-6:] == ["-l", "admin", "--", "ghes.example.com", "ghe-license", "usage"]


def test_words_are_quoted_for_the_far_side() -> None:
    """The remote shell passes the configured words to the command."""
    assert ssh_words("ssh", a_source(command=("a b", "$x", "'", "-q")), Path("/k"), Path("/log"))[-4:] == [
        "'a b'",
        "'$x'",
        "''\"'\"''",
        "-q",
    ]


def test_a_percent_sign_in_a_path_is_one() -> None:
    """ssh would expand it."""
    assert 'UserKnownHostsFile="/a b/100%%h"' in ssh_words("ssh", a_source(known_hosts=Path("/a b/100%h")), Path("/k"), Path("/log"))


# Messages of OpenSSH 9.2 as they came.
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
Host key for [127.0.0.1]:2222 has changed and you have requested strict checking.\r
Host key verification failed.\r
"""
REVOKED = """@       WARNING: REVOKED HOST KEY DETECTED!               @\r
ED25519 host key for [127.0.0.1]:2222 was revoked and you have requested strict checking.\r
Host key verification failed.\r
"""
UNKNOWN = "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\r\nHost key verification failed.\r\n"
QUIT = ("Connection to ghes", "Timeout, server")  # these go to standard error, the others to the log
DENIED = "admin@127.0.0.1: Permission denied (publickey).\r\n"
BAD_KEY = f'Load key "/proc/28140/fd/3": error in libcrypto\r\n{DENIED}'


def test_what_a_failure_of_ssh_means(subtests: pytest.Subtests) -> None:
    """Each cause has its own code; only a failed connection is transient."""
    for messages, code, again in (
        (CHANGED, Code.HOST_KEY_CHANGED, False),
        (REVOKED, Code.HOST_KEY_CHANGED, False),
        (UNKNOWN, Code.HOST_KEY_UNKNOWN, False),
        (DENIED, Code.SSH_KEY_REFUSED, False),
        (BAD_KEY, Code.SSH_KEY_REFUSED, False),
        ("ssh: connect to host 127.0.0.1 port 2222: Connection refused\r\n", Code.UNREACHABLE, True),
        ("ssh: connect to host 10.0.0.1 port 122: Connection timed out\r\n", Code.UNREACHABLE, True),
        ("ssh: Could not resolve hostname no.such.example: Name or service not known\r\n", Code.UNREACHABLE, True),
        ("Connection timed out during banner exchange\r\nConnection to 127.0.0.1 port 2222 timed out\r\n", Code.UNREACHABLE, True),
        ("kex_exchange_identification: Connection closed by remote host\r\n", Code.CONNECTION_LOST, True),
        ("Connection to ghes.example.com closed by remote host.\r\n", Code.CONNECTION_LOST, True),
        ("client_loop: send disconnect: Broken pipe\r\n", Code.CONNECTION_LOST, True),
        ("Timeout, server ghes.example.com not responding.\r\n", Code.CONNECTION_LOST, True),
        ("Unable to negotiate with 127.0.0.1 port 2222: no matching cipher found.\r\n", Code.SSH_FAILED, False),
        ("No user exists for uid 4711\r\n", Code.SSH_FAILED, False),
        ("", Code.SSH_FAILED, False),
    ):
        with subtests.test(messages=messages, code=code):
            error = ssh_failure(
                a_source(), Path("/the/key"), "" if messages.startswith(QUIT) else messages, Ended(255, bytearray(), messages)
            )

            assert error.code is code
            assert (isinstance(error, RemoteError) and error.transient) == again
            assert ("/the/key" if "Load key" in messages else "ghes.example.com") in error.cause
            assert not set(error.cause + error.next_step) & set("\r\n")


def test_a_server_cannot_speak_as_the_client() -> None:
    """ssh quotes a server's words behind its own, and escapes line ends in them."""
    for words in (CHANGED, UNKNOWN, DENIED, "ssh: connect to host x port 1: Connection refused"):
        line = words.splitlines()[-1]
        for said in (f"Received disconnect from 10.0.0.1 port 122:2: {line}\r\n", f"banner exchange: Connection to x: {line}\r\n"):
            assert ssh_failure(a_source(), Path("/the/key"), said, Ended(255, bytearray(), "")).code is Code.SSH_FAILED


def test_what_only_a_person_can_mend_waits_for_one() -> None:
    """A connection may recover; a key does not."""
    assert {Code.HOST_KEY_CHANGED, Code.HOST_KEY_UNKNOWN, Code.SSH_KEY_REFUSED} <= PERMANENT
    assert not {Code.SSH_FAILED, Code.COMMAND_FAILED, Code.COMMAND_TIMEOUT, Code.NO_NEW_EXPORT} & PERMANENT


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o644])
def test_a_key_that_others_may_read_is_copied(tmp_path: Path, mode: int) -> None:
    """ssh gets a private copy with the required line ends; it is gone after the block, and no file is created."""
    file = tmp_path / "key"
    file.write_bytes(b"-----BEGIN\r\nabc\r\n-----END")
    file.chmod(mode)

    with private_copy(file) as path:
        assert path.read_bytes() == b"-----BEGIN\nabc\n-----END\n"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_uid == os.getuid()
        assert [one.name for one in tmp_path.iterdir()] == ["key"]
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "code"), [(None, Code.CREDENTIAL_MISSING), ("folder", Code.CREDENTIAL_MISSING), ("pipe", Code.CREDENTIAL_MALFORMED), ("", Code.CREDENTIAL_MALFORMED), ("x" * 65537, Code.CREDENTIAL_MALFORMED)],
    ids=["missing", "folder", "pipe", "empty", "huge"],
)  # fmt: skip
def test_a_key_that_cannot_be_one(tmp_path: Path, content: str | None, code: Code) -> None:
    """The error names the file, before ssh is started."""
    file = tmp_path / "key"
    if content == "folder":
        file.mkdir()
    elif content == "pipe":
        os.mkfifo(file)
    elif content is not None:
        file.write_text(content)

    with pytest.raises(RunError) as refused, private_copy(file):
        pass
    assert refused.value.code is code
    assert str(file) in refused.value.cause
