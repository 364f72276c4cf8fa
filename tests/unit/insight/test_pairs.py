"""What is compared with what: whoever shares something, nobody who shares only what a crowd does; and what logins say of names."""

import pytest

from licsync_daemon.insight.cloud import Cloud
from licsync_daemon.insight.handles import Handle, handle, is_nobody, name_parts
from licsync_daemon.insight.pairs import CROWD, pairs
from licsync_daemon.insight.patterns import Pattern, glued, patterns
from licsync_daemon.insight.seats import build
from licsync_daemon.insight.values import Person, ServerAccount
from licsync_daemon.insight.weights import WEIGHTS, Sign
from tests.unit.insight.values import BOTH, account, person


def compared(people: list[Person], accounts: list[ServerAccount]) -> list[tuple[str, str]]:
    return [(one.id, other.id) for one, other, _ in pairs(build(Cloud(people, instances=BOTH), people, accounts))]


def test_what_a_crowd_is_called_is_not_compared() -> None:
    """The number of pairs stays near linear: a handle that more than a dozen could mean leads nowhere."""
    smiths = [person(f"login{n:02}", f"{chr(97 + n) * 3}ron Smith") for n in range(CROWD - 1)]
    assert len(compared(smiths, [account("emea:1", "smith")])) == CROWD - 1
    assert compared([*smiths, person("login99", "Zoe Smith")], [account("emea:1", "smith")]) == []


def test_an_attributed_account_is_a_decoy_for_everybody_but_its_person() -> None:
    """Whoever else fits it does so by chance."""
    people = [person("mona", "Mona Octocat", ids=["emea:1"]), person("mia", "Mia Octocat"), person("hubot", "Hubot")]
    assert compared(people, [account("emea:1", "moctocat", "moctocat@home.example")]) == [("emea:1", "@mia")]


def test_pairs_come_once_and_never_from_one_seat() -> None:
    """Accounts of one address are one seat; two seats meet once, however much they share."""
    accounts = [
        account("emea:1", "mona-octocat", "mona.octocat@home.example"),
        account("apac:1", "moctocat", "Mona.Octocat@home.example"),
        account("apac:2", "monaoctocat", "moctocat@corp.example"),
    ]
    assert compared([person("monaoctocat", "Mona Octocat")], accounts) == [
        ("apac:1", "@monaoctocat"),
        ("apac:2", "@monaoctocat"),
        ("apac:1", "apac:2"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mona.octocat", Handle("monaoctocat", ("mona", "octocat"), "")),
        ("Mona_Octocat+github", Handle("monaoctocat", ("mona", "octocat"), "")),
        ("mona85", Handle("mona", ("mona",), "85")),
        ("0pointer", Handle("pointer", ("pointer",), "0")),
        ("x2go-dev", Handle("x2godev", ("x2go", "dev"), "")),
        ("octocat-2", Handle("octocat", ("octocat",), "")),
        ("müller", Handle("muller", ("muller",), "")),
        ("Kadıköy", Handle("kadikoy", ("kadikoy",), "")),
        ("u12345", None),
        ("20231207", None),
        ("me", None),
        ("info", None),
        ("svc-backup", None),
        ("build-bot", None),
        ("x", None),
        ("", None),
        ("彭于斌", None),
    ],
)
def test_a_login_is_taken_apart(text: str, expected: Handle | None) -> None:
    """Digits at the ends are kept apart; codes, roles and empty words say nothing."""
    assert handle(text) == expected


@pytest.mark.parametrize(
    ("login", "address", "nobody"),
    [
        ("mona", "mona@corp.example", False),
        ("mona", "mona@macbook.local", False),
        ("mona", "", False),
        ("root", "", True),
        ("mona", "Webmaster@corp.example", True),
        ("mona", "admin2@corp.example", True),
        ("mona", "no-reply@corp.example", True),
        ("mona", "devs@googlegroups.com", True),
        ("mona", "devs@lists.corp.example", True),
        ("abbott", "abbott@corp.example", False),
        ("mona-bot", "", True),
        ("mona", "no.wada@corp.example", False),
        ("herbert-list", "", False),
    ],
)
def test_roles_lists_and_machines_are_nobody(login: str, address: str, nobody: bool) -> None:
    """By the whole login or local part, not by a part of a name."""
    assert is_nobody(login, address) is nobody


def test_the_logins_that_a_name_can_make() -> None:
    """Each with the pattern that says most."""
    made = patterns(("Mona Lisa Octocat",))
    expected = {
        "monalisaoctocat": Pattern.FULL,
        "monaoctocat": Pattern.FULL,
        "octocatmona": Pattern.FULL,
        "monaloctocat": Pattern.FULL,
        "moctocat": Pattern.FLAST,
        "mloctocat": Pattern.FLAST,
        "octocatm": Pattern.FLAST,
        "monao": Pattern.FIRSTL,
        "octocat": Pattern.LAST,
        "lisa": Pattern.LAST,
        "octomo": Pattern.CUT,
        "mona": Pattern.FIRST,
        "mlo": Pattern.INITIALS,
        "mo": Pattern.INITIALS,
    }
    assert {login: made[login] for login in expected} == expected
    assert patterns(("Peter Ross",))["peter"] is Pattern.FIRST  # not `pete` and `r`
    assert patterns(("",)) == patterns(()) == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Jörg Müller", (("jorg", "muller"), ("joerg", "mueller"))),
        ("Dr. Mona O'Octocat (she)", (("mona", "ooctocat"),)),
        ("Octocat, Mona", (("octocat", "mona"),)),
        ("彭于斌", (("彭于斌",),)),
        ("123", ()),
        ("", ()),
    ],
)
def test_the_words_of_a_name(name: str, words: tuple[tuple[str, ...], ...]) -> None:
    """In each spelling; a name without a Latin letter is one word."""
    assert name_parts(name) == words


def test_a_name_written_in_one_word_hides_an_initial_and_a_surname() -> None:
    """`monaoctocat` and `moctocat` are likely one name."""
    assert "moctocat" in glued("monaoctocat")
    assert glued("octocat") == []


def test_a_cell_of_a_million_characters_says_nothing() -> None:
    """And costs nothing: no login, local part or name is that long."""
    assert handle("m" * 1_000_000) is None
    assert len(name_parts("(" * 1_000_000 + "mona")) <= 1
    assert len(name_parts("mona " * 200_000)[0]) <= 20
    assert compared([person("mona", "m" * 1_000_000)], [account("emea:1", "o" * 1_000_000, "x" * 1_000_000 + "@home.example")]) == []


def test_every_sign_has_its_weight() -> None:
    """One table, no sign without a number."""
    assert set(WEIGHTS) == set(Sign)
