"""Where the state directory is, also according to a configuration file that is refused or cannot be read."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from licsync_daemon.settings.options import Settings


def likely_state_dir(content: bytes | None, environ: Mapping[str, str]) -> Path:
    """Return the `state_dir` of the environment, else of the file, even if the file is not TOML; else the default."""
    named = environ.get("LICSYNC_STATE_DIR") or _named(content or b"")
    return Path(named if named is not None else Settings.model_fields["state_dir"].default)


def _named(content: bytes) -> str | None:
    text = content.decode("utf-8-sig", errors="replace")
    try:
        found = tomllib.loads(text).get("state_dir")
    except (tomllib.TOMLDecodeError, RecursionError):
        line = re.search(r"""^state_dir\s*=\s*(["'])([^"'\n]+)\1""", text, re.MULTILINE)
        found = line[2] if line is not None else None
    return found if isinstance(found, str) and found.strip() and "\0" not in found else None
