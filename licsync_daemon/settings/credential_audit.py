"""Compare the credentials that a configuration uses with those that exist."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from licsync_daemon.model.errors import Code, Problem, RunError
from licsync_daemon.model.instance import Config, Destination, HttpDelivery, MailNotifier, ReportSource, SshSource, WebhookNotifier
from licsync_daemon.settings.credential_files import differs, files_in, unsafe
from licsync_daemon.settings.credential_forms import Expected, Kind
from licsync_daemon.settings.credentials import DIGEST_KEY, SYSTEMD_PREFIX, Credentials
from licsync_daemon.settings.mistakes import did_you_mean


def expected_credentials(config: Config) -> tuple[Expected, ...]:
    """Return what a configuration uses. Credentials of instances that are never run are known, not required."""
    return (*_expected(config), Expected(names=DIGEST_KEY, kind=Kind.DIGEST_KEY, required=False))


def problems(credentials: Credentials, expected: Iterable[Expected]) -> tuple[Problem, ...]:
    """Return what is wrong with the credentials that a configuration uses: missing, unreadable, malformed, in an unsafe folder."""
    found = []
    wrong = unsafe(credentials.credentials_dir)
    if wrong is not None:
        found.append(Problem(str(credentials.credentials_dir), *wrong))
    for one in expected:
        try:
            (credentials.key_file if one.kind is Kind.KEY_FILE else credentials.value)(one, trust_folder=True)
        except RunError as error:
            if one.required or error.code is not Code.CREDENTIAL_MISSING or _exists(credentials, one):
                found.append(Problem(one.names[0], error.cause, error.next_step))
    return tuple(dict.fromkeys(found))


def unused(credentials: Credentials, expected: Iterable[Expected]) -> tuple[Problem, ...]:
    """Return a warning for each file that is named like a credential of this program and is not used."""
    known = {name for one in expected for name in one.names}
    return tuple(
        Problem(str(folder / file), "no setting uses a credential of this name", did_you_mean(name, sorted(known)) or "remove it if unused")
        for folder in credentials.folders()
        for file in files_in(folder)
        if (name := _plain(credentials, folder, file)) not in known
        and (folder == credentials.credentials_dir or file.startswith(SYSTEMD_PREFIX) or "__" in name)
    )


def rotated(credentials: Credentials, expected: Iterable[Expected]) -> tuple[Problem, ...]:
    """Return a warning for each credential that was replaced in `credentials_dir` after systemd had copied it, because the copy is used.

    The copy is made when the unit starts.
    """
    folder = credentials.systemd_folder()
    if folder is None or folder == credentials.credentials_dir:
        return ()
    names = dict.fromkeys(name for one in expected for name in one.names)
    return tuple(
        Problem(name, f"{original} was replaced after the daemon had started", "run: systemctl restart licsync")
        for name in names
        for copy in credentials.paths(folder, name)
        if copy.is_file() and differs(copy, original := credentials.credentials_dir / name)
    )


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


def _exists(credentials: Credentials, one: Expected) -> bool:
    paths = (path for name in one.names for folder in credentials.folders() for path in credentials.paths(folder, name))
    return any(map(os.path.lexists, paths))


def _plain(credentials: Credentials, folder: Path, file: str) -> str:
    return file.removeprefix(SYSTEMD_PREFIX) if folder == credentials.systemd_folder() else file
