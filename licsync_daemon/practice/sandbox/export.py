"""GitHub's own export of an instance's usage, as `ghe-license usage` prints it: write one, and read an uploaded one.

GitHub encrypts the users by default, in a format that is not published; here they are random bytes of about the same length.
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
    """Return the export of an instance. `clear`: its users are a list; otherwise they are encrypted, and different each time."""
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
    """Return the instance of an export, and its users; for an encrypted export, the instance's current users.

    Raises:
        ValueError: It is not an export, or not of an instance of this fleet.
    """
    named, users = export.get("instance"), export.get("users")
    server_id = named.get("server_id") if isinstance(named, dict) else None
    instance = next((one for one in instances.values() if one.server_id == server_id), None)
    if instance is None:
        raise ValueError("the file is not from a server of this enterprise")
    if isinstance(users, list):
        check_users(users, "users")
        return instance, users
    try:
        opaque = base64.b64decode(users or "", validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError("the users in the file are neither a list nor an encrypted text") from error
    if not opaque:
        raise ValueError("the file has no users")
    return instance, instance.as_sent()
