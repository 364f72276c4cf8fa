"""Whoever is not the user of the daemon hears that first, with the one command that works."""

import os
import pwd
import shutil
from pathlib import Path

import pytest

from tests.acceptance.support import Done, Site

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups")


def as_nobody(site: Site, *arguments: str) -> Done:
    running = site.start(*arguments, before=AS_NOBODY)
    code = running.wait()
    return Done(code, running.out, running.err)


def reachable(path: Path) -> None:
    """Let other users enter every folder above a file of a test."""
    for parent in path.parents:
        if parent.stat().st_uid == 0 and parent != Path("/") and str(parent).startswith(("/tmp/", "/var/tmp/")):
            parent.chmod(parent.stat().st_mode | 0o011)


COMMANDS = ("status", "status --check", "status --alive", "check", "check --offline", "history", "outbox", "config show", "--run-now",
            "payload emea", "pause emea --until 3d --reason x", "notify --test", "")  # fmt: skip


@pytest.mark.parametrize("shut", ["state", "configuration"])
def test_the_wrong_user_hears_it_first(site: Site, shut: str, subtests: pytest.Subtests) -> None:
    """One problem, and the command as typed behind `sudo -u OWNER`; not a list of what this user cannot read."""
    assert site.run("--run-now").code == 0
    reachable(site.config)
    owner = pwd.getpwuid(1)  # daemon: any user with a name that is neither of the two
    for one in (site.state_dir, *site.state_dir.rglob("*")):
        os.chown(one, owner.pw_uid, owner.pw_gid)
    site.config.chmod(0o644 if shut == "state" else 0o600)
    path = site.state_dir if shut == "state" else site.config
    sudo = f"sudo -u {owner.pw_name} " if shutil.which("sudo") else ""
    for words in COMMANDS:
        with subtests.test(words):
            done = as_nobody(site, *words.split())
            assert done.code == (3 if "--check" in words else 2), done.all
            assert f"wrong user{': ' if '--check' in words else ' (1 problem)'}" in done.all
            assert f"user: you are nobody, who may not use {path} (run: {sudo}" in done.all
            assert words in done.all
            assert len(done.all.splitlines()) == (1 if "--check" in words else 2)
