"""Secrets do not belong in the configuration file: find them, say where they belong, and never look at their values."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from licsync_daemon.settings.mistakes import Finding
from licsync_daemon.settings.options import fields_at, is_secret

_NAMES = frozenset({"token", "proxy_auth", "password", "passwd", "passphrase", "secret", "secret_path", "api_key"})


def take_out_secrets(file: Mapping[str, Any], credentials_dir: PurePath) -> tuple[dict[str, Any], list[Finding]]:
    """Return the file's tables without their secrets, and a finding for each secret that stood there."""
    findings: list[Finding] = []
    return _without(file, (), credentials_dir, findings), findings


def _without(raw: Mapping[str, Any], path: tuple[str, ...], folder: PurePath, findings: list[Finding]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    known = fields_at(path) or {}
    for key, value in raw.items():
        here = (*path, key)
        if path != ("instances",) and key.lower() in _NAMES and not isinstance(value, Mapping):
            belongs = key in known and is_secret(known[key])
            target = f"put it in {folder / '__'.join(here)}" if belongs else f"put it in a credential file under {folder}"
            findings.append(Finding(here, "a secret does not belong in this file", f"{target} and delete it here"))
        else:
            kept[key] = _without(value, here, folder, findings) if isinstance(value, Mapping) else value
    return kept
