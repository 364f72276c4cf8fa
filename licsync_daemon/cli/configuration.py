"""`config init`, `config show`, `config schema`, and `completion`."""

import argparse
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import read_config
from licsync_daemon.cli.starter import starter
from licsync_daemon.daemon.connections import Connections
from licsync_daemon.http.clients import Clients
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import ConfigError, Problem, RunError
from licsync_daemon.model.instance import CloudAccount, Destination
from licsync_daemon.model.usage import SyncStatus
from licsync_daemon.settings import describe_settings, example_text, settings_schema
from licsync_daemon.settings.addresses import normal_proxy, normal_url
from licsync_daemon.settings.credential_audit import credentials_of
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.settings.mistakes import Mistake
from licsync_daemon.system.clock import SystemClock
from licsync_daemon.system.process import run_until_signal

DEFAULT_CREDENTIALS_DIR = "/etc/licsync/credentials"


def config(arguments: argparse.Namespace) -> int:
    """Print a sample, the effective settings and their origin, or the JSON Schema for editors."""
    if (arguments.from_cloud and arguments.what != "init") or (arguments.enterprise is not None and not arguments.from_cloud):
        what = "--enterprise requires --from-cloud, and --from-cloud requires init"
        raise ConfigError((Problem("config", what, "config init --from-cloud"),), "invalid argument")
    if arguments.what == "init":
        print(_from_cloud(arguments) if arguments.from_cloud else example_text(), end="")
        return Exit.OK
    if arguments.what == "schema":
        terminal.print_json(settings_schema())
        return Exit.OK
    loaded = read_config(arguments.config)
    credentials = credentials_of(loaded.config, os.environ)
    rows = describe_settings(loaded.show, credentials.place)
    if getattr(arguments, "json", False):
        terminal.print_json([{"path": row.path, "value": row.value, "origin": row.origin} for row in rows])
    else:
        terminal.print_table(("setting", "value", "from"), [(row.path, row.value, row.origin) for row in rows])
    return Exit.OK


def _from_cloud(arguments: argparse.Namespace) -> str:
    """Query the cloud for its servers, and return a configuration for them."""
    account, credentials = _account(arguments, os.environ)
    if account.organization is not None:
        raise ConfigError(
            (Problem("cloud.organization", str(github.NO_STATUS_OF_ORGANIZATIONS), "name an enterprise"),), "invalid argument"
        )
    connections = Connections(Clients(account, credentials), SystemClock())
    found: list[SyncStatus] = []

    async def ask() -> int:
        async with connections.cloud(_Aloud()) as cloud:
            found.append(await cloud.sync_status())
        return Exit.OK

    try:
        run_until_signal(ask())
    except RunError as error:
        raise ConfigError((Problem(error.code, error.cause, error.next_step),), "could not query the cloud") from error
    return starter(account, found[0])


def _account(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[CloudAccount, Credentials]:
    """Return the account named on the command line, else the configured one.

    Without a configuration, the environment may still name an address, a proxy and CAs.
    """
    if arguments.enterprise is None:
        if arguments.api_url is not None:
            raise ConfigError((Problem("--api-url", "requires --enterprise", "add --enterprise NAME"),), "invalid argument")
        config = read_config(arguments.config).config
        return config.cloud, credentials_of(config, environ)
    try:
        proxy, ca_file = environ.get("LICSYNC_CLOUD__PROXY"), environ.get("LICSYNC_CLOUD__CA_FILE")
        at = Destination(
            url=normal_url(arguments.api_url or environ.get("LICSYNC_CLOUD__API_URL") or "https://api.github.com"),
            proxy=normal_proxy(proxy) if proxy else None,
            proxy_auth=("cloud__proxy_auth",),
            ca_file=Path(ca_file) if ca_file else None,
            token=("cloud__token",),
        )
    except Mistake as mistake:
        raise ConfigError(
            (Problem("--api-url, or LICSYNC_CLOUD__API_URL or __PROXY", mistake.what, mistake.hint),), "invalid argument"
        ) from mistake
    folder = Path(environ.get("LICSYNC_CREDENTIALS_DIR", DEFAULT_CREDENTIALS_DIR))
    return CloudAccount(at=at, enterprise=arguments.enterprise), Credentials(folder, environ)


class _Aloud:
    """Reports waits on stderr."""

    def waiting(self, until: datetime, why: str, seconds: float) -> None:
        terminal.complain(f"waiting until {until:%H:%M:%S UTC} ({seconds:.0f} s): {why}")

    def resumed(self) -> None:
        pass


def completion(arguments: argparse.Namespace) -> int:
    """Print a completion script, made from the parser itself."""
    import shtab

    from licsync_daemon.cli.parser import build_parser

    print(shtab.complete(build_parser(), shell=arguments.shell), end="")
    return Exit.OK
