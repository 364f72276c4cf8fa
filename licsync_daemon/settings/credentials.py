"""Tokens and passwords: found by name, checked before any library sees them, and never shown.

Standard library only. Each call reads anew, so a credential is rotated by replacing its file. No error text holds a value.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from licsync_daemon.model.errors import Code, Problem, RunError
from licsync_daemon.model.instance import Config, Destination, HttpDelivery, MailNotifier, ReportSource, SshSource, WebhookNotifier

MAX_BYTES = 16 * 1024  # twice the longest token that is allowed
DIGEST_KEY = ("digest_key",)  # keys the digests of accounts; without it a file of the state directory does
PREFIX = "LICSYNC_"
SYSTEMD_PREFIX = "licsync_"  # `LoadCredential=licsync:DIR` delivers DIR/NAME as licsync_NAME


class Kind(StrEnum):
    """What a credential is; each has a form of its own."""

    GITHUB_TOKEN = "a GitHub token"  # noqa: S105 - words for a message
    DELIVERY_TOKEN = "a delivery token"  # noqa: S105
    SECRET_PATH = "the rest of an address"  # noqa: S105
    LINE = "a line of text"
    KEY_FILE = "a private key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A credential that a configuration asks for: the names it is sought under, most specific first."""

    names: tuple[str, ...]
    kind: Kind
    required: bool = True


@dataclass(frozen=True, slots=True)
class _Located:
    value: bytes
    place: str
    file: Path | None = None


