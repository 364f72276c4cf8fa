"""A real sshd on loopback, as the current user: its forced command simulates an instance's administrative shell."""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from licsync_daemon.model.instance import SshSource
from tests.tools import tool

EXPORT = b'{"instance": {"server_id": "1f6a-22", "host_name": "ghes-emea.example.com", "version": "3.19.2"},\n "users": "QUJD"}'
# What was asked for is what it does; the words arrive as one text, and a shell takes them apart again.
SHELL = r"""#!/bin/sh
export_() { printf '%s\n' '{"instance": {"server_id": "1f6a-22", "host_name": "ghes-emea.example.com", "version": "3.19.2"},' ' "users": "QUJD"}'; }
eval "set -- $SSH_ORIGINAL_COMMAND"
case "$1" in
  ghe-license) [ "$2" = usage ] && export_ ;;
  banner) printf 'Welcome to {GitHub} Enterprise\n\n'; export_ ;;
  warning) echo 'warning: a replica is behind, tell mona@example.com' >&2; export_ ;;
  empty) ;;
  fail) export_; echo 'ghe-license: 500 Internal Server Error' >&2; exit 3 ;;
  own255) echo 'license service is down' >&2; exit 255 ;;
  forge) printf '%s\n' "$2" >&2; exit 255 ;;
  hang) echo $$ > "$2"; while kill -0 $PPID 2>&-; do sleep 0.2; done ;;
  flood) head -c 200000000 /dev/zero ;;
  words) shift; printf '{"users": "x", "words": "%s"}' "$*|$#" ;;
  lost) kill -9 $PPID; sleep 5 ;;
  *) echo "$1: command not found" >&2; exit 127 ;;
esac
"""


class Sshd:
    """The server, its files, and sources that read from it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.key = folder / "user"
        self.known_hosts = folder / "known hosts"

    def public(self, name: str) -> str:
        """Return type and text of one of the keys `host`, `other_host`, `user` and `stranger`."""
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def source(self, *command: str, **changes: object) -> SshSource:
        """Return a source that runs `command` there."""
        return SshSource(
            **{
                "host": "127.0.0.1",
                "port": self.port,
                "user": self.user,
                "known_hosts": self.known_hosts,
                "connect_timeout": timedelta(seconds=10),
                "timeout": timedelta(seconds=60),
                **({"command": command} if command else {}),
                **changes,
            }
        )


@contextmanager
def serving_ssh(folder: Path) -> Iterator[Sshd]:
    """Serve until the end of the block."""
    sshd, keygen = tool("sshd"), tool("ssh-keygen")
    tool("ssh")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Sshd(folder, port)
    for name in ("host", "other_host", "user", "stranger"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True)
    shell = folder / "shell"
    shell.write_text(SHELL)
    shell.chmod(0o755)
    (folder / "authorized").write_text(f'restrict,command="{shell}" {server.public("user")}\n')
    server.known_hosts.write_text(f"[127.0.0.1]:{port} {server.public('host')}\n")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root insists on it
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "config")], stdin=subprocess.DEVNULL, stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise AssertionError(f"sshd does not listen: {(folder / 'log').read_text()}")
        yield server
    finally:
        process.terminate()
        process.wait(10)
