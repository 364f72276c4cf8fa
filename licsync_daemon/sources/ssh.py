"""The source `ssh`: `ghe-license usage` on an instance's administrative shell, port 122, through the OpenSSH client.

Source: docs.github.com, "Accessing the administrative shell (SSH)" and "Command-line utilities" (checked 2026-11-24); up to GHES 3.12 the
command is `ghe-license-usage`. The user's and the machine's ssh configuration, agents, forwarding and passwords are not used; an
unknown host key is never accepted. The client exits with 255 for a failure of its own, but so can the command: the client's log (`-E`),
which nothing on the instance can write to, says which of the two it was, and why. Its messages are those of OpenSSH 9.2.
"""

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.http.advice import TEMPORARY
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import SshSource
from licsync_daemon.model.ports import AccountSink, Clock
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Collected
from licsync_daemon.settings.platform import rights_step
from licsync_daemon.sources.command import command_failed
from licsync_daemon.sources.export import collected_from
from licsync_daemon.system.child import Ended, last_line, run_child

MAX_KEY_BYTES = 64 * 1024
OWN_FAILURE = 255
LOG_BYTES = 64 * 1024  # kept from the end of the client's log
# Each pattern matches at the beginning of a line: what a server says is quoted behind ssh's own words.
_COMMAND_ENDED = re.compile(r"^debug1: client_input_channel_req: channel \d+ rtype exit-(status|signal)", re.MULTILINE)
_CHANGED = re.compile(r"^@ +WARNING: (REMOTE HOST IDENTIFICATION HAS CHANGED|REVOKED HOST KEY DETECTED)!", re.MULTILINE)
_UNKNOWN = re.compile(r"^Host key verification failed", re.MULTILINE)
_DENIED = re.compile(r"^\S+: Permission denied \(", re.MULTILINE)
_UNREACHABLE = re.compile(
    r"^ssh: (connect to host .* port|Could not resolve hostname)|^Connection timed out during banner|^Connection to \S+ port \d+ timed out",
    re.MULTILINE,
)
_LOST = re.compile(r"^(Connection (closed|reset)|client_loop: |kex_exchange_identification: |.*: Broken pipe$)", re.MULTILINE)
# The last words of the client about a connection that is gone; they go to standard error.
_GONE = re.compile(r"^(Timeout, server .* not responding|Connection to \S+ closed)", re.MULTILINE)


class SshUsageSource:
    """Reads one instance (the `UsageSource` port).

    `private_key` returns the private key's file for each attempt. ssh refuses a file that others can read, as credentials often are, so it
    gets a copy in memory, without a name.
    """

    def __init__(self, source: SshSource, private_key: Callable[[], Path], retry: Retrier, clock: Clock) -> None:
        self._source = source
        self._private_key = private_key
        self._retry = retry
        self._clock = clock

    async def collect(self, spool: AccountSink) -> Collected:
        source = self._source
        ended = await self._retry.call(self._run)
        what = f"the output of `{shlex.join(source.command)}` on {source.host}"
        return collected_from(ended.output, spool, what=what, again=self._by_hand, at=self._clock.now())

    @property
    def _by_hand(self) -> str:
        source = self._source
        return f"check the output of: ssh -p {source.port} {source.user}@{source.host} -- {shlex.join(source.command)}"

    async def _run(self) -> Ended:
        source = self._source
        ended = await run_there(source, self._private_key(), again=self._by_hand)
        if ended.code != 0:
            raise command_failed(f"`{shlex.join(source.command)}` on {source.host}", ended.code, ended.last_message, self._by_hand)
        return ended


async def run_there(source: SshSource, private_key: Path, *, again: str) -> Ended:
    """Run the source's command on the instance once, and return its exit code and output. `again` is the next step if it does not end.

    Raises:
        RunError: The ssh client is missing or failed; or as `run_child` raises.
    """
    client = shutil.which("ssh")
    if client is None:
        raise RunError(Code.SSH_FAILED, "no ssh client is installed on this machine", "install it: apt-get install openssh-client")
    with private_copy(private_key) as key, _own_log() as log:
        words = ssh_words(client, source, key, log.path)
        what = f"`{shlex.join(source.command)}` on {source.host}"
        ended = await run_child(words, what=what, within=source.timeout, max_bytes=source.max_export_bytes, again=again)
        said = log.text()
    if ended.code == OWN_FAILURE and not _COMMAND_ENDED.search(said):
        raise ssh_failure(source, private_key, said, ended)
    return ended


