"""What every probe needs, and the two things that all of them do: go the way to a destination, and ask it something."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from licsync_daemon.daemon.adapters import NetworkAdapters
from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.response import API, Limits
from licsync_daemon.http.tls import tls_context
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import Config, Destination
from licsync_daemon.model.ports import Clock
from licsync_daemon.model.usage import SeatTotals, SyncStatus
from licsync_daemon.monitoring.preflight.judge_network import way_rows
from licsync_daemon.monitoring.preflight.network import Route, explore, route_of
from licsync_daemon.monitoring.preflight.rows import CheckRow, Place, Rows

QUICK = Limits(deadline_s=10, wire_bytes=API.wire_bytes, decoded_bytes=API.decoded_bytes)
PASSES = frozenset({Code.MAINTENANCE, Code.RATE_LIMITED})  # nobody has to do anything


@dataclass(frozen=True, slots=True)
class About:
    """What an instance told of itself."""

    version: str | None
    seats: int | None


@dataclass(slots=True)
class Answers:
    """What one probe found that others, or the end, make something of."""

    totals: SeatTotals | None = None
    status: SyncStatus | None = None
    about: dict[str, About] = field(default_factory=dict)  # by instance


@dataclass(frozen=True, slots=True)
class Probing:
    """The tools of a preflight."""

    config: Config
    adapters: NetworkAdapters
    clock: Clock
    found: Answers = field(default_factory=Answers)
    _contexts: dict[tuple[Path | None, ...], ssl.SSLContext] = field(default_factory=dict)

    def tls(self, to: Destination) -> ssl.SSLContext:
        """Return whom we trust there and what we show; built once for all that share it. Raises `RemoteError`."""
        files = (to.ca_file, to.client_cert, to.client_key)
        if files not in self._contexts:
            self._contexts[files] = tls_context(to)
        return self._contexts[files]

    async def way(self, place: Place, to: Destination) -> Rows:
        """Yield what the way to a destination is like."""
        try:
            route = route_of(to, self.adapters.proxy_auth(to))
            tls = self.tls(to)
        except ValueError:
            fix = "check `proxy` of this destination, or the environment's proxy variables if it is `env`; only http and https proxies are"
            yield place.fail("route", "the proxy's address cannot be used", fix, Code.UNREACHABLE)
            return
        except RunError as error:
            yield place.failed("route", error)
            return
        async for row in self.along(place, route, tls):
            yield row

    async def along(self, place: Place, route: Route, tls: ssl.SSLContext) -> Rows:
        way = await explore(route, tls)
        for row in way_rows(place, route, way, self.clock.now()):
            yield row

    def ready(self, client: HttpClient) -> HttpClient:
        """Let a client take the TLS context that was built already."""
        client.tls = self.tls(client.to)
        return client


async def ask(client: HttpClient, path: str, what: str) -> Any:
    """Return the JSON at a path, asked for once. Raises `RunError`, no later than after ten seconds."""
    async with client.get(path, operation=what, limits=QUICK) as response:
        return await response.json()


async def ask_object(client: HttpClient, path: str, what: str) -> dict[str, Any]:
    found = await ask(client, path, what)
    if not isinstance(found, dict):
        raise RemoteError(Code.BAD_RESPONSE, f"{what} is not a JSON object", "check that the address is the API's")
    return found


def refusal(place: Place, test: str, error: RunError) -> CheckRow:
    """Say why something could not be asked; what passes by itself is no failure."""
    if error.code in PASSES:
        return place.warn(test, error.cause, error.next_step)
    return place.failed(test, error)
