"""`config init`, `config show`, and `config schema`."""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from licsync_daemon.cli import terminal
from licsync_daemon.cli.exit import Exit
from licsync_daemon.cli.loading import invocation, read_config
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
from licsync_daemon.system.files import read_bounded
from licsync_daemon.system.process import run_until_signal

MAX_TOKEN_BYTES = 8192
STDIN = "-"  # as a file name
DEFAULT_CREDENTIALS_DIR = "/etc/licsync/credentials"


def config(arguments: argparse.Namespace) -> int:
    """Print a sample, the effective settings and their origin, or the JSON Schema for editors."""
    _refuse_misplaced(arguments)
    if arguments.what == "init":
        if arguments.output is not None and arguments.output.exists():  # before anything is asked
            raise _exists(arguments.output)
        text = _from_cloud(arguments) if arguments.from_cloud else example_text()
        return _write(text, arguments) if arguments.output is not None else _print(text)
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


def _refuse_misplaced(arguments: argparse.Namespace) -> None:
    """Refuse options that would be ignored."""
    for option, value, needs, has in (
        ("--from-cloud", arguments.from_cloud, "init", arguments.what == "init"),
        ("--output", arguments.output, "init", arguments.what == "init"),
        ("--enterprise", arguments.enterprise, "--from-cloud", arguments.from_cloud),
        ("--token-file", arguments.token_file, "--from-cloud", arguments.from_cloud),
        ("--api-url", arguments.api_url, "--enterprise", arguments.enterprise is not None),
    ):
        if value and not has:
            example = "config init --from-cloud --enterprise NAME -o FILE"
            raise ConfigError((Problem(option, f"requires {needs}", f"example: {example}"),), "invalid argument")


def _print(text: str) -> int:
    print(text, end="")
    return Exit.OK


def _write(text: str, arguments: argparse.Namespace) -> int:
    """Write a new file and say what comes next. A file that exists is left as it is, also if it appears only now."""
    path: Path = arguments.output
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        with suppress(OSError):  # a full disk leaves no half configuration
            path.unlink()
        raise ConfigError((Problem(str(path), f"cannot be written: {error.strerror}"),), "nothing written") from error
    terminal.type_commands_as(invocation(path))
    terminal.say(f"wrote {path}")
    folder = Path(os.environ.get("LICSYNC_CREDENTIALS_DIR", DEFAULT_CREDENTIALS_DIR))
    first = "" if arguments.from_cloud else "edit it, "
    terminal.say(f"next: {first}store the cloud's token in {folder / 'cloud__token'} (mode 0640), and run: $licsync check", hang=2)
    return Exit.OK


def _exists(path: Path) -> ConfigError:
    what = "exists already, and is not replaced"
    return ConfigError((Problem(str(path), what, "name another file, and compare the two"),), "nothing written")


def _token(arguments: argparse.Namespace, credentials: Credentials) -> str | None:
    """Return the token of a file, of standard input, or typed at a prompt; None if the configured credential is used.

    A token on the command line would be seen in the list of processes and stay in the shell's history.
    """
    if arguments.token_file is not None:
        try:
            is_stdin = arguments.token_file == STDIN
            content = sys.stdin.buffer.read(MAX_TOKEN_BYTES) if is_stdin else read_bounded(Path(arguments.token_file), MAX_TOKEN_BYTES)
            return content.decode("ascii").strip()
        except OSError as error:
            raise ConfigError((Problem("--token-file", f"cannot be read: {error.strerror}"),), "invalid argument") from error
        except UnicodeDecodeError:
            raise ConfigError((Problem("--token-file", "not the text of a token"),), "invalid argument") from None
    if credentials.place(("cloud__token",)) is None and sys.stdin.isatty() and sys.stderr.isatty():
        return getpass.getpass("Classic token with read:enterprise (not shown): ").strip()
    return None


def _from_cloud(arguments: argparse.Namespace) -> str:
    """Query the cloud for its servers, and return a configuration for them."""
    account, credentials = _account(arguments, os.environ)
    token = _token(arguments, credentials)
    if token is not None:
        account, credentials = _account(arguments, {**os.environ, "LICSYNC_CLOUD__TOKEN": token})
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
        if not arguments.config.exists():
            what = f"is required, because there is no configuration {arguments.config} that names one"
            raise ConfigError((Problem("--enterprise", what, "add --enterprise NAME"),), "invalid argument")
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
