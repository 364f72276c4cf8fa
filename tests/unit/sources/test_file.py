"""The source `file`: which file is read, its format, and when it is skipped."""

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.instance import FileSource
from licsync_daemon.model.usage import Account, Collected, UsageCounts
from licsync_daemon.sources.file import FileUsageSource, kind_of
from licsync_daemon.state.spool import AccountSpool
from tests.fakes import T0, FakeClock

HOUR = timedelta(hours=1)
CSV = "id,login,email,suspended?,last_active\n1,mona,mona@example.com,false,2026-11-20T00:00:00Z\n2,hubot,,true,\n"


def put(path: Path, content: str | bytes, at: datetime = T0 - HOUR) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, ns=(int(at.timestamp() * 1e6) * 1000,) * 2)
    return path


def export(name: str = "x") -> str:
    return f'{{"server_id": "{name}", "users": "QUJD"}}'


def collect(path: Path, newer_than: datetime | None = None, **limits: int) -> tuple[Collected, list[Account]]:
    path.parent.joinpath(".spools").mkdir(exist_ok=True)
    with AccountSpool(path.parent / ".spools") as spool:
        source = FileUsageSource(FileSource(path=path, **limits), FakeClock(), newer_than)
        return asyncio.run(source.collect(spool)), list(spool.everyone())


def refusal(path: Path, newer_than: datetime | None = None, **limits: int) -> RunError:
    with pytest.raises(RunError) as refused:
        collect(path, newer_than, **limits)
    return refused.value


def test_the_newest_file_is_taken(tmp_path: Path) -> None:
    """By its content time, not by its name; the run's time of collecting is that, and so is its age."""
    put(tmp_path / "z", export("older"), T0 - 2 * HOUR)
    put(tmp_path / "a", export("newest"), T0 - HOUR)

    collected, accounts = collect(tmp_path)

    assert collected.export is not None
    assert collected.export.server_id == "newest"
    assert (collected.collected_at, collected.newest_activity, accounts) == (T0 - HOUR, T0 - HOUR, [])


def test_one_file_may_be_named(tmp_path: Path) -> None:
    """Its neighbors do not matter."""
    put(tmp_path / "b", export("other"), T0 - timedelta(minutes=1))

    collected, _ = collect(put(tmp_path / "a", export("named")))

    assert collected.export is not None
    assert collected.export.server_id == "named"


def test_a_report_is_read_as_one(tmp_path: Path) -> None:
    """Accounts in the clear, counted; its age is its newest activity."""
    collected, accounts = collect(put(tmp_path / "users", "\ufeff" + CSV))

    assert collected.export is None
    assert collected.counts == UsageCounts(rows=2, sent=1, suspended=1)
    assert collected.newest_activity == datetime.fromisoformat("2026-11-20T00:00:00Z")
    assert [(one.id, one.email, one.suspended) for one in accounts] == [(1, "mona@example.com", False), (2, "", True)]


def test_a_report_without_activity_is_as_old_as_its_file(tmp_path: Path) -> None:
    """There is always an age."""
    assert collect(put(tmp_path / "users", "id,login,email,suspended?\n1,a,,false\n"))[0].newest_activity == T0 - HOUR


UNFINISHED = [
    ".hidden",
    ".export.json.Xa3bQz",
    ".in.export.json.",
    ".nfs000000000012345600000001",
    "~export.json",
    "~$export.json",
    "#export.json#",
    "export.json~",
    "export.json.part",
    "export.json.PART",
    "export.tmp",
    "export.temp",
    "export.json.partial",
    "export.json.filepart",
    "export.json.crdownload",
    "export.json.download",
    "export.json.opdownload",
    "export.json.upload",
    "export.json.swp",
    "export.json.!ut",
    "other.json.aspera-ckpt",
    "export.json.part3",
    "export.json.tmp.4711",
    "export.json.tmp.aB3dE9",
    "export.json.incomplete",
    "export.json.!",
    "export.json.~tmp",
    "export.json.temporary",
    "export.json.transferring",
    "export.json.xfer",
    "export.json.copying",
    "export.json.receiving",
    "export.json.pending",
    "export.json.wip",
    "export.json.rdownload",
    "export.json.6f7B9aEC",
    "export.json.sb-1a2b3c4d-Xy12Zz",
]