class Credentials:
    """Finds credentials by name.

    Each name is sought in the environment (`LICSYNC_` and the name in capitals), `$CREDENTIALS_DIRECTORY`, `/run/secrets` and
    `credentials_dir`, in this order, before the next name is.
    """

    def __init__(self, credentials_dir: Path, environ: Mapping[str, str], run_secrets: Path = Path("/run/secrets")) -> None:
        self._credentials_dir = credentials_dir
        self._environ = environ
        self._run_secrets = run_secrets

    def github_token(self, names: Sequence[str]) -> str:
        """Return a token of GitHub: 20 to 255 printable ASCII characters.

        Raises:
            RunError: `credential_missing` or `credential_malformed`, naming the place and what to do.
        """
        return self._value(Expected(names=tuple(names), kind=Kind.GITHUB_TOKEN))

    def delivery_token(self, names: Sequence[str]) -> str:
        """Return a token of a delivery endpoint: 1 to 8192 printable ASCII characters.

        Raises:
            RunError: As `github_token`.
        """
        return self._value(Expected(names=tuple(names), kind=Kind.DELIVERY_TOKEN))

    def line(self, names: Sequence[str]) -> str:
        """Return one printable line, such as `USER:PASSWORD` for a proxy.

        Raises:
            RunError: As `github_token`.
        """
        return self._value(Expected(names=tuple(names), kind=Kind.LINE))

    def optional_line(self, names: Sequence[str]) -> str | None:
        """Return one printable line, or None where no such credential exists anywhere.

        Raises:
            RunError: One exists and cannot be read or used.
        """
        found, _ = self._find(names)
        return _text(found, Kind.LINE) if found else None

    def optional_delivery_token(self, names: Sequence[str]) -> str | None:
        """Return a token of 1 to 8192 printable ASCII characters, or None where no such credential exists anywhere.

        Raises:
            RunError: One exists and cannot be read or used.
        """
        found, _ = self._find(names)
        return _text(found, Kind.DELIVERY_TOKEN) if found else None

    def optional_secret_path(self, names: Sequence[str]) -> str | None:
        """Return the rest of an address, which begins with / or ?; None where no such credential exists anywhere.

        Raises:
            RunError: One exists and cannot be read or used.
        """
        found, _ = self._find(names)
        return _text(found, Kind.SECRET_PATH) if found else None

    def file(self, names: Sequence[str]) -> Path:
        """Return where the file of a private key is; a variable cannot hold one. Its content is another program's to judge.

        Raises:
            RunError: `credential_missing`, naming the file that is wanted; `credential_malformed` where it is empty.
        """
        return self._key_file(Expected(names=tuple(names), kind=Kind.KEY_FILE))

    def place(self, names: Sequence[str]) -> str | None:
        """Return in words where a credential is found; None where it is not, or cannot be read. Its form is not checked."""
        try:
            found, _ = self._find(names)
        except RunError:
            return None
        return found.place if found else None

    def problems(self, expected: Iterable[Expected]) -> tuple[Problem, ...]:
        """Return what is wrong with the credentials a configuration asks for: missing, unreadable, malformed, an unsafe folder."""
        problems = []
        fault = _unsafe(self._credentials_dir)
        if fault is not None:
            problems.append(Problem(str(self._credentials_dir), *fault))
        for one in expected:
            try:
                if one.kind is Kind.KEY_FILE:
                    self._key_file(one, trust_folder=True)
                else:
                    self._value(one, trust_folder=True)
            except RunError as error:
                if one.required or error.code is not Code.CREDENTIAL_MISSING or self._exists(one.names):
                    problems.append(Problem(one.names[0], error.cause, error.next_step))
        return tuple(dict.fromkeys(problems))

    def warnings(self, expected: Iterable[Expected]) -> tuple[Problem, ...]:
        """Return a warning for each file whose name asks to be a credential of ours and is none."""
        known = {name for one in expected for name in one.names}
        return tuple(
            Problem(str(folder / file), "no setting asks for a credential of this name", _suggestion(name, known))
            for folder in self._folders()
            for file in _files(folder)
            if (name := self._plain(folder, file)) not in known
            and (folder == self._credentials_dir or file.startswith(SYSTEMD_PREFIX) or "__" in name)
        )

    def rotated(self, expected: Iterable[Expected]) -> tuple[Problem, ...]:
        """Return a warning for each credential that was replaced in `credentials_dir` after systemd had handed its copy on.

        The copy is made when the unit starts, and it is what is used. What may not be read is compared by its date.
        """
        given = self._environ.get("CREDENTIALS_DIRECTORY")
        if not given or Path(given) == self._credentials_dir:
            return ()
        names = dict.fromkeys(name for one in expected for name in one.names)
        copies = [(name, path) for name in names for path in self._paths(Path(given), name) if path.is_file()]
        return tuple(
            Problem(name, f"{self._credentials_dir / name} was replaced after the daemon had started", "run: systemctl restart licsync")
            for name, copy in copies
            if _differs(copy, self._credentials_dir / name)
        )

    def _value(self, wanted: Expected, *, trust_folder: bool = False) -> str:
        found, hindered = self._find(wanted.names, trust_folder=trust_folder)
        if found is None:
            raise self._missing(wanted, hindered)
        return _text(found, wanted.kind)

    def _key_file(self, wanted: Expected, *, trust_folder: bool = False) -> Path:
        found, hindered = self._find(wanted.names, trust_folder=trust_folder, files_only=True)
        if found is None or found.file is None:
            raise self._missing(wanted, hindered)
        _checked(found, wanted.kind)
        return found.file

    def _find(self, names: Sequence[str], *, trust_folder: bool = False, files_only: bool = False) -> tuple[_Located | None, list[str]]:
        hindered: list[str] = []
        for name in names:
            variable = PREFIX + name.upper()
            if variable in self._environ and not files_only:
                return _Located(
                    self._environ[variable].encode("utf-8", "surrogateescape"), f"the environment variable {variable}"
                ), hindered
            for folder in self._folders():
                for path in self._paths(folder, name):
                    value = _read(path, hindered)
                    if value is None:
                        continue
                    fault = None if trust_folder or folder != self._credentials_dir else _unsafe(folder)
                    if fault is not None:
                        raise RunError(Code.CREDENTIAL_MALFORMED, f"{path} is not used: {fault[0]}", fault[1])
                    return _Located(value, str(path), path), hindered
        return None, hindered

    def _exists(self, names: Sequence[str]) -> bool:
        return any(os.path.lexists(path) for name in names for folder in self._folders() for path in self._paths(folder, name))

    def _folders(self) -> tuple[Path, ...]:
        given = self._environ.get("CREDENTIALS_DIRECTORY")
        folders = (*((Path(given),) if given else ()), self._run_secrets, self._credentials_dir)
        return tuple(dict.fromkeys(folders))

    def _paths(self, folder: Path, name: str) -> tuple[Path, ...]:
        given = self._environ.get("CREDENTIALS_DIRECTORY")
        if given and folder == Path(given):
            return folder / name, folder / f"{SYSTEMD_PREFIX}{name}"
        return (folder / name,)

    def _plain(self, folder: Path, file: str) -> str:
        given = self._environ.get("CREDENTIALS_DIRECTORY")
        return file.removeprefix(SYSTEMD_PREFIX) if given and folder == Path(given) else file

    def _missing(self, wanted: Expected, hindered: list[str]) -> RunError:
        names = " or ".join(wanted.names)
        places = ", ".join([*(("the environment",) if wanted.kind is not Kind.KEY_FILE else ()), *map(str, self._folders())])
        cause = f"no credential {names} in {places}"
        if hindered:
            cause += f" ({'; '.join(dict.fromkeys(hindered))})"
        step = f"put {wanted.kind} into the file {self._credentials_dir / wanted.names[0]} (mode 0640, group licsync)"
        return RunError(Code.CREDENTIAL_MISSING, cause, step)


