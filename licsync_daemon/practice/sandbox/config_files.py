"""Write a configuration and a credentials folder for a running sandbox."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATE = """\
# A practice configuration. It is valid while its sandbox runs.
state_dir = {state_dir}
credentials_dir = {credentials_dir}

[cloud]
enterprise = {enterprise}
api_url = {cloud_api_url}

[schedule]
timezone = "UTC"

# Practice reports may be old: do not check the age of their newest activity.
[guards]
max_usage_age = "3650d"

[defaults]
source = {{ kind = "report", username = {username} }}
delivery = {{ kind = "http", url = {delivery_url} }}
"""
INSTANCE = """
[instances.{name}]
hostname = {hostname}
url = {url}
server_id = {server_id}
"""


def write_config(folder: Path, ready: Mapping[str, Any]) -> Path:
    """Write the files for a sandbox with this ready line; folders have mode 0700, files 0600."""
    credentials = folder / "credentials"
    for path in (folder, credentials):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    instances = ready["instances"]
    values = {
        "state_dir": str(folder.resolve() / "state"),
        "credentials_dir": str(credentials.resolve()),
        "enterprise": ready["enterprise"],
        "cloud_api_url": ready["cloud_api_url"],
        "delivery_url": ready["delivery_url"],
        "username": next(iter(instances.values()))["username"],
    }
    text = TEMPLATE.format_map({key: _toml(value) for key, value in values.items()})
    for name, instance in instances.items():
        text += INSTANCE.format(name=name, **{key: _toml(instance[key]) for key in ("hostname", "url", "server_id")})
        _write(credentials / f"instances__{name}__source__token", instance["token"] + "\n")
    _write(credentials / "cloud__token", ready["cloud_token"] + "\n")
    _write(credentials / "defaults__delivery__token", ready["delivery_token"] + "\n")
    return _write(folder / "config.toml", text)


def _toml(value: str) -> str:
    """Return a basic TOML string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.chmod(0o600)  # also if the file existed with another mode
    path.write_text(text, encoding="utf-8")
    return path
