"""The README's way to a service, and the outbox's drop-in, word for word, on a small Debian that a real systemd has started."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import package_index, skip, tool

ROOT = Path(__file__).parents[2]
BOOT_S = 60.0
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "config", "licsync_daemon", "systemd")
# A person's export as a program prints it; the account it is of is nobody's.
EXPORT = '{"server_id": "5e6f7a8b-0000-4000-8000-000000000005", "host_name": "ghes-gov.example.com", "users": "b3BhcXVl"}'
BY_HAND = """
[instances.gov]
hostname = "ghes-gov.example.com"
source = { kind = "command", command = ["/usr/local/bin/export-usage"] }
delivery = { kind = "manual", outbox = { path = "/srv/licsync-outbox", group = "license-couriers" } }
"""


def blocks(document: str, heading: str, kind: str) -> str:
    """Return the first block of a kind under a heading, as it stands there."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?^ *```{kind}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{document} has no block of {kind} under {heading}"
    return found[1]


@dataclass(frozen=True)
class Machine:
    """A Debian with systemd as its first process, apart from this machine and its network."""

    pid: int

    def run(self, script: str, *, code: int = 0) -> str:
        """Run a script as root; answer what it printed, and fail where it ends otherwise than with `code`."""
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
        words = ["nsenter", "--target", str(self.pid), "--all", *clean, "sh", "-ec", f"cd /src\n{script}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"{script}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def show(self, name: str) -> str:
        return self.run(f"systemctl show --property={name} --value licsync").strip()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Install the program as the README says, on a copy of the base image, and start systemd on it."""
    base = os.environ.get("TEST_BASE_IMAGE")
    if base is None or os.geteuid() != 0:
        skip("needs root, and TEST_BASE_IMAGE: a Debian with systemd (.ci/base-image makes one)")
    buildah, nspawn = tool("buildah"), tool("systemd-nspawn")
    container = subprocess.run([buildah, "from", base], capture_output=True, text=True, check=True).stdout.strip()
    try:
        root = Path(subprocess.run([buildah, "mount", container], capture_output=True, text=True, check=True).stdout.strip())
        (root / "src").mkdir()
        for name in NEEDED:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, root / "src" / name)
        install = [line for line in commands() if "/opt/licsync" in line]
        inside = [buildah, "run", "--isolation", "chroot", *package_index(), container, "--"]
        done = subprocess.run([*inside, "sh", "-ec", "\n".join(["cd /src", *install])], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with booted(nspawn, root, tmp_path_factory.mktemp("console") / "log") as pid:
            yield Machine(pid)
    finally:
        subprocess.run([buildah, "rm", container], capture_output=True, check=False)


@contextmanager
def booted(nspawn: str, root: Path, console: Path) -> Iterator[int]:
    """Start systemd and wait until it is up; yield the id of its process."""
    words = [nspawn, "--directory", str(root), "--boot", "--register=no", "--keep-unit", "--private-network", "--console=pipe"]
    with console.open("wb") as out:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until = time.monotonic() + BOOT_S
        while time.monotonic() < until and process.poll() is None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if children and subprocess.run(
                ["nsenter", "--target", children[0], "--all", "systemctl", "is-system-running", "--wait"],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.strip() in {"running", "degraded"}:
                break
            time.sleep(0.2)
        else:
            pytest.skip(f"no systemd can be started on this machine: {console.read_text(errors='replace')[-300:]}")
        yield int(children[0])
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def commands() -> list[str]:
    """Return the README's commands for a service, in their order."""
    return [line[2:] for line in blocks("README.md", "Install", "console").splitlines() if line.startswith("# ")]


@pytest.mark.timeout(600)
def test_the_readme_s_commands_make_a_service(machine: Machine) -> None:
    """One after the other they work; the service is up, syncs, reloads, and ends as it should."""
    machine.run(
        "systemd-run --quiet --unit=practice --working-directory=/root /opt/licsync/bin/licsync-daemon sandbox --write-config practice"
    )
    machine.run("until [ -s /root/practice/config.toml ]; do sleep 0.1; done")
    printed = {}
    for command in commands():
        if "/opt/licsync/bin/pip" in command or command.startswith("ln "):
            continue
        printed[command.split(" #")[0].strip()] = machine.run(command)
        if "config init" in command:  # "then edit it"
            machine.run(
                "grep -v -E '^(state|credentials)_dir' /root/practice/config.toml > /etc/licsync/config.toml\n"
                "install -m 0640 -g licsync /root/practice/credentials/* /etc/licsync/credentials/"
            )
    checked = next(text for command, text in printed.items() if command.endswith("licsync-daemon check"))
    assert checked.splitlines()[-1].endswith(" ok, 0 warnings, 0 failed")
    synced = next(text for command, text in printed.items() if command.endswith("--run-now"))
    assert len(re.findall(r"^(emea|amer|apac|labs) .* confirmed ", synced, re.MULTILINE)) == 4
    assert (machine.show("ActiveState"), machine.show("StatusText").startswith("next: ")) == ("active", True)

    machine.run("systemctl reload licsync")
    assert '"daemon.reloaded"' in machine.run("journalctl --unit=licsync --output=cat")
    machine.run("systemctl stop licsync")
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")


@pytest.mark.timeout(600)
def test_the_outbox_s_drop_in(machine: Machine) -> None:
    """With it, and not without, the confined service lays an export out for a group; its own check says so."""
    (Path(f"/proc/{machine.pid}/root") / "usr/local/bin/export-usage").write_text(f"#!/bin/sh\necho '{EXPORT}'\n")
    with (Path(f"/proc/{machine.pid}/root") / "etc/licsync/config.toml").open("a") as config:
        config.write(BY_HAND)
    machine.run("chmod 0755 /usr/local/bin/export-usage")
    document = (ROOT / "docs" / "deliveries.md").read_text(encoding="utf-8")
    commands_of_the_group = re.findall(r"`((?:groupadd|install -d)[^`]* license-couriers [^`]*)`", document)
    assert len(commands_of_the_group) == 2
    for command in commands_of_the_group:
        machine.run(command)
    # What the service does later by itself is done at its start, as confined as it is.
    tried = "ExecStartPost=-/opt/licsync/bin/licsync-daemon --run-now gov --wait 0\nExecStartPost=-/opt/licsync/bin/licsync-daemon check\n"
    drop_in = blocks("docs/deliveries.md", "Manual upload", "ini")
    write = (
        "mkdir -p /etc/systemd/system/licsync.service.d; cat > /etc/systemd/system/licsync.service.d/outbox.conf; systemctl daemon-reload"
    )
    said = []
    for lines in ("[Service]\n", drop_in):
        begun = machine.run("date +%s").strip()
        machine.run(f"({write}) <<'END'\n{lines}{tried}END\nsystemctl restart licsync")
        said.append(machine.run(f"journalctl --unit=licsync --output=cat --since=@{begun}"))
    without, within = said
    assert re.search(r"^gov: outbox_unwritable: .*: Read-only file system", without, re.MULTILINE)
    assert "fail: this machine, outbox: outbox_unwritable" in without
    assert re.search(r"^gov .* awaiting_upload", within, re.MULTILINE)
    assert " ok, 2 warnings, 0 failed" in within  # no channel is configured, and the practice fleet consumes more seats than were purchased
    assert machine.run("stat --format='%U %G %a' /srv/licsync-outbox/gov/usage-*.json").split() == ["licsync", "license-couriers", "640"]
    assert EXPORT in machine.run("cat /srv/licsync-outbox/gov/usage-*.json")


@pytest.mark.timeout(600)
def test_a_mistake_in_the_configuration_ends_the_service_for_good(machine: Machine) -> None:
    """It says the mistake, and systemd does not start it again and again."""
    machine.run("sed -i 's/^enterprise/enterprize/' /etc/licsync/config.toml\n! systemctl restart licsync")
    assert (machine.show("ExecMainStatus"), machine.show("NRestarts"), machine.show("ActiveState")) == ("2", "0", "failed")
    assert "did you mean enterprise?" in machine.run("journalctl --unit=licsync --output=cat")
