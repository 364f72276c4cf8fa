"""The sandbox: a whole fleet and its cloud account on loopback."""

import json
import random
import secrets
import string
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from licsync_daemon.practice.sandbox import control, delivery_app, mishaps
from licsync_daemon.practice.sandbox.clock import SandboxClock
from licsync_daemon.practice.sandbox.cloud import ABSENT, Cloud, Processing
from licsync_daemon.practice.sandbox.cloud_app import CloudApp, Token
from licsync_daemon.practice.sandbox.config_files import write_config
from licsync_daemon.practice.sandbox.export import read_export, write_export
from licsync_daemon.practice.sandbox.faults import Faults
from licsync_daemon.practice.sandbox.fleet import Fleet
from licsync_daemon.practice.sandbox.ghes import Instance
from licsync_daemon.practice.sandbox.http import Reply, Request
from licsync_daemon.practice.sandbox.limits import RateLimit
from licsync_daemon.practice.sandbox.quirks import Quirks
from licsync_daemon.practice.sandbox.server import SandboxServer
from licsync_daemon.practice.sandbox.site import DEFAULT_MAX_BODY_BYTES, Seen, Site

CLOUD = "cloud"  # the cloud's name in faults and in the list of requests
REQUESTS_KEPT = 2000
CLOUD_RATE_LIMIT = 5000


