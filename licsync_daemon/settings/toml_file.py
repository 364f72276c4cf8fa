"""The TOML file as nested tables of raw values, without the secrets that must not be in it."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.settings.mistakes import Finding
from licsync_daemon.settings.options import fields_at
from licsync_daemon.settings.tables import is_secret

MAX_FILE_BYTES = 256 * 1024  # a fleet of 500 instances takes about 100 KiB
_SECRET_KEYS = frozenset({"token", "proxy_auth", "password", "passwd", "passphrase", "secret", "secret_path", "api_key"})


def read_file(path: Path) -> dict[str, Any]:
    """Parse the configuration file.

    Raises:
        ConfigError: It is missing, a folder, unreadable, larger than 256 KiB, not UTF-8, or not TOML; with line and column if known.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _refused(path, "no such file", f"create one with: $licsync config init > {path}") from None
    except IsADirectoryError:
        raise _refused(path, "is a folder, not a file", "name a file in it, for example config.toml") from None
    except PermissionError:
        raise _refused(path, "permission denied", "run as the user licsync, or let that user read the file") from None
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be read: {getattr(error, 'strerror', None) or 'not a valid path'}", "") from None
    if len(content) > MAX_FILE_BYTES:
        raise _refused(path, f"larger than {MAX_FILE_BYTES // 1024} KiB", "check that this is the right file")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(path, f"not UTF-8 text (line {line})", "save it with the encoding UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _refused(path, _syntax(str(error)), "put strings in quotes and table names in [brackets]") from None
    except RecursionError:
        raise _refused(path, "nested too deeply", "check that this is the right file") from None


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


def _refused(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError((Problem(str(path), what, hint),))


def _syntax(message: str) -> str:
    place = re.search(r"\(at line (\d+), column (\d+)\)$", message)
    error = re.sub(r"\s*\(at [^)]*\)$", "", message)
    where = f"line {place[1]}, column {place[2]}" if place else "at the end of the file"
    return f"{where}: TOML syntax error: {error[:1].lower()}{error[1:]}"
