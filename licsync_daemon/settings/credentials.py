"""Find credentials by name, and check them before any library sees them.

Standard library only. Each call reads the credential again, so it is rotated by replacing its file. No error text holds a value.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError
from licsync_daemon.model.secrets import remember
from licsync_daemon.settings.credential_forms import MAX_BYTES, Kind, fault
from licsync_daemon.settings.platform import in_kubernetes, is_of_volume, is_secret_volume, rights_step

DIGEST_KEY = ("digest_key",)  # keys the digests of accounts; without it a file of the state directory does
PREFIX = "LICSYNC_"
SYSTEMD_PREFIX = "licsync_"  # `LoadCredential=licsync:DIR` delivers DIR/NAME as licsync_NAME


@dataclass(frozen=True, slots=True)
class _Located:
    value: bytes
    place: str
    file: Path | None = None

    def check(self, kind: Kind) -> None:
        wrong = fault(self.value, kind)
        if wrong is not None:
            step = f"write {kind} and nothing else into {self.place}"
            if self.file is None and not self.value.strip():
                step = f"set {self.place}, or remove it, so that the credential file is used"
            raise RunError(Code.CREDENTIAL_MALFORMED, f"{self.place} {wrong}", step)

    def text(self, kind: Kind) -> str:
        self.check(kind)
        value = self.value.strip().decode()
        remember(value)  # from now on no text that is shown or stored repeats it
        return value


class Credentials:
    """Finds credentials by name. All methods raise `RunError` for one that cannot be used, with its place and the next step.

    Each name is looked up in the environment (`LICSYNC_` and the name in capitals), `$CREDENTIALS_DIRECTORY`, `/run/secrets` and
    `credentials_dir`, in this order, before the next name is. With `trust_folder`, `credentials_dir` can be open to other users.
    """

    def __init__(self, credentials_dir: Path, environ: Mapping[str, str], run_secrets: Path = Path("/run/secrets")) -> None:
        self.credentials_dir = credentials_dir
        self._environ = environ
        self._run_secrets = run_secrets

    def text(self, names: Sequence[str], kind: Kind, *, trust_folder: bool = False) -> str:
        """Return a credential that must exist."""
        found, closed = self._find(names, trust_folder=trust_folder)
        if found is None:
            raise self._missing(names, kind, closed)
        return found.text(kind)

    def optional_text(self, names: Sequence[str], kind: Kind) -> str | None:
        """Return a credential; None if it does not exist."""
        found, _ = self._find(names)
        return found.text(kind) if found else None

    def digest_key(self) -> bytes | None:
        """Return the key of the digests of accounts, at least 32 bytes of it; None if none is configured.

        Raises:
            ConfigError: It is shorter or cannot be read; a start with another key would report every account as changed.
        """
        try:
            key = self.optional_text(DIGEST_KEY, Kind.DIGEST_KEY)
        except RunError as error:
            raise ConfigError((Problem(DIGEST_KEY[0], error.cause, error.next_step),)) from error
        return key.encode() if key is not None else None

    def key_file(self, names: Sequence[str], *, trust_folder: bool = False) -> Path:
        """Return the path of a private key, which no variable can hold. Its content is not checked, except that it is not empty."""
        found, closed = self._find(names, trust_folder=trust_folder, files_only=True)
        if found is None or found.file is None:
            raise self._missing(names, Kind.KEY_FILE, closed)
        found.check(Kind.KEY_FILE)
        return found.file

    def place(self, names: Sequence[str]) -> str | None:
        """Return in words where a credential is; None if it does not exist or cannot be read. Its form is not checked."""
        try:
            found, _ = self._find(names)
        except RunError:
            return None
        return found.place if found else None

    def folders(self) -> tuple[Path, ...]:
        """Return the folders in which files are found, in their order."""
        given = self.systemd_folder()
        return tuple(dict.fromkeys((*((given,) if given else ()), self._run_secrets, self.credentials_dir)))

    def systemd_folder(self) -> Path | None:
        """Return the folder of systemd's copies; None without systemd."""
        given = self._environ.get("CREDENTIALS_DIRECTORY")
        return Path(given) if given else None

    def paths(self, name: str) -> Iterator[Path]:
        """Yield the files that can hold a credential, in their order."""
        for folder in self.folders():
            yield folder / name
            if folder == self.systemd_folder():
                yield folder / f"{SYSTEMD_PREFIX}{name}"

    def _find(self, names: Sequence[str], *, trust_folder: bool = False, files_only: bool = False) -> tuple[_Located | None, list[str]]:
        closed: list[str] = []
        for name in names:
            variable = PREFIX + name.upper()
            if variable in self._environ and not files_only:
                value = self._environ[variable].encode("utf-8", "surrogateescape")
                return _Located(value, f"the environment variable {variable}"), closed
            for path in self.paths(name):
                content = _read(path, closed)
                if content is not None:
                    wrong = None if trust_folder or path.parent != self.credentials_dir else unsafe(path.parent, path)
                    if wrong is not None:
                        raise RunError(Code.CREDENTIAL_MALFORMED, f"{path} is not used: {wrong[0]}", wrong[1])
                    return _Located(content, str(path), path), closed
        return None, closed

    def _missing(self, names: Sequence[str], kind: Kind, closed: list[str]) -> RunError:
        places = ", ".join([*(("the environment",) if kind is not Kind.KEY_FILE else ()), *map(str, self.folders())])
        cause = f"no credential {' or '.join(names)} in {places}"
        if closed:
            cause += f" ({'; '.join(dict.fromkeys(closed))})"
        step = f"put {kind} into the file {self.credentials_dir / names[0]} (mode 0640, group licsync)"
        if in_kubernetes(self._environ):
            step = f"put {kind} under the key {names[0]} into the Secret that is mounted at {self.credentials_dir}"
        return RunError(Code.CREDENTIAL_MISSING, cause, step)


