"""Where settings come from: the TOML file and the environment, each as nested tables of raw values."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.settings.mistakes import Finding, closest
from licsync_daemon.settings.options import Settings, fields_at, is_secret, is_table

MAX_FILE_BYTES = 256 * 1024  # a fleet of 500 instances takes about 100 KiB
PREFIX = "LICSYNC_"
OURS_BUT_NO_SETTING = frozenset({"LICSYNC_CONFIG"})  # the command line's: which file to read


def read_file(path: Path) -> dict[str, Any]:
    """Parse the configuration file.

    Raises:
        ConfigError: It is missing, a folder, unreadable, larger than 256 KiB, not UTF-8, or not TOML; with line and column where known.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _refused(path, "no such file", f"write one with: $licsync config init > {path}") from None
    except IsADirectoryError:
        raise _refused(path, "this is a folder, not a file", "name the file in it, such as config.toml") from None
    except PermissionError:
        raise _refused(path, "it may not be read: permission denied", "run as the user licsync, or let that user read the file") from None
    except (OSError, ValueError) as error:
        raise _refused(path, f"it cannot be read: {getattr(error, 'strerror', None) or 'not a valid path'}", "") from None
    if len(content) > MAX_FILE_BYTES:
        raise _refused(path, f"it is larger than {MAX_FILE_BYTES // 1024} KiB", "is this the right file?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(path, f"it is not UTF-8 text (line {line})", "save it with the encoding UTF-8") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(path, *_syntax(str(error))) from None
    except RecursionError:
        raise _refused(path, "it is nested too deeply", "is this the right file?") from None


def read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    """Read the `LICSYNC_` variables into nested tables, and report those that name no setting.

    Secrets are left out: `credentials.py` reads them. Their tables stay, so that a token of an instance nobody configured is noticed.
    A finding's path is here the variable's own name.
    """
    usable: dict[str, str] = {}
    findings: list[Finding] = []
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX) or name in OURS_BUT_NO_SETTING:
            continue
        path = tuple(name.lower()[len(PREFIX) :].split("__"))
        known = fields_at(path[:-1])
        if known is None or path[-1] not in known:
            if path[:-1] == ("instances",) or fields_at(path) is not None:
                findings.append(Finding((name,), "this names a table", f"set its keys one by one, such as {name}__{_some_key(path)}"))
            else:
                findings.append(Finding((name,), "no such setting", _suggestion(name, path, known or {})))
        elif is_table(known[path[-1]]):
            findings.append(Finding((name,), "this names a table", f"set its keys one by one, such as {name}__{_some_key(path)}"))
        else:
            usable[name.lower()] = value
    return _without_secrets(_EnvironmentSource(usable)(), ()), findings


def variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


class _EnvironmentSource(EnvSettingsSource):
    """pydantic-settings' reading of nested variables, from a mapping that is handed in instead of the process's own."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(Settings)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Read a list: JSON, or texts with commas between them."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return [part.strip() for part in str(value).split(",") if part.strip()]

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return dict(self._variables)


def _without_secrets(tables: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    known = fields_at(path) or {}
    return {
        key: _without_secrets(value, (*path, key)) if isinstance(value, Mapping) else value
        for key, value in tables.items()
        if key not in known or not is_secret(known[key])
    }


def _refused(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(str(path), what, hint),))


def _syntax(message: str) -> tuple[str, str]:
    place = re.search(r"\(at line (\d+), column (\d+)\)$", message)
    said = re.sub(r"\s*\(at [^)]*\)$", "", message)
    where = f"line {place[1]}, column {place[2]}" if place else "at the end of the file"
    return f"{where}: this is not TOML: {said[:1].lower()}{said[1:]}", "text stands in quotes, a table's name in [brackets]"


def _suggestion(name: str, path: tuple[str, ...], known: Mapping[str, FieldInfo]) -> str:
    every = _all_variables(path)
    same_key = [one for one in every if one.split("__")[-1] == path[-1].upper()]
    sibling = closest(path[-1], known)
    near = variable((*path[:-1], sibling)) if sibling else closest(name, same_key) or closest(name, every)
    return f"did you mean {near}?" if near else ""


def _some_key(path: tuple[str, ...]) -> str:
    if path == ("instances",):
        return "EMEA__HOSTNAME"
    keys = fields_at(path) or {}
    return next(iter(keys), "").upper()


def _all_variables(near: tuple[str, ...]) -> list[str]:
    instance = near[1] if near[0] == "instances" and len(near) > 2 else "name"
    found: list[str] = []
    tables: list[tuple[str, ...]] = [(), ("instances", instance)]
    while tables:
        path = tables.pop()
        for key, field in (fields_at(path) or {}).items():
            if is_table(field):
                tables.append((*path, key))
            elif (*path, key) != ("instances",):
                found.append(variable((*path, key)))
    return found
