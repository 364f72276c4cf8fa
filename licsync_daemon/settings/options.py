"""Every option there is, each with its description and built-in default. Nothing is read here; `sources.py` reads.

A table that an instance may leave out is filled from another one in `layers.py`, so a key that some layer must give is optional here.
Secrets are fields so that their names are known; they never have a value here: the file may not hold one (`secret_keys.py`), and of the
environment `credentials.py` reads them.
"""

from datetime import timedelta
from pathlib import Path
from typing import get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from licsync_daemon.model.instance import MAX_EXPORT_BYTES
from licsync_daemon.settings import values as f


class Table(BaseModel):
    """A table of the file. An unknown key is a mistake, and no error text repeats a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


_PROXY = 'Proxy such as "http://proxy.example.com:3128"; "env" obeys HTTPS_PROXY and NO_PROXY; otherwise the connection is direct.'
_PROXY_AUTH = "USER:PASSWORD for the proxy."
_CA_FILE = "PEM file with the authorities to trust instead of the system's."


class ScheduleTable(Table):
    """When instances are due."""

    timezone: f.Zone = Field(default="UTC", description="IANA time zone in which day, time and cron are read.")
    day: f.Weekday | None = Field(default=None, description="Weekday of the weekly run, with `time`.")
    time: f.TimeOfDay | None = Field(default=None, description='Time of day of the weekly run, "HH:MM", with `day`.')
    every: f.Weeks | None = Field(default=None, description='Every how many weeks: "7d", "14d", …; otherwise every week.')
    cron: f.Cron | None = Field(default=None, description="Five-field cron expression, instead of `day`, `time` and `every`.")
    avoid: list[f.Blackout] = Field(
        default_factory=list, description='Times in which nothing is started by itself, such as "mon-fri 08:00-18:00".'
    )
    max_age: f.Duration | None = Field(
        default=None,
        description="An instance is overdue when the cloud's last sync is older than this. Otherwise 8d, or `every` and a day.",
    )


class GuardsTable(Table):
    """When a run is held instead of sent. Both a share and a number of accounts must be exceeded."""

    shrink_share: f.Share = Field(default=0.20, description="Held when more than this share of the accounts is gone,")
    shrink_accounts: f.Count = Field(default=25, description="and more than this many. The same holds against the instance's used seats.")
    grow_share: f.Share = Field(default=0.50, description="Held when the accounts grew by more than this share,")
    grow_accounts: f.Count = Field(default=100, description="and by more than this many.")
    missing_share: f.Share = Field(default=0.01, description="Held when the report lacks more than this share of the instance's users,")
    missing_accounts: f.Count = Field(default=10, description="and more than this many.")
    max_usage_age: f.Duration = Field(default=timedelta(days=14), description="Held when the newest activity in the report is older.")


class CountsTable(Table):
    """Where the numbers come from beside an opaque export."""

    kind: f.CountsKind | None = Field(default=None, description='"report": all_users.csv over HTTPS; "file": a copy of it.')
    username: f.Username | None = Field(default=None, description="report: login of the site administrator whose token is used.")
    report_timeout: f.Duration = Field(
        default=timedelta(minutes=30), description="report: how long the instance may take to build the report."
    )
    api_version: f.ApiVersionOrNone = Field(
        default="2022-11-28", description='report: X-GitHub-Api-Version; "" sends none (before GHES 3.9).'
    )
    path: f.AbsolutePath | None = Field(default=None, description="file: the file, or a folder whose newest one is read.")
    token: SecretStr | None = Field(default=None, description="Classic token with the scope site_admin.")


class SourceTable(CountsTable):
    """How usage is collected from an instance."""

    kind: f.SourceKind | None = Field(
        default=None,
        description='"none"; "file": what somebody puts in a folder; "report": all_users.csv over HTTPS; '
        '"command": a local program; "ssh": the administrative shell.',
    )
    command: f.Command | None = Field(
        default=None, description='command, ssh: the words that print the export; ssh has ["ghe-license", "usage"] by default.'
    )
    timeout: f.Duration = Field(default=timedelta(minutes=30), description="command, ssh: how long that may take.")
    max_export_bytes: int = Field(default=MAX_EXPORT_BYTES, ge=1, description="file, command, ssh: a larger export is refused.")
    user: f.UnixName = Field(default="admin", description="ssh: user of the administrative shell.")
    port: f.Port = Field(default=122, description="ssh: port of the administrative shell.")
    identity: f.AbsolutePath | None = Field(default=None, description="ssh: file of the private key; otherwise it is a credential.")
    known_hosts: f.AbsolutePath = Field(
        default=Path("/etc/licsync/known_hosts"), description="ssh: the host keys that are accepted, in OpenSSH's format."
    )
    connect_timeout: f.Duration = Field(default=timedelta(seconds=30), description="ssh: how long the connection may take.")


class OutboxTable(Table):
    """Where exports wait for a person."""

    path: f.AbsolutePath | None = Field(default=None, description="Folder in which every instance has one of its own.")
    group: f.UnixName | None = Field(default=None, description="Unix group that may read it.")


class DeliveryTable(Table):
    """How usage reaches the cloud."""

    kind: f.DeliveryKind | None = Field(
        default=None,
        description='"connect": GitHub Connect carries it; "manual": a person uploads it; '
        '"http": an HTTPS endpoint that keeps docs/delivery-openapi.yaml.',
    )
    outbox: OutboxTable = Field(default_factory=OutboxTable, description="manual: where exports wait for a person.")
    url: f.Url | None = Field(default=None, description="http: address of the endpoint.")
    confirm_timeout: f.Duration = Field(
        default=timedelta(hours=1), description="http: how long the cloud may take to confirm what was delivered."
    )
    client_cert: f.AbsolutePath | None = Field(default=None, description="http: PEM file with the certificate we show to the endpoint.")
    client_key: f.AbsolutePath | None = Field(default=None, description="http: PEM file with the key of client_cert.")
    proxy: f.Proxy | None = Field(default=None, description=f"For the endpoint. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For the endpoint. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)
    token: SecretStr | None = Field(default=None, description="Bearer token of the endpoint.")


# What each kind of a part can say; every part has a `kind`.
_REPORT = ("username", "report_timeout", "api_version", "token")
KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    "source": {
        "none": (),
        "file": ("path", "max_export_bytes"),
        "report": _REPORT,
        "command": ("command", "timeout", "max_export_bytes"),
        "ssh": ("user", "port", "command", "identity", "known_hosts", "connect_timeout", "timeout", "max_export_bytes"),
    },
    "counts": {"report": _REPORT, "file": ("path",)},
    "delivery": {
        "connect": (),
        "manual": ("outbox",),
        "http": ("url", "confirm_timeout", "client_cert", "client_key", "proxy", "ca_file", "proxy_auth", "token"),
    },
}


class CloudTable(Table):
    """The one cloud enterprise, or organization, that every instance maps to."""

    enterprise: f.Slug | None = Field(default=None, description="Short name of the enterprise: NAME in github.com/enterprises/NAME.")
    organization: f.Login | None = Field(default=None, description="Login of an organization, where there is no enterprise.")
    api_url: f.Url = Field(default="https://api.github.com", description="REST API; https://api.SUBDOMAIN.ghe.com with data residency.")
    api_version: f.ApiVersion = Field(default="2022-11-28", description="Sent to the cloud as X-GitHub-Api-Version.")
    watch_every: f.WatchEvery = Field(default=timedelta(hours=6), description="How often the cloud's sync status is read.")
    elsewhere: list[f.Server] = Field(
        default_factory=list, description="Servers that another daemon looks after: host names or server ids."
    )
    retired: list[f.Server] = Field(default_factory=list, description="Servers that are gone: host names or server ids.")
    verified_domains: list[f.Domain] = Field(default_factory=list, description="The enterprise's verified domains, for forecasts.")
    proxy: f.Proxy | None = Field(default=None, description=f"For the cloud. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For the cloud. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)
    token: SecretStr | None = Field(default=None, description="Classic token of an enterprise owner with the scope read:enterprise.")


class DefaultsTable(Table):
    """What an instance does not say itself."""

    source: SourceTable = Field(default_factory=SourceTable, description="Laid under every instance's source.")
    counts: CountsTable = Field(default_factory=CountsTable, description="Laid under the counts of every instance with an opaque source.")
    delivery: DeliveryTable = Field(default_factory=DeliveryTable, description="Laid under every instance's delivery.")
    proxy: f.Proxy | None = Field(default=None, description=f"For instances and endpoints. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For instances and endpoints. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)


class InstanceTable(Table):
    """One GitHub Enterprise Server instance."""

    hostname: f.Hostname = Field(description="Host name of the instance.")
    url: f.Url | None = Field(default=None, description="Address of the instance where it is not https://HOSTNAME.")
    server_id: f.ServerId | None = Field(default=None, description="The instance's server_id; otherwise learned from what the cloud lists.")
    enabled: bool = Field(default=True, description="false: never run, never due.")
    reachable: bool = Field(default=True, description="false: air-gapped, never contacted.")
    sync: bool = Field(default=True, description="false: its usage may never leave; listed, never overdue. With `reason`.")
    reason: f.Said | None = Field(default=None, description="Why it is not synced.")
    source: SourceTable = Field(default_factory=SourceTable, description="Laid over [defaults] source, key by key.")
    counts: CountsTable = Field(default_factory=CountsTable, description="Numbers beside an opaque source; laid over [defaults] counts.")
    delivery: DeliveryTable = Field(default_factory=DeliveryTable, description="Laid over [defaults] delivery, key by key.")
    schedule: ScheduleTable = Field(default_factory=ScheduleTable, description="Laid over [schedule], key by key.")
    guards: GuardsTable = Field(default_factory=GuardsTable, description="Laid over [guards], key by key.")
    proxy: f.Proxy | None = Field(default=None, description=f"For this instance. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For this instance. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)


class MailTable(Table):
    """Messages by mail, through one SMTP server."""

    host: f.Domain = Field(description="Host name of the SMTP server.")
    port: f.Port | None = Field(default=None, description="Its port; otherwise 587, or 465 with tls, or 25 with none.")
    security: f.MailSecurity = Field(default="starttls", description='"starttls", "tls", or "none" (to this machine only).')
    username: f.Said | None = Field(default=None, description="Login at the server; without one nobody logs in.")
    sender: f.Mailbox = Field(alias="from", description="Address that messages come from.")
    to: f.Mailboxes = Field(description="Addresses that messages go to.")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For the server. {_CA_FILE}")
    password: SecretStr | None = Field(default=None, description="Password of `username`.")


class WebhookTable(Table):
    """Messages as JSON, posted to one address."""

    url: f.WebhookUrl = Field(description="Address that messages are posted to.")
    proxy: f.Proxy | None = Field(default=None, description=f"For the webhook. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For the webhook. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)
    token: SecretStr | None = Field(default=None, description="Bearer token, where the webhook wants one.")
    secret_path: SecretStr | None = Field(default=None, description="What follows `url`, where a part of the address is a secret.")


class NotifyTable(Table):
    """Who is told when a person has to act, or something is wrong."""

    mail: MailTable | None = Field(default=None, description="By mail.")
    webhook: WebhookTable | None = Field(default=None, description="By a webhook.")


class Settings(BaseSettings):
    """The whole configuration. Environment variables begin with LICSYNC_ and nest with two underscores."""

    model_config = SettingsConfigDict(
        extra="forbid", hide_input_in_errors=True, frozen=True, env_prefix="LICSYNC_", env_nested_delimiter="__", title="licsync"
    )

    state_dir: f.AbsolutePath = Field(default=Path("/var/lib/licsync"), description="Folder of the state; local file system, ours alone.")
    credentials_dir: f.AbsolutePath = Field(default=Path("/etc/licsync/credentials"), description="Folder of the credential files.")
    max_concurrent_runs: int = Field(default=4, ge=1, description="How many instances may run at the same time.")
    log_level: f.LogLevel = Field(default="info", description="Least severity that is logged: debug, info, warning or error.")
    cloud: CloudTable = Field(description="The cloud enterprise.")
    schedule: ScheduleTable = Field(default_factory=ScheduleTable, description="When instances are due, unless they say otherwise.")
    guards: GuardsTable = Field(default_factory=GuardsTable, description="When a run is held, unless an instance says otherwise.")
    notify: NotifyTable = Field(default_factory=NotifyTable, description="Who is told, and how.")
    defaults: DefaultsTable = Field(default_factory=DefaultsTable, description="Laid under every instance.")
    instances: dict[str, InstanceTable] = Field(default_factory=dict, description="One table per instance: [instances.NAME].")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is handed in: file and environment are merged before, so that each mistake is known by its place."""
        return (init_settings,)


def fields_at(path: tuple[str, ...]) -> dict[str, FieldInfo] | None:
    """Return the fields of the table at `path`, as the file calls them; None where there is no such table.

    `("instances",)` is a table of any names.
    """
    model: type[BaseModel] = Settings
    rest = list(path)
    while rest:
        key = rest.pop(0)
        if model is Settings and key == "instances":
            if not rest:
                return {}
            rest.pop(0)
            model = InstanceTable
            continue
        field = model.model_fields.get(key)
        below = _table_in(field) if field is not None else None
        if below is None:
            return None
        model = below
    return {field.alias or name: field for name, field in model.model_fields.items()}


def is_secret(field: FieldInfo) -> bool:
    """Say whether a field holds a secret."""
    return SecretStr in get_args(field.annotation)


def is_table(field: FieldInfo) -> bool:
    """Say whether a field holds keys of its own."""
    return field.annotation == dict[str, InstanceTable] or _table_in(field) is not None


def _table_in(field: FieldInfo) -> type[BaseModel] | None:
    """Return the table that a field is, or may be."""
    tables = (one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type) and issubclass(one, BaseModel))
    return None if get_origin(field.annotation) is dict else next(tables, None)
