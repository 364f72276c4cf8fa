"""What a person can change where this process runs. In a pod nobody can run `chmod` or `sudo`: the platform makes the folders."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "config/kubernetes/licsync.yaml"  # an example that works


def in_kubernetes(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether this process runs in a pod; the kubelet sets this variable in every one."""
    return "KUBERNETES_SERVICE_HOST" in (os.environ if environ is None else environ)


def rights_step(on_host: str, path: Path) -> str:
    """Return the step that gives this process the rights it needs on a path: `on_host` if a person can run it there."""
    if in_kubernetes():
        return (
            f"change the pod's manifest, not {path}: mount Secrets as whole volumes (no subPath) with defaultMode 0440, set fsGroup to "
            f"the group of user {os.geteuid()}, and put the state in a folder inside its volume, as {MANIFEST} does"
        )
    if _is_read_only(path):
        return (
            f"{path} is mounted read-only: change it where it is mounted from, so that user {os.geteuid()} may use it, and mount it again"
        )
    return on_host


def is_secret_volume(folder: Path) -> bool:
    """Return whether a folder is a volume that the kubelet has filled, and that no other user can change what it holds.

    The root of such a volume may be open to everybody (mode 1777), and nobody can close it. Its files are links through `..data` into a
    folder that the kubelet replaces as a whole. Source: https://kubernetes.io/docs/concepts/configuration/secret/ for the volume.
    """
    try:
        data, root = (folder / "..data").lstat(), folder.stat()
        target = (folder / "..data").stat()
        name = str((folder / "..data").readlink())
    except OSError:
        return False
    return (
        stat.S_ISLNK(data.st_mode)
        and stat.S_ISDIR(target.st_mode)
        and name.startswith("..")
        and "/" not in name
        and {data.st_uid, root.st_uid, target.st_uid} <= {0, os.geteuid()}
        and not target.st_mode & stat.S_IWOTH
        and (bool(root.st_mode & stat.S_ISVTX) or not root.st_mode & stat.S_IWOTH)  # otherwise, others could replace the link
    )


def is_of_volume(file: Path) -> bool:
    """Return whether a file in a secret volume is the kubelet's, and not one that another user has put beside."""
    try:
        return str(file.readlink()) == f"..data/{file.name}" and file.lstat().st_uid in {0, os.geteuid()}
    except OSError:
        return False


def _is_read_only(path: Path) -> bool:
    for one in (path, *path.parents):
        try:
            return bool(os.statvfs(one).f_flag & os.ST_RDONLY)
        except OSError:
            continue
    return False