def expected_credentials(config: Config) -> tuple[Expected, ...]:
    """Return what a configuration asks for. Credentials of instances for which nothing is done are known, not required."""
    expected = [*_of(config.cloud.at, Kind.GITHUB_TOKEN)]
    for instance in config.instances:
        required = instance.is_active
        for source in (instance.source, instance.counts):
            if isinstance(source, ReportSource):
                expected += _of(source.at, Kind.GITHUB_TOKEN, required=required)
            if isinstance(source, SshSource) and source.private_key is None:
                expected.append(Expected(names=source.private_key_credential, kind=Kind.KEY_FILE, required=required))
        if isinstance(instance.delivery, HttpDelivery):
            expected += _of(instance.delivery.at, Kind.DELIVERY_TOKEN, required=required)
    for notifier in config.notify:
        if isinstance(notifier, WebhookNotifier):
            expected += _of(notifier.at, Kind.DELIVERY_TOKEN, required=False)
            if notifier.secret_path:
                expected.append(Expected(names=notifier.secret_path, kind=Kind.SECRET_PATH, required=False))
        if isinstance(notifier, MailNotifier) and notifier.password:
            expected.append(Expected(names=notifier.password, kind=Kind.LINE))
    return (*expected, Expected(names=DIGEST_KEY, kind=Kind.LINE, required=False))


def _of(at: Destination, kind: Kind, *, required: bool = True) -> Iterator[Expected]:
    yield Expected(names=at.token, kind=kind, required=required)
    if at.proxy_auth:
        yield Expected(names=at.proxy_auth, kind=Kind.LINE, required=False)


def _differs(copy: Path, original: Path) -> bool:
    try:
        return copy.read_bytes() != original.read_bytes()
    except PermissionError:
        with contextlib.suppress(OSError):
            return original.stat().st_mtime > copy.stat().st_mtime
    except OSError:  # there is none: it is kept elsewhere
        pass
    return False


def _read(path: Path, hindered: list[str]) -> bytes | None:
    """Return a file's content; None where there is none, or where its folder may not be entered (noted in `hindered`)."""
    try:
        # Not blocking: a named pipe in place of a file must not stop the daemon.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        if not os.access(path.parent, os.X_OK):
            hindered.append(f"{path.parent} may not be entered")
            return None
        raise _unreadable(path, error.strerror) from None
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise _unreadable(path, "not a regular file")
        return _whole(number)
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    finally:
        os.close(number)


def _whole(number: int) -> bytes:
    """Read a regular file to its end, or one byte past the cap."""
    content = b""
    while len(content) <= MAX_BYTES and (part := os.read(number, MAX_BYTES + 1 - len(content))):
        content += part
    return content


def _unreadable(path: Path, reason: str | None) -> RunError:
    cause = f"{path} is there and cannot be read: {(reason or 'unknown reason').lower()}"
    return RunError(Code.CREDENTIAL_MISSING, cause, f"let the daemon's user read it: chgrp licsync {path} && chmod 0640 {path}")


def _checked(found: _Located, kind: Kind) -> _Located:
    fault = _fault(found.value, kind)
    if fault is not None:
        step = f"write {kind} and nothing else into {found.place}"
        raise RunError(Code.CREDENTIAL_MALFORMED, f"{found.place} {fault}", step)
    return found


def _text(found: _Located, kind: Kind) -> str:
    return _checked(found, kind).value.strip().decode()


def _fault(raw: bytes, kind: Kind) -> str | None:
    if len(raw) > MAX_BYTES and kind is not Kind.KEY_FILE:
        return f"is larger than {MAX_BYTES // 1024} KiB"
    value = raw.strip()
    if not value:
        return "is empty"
    if kind is Kind.KEY_FILE:
        return None
    if value.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte-order mark; save it as plain text without one"
    if kind is Kind.LINE:
        return _line_fault(value)
    if re.search(rb"\s", value):
        return "has white space inside"
    if re.search(rb"[^\x21-\x7e]", value):
        return "has a character that it cannot have (not printable ASCII)"
    if kind is Kind.SECRET_PATH and value[:1] not in {b"/", b"?"}:
        return "does not begin with / or ?, as what follows the host of an address does"
    if kind is Kind.SECRET_PATH and b"#" in value:
        return "has a #; what follows it no server gets to see"
    low, high = (20, 255) if kind is Kind.GITHUB_TOKEN else (1, 8192)
    if not low <= len(value) <= high:
        return f"has {'fewer' if len(value) < low else 'more'} characters than {kind} ({low} to {high})"
    return None


def _line_fault(value: bytes) -> str | None:
    if re.search(rb"[\r\n]", value):
        return "has more than one line"
    try:
        printable = value.decode().isprintable()
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    return None if printable else "has a character that cannot be printed"


def _unsafe(folder: Path) -> tuple[str, str] | None:
    """Return what is wrong with a credentials folder's owner or mode, and the line that repairs it; None where nothing is."""
    try:
        status = folder.stat()
    except OSError:
        return None  # what is missing is said where a credential is sought
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder", "name a folder as credentials_dir"
    if status.st_uid not in {0, os.geteuid()}:
        return f"{folder} belongs to another user than root or the daemon's", f"run: chown root:licsync {folder}"
    if status.st_mode & 0o027:
        return f"{folder} is open to others (mode {stat.S_IMODE(status.st_mode):04o})", f"run: chmod 0750 {folder}"
    return None


def _files(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    except OSError:
        return []


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "remove it if nothing needs it"