@pytest.mark.parametrize("name", UNFINISHED)
def test_some_names_are_not_looked_at(tmp_path: Path, name: str) -> None:
    """Files of an unfinished transfer are skipped."""
    put(tmp_path / name, export("unfinished"), T0 - timedelta(minutes=1))
    put(tmp_path / "export.json", export("finished"))

    assert collect(tmp_path)[0].export.server_id == "finished"


@pytest.mark.parametrize(
    "name",
    [
        "usage-20261124",
        "export.json.2026-11-24",
        "temp.json",
        "my.part.json",
        "export.json.20261124",
        "transfer.json",
        "all_users(1).csv",
        "x.partner",
    ],
)
def test_other_names_are_read(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, export("finished"))

    assert collect(tmp_path)[0].export.server_id == "finished"


@pytest.mark.parametrize("ending", [".aria2", ".aspera-ckpt", ".lftp-pget-status"])
def test_a_file_with_a_record_of_its_transfer_is_unfinished(tmp_path: Path, ending: str) -> None:
    put(tmp_path / "new.json", export("unfinished"), T0 - timedelta(minutes=1))
    put(tmp_path / f"new.json{ending}", "{", T0 - timedelta(minutes=1))
    put(tmp_path / "old.json", export("finished"), T0 - 2 * HOUR)

    assert collect(tmp_path)[0].export.server_id == "finished"


def test_only_unfinished_files_are_named(tmp_path: Path) -> None:
    put(tmp_path / "export.json.part", export())

    assert refusal(tmp_path).cause.endswith("; 1 are unfinished transfers or hidden by name")


SAVED_AGAIN = {
    "semicolons": CSV.replace(",", ";").encode(),
    "tabs": CSV.replace(",", "\t").encode(),
    "vertical bars": CSV.replace(",", "|").encode(),
    "sep=": b"sep=,\r\n" + CSV.encode(),
    "UTF-16": CSV.encode("utf-16"),
    "UTF-32": CSV.encode("utf-32"),
    "carriage returns": CSV.replace("\n", "\r").encode(),
    "colons": CSV.replace(",", ":").encode(),
    "carets": CSV.replace(",", "^").encode(),
    "`sep=`": b'\xef\xbb\xbf"sep=;"\r\n' + CSV.replace(",", ";").encode(),
    "not the header row": b"#TYPE System.Management.Automation.PSCustomObject\r\n" + CSV.encode(),
    "first line is not": b"All users,,,\n\n" + CSV.encode(),
    "not separated": "".join(f'"{line}"\n' for line in CSV.splitlines()).encode(),
}


