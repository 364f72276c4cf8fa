"""What texts say about GitHub comes from one place: `model/github_labels.py`, which `docs/github-labels.md` prints."""

import ast
import re
from datetime import date
from pathlib import Path

import pytest

from licsync_daemon.model import github_labels as github
from licsync_daemon.model.github_labels import FACTS, LABELS, Fact, Label

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "github-labels.md"
RENEW = ".venv/bin/python -m tests.unit.test_github_labels"
HAND_WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "config" / "licsync.example.toml"]

#: A word of GitHub's pages in asterisks (emphasis is lower-case), and a path of menus in any form.
MENU_WORD = re.compile(r"(?<!\*)\*(?!\*)([A-Z][^*\n]{1,40})\*(?!\*)")
MENU_PATH = re.compile(r"\*?[\w ,&()]*\b[Ss]ettings\*? > [\w*]|> \*?(?:Licens|Settings|GitHub Connect)|[Oo]pen Licensing")
WORDS = {word for one in LABELS.values() for word in MENU_WORD.findall(f"{one.path} {one.button}")} | set(
    MENU_WORD.findall(github.AUTHORIZE)
)


def printed() -> str:
    """Return `docs/github-labels.md`."""
    labels = [" | ".join([f"| `{name}`", one.path, one.where, one.button, one.who, f"{link(one)} |"]) for name, one in LABELS.items()]
    facts = [f"| `{name}` | {one.text} | {link(one)} |" for name, one in FACTS.items()]
    return "\n".join(
        [
            "# What GitHub's pages name and say",
            "",
            "Every menu, button and fact of GitHub that a message or a page of licsync-daemon names, with the documentation that it comes from and",
            "the date on which both were last compared. Printed from `licsync_daemon/model/github_labels.py`, where each is defined once; renew this",
            f"page with `{RENEW}`.",
            "",
            "## Where to click",
            "",
            "| name | menus | where on that page | button | who may do it | documentation, compared |",
            "|---|---|---|---|---|---|",
            *labels,
            "",
            "## What GitHub does",
            "",
            "| name | fact | documentation, compared |",
            "|---|---|---|",
            *facts,
            "",
            "## Not documented",
            "",
            "No page of the documentation says the following, so licsync-daemon does not say it either:",
            "",
            *(f"- {one}" for one in github.NOT_DOCUMENTED),
            "",
        ]
    )


def link(one: Label | Fact) -> str:
    """Return the link to a page, and the date."""
    return f"[{one.page.rstrip('/').rpartition('/')[2]}]({github.DOCS}{one.page}), {one.compared}"


def words_of(text: str) -> str:
    """Return a text with single spaces, to compare sentences that are wrapped differently."""
    return " ".join(text.split())


def test_the_page_of_labels_is_printed_from_the_package() -> None:
    """`docs/github-labels.md` is the package's own list."""
    assert PAGE.read_text() == printed(), f"docs/github-labels.md differs from the package; renew it: {RENEW}"


def test_each_label_and_fact_has_its_page_and_date(subtests: pytest.Subtests) -> None:
    """A reader can compare every one again: the page is below docs.github.com, and the date is not in the future of the release."""
    for name, one in {**LABELS, **FACTS}.items():
        with subtests.test(name):
            assert re.fullmatch(r"[a-z0-9@./-]+", one.page)
            assert one.compared >= date(2026, 11, 26)
    for name, one in LABELS.items():
        with subtests.test(name, who=one.who):
            assert one.who
            assert MENU_WORD.match(one.path)
            assert not one.button or MENU_WORD.fullmatch(one.button)


def test_facts_are_sentences(subtests: pytest.Subtests) -> None:
    """A fact can stand alone, and can be quoted inside a sentence."""
    for name, one in FACTS.items():
        with subtests.test(name):
            assert re.fullmatch(r"[A-Z`][^\n]*\.", one.text)
            assert not str(one).endswith(".")


def test_no_other_module_names_a_menu() -> None:
    """A text for people takes menus and buttons from the one place; a docstring may name a button that is there."""
    wrong = []
    for path in sorted((ROOT / "licsync_daemon").rglob("*.py")):
        if path.name == "github_labels.py":
            continue
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = MENU_PATH.findall(node.value) + [
                    word for word in MENU_WORD.findall(node.value) if word not in WORDS or id(node) not in docstrings
                ]
                wrong += [f"{path.relative_to(ROOT)}:{node.lineno}: {one}" for one in named]

    assert wrong == []


