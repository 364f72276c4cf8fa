"""Downloaded reports as people have them: recognized by their columns, read in every known form, and refused with a place and a step."""

from pathlib import Path

import pytest

from licsync_daemon.insight.values import Kind, Person, ServerAccount, Stated
from licsync_daemon.model.errors import InputError
from licsync_daemon.sources.downloads.consumed import server_id
from licsync_daemon.sources.downloads.found import Found, find
from tests.reports import APAC, EMEA, HEADERS, PEOPLE, accounts, company, consumed, page, person

KINDS = [Kind.BOTH, Kind.CLOUD, Kind.SERVER, Kind.SERVER, Kind.INVITED, Kind.VISUAL_STUDIO]


def written(folder: Path, content: str | bytes, name: str = "report.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def everything(found: Found) -> list[object]:
    return [*(found.people or ()), *found.every_account()]


def people(found: Found) -> list[Person]:
    assert found.people is not None
    assert list(found.people) == list(found.people)  # may be read again
    return list(found.people)


@pytest.mark.parametrize("form", HEADERS)
def test_the_consumed_licenses_in_every_form_of_their_header(tmp_path: Path, form: str) -> None:
    """The same people, whatever the columns are called; unknown columns are ignored."""
    found = people(find([written(tmp_path, consumed(form))], []))
    assert [one.kind for one in found] == KINDS
    mona, hubot = found[:2]
    assert mona.server_ids == (("emea.corp.example", "1"), ("apac.corp.example", "1"))
    assert (mona.login, mona.verified_emails, mona.member_roles) == ("mona", ("mona@corp.example",), ("octo:Owner", "tools:Member"))
    assert (mona.total_accounts, mona.cost_center) == (3, "R&D" if form == "with cost centers" else "")
    assert hubot.saml_name_id == "hubert.boltanski@corp.example"


SAVED = {
    "semicolons": (consumed(separator=";"), "utf-8"),
    "tabs": (consumed(separator="\t"), "utf-8"),
    "UTF-16": (consumed(separator="\t"), "utf-16"),
    "a mark": (consumed(), "utf-8-sig"),
    "a line sep=": ("sep=;\r\n" + consumed(separator=";"), "utf-8"),
    "single carriage returns": (consumed(line_end="\r"), "utf-8"),
    "line feeds": (consumed(line_end="\n"), "utf-8"),
    "TRUE and FALSE": (consumed().replace("true", "TRUE").replace("false", "FALSE"), "utf-8"),
}


@pytest.mark.parametrize("saved", SAVED)
def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path: Path, saved: str) -> None:
    """Separators, encodings and line ends do not change what a report says."""
    text, encoding = SAVED[saved]
    assert [one.kind for one in people(find([written(tmp_path, text, encoding=encoding)], []))] == KINDS


@pytest.mark.parametrize("joined", ["one file", "files", "a list", "after each other"])
def test_saved_pages_of_the_api(tmp_path: Path, joined: str) -> None:
    """Pages in one file or several are one report, with GitHub's own totals."""
    first, second = page(PEOPLE[:2]), page(PEOPLE[2:])
    paths = {
        "one file": [page()],
        "files": [first, second],
        "a list": [f"[{first}, {second}]"],
        "after each other": [f"{first}\n{second}"],
    }[joined]
    found = find([written(tmp_path, text, f"{number}.json") for number, text in enumerate(paths)], [])
    assert [one.kind for one in people(found)] == KINDS
    assert people(found)[0].server_ids == (("emea.corp.example", "1"), ("apac.corp.example", "1"))
    assert found.stated == Stated(consumed=5, purchased=6)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("71:ghes.example.com:Member", ("ghes.example.com", "71")),
        ("71:GHES.example.com:8443:Site admin", ("ghes.example.com:8443", "71")),
        ("ghes.example.com:71", ("ghes.example.com", "71")),
        ("example_host_name_2:222", ("example_host_name_2", "222")),
        ("71:ghes.example.com", ("ghes.example.com", "71")),
        ("99999999999999999999:h:Member", ("h", "99999999999999999999")),
        ("mona", None),
        ("", None),
        (":71", None),
    ],
)
def test_ids_of_accounts_in_both_orders(text: str, found: tuple[str, str] | None) -> None:
    """Told apart by which part is a number, never by position."""
    assert server_id(text) == found


def test_a_folder_of_reports(tmp_path: Path) -> None:
    """Every report in it is used, each with the instance that the cloud knows by the name of its folder."""
    written(tmp_path, "notes", "notes.txt")
    found = find([company(tmp_path)], [])
    assert [one.hostname for one in found.instances] == ["apac.corp.example", "emea.corp.example"]
    mona = ServerAccount(instance="apac.corp.example", id="1", login="mona", email="MONA@corp.example")
    assert next(found.every_account()) == mona
    assert [account.suspended for account in found.every_account()] == [False, False, False, False, True]
    assert [path.name for path, _ in found.ignored] == ["notes.txt"]
    assert next(what for _, what, _ in found.files) == "consumed licenses (CSV)"


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("emea.corp.example.csv", "emea.corp.example"),
        ("all_users-emea.csv", "emea.corp.example"),
        ("EMEA_all_users (2).csv", "emea.corp.example"),
        ("emea/all_users.csv", "emea.corp.example"),
        ("new.corp.example/all_users.csv", "new.corp.example"),
        ("all_users_new.corp.example.csv", "new.corp.example"),
    ],
)
def test_the_instance_of_a_report_by_its_name(tmp_path: Path, name: str, host: str) -> None:
    """Of the file or its folder; a host that the cloud does not know is one as well."""
    cloud = written(tmp_path, consumed(), "consumed.csv")
    assert [one.hostname for one in find([cloud, written(tmp_path, EMEA, name)], []).instances] == [host]


