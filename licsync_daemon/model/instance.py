"""The configuration as plain values, checked and with all defaults. `settings/` builds them; nothing is read here."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from licsync_daemon.model.blackout import Window
from licsync_daemon.model.text import PLAIN, Invocation

MAX_EXPORT_BYTES = 64 * 1024 * 1024
API_VERSION = "2022-11-28"
WATCH_EVERY = timedelta(hours=6)
EXPORT_TIMEOUT = timedelta(minutes=30)
MAIL_PORTS = {"starttls": 587, "tls": 465, "none": 25}
LICENSE_USAGE = ("ghe-license", "usage")  # prints the export on an instance; `ghe-license-usage` up to GHES 3.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One place requests go to, and how to get there.

    Attributes:
        url: Base address without a trailing slash.
        proxy: Address of an HTTP proxy, `"env"` to obey the environment's proxy variables, or None for a direct connection.
        proxy_auth: Names under which a `USER:PASSWORD` line for the proxy is looked up, most specific first.
        ca_file: PEM file with the authorities to trust instead of the system's.
        token: Names under which the token is looked up, most specific first.
        client_cert: PEM file with the client certificate; `client_key` holds its key.
    """

    url: str
    proxy: str | None = None
    proxy_auth: tuple[str, ...] = ()
    ca_file: Path | None = None
    token: tuple[str, ...] = ()
    client_cert: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class NoSource:
    """Nothing is read from the instance."""

    kind: ClassVar = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """Accounts in the clear: an instance's site-admin report `all_users.csv`, over HTTPS.

    Attributes:
        at: The instance itself.
        username: The site administrator whose classic token (`site_admin`) is used; basic authentication requires both.
        report_timeout: How long the instance may answer 202 while it builds the report.
        api_version: Sent as `X-GitHub-Api-Version`; None sends no such header (before GHES 3.9).
    """

    kind: ClassVar = "report"
    at: Destination
    username: str
    report_timeout: timedelta = timedelta(minutes=30)
    api_version: str | None = API_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSource:
    """GitHub's own export, printed by the administrative shell.

    Attributes:
        host: The instance.
        command: The words that print the export; never a shell string.
        private_key: File of the private key; None where it is a credential.
        private_key_credential: Names under which the key file is looked up otherwise, most specific first.
        known_hosts: Accepted host keys, in OpenSSH's format; several for one name are allowed.
    """

    kind: ClassVar = "ssh"
    host: str
    port: int = 122
    user: str = "admin"
    command: tuple[str, ...] = LICENSE_USAGE
    private_key: Path | None = None
    private_key_credential: tuple[str, ...] = ()
    known_hosts: Path = Path("/etc/licsync/known_hosts")
    connect_timeout: timedelta = timedelta(seconds=30)
    timeout: timedelta = EXPORT_TIMEOUT
    max_export_bytes: int = MAX_EXPORT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSource:
    """GitHub's own export, printed by a local program: its absolute path and its words, never a shell string."""

    kind: ClassVar = "command"
    command: tuple[str, ...]
    timeout: timedelta = EXPORT_TIMEOUT
    max_export_bytes: int = MAX_EXPORT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """The newest export or `all_users.csv` that a person or another job put at `path`: a file, or a folder of them."""

    kind: ClassVar = "file"
    path: Path
    max_export_bytes: int = MAX_EXPORT_BYTES


Source = NoSource | ReportSource | SshSource | CommandSource | FileSource


@dataclass(frozen=True, slots=True)
class ConnectDelivery:
    """GitHub Connect carries the usage; licsync sends nothing and supervises."""

    kind: ClassVar = "connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualDelivery:
    """A person uploads the export.

    Attributes:
        outbox: Folder in which every instance has one of its own for what waits; None: nothing is put anywhere, the person exports it.
        group: The Unix group that can read it.
    """

    kind: ClassVar = "manual"
    outbox: Path | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDelivery:
    """Send the usage document to an HTTPS endpoint that keeps the contract in `docs/delivery-openapi.yaml`."""

    kind: ClassVar = "http"
    at: Destination
    confirm_timeout: timedelta = timedelta(hours=1)


