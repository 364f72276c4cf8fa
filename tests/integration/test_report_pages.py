"""The report as people see it: every format of one company, the page in a browser, and what none of them may contain."""

import csv
import io
import json
import os
import re
import struct
import subprocess
from argparse import Namespace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from licsync_daemon.cli.report.command import make, report
from licsync_daemon.cli.report.content import CAUSES, REASONS, WHO, Report, Section, headline
from licsync_daemon.cli.report.formats import as_csv, as_json, as_markdown, safe
from licsync_daemon.cli.report.page import as_html
from licsync_daemon.insight.results import Cause, Reason, Tier, Who
from licsync_daemon.practice.sandbox import Sandbox, generate_fleet
from tests.reports import accounts, company, consumed, person
from tests.tools import tool

ROOT = Path(__file__).parents[2]
HOSTILE = (
    '=HYPERLINK("http://x","y")', "+1", "-1", "@sum", "\uff1d1+1", "  =1+1", "\x1b[31mred", "<script>alert(1)</script>", "a\u202eb", "a\nb", "|x|", "`x`",
)  # fmt: skip


def made(folder: Path, **more: Any) -> Report:
    return make([company(folder)], **more)


def test_the_first_screen_says_how_many_seats_and_how(tmp_path: Path) -> None:
    """Hubert takes two seats: that is one to save, found by the address, with its cost and the change."""
    found = made(tmp_path, people=True, price=21.0)
    assert headline(found)[0] == "1 seat could be saved (21 at 21 each): 1 sure, 0 likely. Each is one person who takes two seats."
    (one,) = found.duplicates.suggestions
    assert (one.account, one.cloud_login, one.tier) == ("emea.corp.example:2", "hubot-builds", Tier.SURE)
    assert headline(found)[1].startswith("5 seats are forecast after the next sync of every instance; GitHub states 5.")


def test_every_table_adds_up(tmp_path: Path) -> None:
    """The parts are the total, and from what is stated to the forecast nothing is left unexplained."""
    tables = {one.name: one for one in made(tmp_path).sections}
    *parts, total = (int(str(row[1])) for row in tables["seats"].rows)
    assert sum(parts) == total
    *parts, total = (int(str(row[1])) for row in tables["difference"].rows)
    assert sum(parts) == total
    *parts, total = (int(str(row[1])) for row in tables["accounts"].rows)
    assert sum(parts) == total == 5


def test_without_people_no_format_names_one(tmp_path: Path) -> None:
    """Counts by default: no login, no address and no name."""
    found = made(tmp_path)
    texts = [as_html(found, found.sections), as_json(found), as_markdown(found, found.sections), *map(as_csv, found.sections)]
    for text in texts:
        assert not re.search(r"mona|hubot|hbolt|@corp|@old|Octocat", text), text
    assert {"duplicates", "fixes"}.isdisjoint(one.name for one in found.sections)
    assert "likely_duplicates" not in json.loads(as_json(found))


@pytest.mark.parametrize("people", [False, True])
def test_the_json_is_as_its_schema_says(tmp_path: Path, people: bool) -> None:
    """Published in docs/report.schema.json."""
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    found = json.loads(as_json(made(tmp_path, people=people, price=19.25)))
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    assert ("likely_duplicates" in found) == people
    assert found["seats"]["price"] == 19.25
    assert [one["number"] for one in found["difference"] if one["code"] == "unexplained"] == [0]


def hostile(folder: Path) -> Report:
    rows = [
        person(f"user{n}", github_com_name=text.replace("\n", " "), github_com_member_roles=f"{text.replace(',', ' ')}:Member")
        for n, text in enumerate(HOSTILE)
    ]
    (folder / "consumed.csv").write_text(consumed(people=rows), encoding="utf-8", newline="")
    listed = accounts(*((n, text, f"user{n}@corp.example") for n, text in enumerate(HOSTILE)))
    (folder / "emea.corp.example.csv").write_text(listed, encoding="utf-8", newline="")
    return make([folder], people=True)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    """Read strictly, as a spreadsheet reads it: no cell of any table begins what it would compute, or has a control character."""
    for section in hostile(tmp_path).sections:
        rows = list(csv.reader(io.StringIO(as_csv(section)), strict=True))
        assert rows[0] == list(section.columns)
        for cell in (cell for row in rows[1:] for cell in row):
            assert not re.match(r"\s*[=+@\t\r\uff1d\uff0b\uff0d\uff20]", cell)
            assert not cell.lstrip().startswith("-") or re.fullmatch(r"-\d+(\.\d+)?", cell)
            assert cell.isprintable()
    for text in HOSTILE[:6]:
        assert str(safe(text)).startswith("'")
    assert (safe(-3), safe(0.5), safe(None), safe("plain")) == (-3, 0.5, None, "plain")


