"""What `check` says of the source `ssh`, against a real sshd."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from licsync_daemon.http.clients import Clients
from licsync_daemon.model.errors import Code
from licsync_daemon.model.instance import SshSource
from licsync_daemon.monitoring.preflight import instance as module
from licsync_daemon.monitoring.preflight.instance import help_row, ssh_rows
from licsync_daemon.monitoring.preflight.probing import Probing
from licsync_daemon.monitoring.preflight.rows import Outcome, Place
from licsync_daemon.settings.credentials import Credentials
from tests.contract.sshd import Sshd, serving_ssh
from tests.fakes import FakeClock, a_config

EMEA = Place("instance emea", "emea")
OK, WARN, FAIL = Outcome.OK, Outcome.WARN, Outcome.FAIL


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving_ssh(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def found(source: SshSource) -> list[tuple[str, Outcome, Code | None]]:
    config, clock = a_config(), FakeClock()
    clients = Clients(config.cloud, Credentials(config.credentials_dir, {}, Path("/nonexistent")))

    async def main() -> list[tuple[str, Outcome, Code | None]]:
        return [(row.test, row.outcome, row.code) async for row in ssh_rows(EMEA, Probing(config, clients, clock), source)]

    return asyncio.run(main())


def test_host_key_private_key_and_command_are_right(sshd: Sshd) -> None:
    """Two rows say so."""
    assert found(sshd.source("ghe-license", "usage", private_key=sshd.key)) == [("ssh", OK, None), ("command", OK, None)]


def test_the_command_is_asked_for_its_help(sshd: Sshd, tmp_path: Path) -> None:
    """It gets `--help` behind its words, so that no usage is printed: this one writes down what it was asked."""
    shell = sshd.folder / "shell"
    before = shell.read_text()
    shell.write_text(f'#!/bin/sh\necho "$SSH_ORIGINAL_COMMAND" > {tmp_path}/asked\n')
    try:
        assert [row[1] for row in found(sshd.source("ghe-license", "usage", private_key=sshd.key))] == [OK, OK]
    finally:
        shell.write_text(before)
    assert (tmp_path / "asked").read_text() == "ghe-license usage --help\n"


def test_what_the_help_names_is_told(subtests: pytest.Subtests) -> None:
    """GitHub documents no options, so each that `--help` names is listed; `-o` and `-y`, which a field report uses, are not left out unseen."""
    usage, both = ("ghe-license", "usage"), ("ghe-license", "usage", "-o", "-y")
    text = "Usage: ghe-license usage [OPTIONS]\n  -h, --help\n  -o, --stdout   write to standard output\n  -y   do not ask\n"
    for command, help_text, outcome, words in (
        (usage, text, WARN, "names --help, --stdout, -h, -o, -y, and the source's `command` does not use -o and -y"),
        (both, text, OK, "names --help, --stdout, -h, -o, -y"),
        ((*usage, "-o"), text, WARN, "does not use -y"),
        (usage, "-h  this text", OK, "names -h"),
        (usage, "", OK, "names no options"),
        (usage, '{"users": "QUJD-oAAA-y"}', OK, "names no options"),
        (("pam-tool", "usage"), text, OK, "names --help"),
    ):
        with subtests.test(command=command, help_text=help_text):
            row = help_row(EMEA, command, help_text)
            assert (row.outcome, words in row.seen) == (outcome, True)
            assert ("-o, --stdout write to standard output" in row.fix) is (outcome is WARN and "-o" not in command)
            assert outcome is OK or 'set `command` = ["ghe-license", "usage", "-o", "-y"]' in row.fix


def test_a_command_that_is_not_there(sshd: Sshd) -> None:
    """The other spelling of the command is the next step."""
    assert found(sshd.source("ghe-license-usage", private_key=sshd.key)) == [("ssh", OK, None), ("command", FAIL, Code.COMMAND_FAILED)]


def test_a_command_that_prints_whatever_it_is_asked(sshd: Sshd) -> None:
    """A forced command ignores `--help`; what it prints is not kept, and the connection is proven."""
    assert found(sshd.source("flood", private_key=sshd.key)) == [("ssh", OK, None)]


def test_a_command_that_does_not_end(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a warning: an export takes its time where the command ignores `--help`."""
    monkeypatch.setattr(module, "HELP_WITHIN", timedelta(seconds=1))
    assert found(sshd.source("hang", str(tmp_path / "pid"), private_key=sshd.key)) == [("ssh", WARN, None)]


def test_what_ssh_does_not_accept(sshd: Sshd, tmp_path: Path) -> None:
    """Another host key, an unknown one, a refused key and a missing one each have their code."""
    source = sshd.source("ghe-license", "usage", private_key=sshd.key)
    changed, unknown = tmp_path / "changed", tmp_path / "unknown"
    changed.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public('other_host')}\n")
    unknown.write_text("")
    sources = (
        replace(source, known_hosts=changed),
        replace(source, known_hosts=unknown),
        replace(source, private_key=sshd.folder / "stranger"),
        replace(source, private_key=None, private_key_credential=("instances__emea__source__identity",)),
    )
    assert [found(one) for one in sources] == [
        [("ssh", FAIL, code)] for code in (Code.HOST_KEY_CHANGED, Code.HOST_KEY_UNKNOWN, Code.SSH_KEY_REFUSED, Code.CREDENTIAL_MISSING)
    ]