def unsafe(folder: Path, file: Path | None = None) -> tuple[str, str] | None:
    """Return what is wrong with a folder's owner or mode, or with a file in it, and the step that fixes it; None if nothing is."""
    try:
        status = folder.stat()
    except OSError:
        return None  # a missing folder is reported with the credential that is not found
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder", "set credentials_dir to a folder"
    if status.st_uid not in {0, os.geteuid()}:
        return f"{folder} is not owned by root or the daemon's user", rights_step(f"run: chown root:licsync {folder}", folder)
    if status.st_mode & 0o027 == 0:
        return None
    if not is_secret_volume(folder):
        step = rights_step(f"run: chmod 0750 {folder}", folder)
        return f"{folder} is open to other users (mode {stat.S_IMODE(status.st_mode):04o})", step
    if file is not None and not is_of_volume(file):
        return (
            f"{folder} is open to other users, and {file.name} does not belong to its Secret",
            "add it to the Secret, and remove this file",
        )
    return None


def _read(path: Path, closed: list[str]) -> bytes | None:
    """Return a file's content; None if there is none, or if its folder cannot be entered (recorded in `closed`)."""
    try:
        with open(path, "rb", opener=_not_blocking) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _no_file(path)
            return stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise _no_file(path) from None
    except OSError as error:
        if isinstance(error, PermissionError) and not os.access(path.parent, os.X_OK):
            closed.append(f"{path.parent} cannot be entered")
            return None
        raise _unreadable(path, error.strerror) from None


def _not_blocking(path: str, flags: int) -> int:
    """Open a file so that a named pipe in its place does not stop the daemon."""
    return os.open(path, flags | os.O_NONBLOCK)


def _unreadable(path: Path, reason: str | None) -> RunError:
    cause = f"{path} exists but cannot be read: {(reason or 'unknown reason').lower()}"
    step = rights_step(f"let the daemon's user read it: chgrp licsync {path} && chmod 0640 {path}", path)
    return RunError(Code.CREDENTIAL_MISSING, cause, step)


def _no_file(path: Path) -> RunError:
    if path.is_dir():
        cause = f"{path} exists but cannot be read: it is a folder, not a file"
        step = "Docker makes a folder where a file to be mounted does not exist: create the file on the host, then make the container anew"
    else:
        cause, step = f"{path} exists but cannot be read: not a regular file", "put a file there"
    return RunError(Code.CREDENTIAL_MISSING, cause, step)
