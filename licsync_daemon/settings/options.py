"""Every option, with its description; nothing is read here.

An instance is validated with everything that it inherits (`layers.in_force`), so an option that some layer must give is required here.
A default that a plain value (`model/instance.py`) has is written only there. Secrets are fields so that their names are known; they never
have a value here: they are not allowed in the file (`sources.py`), and `credentials.py` reads them from the environment.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from licsync_daemon.model.instance import CloudAccount, Guards, Instance, MailNotifier, Schedule
from licsync_daemon.settings import values as f
from licsync_daemon.settings.credentials import PREFIX
from licsync_daemon.settings.parts import CaFile, Counts, Delivery, Proxy, ProxyAuth, Source, Table, defaults_of, keys_of, tables_in

_CLOUD, _GUARDS, _INSTANCE, _MAIL, _SCHEDULE = map(defaults_of, (CloudAccount, Guards, Instance, MailNotifier, Schedule))
_Servers = tuple[f.Server, ...]


class ScheduleTable(Table):
    """When instances are due."""

    timezone: f.Zone = Field(default="UTC", description="IANA time zone of day, time and cron.")
    day: f.Weekday | None = Field(default=None, description="Weekday of the weekly run, with `time`.", examples=["sunday"])
    time: f.TimeOfDay | None = Field(default=None, description='Time of day of the weekly run, "HH:MM", with `day`.', examples=["02:30"])
    every: f.Weeks | None = Field(default=None, description='Number of weeks between runs: "7d", "14d", …; the default is every week.')
    cron: f.Cron | None = Field(default=None, description="Five-field cron expression, instead of `day`, `time` and `every`.")
    avoid: tuple[f.Blackout, ...] = Field(
        default=_SCHEDULE["avoid"],
        description='Blackout windows in which no scheduled run starts, for example "mon-fri 08:00-18:00".',
        examples=[["mon-fri 08:00-18:00"]],
    )
    max_age: f.Duration | None = Field(
        default=None,
        description="An instance is overdue when the cloud's last sync is older than this. The default is 8d, or `every` plus one day.",
    )


class GuardsTable(Table):
    """When a run is held instead of sent. Both a share and a number of accounts must be exceeded."""

    shrink_share: f.Share = Field(default=_GUARDS["shrink_share"], description="Held when more than this share of the accounts is gone,")
    shrink_accounts: f.Count = Field(
        default=_GUARDS["shrink_accounts"], description="and more than this many. The instance's used seats are checked the same way."
    )
    grow_share: f.Share = Field(default=_GUARDS["grow_share"], description="Held when the accounts grew by more than this share,")
    grow_accounts: f.Count = Field(default=_GUARDS["grow_accounts"], description="and by more than this many.")
    missing_share: f.Share = Field(
        default=_GUARDS["missing_share"], description="Held when the report lacks more than this share of the instance's users,"
    )
    missing_accounts: f.Count = Field(default=_GUARDS["missing_accounts"], description="and more than this many.")
    max_usage_age: f.Duration = Field(
        default=_GUARDS["max_usage_age"], description="Held when the newest activity in the report is older than this."
    )


class CloudTable(Table):
    """The cloud enterprise, or organization, that all instances belong to."""

    enterprise: f.Slug | None = Field(
        default=None, description="Slug of the enterprise: NAME in github.com/enterprises/NAME.", examples=["octo-enterprise"]
    )
    organization: f.Login | None = Field(default=None, description="Login of an organization, if there is no enterprise.")
    api_url: f.CloudUrl = Field(
        default="https://api.github.com", description="REST API; with data residency https://api.SUBDOMAIN.ghe.com."
    )
    api_version: f.ApiVersion = Field(default=_CLOUD["api_version"], description="X-GitHub-Api-Version sent to the cloud.")
    watch_every: f.WatchEvery = Field(default=_CLOUD["watch_every"], description="Interval at which the cloud's sync status is read.")
    elsewhere: _Servers = Field(
        default=_CLOUD["elsewhere"],
        description="Servers that another daemon handles: hostnames or server IDs.",
        examples=[["ghes-other.example.com"]],
    )
    retired: _Servers = Field(
        default=_CLOUD["retired"], description="Retired servers: hostnames or server IDs.", examples=[["ghes-old.example.com"]]
    )
    verified_domains: tuple[f.Domain, ...] = Field(
        default=_CLOUD["verified_domains"],
        description="The enterprise's verified domains; `check` warns without any.",
        examples=[["example.com"]],
    )
    proxy: Proxy = None
    ca_file: CaFile = None
    proxy_auth: ProxyAuth = None
    token: SecretStr | None = Field(default=None, description="Classic token of an enterprise owner with the scope read:enterprise.")


class DefaultsTable(Table):
    """What all instances inherit. `source`, `counts` and `delivery` are validated in each instance that inherits them."""

    source: Source | None = Field(default=None, description="Inherited by every instance's source.")
    counts: Counts | None = Field(default=None, description="Inherited by the counts of every instance with an encrypted export.")
    delivery: Delivery | None = Field(default=None, description="Inherited by every instance's delivery.")
    proxy: Proxy = None
    ca_file: CaFile = None
    proxy_auth: ProxyAuth = None


class InstanceTable(Table):
    """One GitHub Enterprise Server instance."""

    hostname: f.Hostname = Field(description="Hostname of the instance.", examples=["ghes.example.com"])
    url: f.InstanceUrl | None = Field(default=None, description="Address of the instance if it is not https://HOSTNAME.")
    server_id: f.ServerId | None = Field(default=None, description="The instance's server ID; the default is the one in the cloud's list.")
    enabled: bool = Field(default=True, description="false: never run, never due.")
    reachable: bool = Field(default=_INSTANCE["reachable"], description="false: air-gapped, never contacted.")
    sync: bool = Field(default=True, description="false: usage must never leave the instance; listed, never overdue. Requires `reason`.")
    reason: f.OneLine | None = Field(default=None, description="Why the instance is not synced.")
    source: Source | None = Field(default=None, description="How usage is collected; inherits [defaults] source key by key.")
    counts: Counts | None = Field(default=None, description="Numbers for an encrypted export; inherits [defaults] counts key by key.")
    delivery: Delivery | None = Field(default=None, description="How usage reaches the cloud; inherits [defaults] delivery key by key.")
    schedule: ScheduleTable = Field(default_factory=ScheduleTable, description="Inherits [schedule] key by key.")
    guards: GuardsTable = Field(default_factory=GuardsTable, description="Inherits [guards] key by key.")
    proxy: Proxy = None
    ca_file: CaFile = None
    proxy_auth: ProxyAuth = None


class MailTable(Table):
    """Messages by email, through one SMTP server."""

    host: f.Domain = Field(description="Hostname of the SMTP server.", examples=["smtp.example.com"])
    port: f.Port | None = Field(default=None, description="Port; the default is 587, 465 with tls, or 25 with none.")
    security: f.MailSecurity = Field(default=_MAIL["security"], description='"starttls", "tls", or "none" (on this machine only).')
    username: f.OneLine | None = Field(default=None, description="User name at the server; the default is no authentication.")
    sender: f.Mailbox = Field(alias="from", description="Sender address.", examples=["licsync@example.com"])
    to: f.Mailboxes = Field(description="Recipient addresses.", examples=[["github-admins@example.com"]])
    ca_file: CaFile = None
    password: SecretStr | None = Field(default=None, description="Password of `username`.")


class WebhookTable(Table):
    """Messages as JSON, posted to one address."""

    url: f.WebhookUrl = Field(description="Address that messages are posted to.", examples=["https://alerts.example.com/licsync"])
    proxy: Proxy = None
    ca_file: CaFile = None
    proxy_auth: ProxyAuth = None
    token: SecretStr | None = Field(default=None, description="Bearer token, if the webhook requires one.")
    secret_path: SecretStr | None = Field(default=None, description="The rest of the address after `url`, if it is secret.")


class NotifyTable(Table):
    """Who is notified when action is required or something is wrong."""

    mail: MailTable | None = Field(default=None, description="By email.")
    webhook: WebhookTable | None = Field(default=None, description="By webhook.")


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        extra="forbid", hide_input_in_errors=True, frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", title="licsync"
    )

    state_dir: f.AbsolutePath = Field(default=Path("/var/lib/licsync"), description="State directory, on a local file system.")
    credentials_dir: f.AbsolutePath = Field(default=Path("/etc/licsync/credentials"), description="Folder of the credential files.")
    max_concurrent_runs: int = Field(default=4, ge=1, description="Maximum number of instances that run at the same time.")
    log_level: f.LogLevel = Field(default="info", description="Minimum severity that is logged: debug, info, warning or error.")
    cloud: CloudTable = Field(description="The cloud enterprise.")
    schedule: ScheduleTable = Field(default_factory=ScheduleTable, description="When instances are due, unless they override it.")
    guards: GuardsTable = Field(default_factory=GuardsTable, description="When a run is held, unless an instance overrides it.")
    notify: NotifyTable = Field(default_factory=NotifyTable, description="Who is notified, and how.")
    defaults: DefaultsTable = Field(default_factory=DefaultsTable, description="Inherited by every instance.")
    instances: dict[str, InstanceTable] = Field(default_factory=dict, description="One table per instance: [instances.NAME].")

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is passed in: `sources.py` reads file and environment apart, so that the origin of every value is known."""
        return (sources["init_settings"],)


@cache
def fields_at(path: tuple[str, ...]) -> dict[str, FieldInfo] | None:
    """Return the fields of the table at `path`, of every kind that it can have; None if there is no such table.

    `("instances",)` is a table of any names.
    """
    if path == ("instances",):
        return {}
    tables: tuple[type[BaseModel], ...] = (Settings,)
    if path[:1] == ("instances",):
        tables, path = (InstanceTable,), path[2:]
    for key in path:
        field = keys_of(*tables).get(key)
        tables = tuple(tables_in(field.annotation)) if field is not None else ()
        if not tables:
            return None
    return keys_of(*tables)


def variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + "__".join(path).upper()