def ssh_words(client: str, source: SshSource, key: Path, log: Path) -> list[str]:
    """Return the command line; `-l` and `--` prevent a user or host from being read as an option."""
    connect_s = max(1, round(source.connect_timeout.total_seconds()))
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": '"' + str(source.known_hosts).replace("%", "%%") + '"',
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": str(connect_s),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "4",
        "LogLevel": "DEBUG1",  # says that the command ended
    }
    words = [client, "-F", "/dev/null", "-E", str(log), "-T", "-p", str(source.port), "-i", str(key)]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    # The remote shell splits the command line again, so each word is quoted.
    return [*words, "-l", source.user, "--", source.host, *map(shlex.quote, source.command)]


def ssh_failure(source: SshSource, private_key: Path, log: str, ended: Ended) -> RunError:
    """Return the error for a failure of the client, by its log."""
    said = "\n".join(line for line in log.splitlines() if not line.startswith("debug"))
    where = f"{source.host}, port {source.port}"
    scan = f"ssh-keyscan -p {source.port} {source.host}"
    if _CHANGED.search(said):
        return RunError(
            Code.HOST_KEY_CHANGED,
            f"{where} presents a host key that differs from {source.known_hosts}: a failover, a rebuilt instance, or an attack",
            f"ask the instance's administrator, compare the fingerprint of `{scan}` there, then replace the line in {source.known_hosts}",
        )
    if _UNKNOWN.search(said):
        missing = "has no entry for it" if source.known_hosts.is_file() else "is not a readable file"
        return RunError(
            Code.HOST_KEY_UNKNOWN,
            f"the host key of {where} is unknown: {source.known_hosts} {missing}",
            f"run `{scan} | tee new-keys | ssh-keygen -lf -`, compare the fingerprint on the instance, and add new-keys to that file",
        )
    if _DENIED.search(said):
        unreadable = re.search(r'^Load key ".*": (.*?)\r?$', said, re.MULTILINE)
        why = f"ssh cannot read it ({clean(unreadable[1])})" if unreadable else f"{where} does not accept it for the user {source.user}"
        step = "use a key without a passphrase, and add its public key in the instance's Management Console, under SSH access"
        return RunError(Code.SSH_KEY_REFUSED, f"the private key {private_key}: {why}", step)
    is_gone = _GONE.search(ended.messages) is not None
    cause = f"{where}: {(not is_gone and last_line(said)) or ended.last_message or 'ssh failed without a message'}"
    if _UNREACHABLE.search(said):
        step = f"check the name, the firewall and port {source.port}, the port of the administrative shell"
        return RemoteError(Code.UNREACHABLE, cause, step, transient=True)
    if is_gone or _LOST.search(said):
        return RemoteError(
            Code.CONNECTION_LOST,
            cause,
            f"{TEMPORARY}; if the error persists, check the network between this machine and the instance",
            transient=True,
        )
    return RunError(Code.SSH_FAILED, cause, f"check the output of: ssh -v -p {source.port} {source.user}@{source.host}")


@dataclass(frozen=True, slots=True)
class _Log:
    """The client's log, in memory."""

    descriptor: int

    @property
    def path(self) -> Path:
        return Path(f"/proc/{os.getpid()}/fd/{self.descriptor}")

    def text(self) -> str:
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, LOG_BYTES, max(0, size - LOG_BYTES)).decode("utf-8", "replace")


@contextmanager
def _own_log() -> Iterator[_Log]:
    descriptor = os.memfd_create("log")
    try:
        yield _Log(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def private_copy(file: Path) -> Iterator[Path]:
    """Yield a path of a private key that only this process can read, valid inside the `with` block, without writing it to disk.

    Raises:
        RunError: `CREDENTIAL_MISSING` or `CREDENTIAL_MALFORMED`.
    """
    try:
        # Non-blocking: a named pipe instead of a file must not stop the daemon.
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
            key = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        cause = f"the private key {file} cannot be read: {(error.strerror or 'unknown reason').lower()}"
        step = rights_step(f"make it readable by the daemon's user: chgrp licsync {file} && chmod 0640 {file}", file)
        raise RunError(Code.CREDENTIAL_MISSING, cause, step) from None
    if not key.strip() or len(key) > MAX_KEY_BYTES:
        raise RunError(
            Code.CREDENTIAL_MALFORMED, f"{file} is not a private key", "replace it with an OpenSSH private key without a passphrase"
        )
    number = os.memfd_create("key")
    try:
        os.fchmod(number, 0o600)
        os.write(number, key.replace(b"\r\n", b"\n").rstrip() + b"\n")  # ssh requires both
        yield Path(f"/proc/{os.getpid()}/fd/{number}")  # ssh closes inherited files, but may open this path of its parent
    finally:
        os.close(number)
