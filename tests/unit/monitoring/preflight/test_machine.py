"""What is tested on this machine: configuration, credentials, folders, programs, files."""

import grp
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from licsync_daemon.model.errors import Code, Problem
from licsync_daemon.model.instance import (
    CommandSource,
    Config,
    ConnectDelivery,
    Destination,
    FileSource,
    MailNotifier,
    ManualDelivery,
    NoSource,
)
from licsync_daemon.monitoring.preflight.machine import MIB, age_row, command_row, file_row, machine_rows, outbox_row, space_row, state_rows
from licsync_daemon.monitoring.preflight.rows import CheckRow, Outcome, Place
from licsync_daemon.settings.credentials import Credentials
from tests.fakes import T0, FakeClock, a_config, an_instance

EMEA = Place("instance emea", "emea")
OK, WARN, FAIL = Outcome.OK, Outcome.WARN, Outcome.FAIL
TOKEN = "ghp_" + "x" * 36
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")


def a_small_config(folder: Path, **changes: Any) -> Config:
    """One instance that GitHub Connect carries, with the cloud's token in place."""
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "cloud__token").write_text(TOKEN)
    connected = an_instance(source=NoSource(), delivery=ConnectDelivery())
    config = a_config(changes.pop("instance", connected), state_dir=folder / "state", credentials_dir=credentials)
    cloud = replace(config.cloud, at=Destination(url="https://api.github.com", token=("cloud__token",)))
    return replace(config, cloud=cloud, **changes)


def found(config: Config, environ: dict[str, str] | None = None, warnings: Iterable[Problem] = ()) -> dict[str, list[CheckRow]]:
    rows: dict[str, list[CheckRow]] = {}
    for row in machine_rows(config, warnings, Credentials(config.credentials_dir, environ or {}, config.state_dir / "no secrets")):
        rows.setdefault(row.test, []).append(row)
    return rows


def brief(rows: list[CheckRow]) -> list[tuple[Outcome, Code | None]]:
    return [(row.outcome, row.code) for row in rows]


# ---------------------------------------------------------------- configuration and credentials


def test_everything_in_place(tmp_path: Path) -> None:
    """Each test has a row that says so."""
    rows = found(a_small_config(tmp_path))
    assert {test: brief(every) for test, every in rows.items() if test != "free space"} == {
        "configuration": [(OK, None)],
        "credentials": [(OK, None)],
        "state directory": [(OK, None)],
    }
    assert rows["configuration"][0].seen == "1 instance"


def test_what_is_odd_about_the_configuration_is_a_warning(tmp_path: Path) -> None:
    """The warnings of the configuration are rows, and so is what is not enabled."""
    config = a_small_config(tmp_path, instance=an_instance(enabled=False, source=NoSource(), delivery=ConnectDelivery()))
    rows = found(config, warnings=[Problem("schedule.max_age", "too short", "8d")])["configuration"]
    assert [(row.outcome, row.seen, row.fix) for row in rows] == [
        (OK, "1 instance, disabled: emea", ""),
        (WARN, "schedule.max_age: too short", "8d"),
    ]


@pytest.mark.parametrize(
    ("content", "code"), [(None, Code.CREDENTIAL_MISSING), ("two words", Code.CREDENTIAL_MALFORMED), ("short", Code.CREDENTIAL_MALFORMED)]
)
def test_a_credential_that_cannot_be_used(tmp_path: Path, content: str | None, code: Code) -> None:
    """One that is missing, and one that cannot be one, are failures with their codes; none is shown."""
    config = a_small_config(tmp_path)
    file = config.credentials_dir / "cloud__token"
    file.unlink()
    if content is not None:
        file.write_text(content)
    (row,) = found(config)["credentials"]
    assert (row.outcome, row.code, "cloud__token" in row.seen) == (FAIL, code, True)
    assert content is None or content not in row.seen


def test_a_name_that_no_option_asks_for(tmp_path: Path) -> None:
    """It is a warning beside the rest, with the name that was probably meant."""
    config = a_small_config(tmp_path)
    (config.credentials_dir / "cloud__tokn").write_text(TOKEN)
    rows = found(config)["credentials"]
    assert brief(rows) == [(OK, None), (WARN, None)]
    assert "did you mean cloud__token?" in rows[1].fix


