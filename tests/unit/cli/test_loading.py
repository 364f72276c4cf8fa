"""How a person starts the program: its name or path, its configuration, and the user to switch to."""

import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from licsync_daemon.cli.loading import invocation, unknown_instance
from licsync_daemon.cli.parser import DEFAULT_CONFIG
from tests.fakes import a_config, an_instance

CONFIG = Path(DEFAULT_CONFIG)


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find neither the program nor sudo on the PATH."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(sys, "argv", ["/opt/licsync/bin/licsync-daemon"])


def owned(monkeypatch: pytest.MonkeyPatch, uid: int, shell: str) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: pwd.struct_passwd(("licsync", "x", uid, uid, "", "/", shell)))


def test_a_program_outside_the_path_is_named_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the PATH its name is enough; a module is started by the interpreter."""
    assert invocation(CONFIG).program == ("/opt/licsync/bin/licsync-daemon",)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/local/bin/licsync-daemon")
    assert invocation(CONFIG).program == ("licsync-daemon",)
    monkeypatch.setattr(sys, "argv", ["/opt/licsync/lib/licsync_daemon/__main__.py"])
    assert invocation(CONFIG).program == (sys.executable, "-m", "licsync_daemon")


def test_a_configuration_in_another_place_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its absolute path: the reader of a mail is in another directory."""
    monkeypatch.chdir(tmp_path)
    assert invocation(CONFIG).config is None
    assert invocation(Path("config.toml")).config == tmp_path / "config.toml"


def test_the_user_to_switch_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The owner of the state directory: another user, or with sudo one that nobody can log in as. Where nobody can switch, none."""
    installed: set[str] = set()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in installed else None)
    owned(monkeypatch, os.geteuid() + 1, "/bin/bash")
    assert invocation(CONFIG, tmp_path).owner is None
    installed.add("runuser")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    owned(monkeypatch, 65532, "/bin/bash")
    assert str(invocation(CONFIG, tmp_path)).startswith("runuser -u licsync -- ")
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["/opt/licsync/bin/licsync-daemon"])
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    owned(monkeypatch, os.geteuid(), "/usr/sbin/nologin")
    assert invocation(CONFIG, tmp_path).owner is None
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/sudo")
    assert str(invocation(CONFIG, tmp_path)).startswith("sudo -u licsync ")
    owned(monkeypatch, os.geteuid() + 1, "/bin/bash")
    assert invocation(CONFIG, tmp_path).owner == "licsync"
    owned(monkeypatch, os.geteuid(), "/bin/bash")
    assert invocation(CONFIG, tmp_path).owner is None
    assert invocation(CONFIG, tmp_path / "missing").owner is None


def test_an_unknown_instance_of_a_large_fleet() -> None:
    """The one that was meant is named; of the others only some, and how many more there are. What the state still knows counts too."""
    config = a_config(*(an_instance(f"site{number}") for number in range(500)))
    problem = unknown_instance(config, "stie77", recorded=["retired"])
    assert problem.hint.startswith("did you mean site77? configured: site0, site1, ")
    assert problem.hint.endswith(" and 480 more")
    assert "did you mean retired?" in unknown_instance(config, "retierd", recorded=["retired"]).hint