class Page(HTMLParser):
    """Checks the structure of a page: balanced tags, and what a screen reader needs."""

    VOID = frozenset({"meta", "rect", "line", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]


def test_the_page_needs_no_script_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    """One file with headings, table headers and named charts; what is hostile is text."""
    found = hostile(tmp_path)
    text = as_html(found, found.sections)
    page = Page(text)
    assert page.all("script") == page.all("link") == page.all("img") == []
    assert not any(name in {"src", "href", "onload", "onclick", "style"} for _, attrs in page.seen for name in attrs)
    assert "@import" not in text
    assert "url(" not in text
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in page.all("svg"))
    assert [attrs.get("lang") for attrs in page.all("html")] == ["en"]
    assert len(page.all("h1")) == 1
    assert len(page.all("h2")) == len(page.all("section"))
    assert "<script>" not in text
    assert "\x1b" not in text


def test_long_lists_of_people_are_cut_with_a_count(tmp_path: Path) -> None:
    """The page stays small; the CSV has everything."""
    found = made(tmp_path, people=True)
    long = Section("duplicates", "Likely duplicates", ("a",), [(f"row {n}",) for n in range(1234)], personal=True)
    text = as_html(found, [long])
    assert (text.count("<tr><td"), "1,034 more rows are not shown" in text) == (200, True)
    assert as_csv(long).count("\n") == 1235


def test_every_code_has_words() -> None:
    """Nothing is shown as a code."""
    assert set(CAUSES) == set(Cause)
    assert set(REASONS) == set(Reason)
    assert set(WHO) == set(Who)
    explained = " ".join((ROOT / "docs" / "reports.md").read_text(encoding="utf-8").split())
    assert all(words in explained for words in (*CAUSES.values(), *REASONS.values(), *WHO.values()))


SIZES = {"desktop": "1100,1500", "phone": "400,1500"}


@pytest.mark.parametrize("size", SIZES)
def test_the_page_in_a_browser(tmp_path: Path, size: str) -> None:
    """A browser draws it: the picture has the size of the window and is not blank."""
    found = made(tmp_path / "files", people=True, price=21.0)
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(as_html(found, found.sections), encoding="utf-8")
    _draw(page, picture, SIZES[size])
    raw = picture.read_bytes()
    width, height = struct.unpack(">II", raw[16:24])
    assert f"{width},{height}" == SIZES[size]
    assert len(raw) > 20_000


def test_one_table_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--section` prints it alone, whole."""
    usual = {"paths": [company(tmp_path)], "server": [], "output": None, "people": False, "price": None}
    assert report(Namespace(**usual, format="csv", section="organizations")) == 0
    assert capsys.readouterr().out.splitlines() == ["organization,people", "octo,1", "tools,1"]
    assert report(Namespace(**usual, format="table", section="overlap")) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["People on two instances", "instance           and                people"]


def test_the_picture_in_the_documentation(tmp_path: Path) -> None:
    """Of a practice fleet, so of nobody. `RENEW=1` draws it again; without that, it is there and has the size of a page."""
    picture = ROOT / "docs" / "report.png"
    if "RENEW" in os.environ:
        with Sandbox(generate_fleet()) as box:
            for name in box.instances:
                box.push(name)
            box.save_reports(tmp_path)
        found = make([tmp_path], price=21.0)
        (tmp_path / "page.html").write_text(as_html(found, found.sections), encoding="utf-8")
        _draw(tmp_path / "page.html", picture, "1000,900")
    raw = picture.read_bytes()
    assert struct.unpack(">II", raw[16:24]) == (1000, 900)
    assert 20_000 < len(raw) < 300_000


def _draw(page: Path, picture: Path, size: str) -> None:
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size}", f"--screenshot={picture}"]
    subprocess.run([tool("chromium"), *words, page.as_uri()], check=True, capture_output=True, timeout=100)