def test_a_credential_that_was_rotated_under_systemd(tmp_path: Path) -> None:
    """The unit's copy is what is used: another content in the folder asks for a restart, the same one does not."""
    config = a_small_config(tmp_path)
    delivered = tmp_path / "delivered"
    delivered.mkdir()
    copy = delivered / "licsync_cloud__token"
    copy.write_text(TOKEN)
    environ = {"CREDENTIALS_DIRECTORY": str(delivered)}
    assert brief(found(config, environ)["credentials"]) == [(OK, None)]

    (config.credentials_dir / "cloud__token").write_text(TOKEN[:-1] + "y")
    rows = found(config, environ)["credentials"]
    assert brief(rows) == [(OK, None), (WARN, Code.CREDENTIAL_ROTATED)]
    assert rows[1].fix == "run: systemctl restart licsync"

    (config.credentials_dir / "cloud__token").unlink()
    assert brief(found(config, environ)["credentials"]) == [(OK, None)]


def test_how_many_notifiers_there_are(tmp_path: Path) -> None:
    """That there is none where a person has to act is a warning of the configuration itself."""
    config = a_small_config(tmp_path)
    assert "notifications" not in found(config)

    mail = MailNotifier(host="mail.example.com", sender="a@example.com", to=("b@example.com",))
    assert brief(found(replace(config, notify=(mail,)))["notifications"]) == [(OK, None)]


# ---------------------------------------------------------------- the state directory


def state(path: Path) -> CheckRow:
    return next(state_rows(path))


def test_the_state_directory(tmp_path: Path) -> None:
    """Ours and closed is fine, not there yet is fine; open to others, or no folder, is a failure with the line that mends it."""
    ours = tmp_path / "state"
    assert (state(ours).outcome, "first start" in state(ours).seen) == (OK, True)
    ours.mkdir(mode=0o700)
    assert (state(ours).outcome, "mode 0700" in state(ours).seen) == (OK, True)
    ours.chmod(0o770)
    assert (state(ours).outcome, state(ours).code, state(ours).fix) == (FAIL, Code.STATE_UNWRITABLE, f"run: chmod 0700 {ours}")
    file = tmp_path / "file"
    file.touch(mode=0o600)
    assert (state(file).outcome, state(file).code) == (FAIL, Code.STATE_UNWRITABLE)


def test_in_kubernetes_no_step_asks_for_what_nobody_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume of another user, one that is open to others, a folder that cannot be made: the manifest is to be changed."""
    me = os.geteuid()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    rows = [state(tmp_path / "open"), outbox_row(tmp_path / "none", "licsync"), outbox_row(tmp_path / "open", None)]
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    tmp_path.chmod(0o700)
    rows.append(state(tmp_path))
    for row in rows:
        assert row.outcome is not OK
        assert "config/kubernetes/" in row.fix
        assert not any(word in row.fix for word in ("chmod", "chown", "sudo", "install -d", "as root"))


def test_a_state_directory_that_kubernetes_opened_to_its_group_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start closes it again; a volume of a group itself is not used, but a folder inside it."""
    tmp_path.chmod(0o2770)
    assert state(tmp_path).outcome is FAIL
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert (state(tmp_path).outcome, "0700" in state(tmp_path).seen) == (OK, True)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert (state(tmp_path).outcome, str(tmp_path / "state") in state(tmp_path).fix) == (FAIL, True)


@as_root
def test_a_state_directory_of_somebody_else(tmp_path: Path) -> None:
    """The next step names the user to test as."""
    os.chown(tmp_path, 1, 1)
    assert (state(tmp_path).outcome, "$licsync check" in state(tmp_path).fix) == (WARN, True)


@not_as_root
def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """Where the first start could not make it, the line that does is given."""
    tmp_path.chmod(0o500)
    assert (state(tmp_path / "state").outcome, state(tmp_path / "state").code) == (FAIL, Code.STATE_UNWRITABLE)


def test_free_space(subtests: pytest.Subtests) -> None:
    """Below 512 MiB is a warning, below 64 a failure."""
    for mib, outcome in ((512, OK), (511, WARN), (64, WARN), (63, FAIL), (0, FAIL)):
        with subtests.test(mib=mib, outcome=outcome):
            row = space_row(Path("/state"), mib * MIB)
            assert (row.outcome, row.code) == (outcome, None if outcome is OK else Code.DISK_LOW)


def test_the_room_is_that_of_the_state_directory(tmp_path: Path) -> None:
    """A directory that is not there yet has the room of the one it will be in."""
    _, row = state_rows(tmp_path / "not" / "there")
    assert row.test == "free space"


