"""The configuration as plain values, validated and with all defaults. `settings/` builds them; this module reads nothing."""

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
    """A server that requests go to, and how to reach it.

    Attributes:
        url: Base address without a trailing slash.
        proxy: Address of an HTTP proxy, `"env"` to use the environment's proxy variables, or None for a direct connection.
        proxy_auth: Credential names to look up for the proxy's `USER:PASSWORD` line, most specific first.
        ca_file: PEM file with the CA certificates to trust instead of the system's.
        token: Credential names to look up for the token, most specific first.
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
    """The instance's site-admin report `all_users.csv`, in clear text, over HTTPS.

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
        command: The command that prints the export, as arguments; never a shell string.
        private_key: File with the private key; None if it is a credential.
        private_key_credential: Credential names to look up for the key file otherwise, most specific first.
        known_hosts: File of accepted host keys in OpenSSH format; a host may have several.
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
    """GitHub's own export, printed by a local program: its absolute path and its arguments, never a shell string."""

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
    """GitHub Connect syncs the usage; licsync sends nothing and monitors it."""

    kind: ClassVar = "connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualDelivery:
    """A person uploads the export.

    Attributes:
        outbox: Folder with one subfolder for each instance's export; None if the person exports the usage as well.
        group: The Unix group that can read it.
    """

    kind: ClassVar = "manual"
    outbox: Path | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDelivery:
    """Send the usage document to an HTTPS endpoint that implements `docs/delivery-openapi.yaml`."""

    kind: ClassVar = "http"
    at: Destination
    confirm_timeout: timedelta = timedelta(hours=1)


DeliveryTo = ConnectDelivery | ManualDelivery | HttpDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccount:
    """The cloud enterprise, or the organization, that every instance syncs to; exactly one of the two is set.

    Attributes:
        watch_every: How often to read the cloud's sync status when no run waits for confirmation.
        elsewhere: Names of servers that another daemon syncs; listed without alerts.
        retired: Names of servers that no longer exist; listed without alerts.
        verified_domains: The enterprise's verified domains; reading them would require `admin:enterprise`.
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
        username: Login at the server; None to send without authentication.
        password: Credential names to look up for the password.
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
    """Post messages as JSON to one URL.

    Attributes:
        at: The URL, and how to reach it.
        secret_path: Credential names to look up for the secret part of the URL: a path, a query, or both.
    """

    at: Destination
    secret_path: tuple[str, ...] = ()


NotifierTo = MailNotifier | WebhookNotifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When an instance is due: a five-field cron expression in the local time of one IANA time zone.

    With `every_weeks`, only every n-th week counts, starting from a fixed Monday.
    """

    cron: str
    timezone: str
    every_weeks: int = 1
    avoid: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The thresholds of the guards. A guard trips if both the share and the number of accounts are exceeded."""

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
        counts: A second source, for counts and accounts, if the first one gives an encrypted export.
        reachable: False if air-gapped; the instance is never contacted.
        unsynced_because: Why its usage must never leave it; None if synced. Such an instance is listed, but never overdue.
        watch_every: As in `CloudAccount`.
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
        """Return whether the instance is enabled and synced."""
        return self.enabled and self.unsynced_because is None

    @property
    def confirm_within(self) -> timedelta:
        """Return the time limit for the cloud to confirm what was delivered or uploaded by a person."""
        return self.delivery.confirm_timeout if isinstance(self.delivery, HttpDelivery) else self.max_age

    @property
    def has_slots(self) -> bool:
        """Return whether it has scheduled runs; an instance that GitHub Connect syncs has none unless it has a source."""
        return not isinstance(self.delivery, ConnectDelivery) or not isinstance(self.source, NoSource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration, validated and with all defaults."""

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
