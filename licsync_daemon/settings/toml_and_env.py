"""The TOML file and the environment, read by pydantic-settings: each as nested tables of raw values, without secrets."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.settings.credentials import DIGEST_KEY, PREFIX
from licsync_daemon.settings.mistakes import Finding, closest
from licsync_daemon.settings.options import Settings, fields_at, variable
from licsync_daemon.settings.parts import is_list, is_secret, is_table

MAX_FILE_BYTES = 256 * 1024  # a fleet of 500 instances takes about 100 KiB
MAX_DEPTH = 20  # of tables and lists in each other; the settings need 4
_FILE_OPTION = "LICSYNC_CONFIG"  # the command line's: which file to read
# What Kubernetes sets in every pod for a Service such as `licsync` or `licsync-metrics`, and Docker for a linked container.
# Source: https://kubernetes.io/docs/concepts/containers/container-environment/ (checked 2026-11-27);
# their form is that of Docker's links.
_SERVICE_LINKS = (
    (re.compile(r"LICSYNC(?:_[A-Z0-9]+)*_(?:SERVICE_HOST|PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)_ADDR)"), re.compile(r"[0-9a-fA-F.:]{2,45}")),
    (
        re.compile(r"LICSYNC(?:_[A-Z0-9]+)*_(?:SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)_PORT)"),
        re.compile(r"[0-9]{1,5}"),
    ),
    (re.compile(r"LICSYNC(?:_[A-Z0-9]+)*_PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)_PROTO"), re.compile(r"tcp|udp|sctp")),
    (
        re.compile(r"LICSYNC(?:_[A-Z0-9]+)*_PORT(?:_[0-9]{1,5}_(?:TCP|UDP|SCTP))?"),
        re.compile(r"(?:tcp|udp|sctp)://[\[\]0-9a-fA-F.:]{2,47}:[0-9]{1,5}"),
    ),
)
_SECRET_KEYS = frozenset({"token", "proxy_auth", "password", "passwd", "passphrase", "secret", "secret_path", "api_key"})


class _File(TomlConfigSettingsSource):
    """A TOML file that must exist, has a maximum size, and may begin with a byte-order mark."""

    def _read_files(self, files: Any, deep_merge: bool = False) -> dict[str, Any]:  # noqa: ARG002 - the base class's signature
        with open(files, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:  # a named pipe would block
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _refused(files, "not a regular file", "name a file, not a named pipe or a device")
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _refused(files, f"larger than {MAX_FILE_BYTES // 1024} KiB", "check that this is the right file")
        found = tomllib.loads(content.decode("utf-8-sig"))
        if _is_deeper(found, MAX_DEPTH):  # what follows is recursive
            raise RecursionError
        return found


class _Environment(EnvSettingsSource):
    """Variables of a given mapping. A list is JSON, or strings separated by commas."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str]:
        return self._variables

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            found = super().decode_complex_value(field_name, field, value)
            return value if _is_deeper(found, MAX_DEPTH) else found
        except (ValueError, RecursionError):
            return [part.strip() for part in value.split(",") if part.strip()]


