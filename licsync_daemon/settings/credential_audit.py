"""Compare the credentials that a configuration uses with those that exist."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.model.errors import Code, Problem, RunError
from licsync_daemon.model.instance import Config, Destination, HttpDelivery, MailNotifier, ReportSource, SshSource, WebhookNotifier
from licsync_daemon.settings.credential_forms import Kind
from licsync_daemon.settings.credentials import DIGEST_KEY, SYSTEMD_PREFIX, Credentials, unsafe
from licsync_daemon.settings.mistakes import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A credential that a configuration uses: the names it is found under, most specific first."""

    names: tuple[str, ...]
    kind: Kind
    required: bool = True


def expected_credentials(config: Config) -> tuple[Expected, ...]:
    """Return what a configuration uses. Credentials of instances that are never run are known, not required."""
    return (*_expected(config), Expected(names=DIGEST_KEY, kind=Kind.DIGEST_KEY, required=False))


def credentials_of(config: Config, environ: Mapping[str, str]) -> Credentials:
    """Return the finder of a configuration's credentials, which are concealed in every text from now on, not only once they are used.

    A server can quote the credential of another one: of the next instance, or of the endpoint that is asked later.
    """
    credentials = Credentials(config.credentials_dir, environ)
    for one in dict.fromkeys(expected_credentials(config)):
        if one.kind is not Kind.KEY_FILE:
            with contextlib.suppress(RunError):  # what cannot be used is reported where it is
                credentials.optional_text(one.names, one.kind)
    return credentials


def problems(credentials: Credentials, expected: Iterable[Expected]) -> tuple[Problem, ...]:
    """Return what is wrong with the credentials that a configuration uses: missing, unreadable, malformed, in an unsafe folder."""
    found = []
    wrong = unsafe(credentials.credentials_dir)
    if wrong is not None:
        found.append(Problem(str(credentials.credentials_dir), *wrong))
    for one in expected:
        try:
            if one.kind is Kind.KEY_FILE:
                credentials.key_file(one.names, trust_folder=True)
            else:
                credentials.text(one.names, one.kind, trust_folder=True)
        except RunError as error:
            exists = any(os.path.lexists(path) for name in one.names for path in credentials.paths(name))
            if one.required or error.code is not Code.CREDENTIAL_MISSING or exists:
                found.append(Problem(one.names[0], error.cause, error.next_step))
    return tuple(dict.fromkeys(found))


def unused(credentials: Credentials, expected: Iterable[Expected]) -> Iterator[Problem]:
    """Yield a warning for each file that is named like a credential of this program and is not used."""
    known = {name for one in expected for name in one.names}
    for folder in credentials.folders():
        for file in _files_in(folder):
            name = file.removeprefix(SYSTEMD_PREFIX) if folder == credentials.systemd_folder() else file
            is_like_one = folder == credentials.credentials_dir or file.startswith(SYSTEMD_PREFIX) or "__" in name
            if name not in known and is_like_one:
                hint = did_you_mean(name, sorted(known)) or "remove it if unused"
                yield Problem(str(folder / file), "no setting uses a credential of this name", hint)


def rotated(credentials: Credentials, expected: Iterable[Expected]) -> Iterator[Problem]:
    """Yield a warning for each credential that was replaced in `credentials_dir` after systemd had copied it, because the copy is used.

    The copy is made when the unit starts.
    """
    delivered = credentials.systemd_folder()
    if delivered == credentials.credentials_dir:
        return
    for name in dict.fromkeys(name for one in expected for name in one.names):
        original = credentials.credentials_dir / name
        for copy in credentials.paths(name):
            if copy.parent == delivered and copy.is_file() and _differs(copy, original):
                yield Problem(name, f"{original} was replaced after the daemon had started", "run: systemctl restart licsync")


def _expected(config: Config) -> Iterator[Expected]:
    yield from _of(config.cloud.at, Kind.GITHUB_TOKEN)
    for instance in config.instances:
        required = instance.is_active
        for source in (instance.source, instance.counts):
            if isinstance(source, ReportSource):
                yield from _of(source.at, Kind.GITHUB_TOKEN, required=required)
            if isinstance(source, SshSource) and source.private_key is None:
                yield Expected(names=source.private_key_credential, kind=Kind.KEY_FILE, required=required)
        if isinstance(instance.delivery, HttpDelivery):
            yield from _of(instance.delivery.at, Kind.DELIVERY_TOKEN, required=required)
    for notifier in config.notify:
        if isinstance(notifier, WebhookNotifier):
            yield from _of(notifier.at, Kind.DELIVERY_TOKEN, required=False)
            if notifier.secret_path:
                yield Expected(names=notifier.secret_path, kind=Kind.SECRET_PATH, required=False)
        if isinstance(notifier, MailNotifier) and notifier.password:
            yield Expected(names=notifier.password, kind=Kind.LINE)


def _of(at: Destination, kind: Kind, *, required: bool = True) -> Iterator[Expected]:
    yield Expected(names=at.token, kind=kind, required=required)
    if at.proxy_auth:
        yield Expected(names=at.proxy_auth, kind=Kind.LINE, required=False)


def _files_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, without hidden ones; none if it cannot be listed."""
    with contextlib.suppress(OSError):
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    return []


def _differs(copy: Path, original: Path) -> bool:
    """Say whether a file was replaced after it was copied; if it cannot be read, its date decides."""
    try:
        return copy.read_bytes() != original.read_bytes()
    except PermissionError:
        with contextlib.suppress(OSError):
            return original.stat().st_mtime > copy.stat().st_mtime
    except OSError:  # there is no original: it is kept elsewhere
        pass
    return False