# ---------------------------------------------------------------- the outbox


def test_the_outbox(tmp_path: Path) -> None:
    """It is a folder that can be written, for a group that is there."""
    group = grp.getgrgid(os.getegid()).gr_name
    missing = outbox_row(tmp_path / "missing", group)
    assert [row.outcome for row in (outbox_row(tmp_path, None), outbox_row(tmp_path, group), missing)] == [OK, OK, FAIL]
    assert (missing.code, f"-g {group} {tmp_path / 'missing'}" in missing.fix) == (Code.OUTBOX_UNWRITABLE, True)
    nobody = outbox_row(tmp_path, "no-such-group")
    assert (nobody.outcome, nobody.seen) == (FAIL, "group no-such-group does not exist")


@pytest.mark.parametrize(("mode", "outcome"), [(0o750, OK), (0o755, OK), (0o770, WARN), (0o757, WARN), (0o1777, WARN)])
def test_an_outbox_that_others_may_write(tmp_path: Path, mode: int, outcome: Outcome) -> None:
    """Whoever may put a link there may lead an export elsewhere."""
    tmp_path.chmod(mode)
    row = outbox_row(tmp_path, None)
    assert (row.outcome, row.fix) == (outcome, f"run: chmod 0750 {tmp_path}" if outcome is WARN else "")


@not_as_root
def test_an_outbox_for_a_group_of_others(tmp_path: Path) -> None:
    """Only a member may give files to a group."""
    assert outbox_row(tmp_path, "root").outcome is FAIL


def test_every_outbox_is_tested_once(tmp_path: Path) -> None:
    """Instances with the same outbox share its row."""
    to = ManualDelivery(outbox=tmp_path)
    config = a_small_config(tmp_path)
    both = tuple(an_instance(name, source=NoSource(), delivery=to) for name in ("emea", "apac"))
    assert brief(found(replace(config, instances=both))["outbox"]) == [(OK, None)]


# ---------------------------------------------------------------- programs and files


def test_a_program_that_prints_the_export(tmp_path: Path) -> None:
    """It is there, may be run, and nobody else may replace it."""
    program = tmp_path / "export"
    source = CommandSource(command=(str(program), "emea"))
    missing = command_row(EMEA, source)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o600)
    closed = command_row(EMEA, source)
    program.chmod(0o777)
    open_to_all = command_row(EMEA, source)
    program.chmod(0o755)
    good = command_row(EMEA, source)

    assert [row.outcome for row in (missing, closed, open_to_all, good)] == [FAIL, FAIL, WARN, OK]
    assert (missing.code, "no such file" in missing.seen) == (Code.COMMAND_FAILED, True)
    assert command_row(EMEA, CommandSource(command=(str(tmp_path),))).outcome is FAIL


@as_root
def test_a_program_of_somebody_else(tmp_path: Path) -> None:
    """Whoever owns the program decides what is synced."""
    program = tmp_path / "export"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    os.chown(program, 1, 1)
    row = command_row(EMEA, CommandSource(command=(str(program),)))
    assert (row.outcome, "owner daemon" in row.seen) == (WARN, True)


def test_the_folder_of_files(tmp_path: Path) -> None:
    """A folder that is not there is a failure, one without files a warning, and of files the newest counts."""
    folder, emea, clock = tmp_path / "exports", an_instance(), FakeClock()
    source = FileSource(path=folder)

    def row() -> CheckRow:
        return file_row(EMEA, emea, source, clock)

    assert (row().outcome, row().code) == (FAIL, Code.NO_NEW_EXPORT)
    folder.mkdir()
    assert (row().outcome, row().code) == (WARN, None)
    for name, days in (("old.json", 20), ("new.json", 2)):
        (folder / name).write_text("{}")
        os.utime(folder / name, times=((T0 - timedelta(days=days)).timestamp(),) * 2)
    assert (row().outcome, "new.json" in row().seen) == (OK, True)
    (folder / "new.json").unlink()
    assert (row().outcome, "20 days old" in row().seen) == (WARN, True)


def test_how_old_the_newest_file_may_be() -> None:
    """Older than the guard lets pass is a warning."""
    emea = an_instance()
    limit = emea.guards.max_usage_age
    ages = [age_row(EMEA, Path("/x"), T0 - age, emea, T0).outcome for age in (limit, limit + timedelta(seconds=1))]
    assert ages == [OK, WARN]
