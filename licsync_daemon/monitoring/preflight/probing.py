"""What every probe needs: the connection to a destination, and requests to it."""

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.clients import Clients
from licsync_daemon.http.response import LISTING
from licsync_daemon.http.tls import tls_context
from licsync_daemon.model.errors import Code, RemoteError, RunError
from licsync_daemon.model.instance import Config, Destination
from licsync_daemon.model.ports import Clock
from licsync_daemon.model.usage import SeatTotals, SyncStatus
from licsync_daemon.monitoring.preflight.judge_network import reachability_rows
from licsync_daemon.monitoring.preflight.network import Route, explore, route_of
from licsync_daemon.monitoring.preflight.rows import CheckRow, Place, Rows

QUICK = replace(LISTING, deadline_s=10)
PASSES = frozenset({Code.MAINTENANCE, Code.RATE_LIMITED})  # temporary: no action needed


@dataclass(frozen=True, slots=True)
class About:
    """What an instance reports about itself."""

    version: str | None
    seats: int | None


@dataclass(slots=True)
class Results:
    """Results of probes that later rows combine."""

    totals: SeatTotals | None = None
    status: SyncStatus | None = None
    about: dict[str, About] = field(default_factory=dict)  # by instance


@dataclass(frozen=True, slots=True)
class Probing:
    """What the probes of one check share."""

    config: Config
    clients: Clients
    clock: Clock
    found: Results = field(default_factory=Results)
    _contexts: dict[tuple[Path | None, ...], ssl.SSLContext] = field(default_factory=dict)

    def tls(self, to: Destination) -> ssl.SSLContext:
        """Return the TLS context for a destination, built once for all that share it. Raises `RemoteError`."""
        files = (to.ca_file, to.client_cert, to.client_key)
        if files not in self._contexts:
            self._contexts[files] = tls_context(to)
        return self._contexts[files]

    async def reachability(self, place: Place, to: Destination) -> Rows:
        """Yield whether a destination is reachable, step by step."""
        try:
            route = route_of(to, self.clients.proxy_auth(to))
            tls = self.tls(to)
        except ValueError:
            fix = "check this destination's `proxy`, or the environment's proxy variables if it is `env`: only http and https are supported"
            yield place.fail("route", "the proxy's address is invalid", fix, Code.UNREACHABLE)
            return
        except RunError as error:
            yield place.failed("route", error)
            return
        async for row in self.along(place, route, tls):
            yield row

    async def along(self, place: Place, route: Route, tls: ssl.SSLContext) -> Rows:
        reached = await explore(route, tls)
        for row in reachability_rows(place, route, reached, self.clock.now()):
            yield row

    def ready(self, client: HttpClient) -> HttpClient:
        """Give a client the shared TLS context."""
        client.tls = self.tls(client.to)
        return client


async def ask(client: HttpClient, path: str, what: str) -> Any:
    """Return the JSON at a path, with a single request. Raises `RunError`, after ten seconds at the latest."""
    async with client.get(path, operation=what, limits=QUICK) as response:
        return await response.json()


async def ask_object(client: HttpClient, path: str, what: str) -> dict[str, Any]:
    found = await ask(client, path, what)
    if not isinstance(found, dict):
        raise RemoteError(Code.BAD_RESPONSE, f"{what} is not a JSON object", "check that the address is that of the API")
    return found


def refusal(place: Place, test: str, error: RunError) -> CheckRow:
    """Return a row for a failed request; a temporary failure is only a warning."""
    if error.code in PASSES:
        return place.warn(test, error.cause, error.next_step)
    return place.failed(test, error)