def test_the_instance_of_a_report_by_an_option(tmp_path: Path) -> None:
    """`--server HOST=FILE` decides, also about a file in a folder that is named as well."""
    path = written(tmp_path, APAC, "all_users.csv")
    cloud = written(tmp_path, consumed(), "consumed.csv")
    assert [one.hostname for one in find([tmp_path], [("apac.corp.example", path)]).instances] == ["apac.corp.example"]
    assert [one.hostname for one in find([cloud], [("apac.corp.example", path)]).instances] == ["apac.corp.example"]


def without(column: str) -> str:
    return consumed().replace(column, f"no_{column}", 1)


WRONG: dict[str, tuple[str | bytes, str]] = {
    "an empty file": ("", "the file is empty"),
    "only a mark": (b"\xef\xbb\xbf\n", "the file is empty"),
    "only spaces of another script": ("\u00a0\u3000\n", "the file is empty"),
    "a web page": ("<!doctype html><title>Sign in</title>", "a web page"),
    "a workbook": (b"PK\x03\x04rest", "a spreadsheet's workbook"),
    "no login column": (without("github_com_login"), "the header has no column `github_com_login`"),
    "no id column": (EMEA.replace(",id,", ",number,", 1), "the header has no column `id`"),
    "the People page": ("github_com_login,github_com_name\nmona,Mona\n", "an export of the People page"),
    "ghe-user-csv": ("login,email,role,suspension_status\nmona,m@x,user,active\n", "ghe-user-csv, which has no account ids"),
    "dormant users": ("login,role,2fa_enabled?,outside_collaborator\nmona,x,y,z\n", "dormant users"),
    "Advanced Security": ("User login,Organization / repository,Last pushed date\nmona,o/r,2026\n", "Advanced Security"),
    "usage": ("date,product,sku,quantity\n1,2,3,4\n", "a usage report of billing"),
    "another report": ("a,b,c\n1,2,3\n", "no report that is known"),
    "another encoding": (consumed().replace("Mona", "Möna").encode("latin-1"), "line 2: the text is not UTF-8"),
    "cut off in a row": (consumed()[:-40], "cut off"),
    "cut off in a number": (consumed().removesuffix("\r\n"), "line 7: the file ends in the middle of a line"),
    "cut off in a quote": (consumed().replace("Mona Lisa", '"Mona Lisa', 1), "not valid CSV"),
    "a long cell": (consumed(people=[person("m" * 1_000_000)]), "line 2: a cell is longer than 100,000 characters"),
    "a flag in words": (consumed().replace("false", "falsch", 1), "line 2, column `visual_studio_subscription_user`: `falsch` is neither"),
    "a total in words": (
        consumed(people=[person("m", total_user_accounts="two")]),
        "column `total_user_accounts`: `two` is not a whole number",
    ),
    "an id without a host": (consumed(people=[person("m", enterprise_server_user_ids="mona")]), "column `enterprise_server_user_ids`"),
    "JSON that was cut off": (page()[:-30], "the JSON is not valid or was cut off"),
    "other JSON": ('{"server_instances": []}', "no response of consumed-licenses"),
    "a rounded id": (
        accounts((1, "a", "a@x")).replace(",1,a", ",1.23E+11,a"),
        "column `id`: `1.23E+11` is not a whole number; a spreadsheet rounded",
    ),
    "no instance": (EMEA, "it is not known which instance this report is of; name its host: --server HOST="),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_named_with_place_and_step(tmp_path: Path, wrong: str) -> None:
    """One sentence with the file, where it helps the line and the column, and the next step."""
    content, words = WRONG[wrong]
    path = written(tmp_path, content, "emea.corp.example.csv" if wrong == "a rounded id" else "report")
    with pytest.raises(InputError) as refused:
        everything(find([path], []))
    assert words in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "; " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_combinations_that_cannot_be_used(tmp_path: Path) -> None:
    """Two files of one thing, a folder without reports, and files that are not there."""
    one, two = written(tmp_path, consumed(), "one.csv"), written(tmp_path, consumed(), "two.csv")
    rest = written(tmp_path, page(), "page.json")
    emea, again = written(tmp_path, EMEA, "emea.corp.example.csv"), written(tmp_path, EMEA, "again/emea.corp.example.csv")
    (tmp_path / "empty").mkdir()
    for paths, servers, words in (
        ([one, two], [], "a second consumed-licenses report"),
        ([one, rest], [], "both a CSV and saved pages"),
        ([emea, again], [], "already the report of emea.corp.example"),
        ([emea], [("emea.corp.example", again)], "already the report of emea.corp.example"),
        ([one], [("emea", emea), ("EMEA:8443", again)], "already the report of EMEA"),
        ([one], [("emea", emea), ("apac", emea)], "the same file was given for two instances"),
        ([tmp_path / ("x" * 300)], [], "cannot be read: File name too long"),
        ([tmp_path / "empty"], [], "the folder contains no report"),
        ([tmp_path / "missing"], [], "there is no such file or folder"),
        ([one], [("emea", one)], "the header has no column"),
    ):
        with pytest.raises(InputError, match=words):
            find(paths, servers)
