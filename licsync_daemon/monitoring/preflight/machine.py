"""Checks that contact no server: configuration, credentials, directories and files of this machine."""

import grp
import os
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from licsync_daemon.model.errors import Code, Problem, RunError
from licsync_daemon.model.instance import CommandSource, Config, FileSource, Instance, ManualDelivery
from licsync_daemon.model.ports import Clock
from licsync_daemon.monitoring.preflight.rows import MACHINE, CheckRow, Place
from licsync_daemon.settings import credential_audit
from licsync_daemon.settings.credentials import Credentials
from licsync_daemon.settings.platform import in_kubernetes, rights_step
from licsync_daemon.sources.file import BeingWrittenError, FileUsageSource
from licsync_daemon.system.process import user_name

MIB = 1024 * 1024
FREE_FAIL_BYTES = 64 * MIB  # the spool of a large report takes about that much
FREE_WARN_BYTES = 512 * MIB
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def machine_rows(config: Config, warnings: Iterable[Problem], credentials: Credentials) -> Iterator[CheckRow]:
    """Yield the rows of this machine."""
    yield from _configuration_rows(config, warnings)
    yield from _credential_rows(config, credentials)
    yield from state_rows(config.state_dir)
    outboxes = {one.delivery for one in config.instances if isinstance(one.delivery, ManualDelivery) and one.is_active}
    for to in sorted(outboxes, key=lambda one: str(one.outbox)):
        if to.outbox is not None:
            yield outbox_row(to.outbox, to.group)
    if config.notify:
        count = len(config.notify)
        yield MACHINE.ok("notifications", f"{count} channel{'s' if count != 1 else ''} configured")


def _configuration_rows(config: Config, warnings: Iterable[Problem]) -> Iterator[CheckRow]:
    count = len(config.instances)
    off = [one.name for one in config.instances if not one.enabled]
    more = f", disabled: {', '.join(off)}" if off else ""
    yield MACHINE.ok("configuration", f"{count} instance{'s' if count != 1 else ''}{more}")
    for one in warnings:
        yield MACHINE.warn("configuration", f"{one.where}: {one.what}", one.hint)


def _credential_rows(config: Config, credentials: Credentials) -> Iterator[CheckRow]:
    expected = credential_audit.expected_credentials(config)
    problems = credential_audit.problems(credentials, expected)
    for one in problems:
        code = Code.CREDENTIAL_MISSING if one.what.startswith("no credential") else Code.CREDENTIAL_MALFORMED
        yield MACHINE.fail("credentials", f"{one.where}: {one.what}", one.hint, code)
    if not problems:
        yield MACHINE.ok("credentials", "all found")
    for one in credential_audit.unused(credentials, expected):
        yield MACHINE.warn("credentials", f"{one.where}: {one.what}", one.hint)
    for one in credential_audit.rotated(credentials, expected):
        yield MACHINE.warn("credentials", f"{one.where}: {one.what}", one.hint, Code.CREDENTIAL_ROTATED)


def state_rows(path: Path) -> Iterator[CheckRow]:
    """Yield the owner, the mode and the free space of the state directory."""
    yield _state_row(path)
    system = os.statvfs(_nearest(path))
    yield space_row(path, system.f_bavail * system.f_frsize)


