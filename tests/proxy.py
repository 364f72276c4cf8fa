"""A TCP proxy on loopback that can be slow, or half open: it takes everything and passes on nothing."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards connections to a port of this machine, in threads."""

    def __init__(self, to_port: int, delay_s: float = 0.0) -> None:
        self._to_port = to_port
        self._delay_s = delay_s
        self._is_passing = True
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """From now on, take what arrives and pass on nothing, without closing a connection."""
        self._is_passing = False

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                if self._is_passing:
                    server = socket.create_connection(("127.0.0.1", self._to_port))
                    self._open.append(server)
                    for one in (client, server):
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if self._is_passing:
                    time.sleep(self._delay_s)
                    target.sendall(piece)
            if self._is_passing:
                target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy_to(port: int, delay_s: float = 0.0) -> Iterator[Proxy]:
    """Run a proxy to a port; `delay_s` is added to every piece in each direction."""
    proxy = Proxy(port, delay_s)
    try:
        yield proxy
    finally:
        proxy.close()