def test_no_other_module_says_what_github_does() -> None:
    """A claim about GitHub in a text for people is a fact of the one place; docstrings and comments have their own sources."""
    claim = re.compile(r"GitHub(?: Connect)? (?:publishes|allows|returns|counts|requires|recommends|shows|offers|refuses)\b")
    wrong = []
    for path in sorted((ROOT / "licsync_daemon").rglob("*.py")):
        if path.name == "github_labels.py":
            continue
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        wrong += [
            f"{path.relative_to(ROOT)}:{one.lineno}: {one.value}" for one in texts if id(one) not in docstrings and claim.search(one.value)
        ]

    assert wrong == []


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: page.name)
def test_the_documentation_names_only_menus_that_are_there(page: Path) -> None:
    """Every path of menus is one of the labels, as GitHub writes it; every other word in asterisks is on one of the paths."""
    text = words_of(page.read_text())
    paths = re.findall(r"\*[A-Z][^*]+\*(?: > \*[^*]+\*)+", text)
    known = {one.path for one in LABELS.values()} | {f"{one.path} > {one.button}" for one in LABELS.values()}
    without = re.sub(r"\*[A-Z][^*]+\*(?: > \*[^*]+\*)+", "", text)

    assert [path for path in paths if path not in known] == []
    assert MENU_PATH.findall(without) == []
    assert [word for word in MENU_WORD.findall(without) if word not in WORDS and word != "For real"] == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", ("MATCHING", "ORGANIZATIONS", "NO_UPLOAD", "NO_STATUS_OF_ORGANIZATIONS")),
        (
            "docs/deliveries.md",
            (
                "WHAT_IS_SENT",
                "WHAT_CONNECT_SENDS",
                "MATCHING",
                "CONNECT_NEEDS",
                "HOSTS",
                "HOSTS_GHE_COM",
                "USAGE_BASED",
                "SSO_PER_ORGANIZATION",
                "TOKEN_LIFETIME",
                "READ_ENTERPRISE",
                "ORGANIZATIONS",
                "VERIFIED_DOMAINS",
                "BILLABLE",
                "PAGE_WORDS",
                "WEEKLY",
                "GHE_LICENSE",
                "COUNTED",
                "NO_UPLOAD",
                "OWNERS_NOT_COUNTED",
            ),
        ),
        (
            "docs/runbook.md",
            (
                "EXPIRED",
                "NOT_ADMINISTRATOR",
                "MORE_THAN_PURCHASED",
                "FLAGS_VERSION",
                "HOSTS",
                "HOSTS_GHE_COM",
                "DISCONNECTED",
                "API_VERSIONS",
                "PAGE_WORDS",
                "TOKEN_LIFETIME",
                "USAGE_BASED",
                "BILLABLE",
            ),
        ),
        ("docs/configuration.md", ("VERIFIED_DOMAINS", "API_VERSIONS", "NO_STATUS_OF_ORGANIZATIONS")),
    ],
)
def test_a_fact_in_the_documentation_is_the_one_of_the_package(page: str, names: tuple[str, ...], subtests: pytest.Subtests) -> None:
    """A page quotes the sentence itself, so that a correction in the one place reaches the page."""
    text = words_of((ROOT / page).read_text())
    for name in names:
        with subtests.test(name):
            assert FACTS[name].text in text


def test_the_documentation_says_who_may_do_each_step(subtests: pytest.Subtests) -> None:
    """docs/deliveries.md has a row for each step of a person, with its menus, its button, and who may do it."""
    rows = [line for line in (ROOT / "docs" / "deliveries.md").read_text().splitlines() if line.startswith("| ")]
    for name in ("CONNECT", "ENABLE_SYNC", "SYNC_NOW", "EXPORT", "UPLOAD", "CSV_REPORT", "VERIFY_DOMAIN"):
        one = LABELS[name]
        with subtests.test(name):
            assert [row for row in rows if one.path in row and one.button in row and row.endswith(f"| {one.who} |")] != []


def test_what_github_does_not_document_is_not_claimed(subtests: pytest.Subtests) -> None:
    """Nothing says that a server can be removed from the Licensing page, that it shows server IDs, or what a full seat pool refuses."""
    texts = {str(one.relative_to(ROOT)): words_of(one.read_text()) for one in [*HAND_WRITTEN, *(ROOT / "licsync_daemon").rglob("*.py")]}
    for claim in (
        r"remove[^.]{0,60}(?:from|on) the (?:enterprise's |cloud's )?Licensing page",
        r"server(?:_id|`|s'| ID)[^.]{0,40} (?:with|on) the (?:enterprise's )?Licensing page",
        r"server has to be removed",
        r"remove servers that no longer exist",
        r"overwrite each other's|would (?:replace|remove) (?:that|every)",
        r"it is free",
        r"new users cannot sign in",
    ):
        with subtests.test(claim):
            ours = {name: text for name, text in texts.items() if not name.endswith(("github_labels.py", "github-labels.md"))}
            assert [name for name, text in ours.items() if re.search(claim, text)] == []


def test_the_step_against_an_ending_api_version_fits_the_release(subtests: pytest.Subtests) -> None:
    """Instances accept the next version from GHES 3.21 on; an older one is upgraded first."""
    for release, words in (
        (None, 'set `api_version = "2026-03-10"` in [cloud]'),
        ((3, 20), 'upgrade the instance to GHES 3.21 or later, then set `api_version = "2026-03-10"` in the source of the instance'),
        ((3, 21), 'set `api_version = "2026-03-10"` in the source of the instance'),
        ((4, 0), 'set `api_version = "2026-03-10"` in the source of the instance'),
    ):
        with subtests.test(release=release):
            assert github.newer_version(release) == words


if __name__ == "__main__":
    PAGE.write_text(printed())
