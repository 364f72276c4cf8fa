"""Every option there is, each with its description and built-in default. Nothing is read here; `sources.py` reads.

A table that an instance may leave out is filled from another one in `layers.py`, so a key that some layer must give is optional here.
Secrets are fields so that the environment may set them; the file may not (`secret_keys.py`), and their values are never used from here.
"""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from licsync_daemon.settings import fields as f


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
    cron: f.Cron | None = Field(default=None, description="Five-field cron expression, instead of `day` and `time`.")
    avoid: list[f.Blackout] = Field(
        default_factory=list, description='Times in which nothing is started by itself, such as "mon-fri 08:00-18:00".'
    )
    max_age: f.Duration = Field(
        default=timedelta(days=8), description="An instance is overdue when the cloud's last sync is older than this."
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


class SourceTable(Table):
    """How usage is collected from an instance."""

    kind: f.SourceKind | None = Field(default=None, description='"report": the site-admin report all_users.csv over HTTPS.')
    username: f.Username | None = Field(default=None, description="Login of the site administrator whose token is used.")
    report_timeout: f.Duration = Field(default=timedelta(minutes=30), description="How long the instance may take to build the report.")
    api_version: f.ApiVersionOrNone = Field(default="2022-11-28", description='X-GitHub-Api-Version; "" sends none (before GHES 3.9).')
    token: SecretStr | None = Field(default=None, description="Classic token with the scope site_admin.")


class DeliveryTable(Table):
    """How usage reaches the cloud."""

    kind: f.DeliveryKind | None = Field(default=None, description='"http": an HTTPS endpoint that keeps docs/delivery-openapi.yaml.')
    url: f.Url | None = Field(default=None, description="Address of the endpoint.")
    confirm_timeout: f.Duration = Field(
        default=timedelta(hours=1), description="How long the cloud may take to confirm what was delivered."
    )
    proxy: f.Proxy | None = Field(default=None, description=f"For the endpoint. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For the endpoint. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)
    token: SecretStr | None = Field(default=None, description="Bearer token of the endpoint.")


class CloudTable(Table):
    """The one cloud enterprise that every instance maps to."""

    enterprise: f.Slug = Field(description="Short name of the enterprise: NAME in github.com/enterprises/NAME.")
    api_url: f.Url = Field(default="https://api.github.com", description="REST API; https://api.SUBDOMAIN.ghe.com with data residency.")
    api_version: f.ApiVersion = Field(default="2022-11-28", description="Sent to the cloud as X-GitHub-Api-Version.")
    proxy: f.Proxy | None = Field(default=None, description=f"For the cloud. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For the cloud. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)
    token: SecretStr | None = Field(default=None, description="Classic token of an enterprise owner with the scope read:enterprise.")


class DefaultsTable(Table):
    """What an instance does not say itself."""

    source: SourceTable = Field(default_factory=SourceTable, description="Laid under every instance's source.")
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
    source: SourceTable = Field(default_factory=SourceTable, description="Laid over [defaults] source, key by key.")
    delivery: DeliveryTable = Field(default_factory=DeliveryTable, description="Laid over [defaults] delivery, key by key.")
    schedule: ScheduleTable = Field(default_factory=ScheduleTable, description="Laid over [schedule], key by key.")
    guards: GuardsTable = Field(default_factory=GuardsTable, description="Laid over [guards], key by key.")
    proxy: f.Proxy | None = Field(default=None, description=f"For this instance. {_PROXY}")
    ca_file: f.AbsolutePath | None = Field(default=None, description=f"For this instance. {_CA_FILE}")
    proxy_auth: SecretStr | None = Field(default=None, description=_PROXY_AUTH)


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
    """Return the fields of the table at `path`; None where there is no such table. `("instances",)` is a table of any names."""
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
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        model = field.annotation
    return dict(model.model_fields)


def is_secret(field: FieldInfo) -> bool:
    """Say whether a field holds a secret."""
    return SecretStr in getattr(field.annotation, "__args__", ())


def is_table(field: FieldInfo) -> bool:
    """Say whether a field holds keys of its own."""
    return field.annotation == dict[str, InstanceTable] or (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