def read_file(path: Path) -> dict[str, Any]:
    """Read the configuration file.

    Raises:
        ConfigError: It is missing, a folder, unreadable, larger than 256 KiB, not UTF-8, or not TOML; with line and column if known.
    """
    try:
        return _File(Settings, path)()
    except FileNotFoundError:
        raise _refused(path, "no such file", f"create one with: $licsync config init -o {path}") from None
    except IsADirectoryError:
        raise _refused(path, "is a folder, not a file", "name a file in it, for example config.toml") from None
    except PermissionError:
        raise _refused(path, "permission denied", "run as the user licsync, or let that user read the file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _refused(path, f"not UTF-8 text (line {line})", "save it with the encoding UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _refused(path, _syntax(str(error)), "put strings in quotes and table names in [brackets]") from None
    except RecursionError:
        raise _refused(path, "nested too deeply", "check that this is the right file") from None
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be read: {getattr(error, 'strerror', None) or 'not a valid path'}", "") from None


def read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    """Read the `LICSYNC_` variables, and report those that name no setting; the path of such a finding is the variable.

    A secret still adds the table of its instance, so that a misspelled one is noticed.
    """
    usable: dict[str, str] = {}
    findings: list[Finding] = []
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX) or name == _FILE_OPTION or _is_service_link(name, value):
            continue
        path = tuple(name.lower()[len(PREFIX) :].split("__"))
        if path == DIGEST_KEY:  # a credential that belongs to no table
            continue
        field = (fields_at(path[:-1]) or {}).get(path[-1])
        if (field is not None and is_table(field)) or path[:-1] == ("instances",):
            findings.append(Finding((name,), "this is a table", f"set its keys one by one, for example {name}__{_some_key(path)}"))
        elif field is None:
            findings.append(Finding((name,), "no such setting", _suggestion(name, path)))
        else:
            usable[name.lower()] = "[]" if is_list(field) and not value else value
    return take_out_secrets(_Environment(usable)(), PurePath())[0], findings


def _is_service_link(name: str, value: str) -> bool:
    """Return whether a platform set a variable to tell of a service; its value must have the form that the name promises."""
    return any(names.fullmatch(name) and values.fullmatch(value) for names, values in _SERVICE_LINKS)


def take_out_secrets(raw: Mapping[str, Any], folder: PurePath, path: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[Finding]]:
    """Return the tables below `path` without their secrets, and a finding for each secret found there. No value is looked at."""
    kept: dict[str, Any] = {}
    findings: list[Finding] = []
    known = fields_at(path) or {}
    for key, value in raw.items():
        here = (*path, key)
        if isinstance(value, Mapping):
            kept[key], below = take_out_secrets(value, folder, here)
            findings += below
        elif path != ("instances",) and key.lower() in _SECRET_KEYS:
            belongs = key in known and is_secret(known[key])
            target = f"put it in {folder / '__'.join(here)}" if belongs else f"put it in a credential file under {folder}"
            findings.append(Finding(here, "secrets are not allowed in this file", f"{target} and delete it here"))
        else:
            kept[key] = value
    return kept, findings


def _is_deeper(value: Any, depth: int) -> bool:
    """Say whether tables and lists are nested more than `depth` levels."""
    level = [value]
    while level and depth >= 0:
        inner = (one.values() if isinstance(one, dict) else one if isinstance(one, list) else () for one in level)
        level = [one for several in inner for one in several]
        depth -= 1
    return bool(level)


def _refused(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(str(path), what, hint),))


def _syntax(message: str) -> str:
    place = re.search(r"\(at line (\d+), column (\d+)\)$", message)
    error = re.sub(r"\s*\(at [^)]*\)$", "", message)
    where = f"line {place[1]}, column {place[2]}" if place else "at the end of the file"
    return f"{where}: TOML syntax error: {error[:1].lower()}{error[1:]}"


def _suggestion(name: str, path: tuple[str, ...]) -> str:
    every = list(_all_variables(path))
    same_key = [one for one in every if one.split("__")[-1] == path[-1].upper()]
    sibling = closest(path[-1], fields_at(path[:-1]) or {})
    near = variable((*path[:-1], sibling)) if sibling else closest(name, same_key) or closest(name, every)
    return f"did you mean {near}?" if near else ""


def _some_key(path: tuple[str, ...]) -> str:
    return "EMEA__HOSTNAME" if path == ("instances",) else next(iter(fields_at(path) or {}), "").upper()


def _all_variables(near: tuple[str, ...]) -> Iterator[str]:
    tables: list[tuple[str, ...]] = [(), ("instances", near[1] if near[0] == "instances" and len(near) > 2 else "name")]
    while tables:
        path = tables.pop()
        for key, field in (fields_at(path) or {}).items():
            if not is_table(field):
                yield variable((*path, key))
            elif (*path, key) != ("instances",):
                tables.append((*path, key))