def _nearest(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    return next(one for one in (path, *path.parents) if os.access(one, os.F_OK))


def _state_row(path: Path) -> CheckRow:
    def fail(seen: str, fix: str) -> CheckRow:
        return MACHINE.fail(name, f"{path} {seen}", fix, Code.STATE_UNWRITABLE)

    name, own_it = "state directory", rights_step(f"as root: install -d -m 0700 -o licsync -g licsync {path}", path)
    nearest = _nearest(path)
    if nearest != path:
        if os.access(nearest, os.W_OK | os.X_OK):
            return MACHINE.ok(name, f"{path} does not exist yet; the first start creates it")
        return fail(f"does not exist or is not accessible, and cannot be created in {nearest}", own_it)
    found, me = path.stat(), os.geteuid()
    if not stat.S_ISDIR(found.st_mode):
        return fail("is not a directory", "set state_dir to a directory")
    if found.st_uid != me and found.st_mode & stat.S_IWGRP and os.access(path, os.W_OK | os.X_OK):
        return fail("is a volume of a group", f"set state_dir to a folder inside it, which only this user can read: {path / 'state'}")
    if found.st_uid == me and in_kubernetes() and not found.st_mode & stat.S_IWOTH:
        return MACHINE.ok(name, f"{path} is owned by this user; the start sets its mode to 0700")
    if found.st_mode & OTHERS_WRITE:
        return fail("is writable by other users", rights_step(f"run: chmod 0700 {path}", path))
    if found.st_uid != me:
        fix = rights_step("to test with the daemon's permissions, run the check as its user: $licsync check", path)
        return MACHINE.warn(name, f"{path} belongs to {user_name(found.st_uid)}, but you are {user_name(me)}", fix)
    if not os.access(path, os.W_OK | os.X_OK):
        return fail("is not writable", rights_step(f"run: chmod 0700 {path}", path))
    return MACHINE.ok(name, f"{path} is owned by this user, mode {stat.S_IMODE(found.st_mode):04o}")


def space_row(path: Path, free_bytes: int) -> CheckRow:
    """Judge the free space for the state and the spool files of runs."""
    test, seen = "free space", f"{free_bytes // MIB:,} MiB free for {path}"
    fix = "free disk space on that file system"
    if free_bytes < FREE_FAIL_BYTES:
        return MACHINE.fail(test, f"less than {FREE_FAIL_BYTES // MIB} MiB free for {path}", fix, Code.DISK_LOW)
    if free_bytes < FREE_WARN_BYTES:
        return MACHINE.warn(test, f"less than {FREE_WARN_BYTES // MIB} MiB free for {path}", fix, Code.DISK_LOW)
    return MACHINE.ok(test, seen)


def outbox_row(path: Path, group: str | None) -> CheckRow:
    """Judge whether exports can be written for a person in `group`."""
    of_group = f" -g {group}" if group is not None else ""
    fix = rights_step(f"as root: install -d -m 0750 -o licsync{of_group} {path}; under systemd see docs/deliveries.md", path)
    if not path.is_dir():
        return MACHINE.fail("outbox", f"{path} is not a directory", fix, Code.OUTBOX_UNWRITABLE)
    if not os.access(path, os.W_OK | os.X_OK):
        return MACHINE.fail("outbox", f"{path} is not writable by {user_name(os.geteuid())}", fix, Code.OUTBOX_UNWRITABLE)
    if path.stat().st_mode & OTHERS_WRITE:  # others could replace a folder by a link and redirect an export
        return MACHINE.warn(
            "outbox", f"{path} is writable by users other than {user_name(os.geteuid())}", rights_step(f"run: chmod 0750 {path}", path)
        )
    if group is None:
        return MACHINE.ok("outbox", f"{path} is writable")
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return MACHINE.fail("outbox", f"group {group} does not exist", rights_step(f"run: groupadd {group}", path), Code.OUTBOX_UNWRITABLE)
    if os.geteuid() != 0 and number not in {os.getegid(), *os.getgroups()}:
        seen = f"{user_name(os.geteuid())} is not a member of the group {group}"
        fix = f"run: usermod -aG {group} {user_name(os.geteuid())}, and restart; under systemd with PrivateUsers=no (docs/deliveries.md)"
        fix = rights_step(fix, path)
        return MACHINE.fail("outbox", seen, fix, Code.OUTBOX_UNWRITABLE)
    return MACHINE.ok("outbox", f"{path} is writable, and readable by the group {group}")


def command_row(place: Place, source: CommandSource) -> CheckRow:
    """Judge a local program: it must exist, be executable, and not be replaceable by other users."""
    path = Path(source.command[0])
    fix = rights_step(f"as root: chown root {path} && chmod 0755 {path}", path)
    try:
        found = path.stat()
    except OSError as error:
        fix = "install the program there, or change the source's `command`"
        return place.fail("command", f"{path}: {(error.strerror or 'cannot be accessed').lower()}", fix, Code.COMMAND_FAILED)
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
        return place.fail("command", f"{path} is not executable by {user_name(os.geteuid())}", fix, Code.COMMAND_FAILED)
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & OTHERS_WRITE:
        return place.warn("command", f"{path} can be replaced by other users (owner {user_name(found.st_uid)})", fix)
    return place.ok("command", f"{path} found")


def file_row(place: Place, instance: Instance, source: FileSource, clock: Clock) -> CheckRow:
    """Judge the directory or file of a source: whether it is readable, and the age of the newest file."""
    path = source.path
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        fix = f"make it readable for {user_name(os.geteuid())}, or change the source's `path`"
        return place.fail("file", f"{path} does not exist or is not readable", fix, Code.NO_NEW_EXPORT)
    try:
        newest = FileUsageSource(source, clock, None).newest_first()[0]
    except BeingWrittenError as error:
        return place.ok("file", error.cause)
    except RunError as error:
        return place.warn("file", error.cause, error.next_step)
    return age_row(place, newest.path, newest.at, instance, clock.now())


def age_row(place: Place, path: Path, at: datetime, instance: Instance, now: datetime) -> CheckRow:
    age = now - at
    if age > instance.guards.max_usage_age:
        return place.warn("file", f"the newest file, {path}, is {age.days} days old", "provide a new export or all_users.csv there")
    return place.ok("file", f"the newest file, {path}, is from {at:%Y-%m-%d %H:%M} UTC")