@pytest.mark.parametrize("how", SAVED_AGAIN)
@pytest.mark.parametrize("braces", [False, True])
def test_a_report_that_was_saved_again_is_named(tmp_path: Path, how: str, braces: bool) -> None:
    """Also where a cell holds JSON, as the real report's do: it is no export. No older file is read instead."""
    content = SAVED_AGAIN[how]
    if braces:
        content = content.replace(
            "mona@".encode("utf-16-le" if how == "UTF-16" else "utf-8"), "{}@".encode("utf-16-le" if how == "UTF-16" else "utf-8")
        )
    put(tmp_path / "older", CSV, T0 - 2 * HOUR)
    put(tmp_path / "all_users.csv", content)

    error = refusal(tmp_path)

    assert error.code is Code.REPORT_NOT_CSV
    assert "saved again" in error.cause
    assert how in error.cause


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_an_encoding_without_a_mark_is_named(tmp_path: Path, encoding: str) -> None:
    assert encoding[:6].upper() in refusal(put(tmp_path / "x", CSV.encode(encoding))).cause


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + CSV.encode(), CSV.replace("\n", "\r\n").encode()], ids=["UTF-8 with BOM", "CRLF"])
def test_harmless_forms_are_read(tmp_path: Path, content: bytes) -> None:
    assert collect(put(tmp_path / "x", content))[0].counts.sent == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"PK\x03\x04{", "a spreadsheet's workbook or a ZIP archive"),
        (b"\xef\xbb\xbf <html>{}", "a web page or an XML document"),
        (b"<?xml version='1.0'?><Workbook>{", "a web page or an XML document"),
        (b"BZh91AY&SY{", "compressed"),
        (b"\x28\xb5\x2f\xfd{", "compressed"),
        (b"%PDF-1.7 {", "a PDF document"),
        (b"{\\rtf1 x}", "a word processor's document"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    put(tmp_path / "all_users.xlsx", content)

    assert refusal(tmp_path).cause.endswith(f"all_users.xlsx is {named}")


def test_activity_is_compared_as_dates(tmp_path: Path) -> None:
    """Not as text; what is no date, or in the future, is counted and does not hide the age."""
    dates = ("9 days ago", "2026-11-19T23:00:00-02:00", "2026-11-20T00:30:00Z", "2099-01-01T00:00:00Z", "", "never")
    rows = "".join(f"{number},u{number},,false,{date}\n" for number, date in enumerate(dates, 1))

    collected, _ = collect(put(tmp_path / "x", CSV.splitlines()[0] + "\n" + rows))

    assert collected.newest_activity == datetime.fromisoformat("2026-11-20T01:00:00Z")
    assert [(one.code, one.text[:7]) for one in collected.notices] == [(Code.AGE_UNKNOWN, "3 dates")]


def test_what_is_neither_export_nor_report_is_passed_over(tmp_path: Path) -> None:
    """Notes, folders, links and pipes beside the exports are ignored."""
    put(tmp_path / "README.txt", "put exports here", T0 - timedelta(minutes=1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    put(tmp_path / "export.json", export("it"))

    assert collect(tmp_path)[0].export.server_id == "it"


def test_the_content_tells_what_it_is(subtests: pytest.Subtests) -> None:
    """A header row with the needed columns is a report's; anything else with a brace may be an export."""
    for beginning, kind in (
        (CSV.encode(), "report"),
        (b'"ID","Login","email","suspended?"\r\n', "report"),
        (b"\xef\xbb\xbf\n\n" + CSV.encode(), "report"),
        (b'{"users": ""}', "export"),
        (b"banner\n{", "export"),
        (b"id,login\n", None),
        (b"", None),
        (b"\xff\xfe\0", None),
    ):
        with subtests.test(beginning=beginning, kind=kind):
            assert kind_of(beginning) == kind


@pytest.mark.parametrize(
    ("newer_than", "taken"),
    [(None, True), (T0 - HOUR - timedelta(microseconds=1), True), (T0 - HOUR, False), (T0, False)],
    ids=["first", "just newer", "the same", "older"],
)
def test_a_file_is_used_once(tmp_path: Path, newer_than: datetime | None, taken: bool) -> None:
    """Only a file that is newer than the one of the last confirmed run counts."""
    put(tmp_path / "export.json", export())

    if taken:
        assert collect(tmp_path, newer_than)[0].collected_at == T0 - HOUR
    else:
        error = refusal(tmp_path, newer_than)
        assert error.code is Code.NO_NEW_EXPORT
        assert "export.json (2026-11-24 01:00:00 UTC) is not newer than the last synced one (2026-11-24" in error.cause


def test_an_older_file_is_not_taken_in_place_of_a_used_one(tmp_path: Path) -> None:
    """Only what is newer than the last confirmed one is opened at all."""
    put(tmp_path / "older", export("older"), T0 - 3 * HOUR)
    put(tmp_path / "note", "nothing", T0 - HOUR)

    assert "no newer file in" in refusal(tmp_path, T0 - 2 * HOUR).cause


@pytest.mark.parametrize(
    ("age_s", "taken"),
    [(5, True), (4.999, True), (0, True), (-4, True), (-86400, False)],
    ids=["settled", "young", "now", "a little ahead", "in the future"],
)
def test_a_young_file_is_waited_for(tmp_path: Path, age_s: float, taken: bool) -> None:
    """It may still be written to, and no older one is read instead."""
    put(tmp_path / "older", export("older"))
    put(tmp_path / "young", export("young"), T0 - timedelta(seconds=age_s))

    if taken:
        assert collect(tmp_path)[0].export.server_id == "young"
    else:
        error = refusal(tmp_path)
        assert (error.code, "is still being written, or its date is in the future" in error.cause) == (Code.NO_NEW_EXPORT, True)


def test_a_file_that_keeps_growing_is_given_up(tmp_path: Path) -> None:
    """After a minute; the next run reads it."""
    file, clock = put(tmp_path / "it", CSV, T0), FakeClock()
    real = clock.sleep

    async def sleep(seconds: float) -> None:
        await real(seconds)
        put(file, CSV, clock.now())

    clock.sleep = sleep  # type: ignore[method-assign]
    with AccountSpool(tmp_path) as spool, pytest.raises(RunError) as refused:
        asyncio.run(FileUsageSource(FileSource(path=file), clock, None).collect(spool))

    assert "is still being written" in refused.value.cause
    assert 55 <= sum(clock.slept) <= 65


@pytest.mark.parametrize("kind", ["export", "report"])
def test_a_file_that_changes_while_it_is_read_is_not_used(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content may be half old and half new."""
    file = put(tmp_path / "it", export() if kind == "export" else CSV)
    real = os.open

    def writing(path: Path, flags: int, *more: int) -> int:
        number = real(path, flags, *more)
        if path == file:
            put(file, " " + file.read_text(), T0 - timedelta(minutes=10))
        return number

    monkeypatch.setattr(os, "open", writing)

    assert refusal(tmp_path).cause == f"{file} changed while being read"


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """A user with write access to the folder must not choose which file is read."""
    put(tmp_path / "secret", export())
    link = tmp_path / "link"
    link.symlink_to("secret")

    assert refusal(link).cause == f"{link} is not a regular file"


def test_a_link_that_takes_the_place_of_a_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one created between listing and opening."""
    other, file = put(tmp_path / "other", export()), put(tmp_path / "it", export())
    real = os.open

    def swapped(path: Path, flags: int, *more: int) -> int:
        if path == file:
            file.unlink()
            file.symlink_to(other)
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", swapped)

    assert refusal(file).cause == f"{file} cannot be read: too many levels of symbolic links"


@pytest.mark.parametrize(
    ("made", "cause"),
    [(None, "cannot be read: no such file or directory"), ("folder", "there is no file in"), ("pipe", "is not a regular file")],
)
def test_nothing_there(tmp_path: Path, made: str | None, cause: str) -> None:
    """An absent path, an empty folder, something else: each says which."""
    path = tmp_path / "drop"
    if made == "folder":
        path.mkdir()
    if made == "pipe":
        os.mkfifo(path)

    error = refusal(path)

    assert (error.code, cause in error.cause) == (Code.NO_NEW_EXPORT, True)
    assert str(path) in error.next_step


def test_a_large_export_is_refused(tmp_path: Path) -> None:
    """One byte more than allowed is refused, and no more is read."""
    size = len(export())
    file = put(tmp_path / "it", export())

    assert collect(file, max_export_bytes=size)[0].export is not None
    assert refusal(file, max_export_bytes=size - 1).code is Code.EXPORT_TOO_LARGE


@pytest.mark.parametrize(
    ("content", "code"),
    [(export()[:-1], Code.EXPORT_MALFORMED), (CSV[:-3], Code.REPORT_TRUNCATED), (CSV + "3,a\n", Code.REPORT_MALFORMED)],
    ids=["export", "cut off", "short row"],
)
def test_what_is_wrong_names_the_file(tmp_path: Path, content: str, code: Code) -> None:
    """The error names the file to replace."""
    file = put(tmp_path / "it", content)

    error = refusal(tmp_path)

    assert error.code is code
    assert str(file) in error.cause
    assert "again and replace the file" in error.next_step
