"""The systemd unit is one that systemd accepts without a word."""

import subprocess
from pathlib import Path

from tests.tools import tool

ROOT = Path(__file__).parents[2]


def test_systemd_finds_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` is clean on a copy whose program exists; exit 0 alone proves nothing, an unknown key is only a warning."""
    text = (ROOT / "systemd" / "licsync.service").read_text()
    copy = tmp_path / "licsync.service"
    copy.write_text(text.replace("ExecStart=/opt/licsync/bin/licsync-daemon", "ExecStart=/bin/true"))
    command = [tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(copy)]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")


def test_systemd_rates_the_unit_as_well_confined(tmp_path: Path) -> None:
    """The exposure of the unit is at most 1.2 of 10."""
    unit = ROOT / "systemd" / "licsync.service"
    command = [tool("systemd-analyze"), "security", "--offline=true", "--threshold=12", "--no-pager", str(unit)]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[-400:]


def test_the_unit_does_not_restart_what_a_restart_cannot_mend() -> None:
    """Wrong configuration (2) and a second daemon (11) end the unit for good; the daemon tells systemd itself when it is ready."""
    lines = (ROOT / "systemd" / "licsync.service").read_text().splitlines()

    assert {"RestartPreventExitStatus=2 11", "Type=notify", "User=licsync", "LoadCredential=licsync:/etc/licsync/credentials"} <= set(lines)


def test_the_system_user_is_one_that_sysusers_accepts(tmp_path: Path) -> None:
    """`systemd-sysusers` makes the user that the unit runs as."""
    config = ROOT / "systemd" / "licsync.sysusers"
    (tmp_path / "etc").mkdir()

    result = subprocess.run([tool("systemd-sysusers"), f"--root={tmp_path}", str(config)], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert "licsync:" in (tmp_path / "etc" / "passwd").read_text()
