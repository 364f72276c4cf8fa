"""Whether this is the user who may read the state and the credentials; said before anything else."""

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from licsync_daemon.model.errors import ConfigError, Problem
from licsync_daemon.settings.platform import in_kubernetes
from licsync_daemon.system.process import user_name

USER = "licsync"  # of the systemd unit


def refuse_wrong_user(state_dir: Path, config: Path, program: Sequence[str]) -> None:
    """Refuse a user who can use neither the state directory nor the configuration; root and members of a group that may are right.

    Raises:
        ConfigError: Naming the one command that works.
    """
    if in_kubernetes():  # nobody can be another user in a pod; what is wrong with a volume is said where it is used
        return
    for path, may in ((config, os.R_OK), (state_dir, os.R_OK | os.W_OK | os.X_OK)):
        owner = _owner_if_shut(path, may)
        if owner is not None:
            user = _service_user(state_dir, owner)
            what = f"you are {user_name(os.geteuid())}, who may not use {path}"
            raise ConfigError((Problem("user", what, f"run: {_as(user, program)}"),), "wrong user")


def _owner_if_shut(path: Path, may: int) -> int | None:
    """Return the owner of a path that exists and is shut to this user; None if it is open, or nothing is there."""
    if os.access(path, may):
        return None
    for one in (path, *path.parents):  # a folder above may be shut as well
        try:
            found = one.stat()
        except PermissionError:
            continue
        except OSError:
            return None
        is_shut = one == path or not os.access(one, os.X_OK)
        return found.st_uid if is_shut and found.st_uid != os.geteuid() else None
    return None


def _service_user(state_dir: Path, owner: int) -> int:
    """Return who owns the state; if that cannot be seen, the unit's user, else the owner of what is shut."""
    try:
        return state_dir.stat().st_uid
    except OSError:
        try:
            return pwd.getpwnam(USER).pw_uid
        except KeyError:
            return owner


def _as(user: int, program: Sequence[str]) -> str:
    """Return this command line as another user types it."""
    typed = shlex.join((*program, *sys.argv[1:]))
    if shutil.which("sudo") is None:
        return f"{typed}  # as {user_name(user)}"
    name = user_name(user)
    return f"sudo -u {shlex.quote(f'#{name}' if name == str(user) else name)} {typed}"
