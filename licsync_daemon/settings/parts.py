"""The options of a source, its counts and a delivery: a table for each kind, told apart by `kind`."""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import cache
from itertools import chain
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo

from licsync_daemon.model.instance import CommandSource, FileSource, HttpDelivery, ReportSource, SshSource
from licsync_daemon.settings import values as f


class Table(BaseModel):
    """A table of the file. An unknown key is a mistake, and no error text repeats a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


def defaults_of(plain: type[Any]) -> dict[str, Any]:
    """Return the defaults of a plain value, by name."""
    return {one.name: one.default for one in fields(plain) if one.default is not MISSING}


def keys_of(*tables: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of tables, as the file calls them."""
    return {field.alias or name: field for one in tables for name, field in one.model_fields.items()}


def is_secret(field: FieldInfo) -> bool:
    """Say whether a field holds a secret."""
    return SecretStr in get_args(field.annotation)


def is_list(field: FieldInfo) -> bool:
    """Say whether a field holds a list."""
    return get_origin(field.annotation) is tuple


def is_table(field: FieldInfo) -> bool:
    """Say whether a field holds keys of its own."""
    return get_origin(field.annotation) is dict or any(tables_in(field.annotation))


def tables_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the tables that a field can be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not dict:
        yield from chain.from_iterable(map(tables_in, get_args(annotation)))


_COMMAND, _FILE, _HTTP, _REPORT, _SSH = map(defaults_of, (CommandSource, FileSource, HttpDelivery, ReportSource, SshSource))

Proxy = Annotated[
    f.Proxy | None,
    Field(description='Proxy, for example "http://proxy.example.com:3128"; "env" uses HTTPS_PROXY and NO_PROXY; the default is direct.'),
]
ProxyAuth = Annotated[SecretStr | None, Field(description="USER:PASSWORD for the proxy.")]
CaFile = Annotated[f.AbsolutePath | None, Field(description="PEM file with the CA certificates to trust instead of the system's.")]
_Command = Annotated[
    f.Command, Field(description="The command that prints the export.", examples=[["/usr/local/bin/print-export", "--quiet"]])
]
_Timeout = Annotated[f.Duration, Field(description="Time limit for the whole command.")]
_MaxExportBytes = Annotated[int, Field(ge=1, description="A larger export is refused.")]


class NoSourceTable(Table):
    """Read nothing from the instance."""

    kind: Literal["none"]


class FileSourceTable(Table):
    """Read the export or report that a person or another job puts in a folder."""

    kind: Literal["file"]
    path: f.AbsolutePath = Field(description="The file, or a folder whose newest file is read.", examples=["/srv/licsync/exports"])
    max_export_bytes: _MaxExportBytes = _FILE["max_export_bytes"]


class FileCountsTable(Table):
    """Read a copy of all_users.csv."""

    kind: Literal["file"]
    path: f.AbsolutePath = Field(description="The file, or a folder whose newest file is read.", examples=["/srv/licsync/reports"])


class ReportTable(Table):
    """Download all_users.csv from the instance."""

    kind: Literal["report"]
    username: f.Username = Field(
        description="Login of the site administrator whose token is used.",
        examples=["license-reader"],
    )
    report_timeout: f.Duration = Field(default=_REPORT["report_timeout"], description="Time limit for the instance to build the report.")
    api_version: f.ApiVersionOrNone = Field(
        default=_REPORT["api_version"], description='X-GitHub-Api-Version; "" sends none (before GHES 3.9).'
    )
    token: SecretStr | None = Field(default=None, description="Classic token with the scope site_admin.")


class CommandTable(Table):
    """Run a local program that prints the export."""

    kind: Literal["command"]
    command: _Command
    timeout: _Timeout = _COMMAND["timeout"]
    max_export_bytes: _MaxExportBytes = _COMMAND["max_export_bytes"]


class SshTable(Table):
    """Run the export command in the instance's administrative shell."""

    kind: Literal["ssh"]
    user: f.UnixName = Field(default=_SSH["user"], description="User of the administrative shell.")
    port: f.Port = Field(default=_SSH["port"], description="Port of the administrative shell.")
    command: _Command = _SSH["command"]
    private_key: f.AbsolutePath | None = Field(
        default=_SSH["private_key"], alias="identity", description="File of the private key; by default, the key is a credential."
    )
    known_hosts: f.AbsolutePath = Field(default=_SSH["known_hosts"], description="Accepted host keys, in OpenSSH's format.")
    connect_timeout: f.Duration = Field(default=_SSH["connect_timeout"], description="Time limit for the connection.")
    timeout: _Timeout = _SSH["timeout"]
    max_export_bytes: _MaxExportBytes = _SSH["max_export_bytes"]


class OutboxTable(Table):
    """Where exports wait for a person."""

    path: f.AbsolutePath | None = Field(
        default=None, description="Folder that holds a folder for each instance.", examples=["/srv/licsync/outbox"]
    )
    group: f.UnixName | None = Field(default=None, description="Unix group that can read it.")


class ConnectTable(Table):
    """GitHub Connect uploads the usage."""

    kind: Literal["connect"]


class ManualTable(Table):
    """A person uploads the export."""

    kind: Literal["manual"]
    outbox: OutboxTable = Field(default_factory=OutboxTable, description="Where exports wait for a person.")


class HttpTable(Table):
    """Send the usage to an HTTPS endpoint."""

    kind: Literal["http"]
    url: f.Url = Field(description="Address of the endpoint.", examples=["https://relay.example.com/uploads"])
    confirm_timeout: f.Duration = Field(default=_HTTP["confirm_timeout"], description="Time limit for the cloud to confirm a delivery.")
    client_cert: f.AbsolutePath | None = Field(default=None, description="PEM file with the client certificate for the endpoint.")
    client_key: f.AbsolutePath | None = Field(default=None, description="PEM file with the key of client_cert.")
    proxy: Proxy = None
    ca_file: CaFile = None
    proxy_auth: ProxyAuth = None
    token: SecretStr | None = Field(default=None, description="Bearer token of the endpoint.")


Source = Annotated[NoSourceTable | FileSourceTable | ReportTable | CommandTable | SshTable, Field(discriminator="kind")]
Counts = Annotated[ReportTable | FileCountsTable, Field(discriminator="kind")]
Delivery = Annotated[ConnectTable | ManualTable | HttpTable, Field(discriminator="kind")]
PARTS = {"source": Source, "counts": Counts, "delivery": Delivery}
PART_EXAMPLES: dict[str, dict[str, str]] = {
    "source": {"kind": "report", "username": "license-reader"},
    "counts": {"kind": "report", "username": "license-reader"},
    "delivery": {"kind": "connect"},
}


@cache
def kinds(part: str) -> dict[str, type[Table]]:
    """Return the table of each kind of a source, counts or delivery."""
    return {get_args(one.model_fields["kind"].annotation)[0]: one for one in get_args(get_args(PARTS[part])[0])}