class Sandbox:
    """A running practice fleet; use it as a context manager, or call `start` and `stop`.

    With a `seed` its tokens are repeatable, otherwise random. `max_decoded_bytes` limits a delivered document.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        quirks: str = "all",
        processing_delay: float = 0.2,
        seed: int | None = None,
        max_decoded_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        rng = secrets.SystemRandom() if seed is None else random.Random(seed)
        self.fleet, self.enterprise = fleet, fleet.enterprise
        self.cloud_token, self.delivery_token, self.control_token = (_token(rng, prefix) for prefix in ("ghp_", "lsd_", "lsc_"))
        self.clock = SandboxClock()
        self.faults = Faults()
        self.requests: deque[Seen] = deque(maxlen=REQUESTS_KEPT)
        self.cloud = Cloud(fleet, self.clock, Processing(delay_s=processing_delay))
        self.quirks = Quirks(quirks)
        self.instances = {
            entry.name: Instance(
                entry, n, _token(rng, "ghp_"), _token(rng, "ghp_"), self.quirks, clock=self.clock, seats_bought=fleet.seats_purchased
            )
            for n, entry in enumerate(fleet.instances)
        }
        limit, points = (RateLimit(self.clock, CLOUD_RATE_LIMIT) for _ in range(2))
        self.cloud_app = CloudApp(
            self.cloud, Token(self.cloud_token), rate_limit=limit, points=points, quirks=self.quirks, base_url=lambda: self.cloud_api_url
        )
        self.delivery_app = delivery_app.DeliveryApp(self.cloud, self.instances, self.delivery_token, max_decoded_bytes)
        self._control_app = control.ControlApp(self, self.control_token)
        self._servers: list[SandboxServer] = []
        self.cloud_api_url = ""  # set when the port is open

    @property
    def delivery_url(self) -> str:
        return self.cloud_api_url + delivery_app.PATH

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Open every port and serve."""
        try:
            cloud = Site(CLOUD, self._cloud_site, self.clock, self.faults, self.requests)
            cloud.max_body_bytes = max(self.delivery_app.max_decoded_bytes, 2**20)  # enough for control requests
            self.cloud_api_url = self._serve(cloud)
            for name, instance in self.instances.items():
                instance.url = self._serve(Site(name, instance, self.clock, self.faults, self.requests))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close every port and every connection, including those of hanging requests."""
        while self._servers:
            self._servers.pop().stop()

    def connect(self, instance: str, *, weekly: bool = False) -> None:
        """Enable GitHub Connect on an instance: the cloud lists it. `weekly`: it pushes every week, for the first time in a week."""
        found = self.instances[instance]
        self.cloud.connect(found.server_id, found.hostname, found.as_sent, weekly=weekly)
        self.list_server(instance)

    def disconnect(self, instance: str) -> None:
        """Disable GitHub Connect on an instance; its usage in the cloud remains."""
        self.cloud.disconnect(self.instances[instance].server_id)

    def push(self, instance: str) -> str:
        """Play GitHub Connect's weekly push: the cloud has the instance's unsuspended accounts at once.

        An instance that was never connected becomes connected.

        Raises:
            ValueError: GitHub Connect was disabled on the instance.
        """
        found = self.instances[instance]
        if self.cloud.is_connected(found.server_id) is None:
            self.cloud.connect(found.server_id, found.hostname, found.as_sent)
        return self.sync_now(instance)

    def sync_now(self, instance: str) -> str:
        """Play a person who presses *Sync now* on an instance.

        Raises:
            ValueError: GitHub Connect is not enabled on the instance, so that it has no such button.
        """
        if not self.cloud.is_connected(self.instances[instance].server_id):
            raise ValueError(f"GitHub Connect is not enabled on {instance}")
        return self._receive(instance, delay_s=0.0)

    def upload(self, instance: str) -> str:
        """Play a person who exports and uploads the instance's usage, which is processed like a delivery."""
        return self._receive(instance, delay_s=None)

    def person_upload(self, export: Mapping[str, Any]) -> str:
        """Play a person who uploads an export file.

        Raises:
            ValueError: The file is not an export, or not of an instance of this fleet.
        """
        instance, users = read_export(export, self.instances)
        return self.cloud.receive(instance.server_id, instance.hostname, users).upload_id

    def export(self, instance: str, *, clear: bool = False) -> dict[str, Any]:
        """Return what *Export license usage* of an instance gives; `clear`: with a readable list of users."""
        return write_export(self.instances[instance], clear=clear)

    def list_server(self, instance: str) -> None:
        """Let the cloud list the instance, although it was never synced."""
        found = self.instances[instance]
        self.cloud.list_server(found.server_id, found.hostname)

    def set_sync_entry(self, instance: str, last_sync: object = ABSENT) -> None:
        """Set any `last_sync` for the instance; without one, its entry has none."""
        found = self.instances[instance]
        self.cloud.set_sync_entry(found.server_id, found.hostname, last_sync)

    def set_license(self, instance: str, *, days: int, seats: int) -> None:
        """Set in how many days an instance's license ends, and its number of seats (never fewer than are used)."""
        found = self.instances[instance]
        found.license_ends_in, found.seats_bought = days, seats

    def state(self) -> dict[str, Any]:
        """Return the state of the cloud and the requests; counts, never people."""
        return {
            "holdings": dict(self.cloud.counts()),
            "seats": self.cloud.seats(),
            "uploads": [{**each.as_json(), "server_id": each.server_id, "accounts": each.accounts} for each in self.cloud.uploads()],
            "requests": [seen._asdict() for seen in tuple(self.requests)],
        }

    def ready_line(self) -> dict[str, Any]:
        """Return every address and token. The tokens open nothing but this sandbox, and are invalid when it ends."""
        instances = {
            name: {"url": i.url, "hostname": i.hostname, "server_id": i.server_id, "username": i.username, "token": i.token}
            for name, i in self.instances.items()
        }
        return {
            "cloud_api_url": self.cloud_api_url,
            "delivery_url": self.delivery_url,
            "enterprise": self.enterprise,
            "cloud_token": self.cloud_token,
            "delivery_token": self.delivery_token,
            "control_token": self.control_token,
            "instances": instances,
        }

    def save_reports(self, folder: Path) -> None:
        """Save what an administrator downloads: the consumed licenses, and each instance's site-admin report in a folder of its own."""
        (folder / "consumed-licenses.json").write_text(json.dumps(self.cloud_app.all_licenses()), encoding="utf-8")
        for instance in self.instances.values():
            path = folder / instance.hostname / "all_users.csv"
            path.parent.mkdir()
            path.write_bytes(instance.report.csv)

    def write_config(self, folder: Path) -> Path:
        """Write `config.toml` and a credentials folder for this sandbox; return the path of the configuration."""
        return write_config(folder, self.ready_line())

    def _cloud_site(self, request: Request) -> Reply:
        if request.path.startswith(control.PATH):
            return self._control_app(request)
        if request.path == delivery_app.PATH or request.path.startswith(f"{delivery_app.PATH}/"):
            return self.delivery_app(request)
        return self.cloud_app(request)

    def _receive(self, name: str, delay_s: float | None) -> str:
        instance = self.instances[name]
        return self.cloud.receive(instance.server_id, instance.hostname, instance.as_sent(), delay_s=delay_s).upload_id

    def _serve(self, site: Site) -> str:
        server = SandboxServer(site, mishaps.perform)
        server.start()
        self._servers.append(server)
        return server.url


def _token(rng: random.Random, prefix: str) -> str:
    return prefix + "".join(rng.choices(string.ascii_letters + string.digits, k=36))