DeliveryTo = ConnectDelivery | ManualDelivery | HttpDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccount:
    """The one cloud enterprise that every instance maps to, or the one organization: exactly one of the two is set.

    Attributes:
        watch_every: Interval at which the cloud's sync status is read when no run waits for it.
        elsewhere: Names of servers that another daemon looks after: listed, never alarmed.
        retired: Names of servers that are gone: listed, never alarmed.
        verified_domains: The enterprise's verified domains, for forecasts; reading them would take `admin:enterprise`.
    """

    at: Destination
    enterprise: str | None = None
    organization: str | None = None
    api_version: str = API_VERSION
    watch_every: timedelta = WATCH_EVERY
    elsewhere: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    verified_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailNotifier:
    """Send messages by mail through one SMTP server.

    Attributes:
        security: `starttls`, `tls`, or `none` (to this machine only).
        username: Login at the server; None sends without one.
        password: Names under which its password is looked up.
    """

    host: str
    port: int = MAIL_PORTS["starttls"]
    security: str = "starttls"
    username: str | None = None
    password: tuple[str, ...] = ()
    ca_file: Path | None = None
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNotifier:
    """Post messages as JSON to one address.

    Attributes:
        at: The address, and how to get there.
        secret_path: Names under which the secret rest of the address is looked up: a path, a query or both.
    """

    at: Destination
    secret_path: tuple[str, ...] = ()


NotifierTo = MailNotifier | WebhookNotifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When an instance is due: a five-field cron expression read on the wall clock of one IANA zone.

    `every_weeks` keeps of a weekly expression only every n-th week, counted from a fixed Monday.
    """

    cron: str
    timezone: str
    every_weeks: int = 1
    avoid: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The thresholds of the guards. A share and a number of accounts must both be exceeded."""

    shrink_share: float = 0.20
    shrink_accounts: int = 25
    grow_share: float = 0.50
    grow_accounts: int = 100
    missing_share: float = 0.01
    missing_accounts: int = 10
    max_usage_age: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One GitHub Enterprise Server instance as configured.

    Attributes:
        counts: Where numbers and accounts come from beside a source whose export is opaque.
        reachable: False: air-gapped; nothing of it is ever contacted.
        unsynced_because: Why its usage must never leave it; None if it is synced. Such an instance is listed and never overdue.
        watch_every: The cloud's, see `CloudAccount`.
    """

    name: str
    hostname: str
    server_id: str | None
    enabled: bool
    schedule: Schedule
    max_age: timedelta
    guards: Guards = field(default_factory=Guards)
    source: Source
    counts: ReportSource | FileSource | None = None
    delivery: DeliveryTo
    reachable: bool = True
    unsynced_because: str | None = None
    watch_every: timedelta = WATCH_EVERY

    @property
    def is_active(self) -> bool:
        """Return whether anything is ever done for it."""
        return self.enabled and self.unsynced_because is None

    @property
    def confirm_within(self) -> timedelta:
        """Return the time limit for the cloud to confirm what was delivered or uploaded by a person."""
        return self.delivery.confirm_timeout if isinstance(self.delivery, HttpDelivery) else self.max_age

    @property
    def has_slots(self) -> bool:
        """Return whether it is due at planned instants; without a source, what GitHub Connect carries is only watched."""
        return not isinstance(self.delivery, ConnectDelivery) or not isinstance(self.source, NoSource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration, checked and with all defaults."""

    state_dir: Path
    credentials_dir: Path
    cloud: CloudAccount
    instances: tuple[Instance, ...]
    max_concurrent_runs: int
    log_level: str
    notify: tuple[NotifierTo, ...] = ()
    invocation: Invocation = PLAIN  # how a person starts a command with this configuration

    def instance(self, name: str) -> Instance | None:
        return next((one for one in self.instances if one.name == name), None)
