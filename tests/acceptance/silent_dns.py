"""Run a command in this network and mount namespace, where the only name server takes questions and never answers.

usage: unshare -n -m python silent_dns.py COMMAND ...

It prints "asked" when the first question has come, hands signals on to the command, and ends with its exit code.
"""

import fcntl
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SERVER = "127.0.0.53"


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh", b"lo", 0) + bytes(22)
        flags = struct.unpack("16sh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)[:18])[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP) + bytes(22))


def use_silent_server(folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((SERVER, 53))
    config = folder / "resolv.conf"
    config.write_text(f"nameserver {SERVER}\noptions timeout:30 attempts:2\n")
    real = Path("/etc/resolv.conf").resolve()
    subprocess.run(["mount", "--bind", str(config), str(real)], check=True)
    return listener


def main() -> int:
    bring_up_loopback()
    with (
        tempfile.TemporaryDirectory(prefix="silent-dns-") as folder,
        use_silent_server(Path(folder)) as listener,
        subprocess.Popen(sys.argv[1:]) as command,
    ):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: command.send_signal(number))

        def listen() -> None:
            listener.recv(4096)
            print("asked", flush=True)

        threading.Thread(target=listen, daemon=True).start()
        return command.wait()


if __name__ == "__main__":
    sys.exit(main())
