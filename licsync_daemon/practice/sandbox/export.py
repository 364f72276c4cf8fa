"""GitHub's own export of an instance's usage, as `ghe-license usage` prints it: written for one, read when a person uploads it.

The user list is encrypted by default and nothing is published about how; here it is as long, and noise.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any

from licsync_daemon.practice.sandbox.document import check_users
from licsync_daemon.practice.sandbox.ghes import Instance

BYTES_OF_AN_ACCOUNT = 80


def write_export(instance: Instance, *, clear: bool = False) -> dict[str, Any]:
    """Write the export of an instance now. `clear`: its users are a list; else they are opaque, and different each time."""
    users = instance.as_sent()
    return {
        "instance": {
            "server_id": instance.server_id,
            "host_name": instance.hostname,
            "version": instance.version,
            "features": ["license_usage_sync"],
        },
        "users": users if clear else base64.b64encode(secrets.token_bytes(BYTES_OF_AN_ACCOUNT * (len(users) + 1))).decode(),
    }


def read_export(export: Mapping[str, Any], instances: Mapping[str, Instance]) -> tuple[Instance, list[dict[str, Any]]]:
    """Say whose export this is, and which users it brings; of an opaque one, what its instance has now.

    Raises:
        ValueError: it is no export, or of no instance of this fleet.
    """
    named, users = export.get("instance"), export.get("users")
    server_id = named.get("server_id") if isinstance(named, dict) else None
    instance = next((one for one in instances.values() if one.server_id == server_id), None)
    if instance is None:
        raise ValueError("the file is of no server that this enterprise knows")
    if isinstance(users, list):
        check_users(users, "users")
        return instance, users
    try:
        opaque = base64.b64decode(users or "", validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError("the file's users are neither a list nor the text GitHub wrote") from error
    if not opaque:
        raise ValueError("the file has no users")
    return instance, instance.as_sent()
