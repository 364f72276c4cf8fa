"""Find credentials by name, and check them before any library sees them.

Standard library only. Each call reads the credential again, so it is rotated by replacing its file. No error text holds a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from licsync_daemon.model.errors import Code, ConfigError, Problem, RunError
from licsync_daemon.model.secrets import remember
from licsync_daemon.settings.credential_files import read, unsafe
from licsync_daemon.settings.credential_forms import Expected, Kind, fault

DIGEST_KEY = ("digest_key",)  # keys the digests of accounts; without it a file of the state directory does
PREFIX = "LICSYNC_"
SYSTEMD_PREFIX = "licsync_"  # `LoadCredential=licsync:DIR` delivers DIR/NAME as licsync_NAME


@dataclass(frozen=True, slots=True)
class _Located:
    value: bytes
    place: str
    file: Path | None = None


class Credentials:
    """Finds credentials by name. All methods raise `RunError` for one that cannot be used, with its place and the next step.

    Each name is looked up in the environment (`LICSYNC_` and the name in capitals), `$CREDENTIALS_DIRECTORY`, `/run/secrets` and
    `credentials_dir`, in this order, before the next name is.
    """

    def __init__(self, credentials_dir: Path, environ: Mapping[str, str], run_secrets: Path = Path("/run/secrets")) -> None:
        self.credentials_dir = credentials_dir
        self._environ = environ
        self._run_secrets = run_secrets

    def github_token(self, names: Sequence[str]) -> str:
        """Return a GitHub token: 20 to 255 printable ASCII characters."""
        return self.value(Expected(names=tuple(names), kind=Kind.GITHUB_TOKEN))

    def delivery_token(self, names: Sequence[str]) -> str:
        """Return the token of a delivery endpoint: 1 to 8192 printable ASCII characters."""
        return self.value(Expected(names=tuple(names), kind=Kind.DELIVERY_TOKEN))

    def line(self, names: Sequence[str]) -> str:
        """Return one printable line, such as `USER:PASSWORD` for a proxy."""
        return self.value(Expected(names=tuple(names), kind=Kind.LINE))

    def optional_line(self, names: Sequence[str]) -> str | None:
        """Return one printable line, or None if there is no such credential."""
        return self._optional(names, Kind.LINE)

    def optional_delivery_token(self, names: Sequence[str]) -> str | None:
        """Return a token of 1 to 8192 printable ASCII characters, or None if there is no such credential."""
        return self._optional(names, Kind.DELIVERY_TOKEN)

    def optional_secret_path(self, names: Sequence[str]) -> str | None:
        """Return the rest of an address, which begins with / or ?, or None if there is no such credential."""
        return self._optional(names, Kind.SECRET_PATH)

    def digest_key(self) -> bytes | None:
        """Return the key of the digests of accounts, at least 32 bytes of it; None if none is configured.

        Raises:
            ConfigError: It is shorter or cannot be read; a start with another key would report every account as changed.
        """
        try:
            key = self._optional(DIGEST_KEY, Kind.DIGEST_KEY)
        except RunError as error:
            raise ConfigError((Problem(DIGEST_KEY[0], error.cause, error.next_step),)) from error
        return key.encode() if key is not None else None

    def file(self, names: Sequence[str]) -> Path:
        """Return the path of a private key, which no variable can hold. Its content is not checked, except that it is not empty."""
        return self.key_file(Expected(names=tuple(names), kind=Kind.KEY_FILE))

    def place(self, names: Sequence[str]) -> str | None:
        """Return in words where a credential is; None if it does not exist or cannot be read. Its form is not checked."""
        try:
            found, _ = self._find(names)
        except RunError:
            return None
        return found.place if found else None

    def value(self, wanted: Expected, *, trust_folder: bool = False) -> str:
        """Return a credential that must exist, as text."""
        found, closed = self._find(wanted.names, trust_folder=trust_folder)
        if found is None:
            raise self._missing(wanted, closed)
        return _text(found, wanted.kind)

    def key_file(self, wanted: Expected, *, trust_folder: bool = False) -> Path:
        """Return the file of a credential that must be one."""
        found, closed = self._find(wanted.names, trust_folder=trust_folder, files_only=True)
        if found is None or found.file is None:
            raise self._missing(wanted, closed)
        _check(found, wanted.kind)
        return found.file

    def folders(self) -> tuple[Path, ...]:
        """Return the folders in which files are found, in their order."""
        given = self.systemd_folder()
        return tuple(dict.fromkeys((*((given,) if given else ()), self._run_secrets, self.credentials_dir)))

    def systemd_folder(self) -> Path | None:
        """Return the folder of systemd's copies; None without systemd."""
        given = self._environ.get("CREDENTIALS_DIRECTORY")
        return Path(given) if given else None

    def paths(self, folder: Path, name: str) -> tuple[Path, ...]:
        """Return the files that can hold a credential in a folder."""
        return (folder / name, *((folder / f"{SYSTEMD_PREFIX}{name}",) if folder == self.systemd_folder() else ()))

    def _optional(self, names: Sequence[str], kind: Kind) -> str | None:
        found, _ = self._find(names)
        return _text(found, kind) if found else None

    def _find(self, names: Sequence[str], *, trust_folder: bool = False, files_only: bool = False) -> tuple[_Located | None, list[str]]:
        closed: list[str] = []
        for name in names:
            variable = PREFIX + name.upper()
            if variable in self._environ and not files_only:
                value = self._environ[variable].encode("utf-8", "surrogateescape")
                return _Located(value, f"the environment variable {variable}"), closed
            for path in (path for folder in self.folders() for path in self.paths(folder, name)):
                content = read(path, closed)
                if content is not None:
                    wrong = None if trust_folder or path.parent != self.credentials_dir else unsafe(path.parent)
                    if wrong is not None:
                        raise RunError(Code.CREDENTIAL_MALFORMED, f"{path} is not used: {wrong[0]}", wrong[1])
                    return _Located(content, str(path), path), closed
        return None, closed

    def _missing(self, wanted: Expected, closed: list[str]) -> RunError:
        places = ", ".join([*(("the environment",) if wanted.kind is not Kind.KEY_FILE else ()), *map(str, self.folders())])
        cause = f"no credential {' or '.join(wanted.names)} in {places}"
        if closed:
            cause += f" ({'; '.join(dict.fromkeys(closed))})"
        step = f"put {wanted.kind} into the file {self.credentials_dir / wanted.names[0]} (mode 0640, group licsync)"
        return RunError(Code.CREDENTIAL_MISSING, cause, step)


def _check(found: _Located, kind: Kind) -> None:
    wrong = fault(found.value, kind)
    if wrong is not None:
        step = f"write {kind} and nothing else into {found.place}"
        raise RunError(Code.CREDENTIAL_MALFORMED, f"{found.place} {wrong}", step)


def _text(found: _Located, kind: Kind) -> str:
    _check(found, kind)
    value = found.value.strip().decode()
    remember(value)
    return value
